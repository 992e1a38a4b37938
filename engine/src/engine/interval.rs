//! Counts and times between two ticks.

use super::log::{TimeKind, TimesByKind};
use crate::measurement::ErrorClass;

/// All error classes, in the order in which they are counted.
pub(super) const CLASSES: [ErrorClass; ErrorClass::ALL.len()] = ErrorClass::ALL;

/// The interval at which a thread publishes its progress, nanoseconds; divides a second.
pub(super) const TICK: u64 = 100_000_000;

/// Counts and times since the last tick.
#[derive(Default)]
pub(super) struct Interval {
    /// Times by kind, nanoseconds.
    pub(super) times: TimesByKind,
    pub(super) errors: [u64; CLASSES.len()],
}

impl Interval {
    /// Completion times.
    pub(super) fn complete(&self) -> &[u64] {
        &self.times[TimeKind::Complete as usize]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.times.iter().all(Vec::is_empty) && self.errors.iter().all(|&count| count == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_indexed_by_their_discriminant() {
        for (index, class) in CLASSES.into_iter().enumerate() {
            assert_eq!(class as usize, index, "{class:?}");
        }
    }
}
