//! What has been counted since the board started.

use core::cell::Cell;

/// A snapshot of the greeting server's counters. They wrap around.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections whose handshake was completed.
    pub accepted: u32,
    /// Connections that were sent the whole greeting.
    pub served: u32,
    /// SYNs that found no free slot and were refused by the stack; `None` where nothing counts
    /// them (see [`crate::refusals`]).
    pub refused: Option<u32>,
    /// Served connections that had stayed silent for the request timeout.
    pub timed_out: u32,
    /// Connections that the peer reset, or that ended unserved because the peer was gone.
    pub reset: u32,
    /// Bytes of requests received.
    pub bytes_in: u64,
    /// Bytes of greetings handed to the stack.
    pub bytes_out: u64,
    /// Connections that a worker is serving now.
    pub in_use: usize,
    /// Connections that wait for a worker now.
    pub waiting: usize,
}

/// The counters while they count.
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
