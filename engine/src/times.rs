//! Distributions of times: exact up to 1,024 samples, an HDR histogram beyond.
//!
//! A histogram of three significant digits up to an hour takes 270 kB, all of which is written when
//! it is created. A run has half a dozen distributions, most of them with few samples. Both forms
//! give the same results: samples are compared at the histogram's resolution.

use std::borrow::Cow;
use std::fmt;

use hdrhistogram::Histogram;

/// The longest time that is recorded as such, nanoseconds: an hour. Longer times count as an hour.
pub const MAX_TIME: u64 = 3_600_000_000_000;

/// Maximum number of samples that are kept exactly.
const MAX_EXACT_SAMPLES: usize = 1024;

/// A distribution of times in nanoseconds, to three significant digits.
#[derive(Clone)]
pub struct Times(Kind);

#[derive(Clone)]
enum Kind {
    /// Exact samples, sorted.
    Few(Vec<u64>),
    Many(Histogram<u64>),
}

/// Times that are equal at the histogram's resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// The shortest time in the bucket.
    pub lowest: u64,
    /// Samples in the bucket.
    pub count: u64,
}

impl Times {
    /// An empty distribution.
    pub const fn new() -> Self {
        Self(Kind::Few(Vec::new()))
    }

    /// The number of samples.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Kind::Few(times) => times.len() as u64,
            Kind::Many(histogram) => histogram.len(),
        }
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shortest time; 0 without samples.
    pub fn min(&self) -> u64 {
        match &self.0 {
            Kind::Few(times) => times.first().map_or(0, |&time| lowest(time)),
            Kind::Many(histogram) => histogram.min(),
        }
    }

    /// The longest time; 0 without samples.
    pub fn max(&self) -> u64 {
        match &self.0 {
            Kind::Few(times) => times.last().map_or(0, |&time| highest(time)),
            Kind::Many(histogram) => histogram.max(),
        }
    }

    /// The mean; 0 without samples.
    pub fn mean(&self) -> f64 {
        match &self.0 {
            Kind::Few(times) => buckets(times).fold(0.0, |sum, Bucket { lowest, count }| {
                let middle = lowest + (width(lowest) >> 1);
                sum + middle as f64 * count as f64 / times.len() as f64
            }),
            Kind::Many(histogram) => histogram.mean(),
        }
    }

    /// The time that a share (0 to 1) of the samples do not exceed; 0 without samples.
    pub fn value_at_quantile(&self, quantile: f64) -> u64 {
        match &self.0 {
            Kind::Few(times) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "at most the number of samples"
                )]
                let rank = (quantile.clamp(0.0, 1.0) * times.len() as f64).ceil() as usize;
                let time = times.get(rank.saturating_sub(1)).copied().unwrap_or(0);
                if quantile <= 0.0 {
                    lowest(time)
                } else {
                    highest(time)
                }
            }
            Kind::Many(histogram) => histogram.value_at_quantile(quantile),
        }
    }

    /// Samples from `low` to `high`, both included.
    pub fn count_between(&self, low: u64, high: u64) -> u64 {
        let inside = |bucket: &Bucket| (lowest(low)..=high).contains(&bucket.lowest);
        self.buckets()
            .into_iter()
            .filter(inside)
            .map(|bucket| bucket.count)
            .sum()
    }

    /// All buckets in ascending order.
    pub fn buckets(&self) -> Vec<Bucket> {
        match &self.0 {
            Kind::Few(times) => buckets(times).collect(),
            Kind::Many(histogram) => histogram
                .iter_recorded()
                .map(|bucket| Bucket {
                    lowest: histogram.lowest_equivalent(bucket.value_iterated_to()),
                    count: bucket.count_at_value(),
                })
                .collect(),
        }
    }

    /// Moves samples in, in any order. Times above an hour count as an hour.
    pub fn take(&mut self, more: &mut Vec<u64>) {
        if let Kind::Few(times) = &mut self.0
            && times.len() + more.len() <= MAX_EXACT_SAMPLES
        {
            let start = times.len();
            if start == 0 {
                std::mem::swap(times, more);
            } else {
                times.append(more);
            }
            for time in &mut times[start..] {
                *time = (*time).min(MAX_TIME);
            }
            times.sort_unstable();
            return;
        }
        let histogram = self.make_histogram();
        for time in more.drain(..) {
            record(histogram, time);
        }
    }

    /// Adds another distribution's samples.
    pub fn add(&mut self, other: &Self) {
        match &other.0 {
            Kind::Few(times) => self.take(&mut times.clone()),
            // Cannot fail: both have the same bounds.
            Kind::Many(histogram) => drop(self.make_histogram().add(histogram)),
        }
    }

    /// The distribution as a histogram.
    pub fn histogram(&self) -> Cow<'_, Histogram<u64>> {
        match &self.0 {
            Kind::Few(times) => {
                let mut histogram = empty();
                for &time in times {
                    record(&mut histogram, time);
                }
                Cow::Owned(histogram)
            }
            Kind::Many(histogram) => Cow::Borrowed(histogram),
        }
    }

    /// Converts to a histogram.
    fn make_histogram(&mut self) -> &mut Histogram<u64> {
        if let Kind::Few(_) = &self.0 {
            self.0 = Kind::Many(self.histogram().into_owned());
        }
        match &mut self.0 {
            Kind::Many(histogram) => histogram,
            Kind::Few(_) => unreachable!("just converted"),
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Histogram<u64>> for Times {
    fn from(histogram: Histogram<u64>) -> Self {
        Self(Kind::Many(histogram))
    }
}

impl FromIterator<u64> for Times {
    fn from_iter<I: IntoIterator<Item = u64>>(times: I) -> Self {
        let mut all = Self::new();
        all.take(&mut times.into_iter().collect());
        all
    }
}

/// Equal at the histogram's resolution.
impl PartialEq for Times {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.buckets() == other.buckets()
    }
}

/// Omits the thousands of buckets.
impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Times({} up to {})", self.len(), self.max())
    }
}

