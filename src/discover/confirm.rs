//! The connection that checks a board.
//!
//! A board may have a single worker. So a board that announces itself is connected to and closed
//! again without a byte; only at an address where anything might answer is a request sent.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::connections::Route;
use super::registry::Reachability;
use crate::exchange::MESSAGE;
use crate::net::{Dialer, Family};

/// Connect timeout. A Wi-Fi station in power save answers within a few beacons (about 100 ms each);
/// a lost SYN is retransmitted after a second.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(1200);
/// Connect timeout for a known board that is silent, because it was fast before.
pub const CHECK_TIMEOUT: Duration = Duration::from_millis(700);
/// Timeout of the greeting after the request.
const GREETING: Duration = Duration::from_secs(1);
/// Maximum length of the first line, bytes.
const MAX_LINE: usize = 256;

/// Connects to a board and closes the connection.
pub async fn connect(route: Route, timeout: Duration) -> Reachability {
    match dial(route, timeout).await {
        Some((_, reachability)) => reachability,
        None => Reachability::Unreachable,
    }
}

/// Connects, sends the request, and returns the first line of the reply, if any.
pub async fn greet(
    address: SocketAddr,
    interface: Option<String>,
    timeout: Duration,
) -> (Reachability, Option<String>) {
    let route = Route {
        addresses: vec![address],
        interface,
    };
    match dial(route, timeout).await {
        Some((mut stream, reachability)) => {
            let mut received = Vec::new();
            // A greeting without a line end is accepted.
            let _ = tokio::time::timeout(GREETING, ask(&mut stream, &mut received)).await;
            (reachability, first_line(received))
        }
        None => (Reachability::Unreachable, None),
    }
}

/// Whether a board may have sent this line, rather than a web server or a router's login.
pub fn is_greeting(line: &str) -> bool {
    let line = line.trim_start().to_ascii_lowercase();
    let others = ["http/", "<", "ssh-", "220 ", "rtsp/", "+ok", "* ok"];
    !line.is_empty() && !others.iter().any(|start| line.starts_with(start))
}

async fn dial(route: Route, timeout: Duration) -> Option<(TcpStream, Reachability)> {
    let dialer = Dialer {
        family: Family::Any,
        source: None,
        interface: route.interface,
        timeout,
    };
    let deadline = Instant::now() + timeout;
    let connection = dialer.dial(route.addresses, deadline).await.ok()?;
    let reachability = Reachability::Reachable {
        address: connection.address,
        rtt: connection.connect_time,
    };
    Some((connection.stream, reachability))
}

/// Sends the request, and reads into `received` up to a line end.
async fn ask(stream: &mut TcpStream, received: &mut Vec<u8>) {
    if stream.write_all(MESSAGE).await.is_err() {
        return;
    }
    let mut buffer = [0; MAX_LINE];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        received.extend_from_slice(&buffer[..count]);
        if received.contains(&b'\n') || received.len() >= MAX_LINE {
            return;
        }
    }
}

/// The first line, unless it is empty.
fn first_line(mut received: Vec<u8>) -> Option<String> {
    let end = received.iter().position(|&byte| byte == b'\n');
    received.truncate(end.unwrap_or(received.len()).min(MAX_LINE));
    let line = String::from_utf8_lossy(&received).trim_end().to_owned();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_are_not_boards() {
        for line in ["Hello World", "temperature 21.5", "ok", "220V"] {
            assert!(is_greeting(line), "{line}");
        }
        for line in [
            "",
            "  ",
            "HTTP/1.1 400 Bad Request",
            "<html>",
            "SSH-2.0-dropbear",
            "220 router FTP",
        ] {
            assert!(!is_greeting(line), "{line}");
        }
    }

    #[test]
    fn the_first_line_is_kept() {
        let long = "x".repeat(10_000);
        for (received, kept) in [
            ("Hello World", Some("Hello World")),
            ("one\r\ntwo\r\n", Some("one")),
            ("\r\n", None),
            ("", None),
            (&long, Some(&long[..MAX_LINE])),
        ] {
            let received = received.to_owned();
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || {
                use std::io::{Read, Write};
                let (mut connection, _) = listener.accept().unwrap();
                let mut request = [0; 64];
                let count = connection.read(&mut request).unwrap();
                let _ = connection.write_all(received.as_bytes());
                request[..count].to_vec()
            });
            let (reachability, line) =
                crate::runtime::block_on(greet(address, None, CONNECT_TIMEOUT)).unwrap();
            assert!(matches!(reachability, Reachability::Reachable { .. }));
            assert_eq!(line.as_deref(), kept);
            assert_eq!(server.join().unwrap(), MESSAGE);
        }
    }

    #[test]
    fn a_greeting_needs_no_line_end() {
        use std::io::{Read, Write};

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            connection.read_exact(&mut [0; MESSAGE.len()]).unwrap();
            connection.write_all(b"Hello").unwrap();
            // The client closes first.
            assert_eq!(connection.read(&mut [0; 1]).unwrap_or(0), 0);
        });
        let (_, line) = crate::runtime::block_on(greet(address, None, CONNECT_TIMEOUT)).unwrap();
        assert_eq!(line.as_deref(), Some("Hello"));
        server.join().unwrap();
    }
}
