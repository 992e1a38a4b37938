//! A thread's clock, read again only when time can have passed.

use std::cell::Cell;

use crate::sys::clocks::monotonic;

/// Caches the last reading until the thread makes a system call. Counts nanoseconds from its
/// creation.
///
/// Between two system calls the thread only computes, and reading the clock costs more than the
/// time that passed.
pub(super) struct Clock {
    start: u64,
    last: Cell<u64>,
    is_outdated: Cell<bool>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            start: monotonic(),
            last: Cell::new(0),
            is_outdated: Cell::new(false),
        }
    }

    /// The current time, read from the system.
    // Not inlined: one copy stays in the instruction cache after a wake-up.
    #[inline(never)]
    pub(super) fn now(&self) -> u64 {
        let now = monotonic() - self.start;
        self.last.set(now);
        self.is_outdated.set(false);
        now
    }

    /// The current time, accurate to the work done since the last system call.
    pub(super) fn recent(&self) -> u64 {
        if self.is_outdated.get() {
            self.now()
        } else {
            self.last.get()
        }
    }

    /// The last reading, however old.
    pub(super) fn last(&self) -> u64 {
        self.last.get()
    }

    /// Marks the cached reading as outdated, after a system call.
    pub(super) fn invalidate(&self) {
        self.is_outdated.set(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_is_read_again_after_a_system_call() {
        let clock = Clock::new();
        let first = clock.now();
        while monotonic() - clock.start == first {}
        assert_eq!(clock.recent(), first, "no system call since");
        clock.invalidate();
        assert_eq!(clock.last(), first);
        let second = clock.recent();
        assert!(second > first);
        assert_eq!((clock.recent(), clock.last()), (second, second));
        assert!(clock.now() >= second);
    }
}
