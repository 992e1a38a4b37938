//! Servers on loopback in this process, so that only the client is measured.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// The reply of the greeting server.
pub(crate) const GREETING: &[u8] = b"Hello World";

/// A listener on a free port.
fn listener() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Reads the request, greets and closes, one connection at a time, until the process ends.
///
/// # Errors
/// When no port is free.
pub(crate) fn greeting() -> io::Result<SocketAddr> {
    let (listener, address) = listener()?;
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut request = [0; 1024];
            // The caller notices a failed client.
            let _ = connection.and_then(|mut connection| {
                let length = connection.read(&mut request)?;
                connection.write_all(if length > 0 { GREETING } else { b"" })
            });
        }
    });
    Ok(address)
}

/// Reads to the end and reports the number of bytes, one connection at a time.
///
/// # Errors
/// When no port is free.
pub(crate) fn discard() -> io::Result<(SocketAddr, Receiver<u64>)> {
    let (listener, address) = listener()?;
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        for connection in listener.incoming() {
            let mut bytes = 0;
            if let Ok(mut connection) = connection {
                while let Ok(length @ 1..) = connection.read(&mut buffer) {
                    bytes += length as u64;
                }
            }
            if sender.send(bytes).is_err() {
                return;
            }
        }
    });
    Ok((address, receiver))
}
