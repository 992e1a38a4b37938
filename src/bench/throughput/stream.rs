//! One stream: what it does when it can, and what it has seen.

use std::io;

use super::pattern::{self, LOOKED_AT};
use super::trouble::Trouble;
use tcpctl_engine::readiness::{ConnectionId, ConnectionInfo, Network, NetworkTime};

/// Reads and writes in which one stream may go on while others are ready, too.
const TURNS: usize = 8;

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From here; nothing is to come back.
    Up,
    /// To here.
    Down,
    /// There and back, unchanged.
    RoundTrip,
}

/// A stream that stands.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: ConnectionId,
    direction: Direction,
    written: u64,
    received: u64,
    pub(super) can_read: bool,
    pub(super) can_write: bool,
    /// The first of what came, of a download.
    pub(super) beginning: Vec<u8>,
    /// Bytes that have got through.
    pub(super) moved: u64,
    /// When that was last more than before.
    pub(super) moved_at: NetworkTime,
    /// What `moved` was when the measured part began, and what the stack knew then.
    pub(super) moved_before: u64,
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

    /// Whether there is something to do without waiting.
    pub(super) fn is_ready(&self) -> bool {
        self.can_read || self.can_write && self.direction != Direction::Down
    }

    /// Does what can be done, within its turn.
    pub(super) fn go_on(
        &mut self,
        network: &mut impl Network,
        buffer: &mut [u8],
    ) -> Result<(), Trouble> {
        for _ in 0..TURNS {
            if !self.is_ready() {
                break;
            }
            // What the server says comes first: it may be why a write will fail.
            if self.can_read {
                self.read(network, buffer)?;
            }
            if self.can_write && self.direction != Direction::Down {
                self.write(network)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, network: &mut impl Network, buffer: &mut [u8]) -> Result<(), Trouble> {
        let is_looked_at = match self.direction {
            Direction::Up | Direction::RoundTrip => true,
            Direction::Down => self.beginning.len() < LOOKED_AT,
        };
        let result = if is_looked_at {
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
            _ if length == 0 => return Err(Trouble::Closed),
            Direction::Up => return Err(Trouble::Answered),
            Direction::Down if is_looked_at => {
                let missing = LOOKED_AT - self.beginning.len();
                self.beginning.extend(came.iter().take(missing));
            }
            Direction::Down => {}
            Direction::RoundTrip => {
                if let Some(at) = pattern::first_wrong(self.received, came) {
                    return Err(Trouble::WrongEcho { at });
                }
                if self.received + length as u64 > self.written {
                    return Err(Trouble::WrongEcho { at: self.written });
                }
            }
        }
        self.received += length as u64;
        Ok(())
    }

    fn write(&mut self, network: &mut impl Network) -> Result<(), Trouble> {
        let filler = match self.direction {
            // Nobody compares: always the longest piece.
            Direction::Up => pattern::filler_at(0),
            _ => pattern::filler_at(self.written),
        };
        match unless_blocked(network.write(self.id, filler))? {
            Some(length) => self.written += length as u64,
            None => self.can_write = false,
        }
        Ok(())
    }

    /// Finds out how much has got through by now. What is not acknowledged has not, where that
    /// can be known.
    pub(super) fn count(&mut self, network: &impl Network, now: NetworkTime) {
        let moved = match self.direction {
            Direction::Up => {
                let waiting = network.unacknowledged(self.id).unwrap_or(0);
                self.written.saturating_sub(waiting)
            }
            Direction::Down | Direction::RoundTrip => self.received,
        };
        // A stack that has forgotten a connection may know less than before.
        if moved > self.moved {
            self.moved = moved;
            self.moved_at = now;
        }
    }

    /// Begins the measured part.
    pub(super) fn begin(&mut self, network: &impl Network, now: NetworkTime) {
        self.count(network, now);
        self.moved_before = self.moved;
        self.info_before = network.info(self.id);
    }

    /// Bytes that have got through in the measured part.
    pub(super) fn measured(&self) -> u64 {
        self.moved - self.moved_before
    }
}

/// The number of bytes, or `None` where there is to be waited.
pub(super) fn unless_blocked(result: io::Result<usize>) -> Result<Option<usize>, Trouble> {
    match result {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(_) => Err(Trouble::Reset),
    }
}
