//! Times on their way into a histogram.

use hdrhistogram::Histogram;

/// The longest time that is told apart, nanoseconds: an hour.
const LONGEST: u64 = 3_600_000_000_000;

/// How many times wait. A histogram is 270 kB, of which each time touches a place of its own:
/// noting them one after the other keeps that out of the way of the requests.
const BATCH: usize = 1024;

/// An empty histogram of nanoseconds, three significant digits. All have the same bounds, so that
/// any two can be added up fast.
pub(super) fn histogram() -> Histogram<u64> {
    // The bounds are constants that its own test uses.
    Histogram::new_with_bounds(1, LONGEST, 3)
        .unwrap_or_else(|error| unreachable!("constant bounds: {error}"))
}

/// Adds up two of them.
pub(super) fn add(sum: &mut Histogram<u64>, part: &Histogram<u64>) {
    // All have the same bounds, so that it can't fail.
    let _ = sum.add(part);
}

/// A histogram that is filled in batches.
pub(super) struct Samples {
    waiting: Vec<u64>,
    histogram: Histogram<u64>,
}

impl Samples {
    pub(super) fn new() -> Self {
        Self {
            waiting: Vec::with_capacity(BATCH),
            histogram: histogram(),
        }
    }

    /// Notes a time in nanoseconds; one that is longer than an hour counts as an hour.
    pub(super) fn note(&mut self, time: u64) {
        self.waiting.push(time);
        if self.waiting.len() == BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for time in self.waiting.drain(..) {
            self.histogram.saturating_record(time);
        }
    }

    /// All that was noted.
    pub(super) fn finish(mut self) -> Histogram<u64> {
        self.flush();
        self.histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_gets_into_the_histogram() {
        for count in [0, 1, BATCH - 1, BATCH, BATCH + 1, 10 * BATCH] {
            let mut samples = Samples::new();
            for time in 0..count {
                samples.note(time as u64);
            }
            assert_eq!(samples.finish().len(), count as u64);
        }
    }

    #[test]
    fn what_is_longer_than_an_hour_is_an_hour() {
        let mut samples = Samples::new();
        samples.note(u64::MAX);
        assert!(samples.finish().max() >= LONGEST);
    }
}
