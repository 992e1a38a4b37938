//! Reads the console after the reset, and requests the greeting.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;

use espflash::connection::Port;
use serialport::SerialPort;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::board::console;
use crate::board::console::{Banner, ConsoleEvent, LineSplitter};
use crate::exchange::{self, GREETING_TIMEOUT};
use crate::failure::reason;
use crate::sanitize;
use crate::serial::port;
use crate::serial::port::{DEFAULT_BAUD, SelectedPort};

/// Limit for the banner: the firmware's own limit of a slow start.
const BANNER_TIMEOUT: Duration = Duration::from_secs(30);
/// Limit from the banner until the board is reachable: a station scans, joins and waits for DHCP.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout of one read of the port, which also limits how late it can be cancelled.
const READ_TIMEOUT: Duration = Duration::from_millis(50);
/// Limit for the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Relevant events on the console.
#[derive(Debug)]
pub enum BootEvent {
    /// The firmware started.
    Banner(Banner),
    /// The board is reachable at this address.
    Ready(SocketAddr),
    /// The firmware panicked.
    Panic(String),
    /// Another line, escaped.
    Line(String),
    /// The last event.
    End(End),
}

/// Why the console ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The board is ready or panicked.
    Finished,
    /// The board printed nothing.
    Silence,
    /// No banner; this is the last line.
    NoBanner(String),
    /// The firmware started but got no address.
    NoAddress,
    /// The port disappeared.
    Gone(String),
}

/// When to stop waiting for a board.
struct BootDeadline {
    end: Instant,
    booted: bool,
}

impl BootDeadline {
    /// Starts at the reset.
    fn new(now: Instant) -> Self {
        Self {
            end: now + BANNER_TIMEOUT,
            booted: false,
        }
    }

    /// Extends the deadline at the first banner only, so that a boot loop ends.
    fn on_banner(&mut self, now: Instant) {
        if !self.booted {
            self.booted = true;
            self.end = now + READY_TIMEOUT;
        }
    }
}

/// Reads the console until the board is reachable or the deadline passes. Blocks.
pub fn listen(port: Port, chosen: &SelectedPort, events: &mpsc::UnboundedSender<BootEvent>) {
    let end = until_ready(port, chosen, events);
    let _ = events.send(BootEvent::End(end));
}

fn until_ready(
    mut port: Port,
    chosen: &SelectedPort,
    events: &mpsc::UnboundedSender<BootEvent>,
) -> End {
    let mut deadline = BootDeadline::new(Instant::now());
    let mut last = String::new();
    let mut lines = LineSplitter::default();
    let mut buffer = [0; 1024];
    let _ = port.set_timeout(READ_TIMEOUT);
    while Instant::now() < deadline.end && !events.is_closed() {
        // A pseudo-terminal whose other end is closed reads as EOF.
        let read = port.read(&mut buffer).and_then(|count| match count {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        });
        let count = match read {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
            // The native USB port of a chip disappears during a reset.
            Err(error) => match reopen(chosen, deadline.end) {
                Some(again) => {
                    port = again;
                    continue;
                }
                None => return End::Gone(reason(&error)),
            },
        };
        for line in lines.push(&buffer[..count]) {
            let line = String::from_utf8_lossy(&line).into_owned();
            match console::parse(&line) {
                ConsoleEvent::Banner(banner) => {
                    deadline.on_banner(Instant::now());
                    let _ = events.send(BootEvent::Banner(banner));
                }
                ConsoleEvent::Ready { addr: address } => {
                    let _ = events.send(BootEvent::Ready(address));
                    return End::Finished;
                }
                ConsoleEvent::Panic { message: why } => {
                    let _ = events.send(BootEvent::Panic(sanitize::one_line(&why)));
                    return End::Finished;
                }
                _ => {}
            }
            if !line.trim().is_empty() {
                last = sanitize::one_line(&line);
                let _ = events.send(BootEvent::Line(last.clone()));
            }
        }
    }
    match (deadline.booted, last.is_empty()) {
        (true, _) => End::NoAddress,
        (false, true) => End::Silence,
        (false, false) => End::NoBanner(last),
    }
}

/// Reopens the port once it exists again.
fn reopen(chosen: &SelectedPort, deadline: Instant) -> Option<Port> {
    while Instant::now() < deadline {
        if let Some(Ok(mut port)) = chosen
            .find_again()
            .map(|port| port::open(&port, DEFAULT_BAUD))
        {
            let _ = port.set_timeout(READ_TIMEOUT);
            return Some(port);
        }
        std::thread::sleep(READ_TIMEOUT);
    }
    None
}

/// The result of connecting to the board.
#[derive(Debug)]
pub enum Reached {
    /// The board answered.
    Answer {
        /// The greeting.
        greeting: Vec<u8>,
        /// Time from the connection attempt to the last byte.
        took: Duration,
    },
    /// The board closed without a byte, or sent nothing.
    NoGreeting(String),
    /// The board cannot be reached from this computer.
    Unreachable(String),
}

/// Connects, sends the tutorial client's message, and reads the greeting. Takes at most 8 seconds.
pub async fn greet(address: SocketAddr) -> Reached {
    let start = Instant::now();
    let mut stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Reached::Unreachable(reason(&error)),
        Err(_) => return Reached::Unreachable("timed out".to_owned()),
    };
    match exchange::greeting(&mut stream, start + GREETING_TIMEOUT).await {
        Ok(greeting) => Reached::Answer {
            greeting,
            took: start.elapsed(),
        },
        Err(why) => Reached::NoGreeting(why),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn boot_loop_ends_the_wait() {
        let reset = Instant::now();
        let mut deadline = BootDeadline::new(reset);
        // The limit must not be shorter than `START_TIMEOUT` in firmware/esp32/src/watchdog.rs.
        assert!(deadline.end >= reset + Duration::from_secs(30));
        let first = reset + Duration::from_secs(2);
        for start in 0..60 {
            deadline.on_banner(first + Duration::from_secs(start));
        }
        assert_eq!(deadline.end, first + READY_TIMEOUT);
        assert!(deadline.booted);
    }

    /// One byte per second never times out a single read.
    #[test]
    fn slow_greeting_is_cut_off() {
        let result = crate::runtime::block_on(async {
            tokio::time::pause();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let slow = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                loop {
                    stream.write_all(b"x").await.unwrap();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            };
            tokio::select! {
                result = greet(address) => result,
                () = slow => unreachable!(),
            }
        });
        let Ok(Reached::Answer { greeting, took }) = result else {
            panic!("{result:?}");
        };
        assert!(greeting.len() > 1 && greeting.iter().all(|byte| *byte == b'x'));
        assert!(
            took <= GREETING_TIMEOUT + Duration::from_millis(10),
            "{took:?}"
        );
    }
}
