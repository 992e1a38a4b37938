//! What starts requests: the slots' own ends, or a schedule.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::load::{Extent, Load, Pace, Share};

/// The first wait after a refusal, nanoseconds; it doubles with each that follows.
const FIRST_WAIT: u64 = 10_000_000;

/// The longest wait: a board that has no place is asked by a slot once in a second or two.
const DOUBLINGS: u8 = 7;

/// A constant schedule: one thread's part of it.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    start: u64,
    /// Nanoseconds from one of this thread's requests to its next.
    period: f64,
    /// Where in the period this thread's requests are.
    phase: f64,
    /// How many have been started.
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

    /// When the next request is to start. Computed from the start, so that no error adds up.
    pub(super) fn next(&self) -> u64 {
        let after = self.phase + self.period * self.count as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "never negative, and a cast saturates"
        )]
        self.start.saturating_add(after.round() as u64)
    }

    pub(super) fn advance(&mut self) {
        self.count += 1;
    }
}

/// How many requests may still be started, and until when.
#[derive(Debug)]
pub(super) struct Allowance {
    /// Of requests that count.
    requests: Option<u64>,
    /// When the last may start.
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

    /// When the last request may start, where that is a time.
    pub(super) fn end(&self) -> Option<u64> {
        self.end
    }

    /// Whether a request that is to start `at` may.
    pub(super) fn allows(&self, at: u64) -> bool {
        self.requests != Some(0) && self.end.is_none_or(|end| at < end)
    }

    /// A request that counts has started.
    pub(super) fn spend(&mut self) {
        if let Some(requests) = &mut self.requests {
            *requests -= 1;
        }
    }
}

/// Slots that wait after a refusal, the first to try again first.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    waiting: BinaryHeap<Reverse<(u64, usize)>>,
    /// The state of a xorshift generator: retries that were refused together come back apart.
    random: u64,
}

impl BackOff {
    pub(super) fn new(share: Share) -> Self {
        Self {
            waiting: BinaryHeap::new(),
            // Any constant but zero; the same run twice waits the same.
            random: 0x9e37_79b9_7f4a_7c15 ^ share.index as u64,
        }
    }

    /// Lets a slot wait after so many refusals in a row: twice as long each time, and between
    /// three quarters and five quarters of that. Says until when.
    pub(super) fn wait(&mut self, slot: usize, refusals: u8, now: u64) -> u64 {
        let time = FIRST_WAIT << refusals.saturating_sub(1).min(DOUBLINGS);
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let time = time * 3 / 4 + self.random % (time / 2);
        self.waiting.push(Reverse((now + time, slot)));
        now + time
    }

    /// When the first is to try again.
    pub(super) fn next(&self) -> Option<u64> {
        self.waiting.peek().map(|Reverse((at, _))| *at)
    }

    /// One whose wait is over.
    pub(super) fn pop(&mut self, now: u64) -> Option<usize> {
        if self.next()? > now {
            return None;
        }
        self.waiting.pop().map(|Reverse((_, slot))| slot)
    }
}

/// Where requests come from.
pub(super) enum Arrivals {
    /// As many slots as there are connections; so many have not been started yet.
    Closed { unstarted: usize },
    /// A schedule, and how many may be on their way.
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
                        // More than there are requests have none to make; what warms up is not
                        // counted among them.
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
    fn the_parts_of_a_schedule_make_the_whole() {
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
    fn refusals_wait_longer_each_time_up_to_a_bound() {
        let mut back_off = BackOff::new(Share::WHOLE);
        for refusals in 1..=255 {
            back_off.wait(0, refusals, 0);
            let time = back_off.next().expect("one waits");
            let expected = FIRST_WAIT << (refusals - 1).min(DOUBLINGS);
            assert!((expected * 3 / 4..=expected * 5 / 4).contains(&time));
            assert_eq!(back_off.pop(time - 1), None);
            assert_eq!(back_off.pop(time), Some(0));
        }
    }
}
