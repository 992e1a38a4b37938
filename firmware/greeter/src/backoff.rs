//! How long to wait before trying again: longer each time, up to a cap, and never in step with
//! others.

use embassy_time::Duration;

/// Growing waits with jitter.
///
/// A router that comes back after a power cut meets every board of the house at once; random
/// halves of the wait spread them out.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    random: u64,
}

impl Backoff {
    /// The first wait, before jitter.
    pub const FIRST: Duration = Duration::from_secs(1);
    /// The longest wait, before jitter.
    pub const LONGEST: Duration = Duration::from_secs(60);

    /// Waits from the first one on; `seed` differs from board to board.
    pub const fn new(seed: u64) -> Self {
        Self {
            next: Self::FIRST,
            // Zero is the one state that a xorshift generator never leaves.
            random: seed | 1 << 63,
        }
    }

    /// The next wait: between half of the present one and the whole, and the one after it is twice
    /// as long.
    pub fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(Self::LONGEST);
        let half = whole.as_ticks() / 2;
        Duration::from_ticks(half + self.random() % (half + 1))
    }

    /// It worked: the next failure starts small again.
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
    fn waits_double_up_to_the_cap_and_start_again() {
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
    fn two_boards_do_not_wait_in_step() {
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            [(); 6].map(|()| backoff.wait())
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1));
    }
}
