//! How many lines a flood of requests may print: serial lines are slow, and printing must never
//! starve the network.

use embassy_time::{Duration, Instant};

/// A token bucket that counts what it turned away.
#[derive(Debug, Clone)]
pub struct RateLimit {
    burst: u32,
    every: Duration,
    tokens: u32,
    /// When the newest token of the bucket was due.
    filled: Instant,
    suppressed: u32,
}

impl RateLimit {
    /// Admits `burst` at once, and one more each `every`. A zero `every` admits everything.
    pub const fn new(burst: u32, every: Duration) -> Self {
        Self {
            burst,
            every,
            tokens: burst,
            filled: Instant::from_ticks(0),
            suppressed: 0,
        }
    }

    /// Whether one more may pass at `now`; one that may not is counted.
    pub fn admit(&mut self, now: Instant) -> bool {
        self.refill(now);
        if self.tokens == 0 {
            self.suppressed = self.suppressed.saturating_add(1);
            return false;
        }
        self.tokens -= 1;
        true
    }

    /// How many were turned away since the last time that this was told, once one may pass again.
    /// Telling it takes that one's place.
    pub fn suppressed(&mut self, now: Instant) -> Option<u32> {
        if self.suppressed == 0
            || !{
                self.refill(now);
                self.tokens > 0
            }
        {
            return None;
        }
        self.tokens -= 1;
        Some(core::mem::take(&mut self.suppressed))
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_ticks();
        let Some(due) = passed.checked_div(self.every.as_ticks()) else {
            self.tokens = self.burst.max(1);
            return;
        };
        if due == 0 {
            return;
        }
        let room = self.burst - self.tokens;
        match u32::try_from(due) {
            Ok(due) if due < room => {
                self.tokens += due;
                // What is left over of the last interval counts on.
                self.filled += self.every * due;
            }
            _ => {
                self.tokens = self.burst;
                self.filled = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_burst_passes_and_a_flood_is_counted() {
        let mut limit = RateLimit::new(3, Duration::from_millis(100));
        let passed = (0..1000).filter(|_| limit.admit(at(10))).count();
        assert_eq!(passed, 3);
        assert_eq!(limit.suppressed(at(10)), None, "telling it is a line, too");
        assert_eq!(limit.suppressed(at(210)), Some(997));
        assert_eq!(limit.suppressed(at(5000)), None, "told once");
    }

    #[test]
    fn a_flood_prints_no_faster_than_the_rate() {
        let mut limit = RateLimit::new(5, Duration::from_millis(100));
        let passed = (0..10_000).filter(|ms| limit.admit(at(*ms))).count();
        assert_eq!(passed, 5 + 99);
    }

    #[test]
    fn nobody_is_turned_away_below_the_rate() {
        let mut limit = RateLimit::new(1, Duration::from_millis(100));
        assert!((1..100).all(|n| limit.admit(at(n * 100))));
        assert_eq!(limit.suppressed(at(1_000_000)), None);
    }

    #[test]
    fn a_day_without_requests_saves_up_no_more_than_a_burst() {
        let mut limit = RateLimit::new(3, Duration::from_millis(100));
        let day = 24 * 60 * 60 * 1000;
        assert_eq!((0..10).filter(|_| limit.admit(at(day))).count(), 3);
    }

    #[test]
    fn no_interval_is_no_limit() {
        let mut limit = RateLimit::new(1, Duration::from_ticks(0));
        assert!((0..100).all(|_| limit.admit(at(1))));
    }
}
