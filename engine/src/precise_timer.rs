//! A poll whose timeout is accurate to about ten microseconds.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::clock::Clock;
use crate::sys::timer_fd::TimerFd;

/// A token that no connection uses.
const TIMER: Token = Token(usize::MAX);

/// After an idle time longer than this, a core takes long to wake up, nanoseconds.
const DEEP_IDLE: u64 = 2_000_000;

/// Initial estimate of the wake-up latency, nanoseconds.
const INITIAL_LATENESS: u64 = 80_000;

/// Upper bound of busy-waiting, nanoseconds: the wake-up latency from the deepest sleep state. A
/// larger lateness comes from a busy machine, where waking earlier does not help.
const MAX_SPIN: u64 = 250_000;

/// A timer in a poll that learns the wake-up latency. All times are nanoseconds.
///
/// After a long sleep a thread runs 50 to 100 µs late, however exact the timer: the core must leave
/// its sleep state first. So a long wait ends that much early, and the rest is spent polling. At a
/// hundred waits a second that costs less than 1% of a core; cores do not sleep deeply between
/// waits shorter than 2 ms.
pub(super) struct PreciseTimer {
    timer: TimerFd,
    /// When the timer expires or has expired.
    expires_at: u64,
    /// The deadline that the timer is set to expire before.
    early_for: Option<u64>,
    /// Moving average of the lateness of long waits.
    lateness: u64,
}

impl PreciseTimer {
    /// Registers a timer in `poll`.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub(super) fn new(poll: &Poll) -> io::Result<Self> {
        let timer = TimerFd::new()?;
        let mut source = SourceFd(&timer.as_raw_fd());
        poll.registry()
            .register(&mut source, TIMER, Interest::READABLE)?;
        Ok(Self {
            timer,
            expires_at: 0,
            early_for: None,
            lateness: INITIAL_LATENESS,
        })
    }

    /// Waits for events until `until` (`None`: forever). May return early without events.
    ///
    /// # Errors
    /// As [`Poll::poll`].
    pub(super) fn poll(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        clock: &Clock,
        until: Option<u64>,
    ) -> io::Result<()> {
        let now = clock.recent();
        clock.invalidate();
        let left = match until {
            None => return poll.poll(events, None),
            Some(until) if until <= now => return poll.poll(events, Some(Duration::ZERO)),
            Some(until) => until - now,
        };
        if self.early_for == until && self.expires_at <= now {
            return self.spin(poll, events, clock);
        }
        let is_set_in_time = self.expires_at > now && Some(self.expires_at) <= until;
        if !is_set_in_time {
            let early = if left > DEEP_IDLE {
                (self.lateness * 3 / 2).min(MAX_SPIN)
            } else {
                0
            };
            let sleep = left.saturating_sub(early);
            if self.timer.set(Duration::from_nanos(sleep)).is_err() {
                return poll.poll(events, Some(Duration::from_nanos(left)));
            }
            self.expires_at = now + sleep;
            self.early_for = until.filter(|_| early > 0);
        }
        poll.poll(events, None)?;
        if self.early_for.is_some()
            && let Some(late) = clock.now().checked_sub(self.expires_at)
        {
            self.lateness = (self.lateness * 7 + late.min(MAX_SPIN)) / 8;
        }
        Ok(())
    }

    /// Polls without blocking until the deadline that the timer expired early for.
    fn spin(&mut self, poll: &mut Poll, events: &mut Events, clock: &Clock) -> io::Result<()> {
        let until = self.early_for.take();
        loop {
            poll.poll(events, Some(Duration::ZERO))?;
            let now = clock.now();
            if !events.is_empty() || Some(now) >= until {
                return Ok(());
            }
        }
    }
}
