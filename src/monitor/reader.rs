//! Reading a port until nobody wants to know more, on a thread of its own.

use std::io::{self, Read};
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use espflash::connection::{Connection, Port, ResetAfterOperation, ResetBeforeOperation};
use serialport::SerialPort;
use tokio::sync::mpsc;

use crate::esp::image;
use crate::serial::port;
use crate::serial::port::Chosen;

/// How long a read waits: a reset, and the end, come so much later.
const READ: Duration = Duration::from_millis(50);
/// How many reads it is ahead of who shows them, at most: 4 MiB. While a terminal is stopped nothing
/// more is read, and the serial driver keeps what it has room for, as with any terminal program.
pub const AHEAD: usize = 1024;
/// The most of one read.
const CHUNK: usize = 4096;
/// How often a port that is gone is looked for.
const RETRY: Duration = Duration::from_millis(200);

/// What comes from a port.
#[derive(Debug)]
pub enum Heard {
    /// Bytes.
    Bytes(Vec<u8>),
    /// It is gone.
    Gone,
    /// It is there again.
    Back,
    /// The board was reset.
    Reset,
    /// The board can't be reset from here.
    NoReset(String),
}

/// Reads until `heard` is closed; each message of `resets` resets the board. Blocks, also while
/// `heard` is full.
pub fn read(
    mut port: Port,
    chosen: &Chosen,
    baud: u32,
    heard: &mpsc::Sender<Heard>,
    resets: &std_mpsc::Receiver<()>,
) {
    let mut buffer = [0; CHUNK];
    let _ = port.set_timeout(READ);
    while !heard.is_closed() {
        if resets.try_recv().is_ok() {
            let outcome;
            (port, outcome) = reset(port, chosen);
            let _ = heard.blocking_send(outcome);
        }
        match port.read(&mut buffer) {
            // The end of a terminal whose other side is gone.
            Ok(0) => {}
            Ok(count) => {
                let _ = heard.blocking_send(Heard::Bytes(buffer[..count].to_vec()));
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => {}
        }
        let _ = heard.blocking_send(Heard::Gone);
        // Released first, or the system gives the board another name when it comes back.
        drop(port);
        port = loop {
            if heard.is_closed() {
                return;
            }
            std::thread::sleep(RETRY);
            if let Some(Ok(mut again)) = chosen.again().map(|chosen| port::open(&chosen, baud)) {
                let _ = again.set_timeout(READ);
                break again;
            }
        };
        let _ = heard.blocking_send(Heard::Back);
    }
}

/// Resets the board by the port's lines.
fn reset(mut port: Port, chosen: &Chosen) -> (Port, Heard) {
    if port.read_data_set_ready().is_err() {
        return (
            port,
            Heard::NoReset("its port has no reset lines".to_owned()),
        );
    }
    let free = port::let_go_of_boot(&mut port).map_err(espflash::Error::from);
    let mut connection = Connection::new(
        port,
        chosen.usb.clone(),
        ResetAfterOperation::HardReset,
        ResetBeforeOperation::NoReset,
        port::FIRST_BAUD,
    );
    let outcome = match free.and_then(|()| connection.reset()) {
        Ok(()) => Heard::Reset,
        Err(error) => Heard::NoReset(image::chain(&error)),
    };
    (connection.into_serial(), outcome)
}
