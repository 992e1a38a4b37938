//! The one connection to a board: whether it is there, and, where nothing else says that it is a
//! board, what it answers.
//!
//! A board may have one worker. So a board that has told of itself is connected to and left again,
//! without a byte; only an address at which anything might answer is asked for its greeting.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::registry::Reached;
use crate::transport::{Dial, Endpoint, Family, Stream};

/// How long a handshake may take. A Wi-Fi station in power save answers within a few beacons
/// (about 100 ms each); a lost SYN is sent again after a second.
pub const PATIENCE: Duration = Duration::from_millis(1200);
/// The same where a known board has fallen silent: it was quick before.
pub const SHORT_PATIENCE: Duration = Duration::from_millis(700);
/// How long a greeting may take after the request.
const GREETING: Duration = Duration::from_secs(1);
/// What is asked: the tutorial client's message, which every such board answers.
const REQUEST: &[u8] = b"Hello TCP world!\r\n";
/// The longest first line that is kept, bytes.
const MAX_LINE: usize = 256;

/// Connects to a board and leaves again.
pub async fn connect(
    addresses: Vec<SocketAddr>,
    interface: Option<String>,
    patience: Duration,
) -> Reached {
    match dial(addresses, interface, patience).await {
        Some((_, reached)) => reached,
        None => Reached::No,
    }
}

/// Connects, asks, and returns the first line of the answer too, if there is one.
pub async fn greet(
    address: SocketAddr,
    interface: Option<String>,
    patience: Duration,
) -> (Reached, Option<String>) {
    match dial(vec![address], interface, patience).await {
        Some((mut stream, reached)) => {
            let line = tokio::time::timeout(GREETING, first_line(&mut stream)).await;
            (reached, line.ok().flatten())
        }
        None => (Reached::No, None),
    }
}

/// Whether this is what a board would say, and not a web server or a login of a router.
pub fn is_greeting(line: &str) -> bool {
    let line = line.trim_start().to_ascii_lowercase();
    let others = ["http/", "<", "ssh-", "220 ", "rtsp/", "+ok", "* ok"];
    !line.is_empty() && !others.iter().any(|start| line.starts_with(start))
}

async fn dial(
    addresses: Vec<SocketAddr>,
    interface: Option<String>,
    patience: Duration,
) -> Option<(Stream, Reached)> {
    let dial = Dial {
        family: Family::Any,
        source: None,
        interface,
        timeout: patience,
    };
    let connection = dial.connect(&Endpoint::Addresses(addresses)).await.ok()?;
    let reached = Reached::Yes {
        address: connection.address,
        rtt: connection.connect_time,
    };
    Some((connection.stream, reached))
}

async fn first_line(stream: &mut Stream) -> Option<String> {
    stream.write_all(REQUEST).await.ok()?;
    let mut line = Vec::new();
    let mut buffer = [0; MAX_LINE];
    loop {
        let count = match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        line.extend_from_slice(&buffer[..count]);
        if line.contains(&b'\n') || line.len() >= MAX_LINE {
            break;
        }
    }
    let end = line.iter().position(|&byte| byte == b'\n');
    line.truncate(end.unwrap_or(line.len()).min(MAX_LINE));
    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_is_no_board() {
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
    fn the_first_line_is_what_is_kept() {
        let long = "x".repeat(10_000);
        for (said, kept) in [
            ("Hello World", Some("Hello World")),
            ("one\r\ntwo\r\n", Some("one")),
            ("\r\n", None),
            ("", None),
            (&long, Some(&long[..MAX_LINE])),
        ] {
            let said = said.to_owned();
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || {
                use std::io::{Read, Write};
                let (mut connection, _) = listener.accept().unwrap();
                let mut request = [0; 64];
                let count = connection.read(&mut request).unwrap();
                let _ = connection.write_all(said.as_bytes());
                request[..count].to_vec()
            });
            let (reached, line) = crate::block_on(greet(address, None, PATIENCE)).unwrap();
            assert!(matches!(reached, Reached::Yes { .. }));
            assert_eq!(line.as_deref(), kept);
            assert_eq!(server.join().unwrap(), REQUEST);
        }
    }
}
