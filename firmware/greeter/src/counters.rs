//! Counters since the board started.

use core::cell::Cell;

/// A snapshot of the greeting server's counters. They wrap around.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections with a completed handshake.
    pub accepted: u32,
    /// Connections that got the whole reply.
    pub served: u32,
    /// SYNs that the stack refused because no slot was free; `None` without
    /// [`crate::refusals`].
    pub refused: Option<u32>,
    /// Served connections that stayed silent for the request timeout.
    pub timed_out: u32,
    /// Connections that the peer reset or closed before they were served.
    pub reset: u32,
    /// Bytes received in requests.
    pub bytes_in: u64,
    /// Bytes of replies passed to the stack.
    pub bytes_out: u64,
    /// Number of slots: connections that fit, served and waiting.
    pub slots: usize,
    /// Connections being served.
    pub in_use: usize,
    /// Connections that wait for a worker.
    pub waiting: usize,
}

/// The live counters.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) accepted: Count,
    pub(crate) served: Count,
    pub(crate) timed_out: Count,
    pub(crate) reset: Count,
    pub(crate) bytes_in: Cell<u64>,
    pub(crate) bytes_out: Cell<u64>,
}

/// One counter.
#[derive(Default)]
pub(crate) struct Count(Cell<u32>);

impl Count {
    pub(crate) fn add_one(&self) {
        self.0.set(self.0.get().wrapping_add(1));
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.get()
    }
}

/// Adds a length to a byte counter.
pub(crate) fn add_bytes(counter: &Cell<u64>, bytes: usize) {
    counter.set(counter.get().wrapping_add(bytes as u64));
}
