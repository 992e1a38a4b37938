//! What starts requests: the end of the previous one, or a schedule.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::load::{Extent, Load, Pace, Share};

/// Wait after a first refusal, nanoseconds. Each further refusal doubles it.
const FIRST_WAIT: u64 = 10_000_000;

/// Limits the doubling: a slot retries at least every one to two seconds.
const DOUBLINGS: u8 = 7;

/// One thread's part of a constant schedule.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    start: u64,
    /// Nanoseconds between two requests of this thread.
    period: f64,
    /// Offset of this thread's requests in the period.
    phase: f64,
    /// Requests started.
    count: u64,
}

impl Schedule {
    pub(super) fn new(per_second: f64, share: Share, start: u64) -> Self {
        let period = 1e9 / per_second;
        Self {
            start,
            period: period * share.of as f64,
            phase: period * share.index as f64,
            count: 0,
        }
    }

    /// Start of the next request, computed from the beginning so that no error accumulates.
    pub(super) fn next(&self) -> u64 {
        let after = self.phase + self.period * self.count as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "never negative, and a cast saturates"
        )]
        self.start.saturating_add(after.round() as u64)
    }

    /// Postpones the rest of the schedule after the load's clock was stopped.
    pub(super) fn shift(&mut self, by: u64) {
        self.start = self.start.saturating_add(by);
    }

    pub(super) fn advance(&mut self) {
        self.count += 1;
    }
}

/// Remaining requests, and the end of the load.
#[derive(Debug)]
pub(super) struct Allowance {
    /// Counted requests left.
    requests: Option<u64>,
    /// Requests start only before this time.
    end: Option<u64>,
}

impl Allowance {
    pub(super) fn new(load: &Load, share: Share, begin: u64) -> Self {
        match load.extent {
            Extent::Duration(duration) => Self {
                requests: None,
                end: Some(begin.saturating_add(super::nanos(duration))),
            },
            Extent::Requests(requests) => Self {
                requests: Some(share.requests(requests.get())),
                end: None,
            },
        }
    }

    /// The time at which the load stops starting requests.
    pub(super) fn end(&self) -> Option<u64> {
        self.end
    }

    /// Postpones the end after the load's clock was stopped.
    pub(super) fn shift(&mut self, by: u64) {
        self.end = self.end.map(|end| end.saturating_add(by));
    }

    /// Whether a request may start at this time.
    pub(super) fn allows(&self, at: u64) -> bool {
        self.requests != Some(0) && self.end.is_none_or(|end| at < end)
    }

    /// Counts a request.
    pub(super) fn spend(&mut self) {
        if let Some(requests) = &mut self.requests {
            *requests -= 1;
        }
    }
}

/// Slots that wait after a refusal, in the order of their retries.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    waiting: BinaryHeap<Reverse<(u64, usize)>>,
    /// State of a xorshift generator, which spreads retries that were refused together.
    random: u64,
}

impl BackOff {
    pub(super) fn new(share: Share) -> Self {
        Self {
            waiting: BinaryHeap::new(),
            // Any nonzero constant; runs are reproducible.
            random: 0x9e37_79b9_7f4a_7c15 ^ share.index as u64,
        }
    }

    /// Makes a slot wait after a number of consecutive refusals: twice as long each time,
    /// randomized by 25% either way. Returns the end of the wait.
    pub(super) fn wait(&mut self, slot: usize, refusals: u8, now: u64) -> u64 {
        let time = FIRST_WAIT << refusals.saturating_sub(1).min(DOUBLINGS);
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let time = time * 3 / 4 + self.random % (time / 2);
        self.waiting.push(Reverse((now + time, slot)));
        now + time
    }

    /// The time of the next retry.
    pub(super) fn next(&self) -> Option<u64> {
        self.waiting.peek().map(|Reverse((at, _))| *at)
    }

    /// A slot whose wait is over.
    pub(super) fn pop(&mut self, now: u64) -> Option<usize> {
        if self.next()? > now {
            return None;
        }
        self.waiting.pop().map(|Reverse((_, slot))| slot)
    }
}

pub(super) enum Arrivals {
    /// A number of connections, some of them not started yet.
    Closed { unstarted: usize },
    /// A schedule and the maximum number of requests in flight.
    Open {
        schedule: Schedule,
        max_in_flight: usize,
    },
}

impl Arrivals {
    pub(super) fn new(load: &Load, share: Share, start: u64) -> Self {
        match load.pace {
            Pace::Closed { connections } => {
                let unstarted = share.part(connections.get());
                Self::Closed {
                    unstarted: match load.extent {
                        // A limited number of requests needs no more connections than requests.
                        // Warm-up requests are not limited.
                        Extent::Requests(requests) if load.warm_up.is_zero() => {
                            let requests = share.requests(requests.get());
                            unstarted.min(usize::try_from(requests).unwrap_or(usize::MAX))
                        }
                        _ => unstarted,
                    },
                }
            }
            Pace::Open {
                rate,
                max_in_flight,
            } => Self::Open {
                schedule: Schedule::new(rate.per_second(), share, start),
                max_in_flight: share.part(max_in_flight.get()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_schedule_add_up() {
        let whole = Schedule::new(3000.0, Share::WHOLE, 7);
        let mut parts: Vec<_> = (0..2)
            .map(|index| Schedule::new(3000.0, Share { index, of: 2 }, 7))
            .collect();
        for count in 0..10_000 {
            let mut whole = whole.clone();
            whole.count = count;
            let part = &mut parts[usize::from(count % 2 == 1)];
            assert!(whole.next().abs_diff(part.next()) <= 1);
            part.advance();
        }
    }

    #[test]
    fn back_off_grows_up_to_a_bound() {
        let mut back_off = BackOff::new(Share::WHOLE);
        for refusals in 1..=255 {
            back_off.wait(0, refusals, 0);
            let time = back_off.next().expect("a waiting slot");
            let expected = FIRST_WAIT << (refusals - 1).min(DOUBLINGS);
            assert!((expected * 3 / 4..=expected * 5 / 4).contains(&time));
            assert_eq!(back_off.pop(time - 1), None);
            assert_eq!(back_off.pop(time), Some(0));
        }
    }
}
