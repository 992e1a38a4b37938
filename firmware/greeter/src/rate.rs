//! Rate limit for console lines: serial lines are slow, and printing must not starve the network.

use embassy_time::{Duration, Instant};

/// A token bucket that counts suppressed lines.
#[derive(Debug, Clone)]
pub struct RateLimit {
    burst: u32,
    every: Duration,
    tokens: u32,
    /// Time at which the newest token was added.
    filled: Instant,
    suppressed: u32,
}

impl RateLimit {
    /// The limit for request lines: a burst of 20, then 10 per second.
    pub const fn of_requests() -> Self {
        Self::new(20, Duration::from_millis(100))
    }

    /// Allows `burst` at once, and one more per `every`. A zero `every` allows everything.
    pub const fn new(burst: u32, every: Duration) -> Self {
        Self {
            burst,
            every,
            tokens: burst,
            filled: Instant::from_ticks(0),
            suppressed: 0,
        }
    }

    /// Whether a line may be printed at `now`. If not, it is counted as suppressed.
    pub fn admit(&mut self, now: Instant) -> bool {
        self.refill(now);
        if self.tokens == 0 {
            self.suppressed = self.suppressed.saturating_add(1);
            return false;
        }
        self.tokens -= 1;
        true
    }

    /// Number of suppressed lines since the last call, if any. Reporting it costs a token, borrowed
    /// from the next one if there is none, so that a flood cannot hide itself. Call it less often than
    /// once per `every`.
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
                // Keep the rest of the last interval.
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
    fn burst_passes_and_flood_is_counted() {
        let mut limit = RateLimit::new(3, Duration::from_millis(100));
        let passed = (0..1000).filter(|_| limit.admit(at(10))).count();
        assert_eq!(passed, 3);
        assert_eq!(limit.suppressed(at(10)), Some(997));
        assert_eq!(limit.suppressed(at(10)), None, "reported once");
        // The report took a token.
        assert!(!limit.admit(at(110)));
        assert!(limit.admit(at(210)));
        assert_eq!(limit.suppressed(at(5000)), Some(1));
    }

    #[test]
    fn flood_is_limited_to_the_rate() {
        let mut limit = RateLimit::new(5, Duration::from_millis(100));
        let passed = (0..10_000).filter(|ms| limit.admit(at(*ms))).count();
        assert_eq!(passed, 5 + 99);
    }

    #[test]
    fn request_lines_are_limited_to_20_plus_10_per_second() {
        let mut limit = RateLimit::of_requests();
        let mut reports = 0;
        let mut shown = 0;
        // Two requests per millisecond, and a report per second.
        for ms in 1..=10_000 {
            shown += (0..2).filter(|_| limit.admit(at(ms))).count();
            if ms % 1000 == 0 {
                reports += usize::from(limit.suppressed(at(ms)).is_some());
            }
        }
        assert_eq!(reports, 10);
        assert!((119..=121).contains(&(shown + reports)), "{shown}");
    }

    #[test]
    fn nothing_is_suppressed_below_the_rate() {
        let mut limit = RateLimit::new(1, Duration::from_millis(100));
        assert!((1..100).all(|n| limit.admit(at(n * 100))));
        assert_eq!(limit.suppressed(at(1_000_000)), None);
    }

    #[test]
    fn idle_time_saves_at_most_a_burst() {
        let mut limit = RateLimit::new(3, Duration::from_millis(100));
        let day = 24 * 60 * 60 * 1000;
        assert_eq!((0..10).filter(|_| limit.admit(at(day))).count(), 3);
    }

    #[test]
    fn zero_interval_is_unlimited() {
        let mut limit = RateLimit::new(1, Duration::from_ticks(0));
        assert!((0..100).all(|_| limit.admit(at(1))));
    }
}
