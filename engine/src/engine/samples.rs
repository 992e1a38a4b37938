//! Times on their way into a distribution.

use crate::times::{FEW, Times};

/// How many times wait. A histogram is 270 kB, of which each time touches a place of its own:
/// noting them one after the other keeps that out of the way of the requests.
const BATCH: usize = FEW;

/// A distribution that is filled in batches.
#[derive(Default)]
pub(super) struct Samples {
    waiting: Vec<u64>,
    times: Times,
}

impl Samples {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Notes a time in nanoseconds.
    pub(super) fn note(&mut self, time: u64) {
        self.waiting.push(time);
        if self.waiting.len() == BATCH {
            self.times.take(&mut self.waiting);
        }
    }

    /// All that was noted until now.
    pub(super) fn so_far(&mut self) -> &Times {
        if !self.waiting.is_empty() {
            self.times.take(&mut self.waiting);
        }
        &self.times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_gets_into_the_distribution() {
        for count in [0, 1, BATCH - 1, BATCH, BATCH + 1, 10 * BATCH] {
            let mut samples = Samples::new();
            for time in 0..count {
                samples.note(time as u64);
                if time == BATCH / 2 {
                    assert_eq!(samples.so_far().len(), time as u64 + 1);
                }
            }
            assert_eq!(samples.so_far().len(), count as u64);
        }
    }
}
