//! After the reset: the banner on the console, the address, and a greeting from there.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;

use espflash::connection::Port;
use serialport::SerialPort;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::board::console;
use crate::board::console::{Banner, ConsoleEvent, LineSplitter};
use crate::sanitize;
use crate::serial::port;
use crate::serial::port::{DEFAULT_BAUD, SelectedPort};

/// How long a board has until its banner: the bootloader checks the program first, a megabyte a
/// second or so.
const UNTIL_BANNER: Duration = Duration::from_secs(10);
/// How long it has until it can be reached: a station scans, joins and waits for DHCP.
const UNTIL_READY: Duration = Duration::from_secs(30);
/// How long a read of the port waits: a wait that was given up ends so much later.
const READ: Duration = Duration::from_millis(50);
/// How long a connection, and then each read, may take.
const REACH: Duration = Duration::from_secs(3);
/// How long all of that may take.
const GREET: Duration = Duration::from_secs(8);
/// What is told of a board that took the connection and no more.
const SILENT: &str = "it is silent";
/// The most of a greeting that is shown.
const GREETING_LIMIT: usize = 4096;

/// What the console says that matters here.
#[derive(Debug)]
pub enum Heard {
    /// The firmware has started.
    Banner(Banner),
    /// It can be reached there.
    Ready(SocketAddr),
    /// It has panicked.
    Panic(String),
    /// No more comes.
    End(End),
}

/// Why no more comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The board is ready, or has panicked.
    Told,
    /// Nothing came at all.
    Silence,
    /// No banner came; this is the last line that did.
    NoBanner(String),
    /// The firmware has started, and gets no address.
    NoAddress,
    /// The port is gone.
    Gone(String),
}

/// Until when a board is listened to.
struct Patience {
    end: Instant,
    booted: bool,
}

impl Patience {
    /// From the reset on.
    fn new(now: Instant) -> Self {
        Self {
            end: now + UNTIL_BANNER,
            booted: false,
        }
    }

    /// A banner has come. Only the first gives the board more time: one that starts again and again
    /// would be waited for without an end.
    fn on_banner(&mut self, now: Instant) {
        if !self.booted {
            self.booted = true;
            self.end = now + UNTIL_READY;
        }
    }
}

/// Reads the console until the board can be reached, or its time is over. Blocks.
pub fn listen(port: Port, chosen: &SelectedPort, heard: &mpsc::UnboundedSender<Heard>) {
    let end = until_ready(port, chosen, heard);
    let _ = heard.send(Heard::End(end));
}

fn until_ready(mut port: Port, chosen: &SelectedPort, heard: &mpsc::UnboundedSender<Heard>) -> End {
    let mut patience = Patience::new(Instant::now());
    let mut last = String::new();
    let mut lines = LineSplitter::default();
    let mut buffer = [0; 1024];
    let _ = port.set_timeout(READ);
    while Instant::now() < patience.end && !heard.is_closed() {
        // The end of a terminal whose other side is gone is no error of the system's.
        let read = port.read(&mut buffer).and_then(|count| match count {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        });
        let count = match read {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
            // A chip's own USB goes away with a reset, and comes back.
            Err(error) => match reopen(chosen, patience.end) {
                Some(again) => {
                    port = again;
                    continue;
                }
                None => return End::Gone(sanitize::one_line(&error.to_string())),
            },
        };
        for line in lines.push(&buffer[..count]) {
            let line = String::from_utf8_lossy(&line).into_owned();
            match console::parse(&line) {
                ConsoleEvent::Banner(banner) => {
                    patience.on_banner(Instant::now());
                    let _ = heard.send(Heard::Banner(banner));
                }
                ConsoleEvent::Ready { addr: address } => {
                    let _ = heard.send(Heard::Ready(address));
                    return End::Told;
                }
                ConsoleEvent::Panic { message: why } => {
                    let _ = heard.send(Heard::Panic(sanitize::one_line(&why)));
                    return End::Told;
                }
                _ => {}
            }
            if !line.trim().is_empty() {
                last = line;
            }
        }
    }
    match (patience.booted, last.is_empty()) {
        (true, _) => End::NoAddress,
        (false, true) => End::Silence,
        (false, false) => End::NoBanner(sanitize::one_line(&last)),
    }
}

/// Opens the port once more, as soon as it is there again.
fn reopen(chosen: &SelectedPort, deadline: Instant) -> Option<Port> {
    while Instant::now() < deadline {
        if let Some(Ok(mut port)) = chosen
            .find_again()
            .map(|port| port::open(&port, DEFAULT_BAUD))
        {
            let _ = port.set_timeout(READ);
            return Some(port);
        }
        std::thread::sleep(READ);
    }
    None
}

/// What came of trying to reach the board.
#[derive(Debug)]
pub enum Reached {
    /// It answered.
    Answer {
        /// What it said.
        greeting: Vec<u8>,
        /// From the connection's start to the last byte.
        took: Duration,
    },
    /// It closed without a byte, or said nothing.
    NoGreeting(String),
    /// There is no way to it from here.
    Unreachable(String),
}

/// Connects, says what a client of the tutorial says, and reads the greeting. Takes no more than 8
/// seconds, however little comes at a time.
pub async fn greet(address: SocketAddr) -> Reached {
    let start = Instant::now();
    let mut stream = match timeout(REACH, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Reached::Unreachable(error.to_string()),
        Err(_) => return Reached::Unreachable("no answer".to_owned()),
    };
    let mut greeting = Vec::new();
    let end = start + GREET;
    let ended = timeout_at(end, exchange(&mut stream, &mut greeting)).await;
    if greeting.is_empty() {
        return Reached::NoGreeting(ended.unwrap_or_else(|_| SILENT.to_owned()));
    }
    Reached::Answer {
        greeting,
        took: start.elapsed(),
    }
}

/// Reads what comes into `greeting`, and says how it ended.
async fn exchange(stream: &mut TcpStream, greeting: &mut Vec<u8>) -> String {
    if let Err(error) = stream.write_all(b"Hello TCP world!\r\n").await {
        return error.to_string();
    }
    while greeting.len() < GREETING_LIMIT {
        let mut buffer = [0; 1024];
        match timeout(REACH, stream.read(&mut buffer)).await {
            Ok(Ok(0)) => return "it closed without a byte".to_owned(),
            Ok(Ok(count)) => greeting.extend_from_slice(&buffer[..count]),
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return SILENT.to_owned(),
        }
    }
    "it says more than a greeting".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_that_starts_again_and_again_is_not_waited_for_without_an_end() {
        let reset = Instant::now();
        let mut patience = Patience::new(reset);
        assert_eq!(patience.end, reset + UNTIL_BANNER);
        let first = reset + Duration::from_secs(2);
        for start in 0..60 {
            patience.on_banner(first + Duration::from_secs(start));
        }
        assert_eq!(patience.end, first + UNTIL_READY);
        assert!(patience.booted);
    }

    /// A byte a second is less than any pause that ends a greeting.
    #[test]
    fn a_board_that_drips_holds_up_a_flash_for_no_more_than_its_time() {
        let told = crate::runtime::block_on(async {
            tokio::time::pause();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let drips = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                loop {
                    stream.write_all(b"x").await.unwrap();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            };
            tokio::select! {
                told = greet(address) => told,
                () = drips => unreachable!(),
            }
        });
        let Ok(Reached::Answer { greeting, took }) = told else {
            panic!("{told:?}");
        };
        assert!(greeting.len() > 1 && greeting.iter().all(|byte| *byte == b'x'));
        assert!(took <= GREET + Duration::from_millis(10), "{took:?}");
    }
}
