//! Waiting in a poll that ends when it should, to some ten microseconds.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::readiness::NetworkTime;
use crate::sys::precise::Alarm;

/// No connection's number.
const ALARM: Token = Token(usize::MAX);

/// A core that has been idle for longer than this takes long to wake up.
const DEEP_SLEEP: Duration = Duration::from_millis(2);

/// How long a core may take to wake up, until that was seen.
const FIRST_GUESS: Duration = Duration::from_micros(80);

/// The most of a wait that is spent awake: what a core needs to wake from its deepest sleep. More
/// than that is a busy machine, against which being awake early is of no use.
const LONGEST_VIGIL: Duration = Duration::from_micros(250);

/// The alarm clock of a poll, which knows how long it takes to wake up.
///
/// After a long sleep a thread runs 50 to 100 µs late, however exact its timer is: the core has to
/// come back first. So a long wait is to end that much early, and its rest is passed awake. At a
/// hundred waits a second that is less than 1% of a core; where waits are shorter than 2 ms, cores
/// are awake anyway.
pub(super) struct Punctual {
    alarm: Alarm,
    /// When it rings, or has.
    rings_at: NetworkTime,
    /// When the last wait ended.
    woke: NetworkTime,
    /// What it rings for, where that is later.
    early_for: Option<NetworkTime>,
    /// How late long waits have ended lately.
    lateness: Duration,
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
            rings_at: NetworkTime::ZERO,
            woke: NetworkTime::ZERO,
            early_for: None,
            lateness: FIRST_GUESS,
        })
    }

    /// Waits for events until `until` (`None`: for ever) on the clock that began at `start`, and
    /// returns when it woke. May return early with none.
    ///
    /// # Errors
    /// As [`Poll::poll`].
    pub(super) fn poll(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        start: Instant,
        until: Option<NetworkTime>,
    ) -> io::Result<NetworkTime> {
        let before = self.woke;
        match until {
            None => poll.poll(events, None)?,
            // It is set and had not rung when this last woke: if it has since, that ends this wait.
            Some(until) if self.rings_at > before && self.rings_at <= until => {
                poll.poll(events, None)?;
            }
            Some(until) => self.sleep(poll, events, start, until)?,
        }
        self.woke = start.elapsed();
        if self.early_for.is_some()
            && self.rings_at > before
            && let Some(late) = self.woke.checked_sub(self.rings_at)
        {
            self.lateness = (self.lateness * 7 + late.min(LONGEST_VIGIL)) / 8;
        }
        Ok(self.woke)
    }

    fn sleep(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        start: Instant,
        until: NetworkTime,
    ) -> io::Result<()> {
        let now = start.elapsed();
        let left = until.saturating_sub(now);
        if left.is_zero() {
            return poll.poll(events, Some(left));
        }
        if self.early_for == Some(until) && self.rings_at <= now {
            self.early_for = None;
            return stay_awake(poll, events, start, until);
        }
        let early = if left > DEEP_SLEEP {
            (self.lateness * 3 / 2).min(LONGEST_VIGIL)
        } else {
            Duration::ZERO
        };
        let sleep = left.saturating_sub(early);
        if self.alarm.set(sleep).is_err() {
            return poll.poll(events, Some(left));
        }
        self.rings_at = now + sleep;
        self.early_for = (!early.is_zero()).then_some(until);
        poll.poll(events, None)
    }
}

/// Passes what is left of an early wait.
fn stay_awake(
    poll: &mut Poll,
    events: &mut Events,
    start: Instant,
    until: NetworkTime,
) -> io::Result<()> {
    loop {
        poll.poll(events, Some(Duration::ZERO))?;
        if !events.is_empty() || start.elapsed() >= until {
            return Ok(());
        }
    }
}
