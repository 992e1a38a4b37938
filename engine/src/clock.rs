//! The clock of a network's thread, which is not read again where no time can have passed.

use std::cell::Cell;

use crate::sys::clocks::monotonic;

/// A clock that knows whether anything that takes time has been done since it was last read. It
/// counts nanoseconds since its start.
///
/// Between a wait and the next system call a thread has only its own arithmetic to do, for which
/// reading the clock again costs more than it finds.
pub(super) struct Clock {
    start: u64,
    last: Cell<u64>,
    has_moved: Cell<bool>,
}

impl Clock {
    /// A clock that starts now.
    pub(super) fn new() -> Self {
        Self {
            start: monotonic(),
            last: Cell::new(0),
            has_moved: Cell::new(false),
        }
    }

    /// The present.
    // One place that reads it: whoever was just woken has to fetch that code once.
    #[inline(never)]
    pub(super) fn now(&self) -> u64 {
        let now = monotonic() - self.start;
        self.last.set(now);
        self.has_moved.set(false);
        now
    }

    /// The present, to within what the thread has done itself since its last system call.
    pub(super) fn recent(&self) -> u64 {
        if self.has_moved.get() {
            self.now()
        } else {
            self.last.get()
        }
    }

    /// When it was last read, however long ago.
    pub(super) fn last(&self) -> u64 {
        self.last.get()
    }

    /// A system call was made.
    pub(super) fn moves(&self) {
        self.has_moved.set(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_again_when_something_took_time() {
        let clock = Clock::new();
        let first = clock.now();
        while monotonic() - clock.start == first {}
        assert_eq!(clock.recent(), first, "nothing but arithmetic since");
        clock.moves();
        assert_eq!(clock.last(), first);
        let second = clock.recent();
        assert!(second > first);
        assert_eq!((clock.recent(), clock.last()), (second, second));
        assert!(clock.now() >= second);
    }
}