/// An empty histogram. All have the same bounds, which makes adding them fast.
fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_TIME, 3)
        .unwrap_or_else(|error| unreachable!("the bounds are constants: {error}"))
}

fn record(histogram: &mut Histogram<u64>, time: u64) {
    histogram.saturating_record(time.min(MAX_TIME));
}

/// The width of the bucket of `time`: 1 below 2,048 (the power of two above twice the three
/// significant digits), doubled with each further bit.
const fn width(time: u64) -> u64 {
    1 << (53 - (time | 2047).leading_zeros())
}

const fn lowest(time: u64) -> u64 {
    time & !(width(time) - 1)
}

const fn highest(time: u64) -> u64 {
    time | (width(time) - 1)
}

fn buckets(sorted: &[u64]) -> impl Iterator<Item = Bucket> {
    sorted
        .chunk_by(|one, next| lowest(*one) == lowest(*next))
        .map(|equal| Bucket {
            lowest: lowest(equal[0]),
            count: equal.len() as u64,
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recorded(times: &[u64]) -> Times {
        let mut histogram = empty();
        for &time in times {
            record(&mut histogram, time);
        }
        histogram.into()
    }

    fn times(most: usize) -> impl Strategy<Value = Vec<u64>> {
        let time = (0_u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift);
        proptest::collection::vec(time, 0..most)
    }

    fn assert_equal(few: &Times, many: &Times) {
        assert_eq!(few, many);
        assert_eq!(few.buckets(), many.buckets());
        assert_eq!(
            (few.len(), few.min(), few.max()),
            (many.len(), many.min(), many.max())
        );
        assert!((few.mean() - many.mean()).abs() < f64::EPSILON * many.mean().max(1.0));
        for quantile in [0.0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0, 1.5] {
            assert_eq!(
                few.value_at_quantile(quantile),
                many.value_at_quantile(quantile),
                "{quantile}"
            );
        }
        for (low, high) in [(0, 0), (1, 2_047), (2_048, 5_000_000), (0, MAX_TIME)] {
            let histogram = many.histogram();
            assert_eq!(
                few.count_between(low, high),
                histogram.count_between(low, high)
            );
        }
        assert_eq!(*few.histogram(), *many.histogram());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn few_samples_behave_like_a_histogram(times in times(60)) {
            let few: Times = times.iter().copied().collect();
            prop_assert!(matches!(few.0, Kind::Few(_)));
            assert_equal(&few, &recorded(&times));
        }

        #[test]
        fn adding_distributions_adds_their_samples(one in times(40), other in times(40)) {
            let both = recorded(&[one.as_slice(), &other].concat());
            let few = |times: &[u64]| times.iter().copied().collect::<Times>();
            for (first, second) in [
                (few(&one), few(&other)),
                (recorded(&one), few(&other)),
                (few(&one), recorded(&other)),
                (recorded(&one), recorded(&other)),
            ] {
                let mut sum = first;
                sum.add(&second);
                assert_equal(&sum, &both);
            }
        }
    }

    #[test]
    fn many_times_become_a_histogram() {
        let mut all = Times::new();
        for batch in 0..4_u64 {
            all.take(&mut (0..400).map(|at| batch * 400 + at).collect());
            let is_few = matches!(all.0, Kind::Few(_));
            assert_eq!(is_few, all.len() <= MAX_EXACT_SAMPLES as u64);
        }
        assert_equal(&all, &recorded(&(0..1_600).collect::<Vec<_>>()));
    }

    #[test]
    fn batches_of_any_size_lose_no_sample() {
        for count in [
            0,
            1,
            MAX_EXACT_SAMPLES - 1,
            MAX_EXACT_SAMPLES,
            MAX_EXACT_SAMPLES + 1,
            10 * MAX_EXACT_SAMPLES,
        ] {
            let (mut all, mut batch) = (Times::new(), Vec::new());
            for time in 0..count {
                batch.push(time as u64);
                if time == MAX_EXACT_SAMPLES / 2 || time % 700 == 0 {
                    all.take(&mut batch);
                    assert_eq!(all.len(), time as u64 + 1);
                }
            }
            all.take(&mut batch);
            assert_eq!(all.len(), count as u64);
            assert!(batch.is_empty());
        }
    }

    #[test]
    fn times_are_capped_at_an_hour() {
        for count in [1, MAX_EXACT_SAMPLES + 1] {
            let times: Times = std::iter::repeat_n(u64::MAX, count).collect();
            assert!((MAX_TIME..MAX_TIME + MAX_TIME / 1_000).contains(&times.max()));
        }
    }
}
