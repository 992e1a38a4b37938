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
    /// What a board's console shows of its requests: twenty at once, and ten a second after that.
    pub const fn of_requests() -> Self {
        Self::new(20, Duration::from_millis(100))
    }

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

    /// How many were turned away since the last time that this was told, if any were. Telling it takes
    /// the place of one, the next one's if need be: a flood that takes every place as soon as it is
    /// there can't hide itself. Ask less often than once each `every`.
    pub fn suppressed(&mut self, now: Instant) -> Option<u32> {
        if self.suppressed == 0 {
            return None;
        }
        self.refill(now);
        match self.tokens.checked_sub(1) {
            Some(tokens) => self.tokens = tokens,
            None => self.filled += self.every,
        }
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
        assert_eq!(limit.suppressed(at(10)), Some(997));
        assert_eq!(limit.suppressed(at(10)), None, "told once");
        // Telling it was a line, too.
        assert!(!limit.admit(at(110)));
        assert!(limit.admit(at(210)));
        assert_eq!(limit.suppressed(at(5000)), Some(1));
    }

    #[test]
    fn a_flood_prints_no_faster_than_the_rate() {
        let mut limit = RateLimit::new(5, Duration::from_millis(100));
        let passed = (0..10_000).filter(|ms| limit.admit(at(*ms))).count();
        assert_eq!(passed, 5 + 99);
    }

    #[test]
    fn a_flood_of_requests_is_twenty_lines_and_ten_a_second() {
        let mut limit = RateLimit::of_requests();
        let mut told = 0;
        let mut shown = 0;
        // Two requests a millisecond, and once a second the number of those that were not shown.
        for ms in 1..=10_000 {
            shown += (0..2).filter(|_| limit.admit(at(ms))).count();
            if ms % 1000 == 0 {
                told += usize::from(limit.suppressed(at(ms)).is_some());
            }
        }
        assert_eq!(told, 10, "the flood does not hide itself");
        assert!((119..=121).contains(&(shown + told)), "{shown}");
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
