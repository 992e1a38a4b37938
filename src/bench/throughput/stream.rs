//! One stream of a flow.

use std::io;

use super::error::StreamError;
use super::pattern::{self, CHECKED};
use tcpctl_engine::readiness::{ConnectionId, ConnectionInfo, Network, NetworkTime};

/// Reads and writes of one stream in a row before the next stream's turn.
const TURNS: usize = 8;

/// Direction of a stream's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the server; it must send nothing back.
    Up,
    /// From the server.
    Down,
    /// To the server and back, unchanged.
    RoundTrip,
}

/// A connected stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: ConnectionId,
    direction: Direction,
    written: u64,
    received: u64,
    pub(super) can_read: bool,
    pub(super) can_write: bool,
    /// The first bytes of a download.
    pub(super) beginning: Vec<u8>,
    /// Bytes moved.
    pub(super) moved: u64,
    /// When `moved` last increased.
    pub(super) moved_at: NetworkTime,
    /// `moved` at the start of the measured part.
    pub(super) moved_before: u64,
    /// The stack's information at the start of the measured part.
    pub(super) info_before: Option<ConnectionInfo>,
}

impl Stream {
    pub(super) fn new(id: ConnectionId, direction: Direction, now: NetworkTime) -> Self {
        Self {
            id,
            direction,
            written: 0,
            received: 0,
            can_read: true,
            can_write: true,
            beginning: Vec::new(),
            moved: 0,
            moved_at: now,
            moved_before: 0,
            info_before: None,
        }
    }

    /// Whether it can read or write without waiting.
    pub(super) fn is_ready(&self) -> bool {
        self.can_read || self.can_write && self.direction != Direction::Down
    }

    /// Reads and writes up to [`TURNS`] times.
    pub(super) fn run(
        &mut self,
        network: &mut impl Network,
        buffer: &mut [u8],
    ) -> Result<(), StreamError> {
        for _ in 0..TURNS {
            if !self.is_ready() {
                break;
            }
            // Read first: a read may show why a write would fail.
            if self.can_read {
                self.read(network, buffer)?;
            }
            if self.can_write && self.direction != Direction::Down {
                self.write(network)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, network: &mut impl Network, buffer: &mut [u8]) -> Result<(), StreamError> {
        let is_checked = match self.direction {
            Direction::Up | Direction::RoundTrip => true,
            Direction::Down => self.beginning.len() < CHECKED,
        };
        let result = if is_checked {
            network.read(self.id, buffer)
        } else {
            network.discard(self.id, buffer)
        };
        let Some(length) = unless_blocked(result)? else {
            self.can_read = false;
            return Ok(());
        };
        let came = &buffer[..length];
        match self.direction {
            _ if length == 0 => return Err(StreamError::Closed),
            Direction::Up => return Err(StreamError::Answered),
            Direction::Down if is_checked => {
                let missing = CHECKED - self.beginning.len();
                self.beginning.extend(came.iter().take(missing));
            }
            Direction::Down => {}
            Direction::RoundTrip => {
                if let Some(at) = pattern::first_wrong(self.received, came) {
                    return Err(StreamError::WrongEcho { at });
                }
                if self.received + length as u64 > self.written {
                    return Err(StreamError::WrongEcho { at: self.written });
                }
            }
        }
        self.received += length as u64;
        Ok(())
    }

    fn write(&mut self, network: &mut impl Network) -> Result<(), StreamError> {
        let filler = match self.direction {
            // Nothing is compared, so the longest piece will do.
            Direction::Up => pattern::filler_at(0),
            _ => pattern::filler_at(self.written),
        };
        match unless_blocked(network.write(self.id, filler))? {
            Some(length) => self.written += length as u64,
            None => self.can_write = false,
        }
        Ok(())
    }

    /// Updates `moved`. Unacknowledged bytes do not count if the stack reports them.
    pub(super) fn count(&mut self, network: &impl Network, now: NetworkTime) {
        let moved = match self.direction {
            Direction::Up => {
                let waiting = network.unacknowledged(self.id).unwrap_or(0);
                self.written.saturating_sub(waiting)
            }
            Direction::Down | Direction::RoundTrip => self.received,
        };
        // A stack that has dropped the connection may report less than before.
        if moved > self.moved {
            self.moved = moved;
            self.moved_at = now;
        }
    }

    /// Starts the measured part.
    pub(super) fn begin(&mut self, network: &impl Network, now: NetworkTime) {
        self.count(network, now);
        self.moved_before = self.moved;
        self.info_before = network.info(self.id);
    }

    /// Bytes moved in the measured part.
    pub(super) fn measured(&self) -> u64 {
        self.moved - self.moved_before
    }
}

/// The number of bytes, or `None` if the call would have blocked.
pub(super) fn unless_blocked(result: io::Result<usize>) -> Result<Option<usize>, StreamError> {
    match result {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(_) => Err(StreamError::Reset),
    }
}
