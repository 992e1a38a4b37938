//! The one connection to a board: whether it is there, and, where nothing else says that it is a
//! board, what it answers.
//!
//! A board may have one worker. So a board that has told of itself is connected to and left again,
//! without a byte; only an address at which anything might answer is asked for its greeting.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::registry::Reached;
use crate::net::{Dialer, Family};

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
            let mut said = Vec::new();
            // Who says no line end and does not close either has greeted all the same.
            let _ = tokio::time::timeout(GREETING, ask(&mut stream, &mut said)).await;
            (reached, first_line(said))
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
) -> Option<(TcpStream, Reached)> {
    let dialer = Dialer {
        family: Family::Any,
        source: None,
        interface,
        timeout: patience,
    };
    let deadline = Instant::now() + patience;
    let connection = dialer.dial(addresses, deadline).await.ok()?;
    let reached = Reached::Yes {
        address: connection.address,
        rtt: connection.connect_time,
    };
    Some((connection.stream, reached))
}

/// Says the request, and adds what comes to `said` up to a line's end.
async fn ask(stream: &mut TcpStream, said: &mut Vec<u8>) {
    if stream.write_all(REQUEST).await.is_err() {
        return;
    }
    let mut buffer = [0; MAX_LINE];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        said.extend_from_slice(&buffer[..count]);
        if said.contains(&b'\n') || said.len() >= MAX_LINE {
            return;
        }
    }
}

/// The first line, if there is anything in it.
fn first_line(mut said: Vec<u8>) -> Option<String> {
    let end = said.iter().position(|&byte| byte == b'\n');
    said.truncate(end.unwrap_or(said.len()).min(MAX_LINE));
    let line = String::from_utf8_lossy(&said).trim_end().to_owned();
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
            let (reached, line) = crate::runtime::block_on(greet(address, None, PATIENCE)).unwrap();
            assert!(matches!(reached, Reached::Yes { .. }));
            assert_eq!(line.as_deref(), kept);
            assert_eq!(server.join().unwrap(), REQUEST);
        }
    }

    #[test]
    fn who_greets_without_a_line_end_and_does_not_close_has_greeted() {
        use std::io::{Read, Write};

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            connection.read_exact(&mut [0; REQUEST.len()]).unwrap();
            connection.write_all(b"Hello").unwrap();
            // The client leaves first.
            assert_eq!(connection.read(&mut [0; 1]).unwrap_or(0), 0);
        });
        let (_, line) = crate::runtime::block_on(greet(address, None, PATIENCE)).unwrap();
        assert_eq!(line.as_deref(), Some("Hello"));
        server.join().unwrap();
    }
}
