//! Exponential backoff with jitter.

use embassy_time::Duration;

/// Delays that double up to a maximum. The random half of each delay spreads boards that lost the
/// same network.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    random: u64,
}

impl Backoff {
    /// First wait, before jitter.
    pub const FIRST: Duration = Duration::from_secs(1);
    /// Maximum wait, before jitter.
    pub const MAX: Duration = Duration::from_secs(60);

    /// Starts with the first delay. Use a different `seed` on each board.
    pub const fn new(seed: u64) -> Self {
        Self {
            next: Self::FIRST,
            // A xorshift generator never leaves the state zero.
            random: seed | 1 << 63,
        }
    }

    /// The next delay, randomly between half of the current one and all of it. Doubles the current
    /// one.
    pub fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(Self::MAX);
        let half = whole.as_ticks() / 2;
        Duration::from_ticks(half + self.random() % (half + 1))
    }

    /// Restarts with the first delay.
    pub fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    /// Marsaglia's xorshift64.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(seed);
            for whole in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
                let wait = backoff.wait();
                let whole = Duration::from_secs(whole);
                assert!(whole / 2 <= wait && wait <= whole, "{wait:?} of {whole:?}");
            }
            backoff.reset();
            assert!(backoff.wait() <= Backoff::FIRST);
        }
    }

    #[test]
    fn boards_have_different_delays() {
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            [(); 6].map(|()| backoff.wait())
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1));
    }
}
