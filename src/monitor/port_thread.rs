//! The thread that reads and writes a serial port, and reopens it after a replug.

use std::io::{self, Read, Write};
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use espflash::connection::{Connection, Port, ResetAfterOperation, ResetBeforeOperation};
use serialport::SerialPort;
use tokio::sync::mpsc;

use crate::esp::image;
use crate::failure::reason;
use crate::serial::port::{self, SelectedPort};

/// Timeout of a read. It delays keys and the end of the thread.
const READ_TIMEOUT: Duration = Duration::from_millis(20);
/// Maximum time to write keys that the board does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum reads that wait to be shown: 4 MiB. While a terminal is stopped, no more is read, and
/// the serial driver buffers as much as it can.
pub(super) const READ_AHEAD: usize = 1024;
/// Bytes per read.
const CHUNK_BYTES: usize = 4096;
/// Pause between two attempts to reopen a port.
const REOPEN_INTERVAL: Duration = Duration::from_millis(200);

/// What happens on a port.
#[derive(Debug)]
pub(super) enum PortEvent {
    /// Bytes arrived.
    Bytes(Vec<u8>),
    /// The port disappeared.
    Gone,
    /// The port is open again.
    Back,
    /// The board was reset.
    Reset,
    /// The board cannot be reset through this port.
    NoReset(String),
    /// The board did not accept typed keys.
    WriteFailed(String),
}

/// What the port thread does on request.
#[derive(Debug)]
pub(super) enum PortRequest {
    /// Write these bytes.
    Write(Vec<u8>),
    /// Reset the board.
    Reset,
}

/// Runs until `events` is closed. Blocks, also while `events` is full.
pub(super) fn run(
    mut port: Port,
    selected: &SelectedPort,
    baud: u32,
    events: &mpsc::Sender<PortEvent>,
    requests: &std_mpsc::Receiver<PortRequest>,
) {
    let mut buffer = [0; CHUNK_BYTES];
    let _ = port.set_timeout(READ_TIMEOUT);
    while !events.is_closed() {
        match requests.try_recv() {
            Ok(PortRequest::Reset) => {
                let outcome;
                (port, outcome) = reset(port, selected);
                let _ = port.set_timeout(READ_TIMEOUT);
                let _ = events.blocking_send(outcome);
            }
            Ok(PortRequest::Write(bytes)) => {
                if let Err(error) = write(&mut port, &bytes) {
                    let _ = events.blocking_send(PortEvent::WriteFailed(reason(&error)));
                }
            }
            Err(_) => {}
        }
        match port.read(&mut buffer) {
            // The other end of the pseudo-terminal is closed.
            Ok(0) => {}
            Ok(count) => {
                let _ = events.blocking_send(PortEvent::Bytes(buffer[..count].to_vec()));
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => {}
        }
        let _ = events.blocking_send(PortEvent::Gone);
        // Close the port: while it is open, the system gives the returning board another name.
        drop(port);
        port = loop {
            if events.is_closed() {
                return;
            }
            std::thread::sleep(REOPEN_INTERVAL);
            if let Some(Ok(mut reopened)) =
                selected.find_again().map(|port| port::open(&port, baud))
            {
                let _ = reopened.set_timeout(READ_TIMEOUT);
                break reopened;
            }
        };
        let _ = events.blocking_send(PortEvent::Back);
    }
}

fn write(port: &mut Port, bytes: &[u8]) -> io::Result<()> {
    let _ = port.set_timeout(WRITE_TIMEOUT);
    let written = port.write_all(bytes);
    let _ = port.set_timeout(READ_TIMEOUT);
    written
}

/// Resets the board with the port's control lines.
fn reset(mut port: Port, selected: &SelectedPort) -> (Port, PortEvent) {
    if port.read_data_set_ready().is_err() {
        let event = PortEvent::NoReset("the port has no control lines".to_owned());
        return (port, event);
    }
    let released = port::release_boot(&mut port).map_err(espflash::Error::from);
    let mut connection = Connection::new(
        port,
        selected.usb.clone(),
        ResetAfterOperation::HardReset,
        ResetBeforeOperation::NoReset,
        port::DEFAULT_BAUD,
    );
    let event = match released.and_then(|()| connection.reset()) {
        Ok(()) => PortEvent::Reset,
        Err(error) => PortEvent::NoReset(image::chain(&error)),
    };
    (connection.into_serial(), event)
}
