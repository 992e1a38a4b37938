//! The steps of a ramp.

use std::num::NonZeroUsize;

/// Limits of the server that are known before the ramp.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KnownLimits {
    /// Connections served at once.
    pub served: Option<usize>,
    /// Connections held in total, served or waiting.
    pub held: Option<usize>,
}

/// The connections of each step: 1, 2, 3, 4, 6, 8, 12, 16 and so on (the powers of two and the
/// middles between them), up to `requested`, else to twice what the server holds, and never more
/// than `most`. The number served at once, the number held, and one more than each are steps as
/// well, because the server's behavior changes there.
pub fn steps(
    most: NonZeroUsize,
    requested: Option<NonZeroUsize>,
    limits: KnownLimits,
) -> Vec<NonZeroUsize> {
    let twice_held = limits.held.map(|held| held.saturating_mul(2).max(4));
    let last = requested
        .map(NonZeroUsize::get)
        .or(twice_held)
        .map_or(most.get(), |wanted| wanted.min(most.get()));
    let powers = (0..usize::BITS - 2).map(|power| 1_usize << power);
    let mut steps: Vec<_> = powers
        .flat_map(|power| [power, power + power / 2])
        .chain(limits.served)
        .chain(limits.held)
        .chain(limits.held.map(|held| held.saturating_add(1)))
        .chain([last])
        .filter(|step| *step <= last)
        .filter_map(NonZeroUsize::new)
        .collect();
    steps.sort_unstable();
    steps.dedup();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(
        most: usize,
        requested: Option<usize>,
        served: Option<usize>,
        held: Option<usize>,
    ) -> Vec<usize> {
        let requested = requested.and_then(NonZeroUsize::new);
        let most = NonZeroUsize::new(most).unwrap();
        let steps = super::steps(most, requested, KnownLimits { served, held });
        steps.into_iter().map(NonZeroUsize::get).collect()
    }

    #[test]
    fn steps_grow_by_a_third_or_a_half() {
        assert_eq!(counts(16, None, None, None), [1, 2, 3, 4, 6, 8, 12, 16]);
        assert_eq!(counts(20, None, None, None), [1, 2, 3, 4, 6, 8, 12, 16, 20]);
        assert_eq!(counts(256, None, None, None).len(), 16);
        assert_eq!(counts(1, None, None, None), [1]);
    }

    #[test]
    fn steps_end_at_twice_what_the_server_holds() {
        let found = counts(256, None, Some(5), Some(7));
        assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8, 12, 14]);
        // At a server with one slot, further steps show what happens to the other connections.
        assert_eq!(counts(256, None, Some(1), Some(1)), [1, 2, 3, 4]);
        // A server that holds none has steps too.
        assert_eq!(counts(256, None, None, Some(0)), [1, 2, 3, 4]);
    }

    #[test]
    fn requested_connections_are_the_last_step() {
        assert_eq!(counts(256, Some(5), Some(2), Some(2)), [1, 2, 3, 4, 5]);
        assert_eq!(counts(4, Some(1000), None, None), [1, 2, 3, 4]);
    }
}
