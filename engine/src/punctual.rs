//! Waiting in a poll that ends when it should, to some ten microseconds.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::clock::Clock;
use crate::sys::precise::Alarm;

/// No connection's number.
const ALARM: Token = Token(usize::MAX);

/// A core that has been idle for longer than this takes long to wake up, nanoseconds.
const DEEP_SLEEP: u64 = 2_000_000;

/// How long a core may take to wake up, until that was seen, nanoseconds.
const FIRST_GUESS: u64 = 80_000;

/// The most of a wait that is spent awake: what a core needs to wake from its deepest sleep. More
/// than that is a busy machine, against which being awake early is of no use. Nanoseconds.
const LONGEST_VIGIL: u64 = 250_000;

/// The alarm clock of a poll, which knows how long it takes to wake up. All times are nanoseconds.
///
/// After a long sleep a thread runs 50 to 100 µs late, however exact its timer is: the core has to
/// come back first. So a long wait is to end that much early, and its rest is passed awake. At a
/// hundred waits a second that is less than 1% of a core; where waits are shorter than 2 ms, cores
/// are awake anyway.
pub(super) struct Punctual {
    alarm: Alarm,
    /// When it rings, or has.
    rings_at: u64,
    /// What it rings for, where that is later.
    early_for: Option<u64>,
    /// How late long waits have ended lately.
    lateness: u64,
}

impl Punctual {
    /// An alarm among the events of `poll`, with a token of its own.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub(super) fn new(poll: &Poll) -> io::Result<Self> {
        let alarm = Alarm::new()?;
        let mut source = SourceFd(&alarm.as_raw_fd());
        poll.registry()
            .register(&mut source, ALARM, Interest::READABLE)?;
        Ok(Self {
            alarm,
            rings_at: 0,
            early_for: None,
            lateness: FIRST_GUESS,
        })
    }

    /// Waits for events until `until` (`None`: for ever). May return early with none.
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
        clock.moves();
        let left = match until {
            None => return poll.poll(events, None),
            Some(until) if until <= now => return poll.poll(events, Some(Duration::ZERO)),
            Some(until) => until - now,
        };
        if self.early_for == until && self.rings_at <= now {
            return self.stay_awake(poll, events, clock);
        }
        let rings_in_time = self.rings_at > now && Some(self.rings_at) <= until;
        if !rings_in_time {
            let early = if left > DEEP_SLEEP {
                (self.lateness * 3 / 2).min(LONGEST_VIGIL)
            } else {
                0
            };
            let sleep = left.saturating_sub(early);
            if self.alarm.set(Duration::from_nanos(sleep)).is_err() {
                return poll.poll(events, Some(Duration::from_nanos(left)));
            }
            self.rings_at = now + sleep;
            self.early_for = until.filter(|_| early > 0);
        }
        poll.poll(events, None)?;
        if self.early_for.is_some()
            && let Some(late) = clock.now().checked_sub(self.rings_at)
        {
            self.lateness = (self.lateness * 7 + late.min(LONGEST_VIGIL)) / 8;
        }
        Ok(())
    }

    /// Passes what is left of an early wait.
    fn stay_awake(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        clock: &Clock,
    ) -> io::Result<()> {
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
