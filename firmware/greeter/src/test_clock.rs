//! The clock of tests. Each thread has its own, which moves only when a test advances it.
//!
//! Wakers are not kept: poll everything after moving the clock.

use core::cell::Cell;
use core::task::Waker;

use embassy_time::Duration;

std::thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

struct Clock;

impl embassy_time_driver::Driver for Clock {
    fn now(&self) -> u64 {
        NOW.get()
    }

    fn schedule_wake(&self, _at: u64, _waker: &Waker) {}
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock);

/// Moves this thread's clock.
pub(crate) fn advance(by: Duration) {
    NOW.set(NOW.get() + by.as_ticks());
}
