//! Which steps a ramp has.

use std::num::NonZeroUsize;

/// What is known of a server's places before the ramp.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Places {
    /// Connections that it serves at once.
    pub served: Option<usize>,
    /// Connections that it holds in all, served or waiting.
    pub held: Option<usize>,
}

/// The steps: 1, 2, 3, 4, 6, 8, 12, 16 and so on, each power of two and the middle to the next,
/// up to `asked`, or to twice what the server holds where nothing was asked for, and never over
/// `most`. What the server serves at once, holds, and one more than that are steps, too: there
/// something changes.
pub fn ladder(
    most: NonZeroUsize,
    asked: Option<NonZeroUsize>,
    places: Places,
) -> Vec<NonZeroUsize> {
    let twice_held = places.held.map(|held| held.saturating_mul(2).max(4));
    let last = asked
        .map(NonZeroUsize::get)
        .or(twice_held)
        .map_or(most.get(), |wanted| wanted.min(most.get()));
    let powers = (0..usize::BITS - 2).map(|power| 1_usize << power);
    let mut steps: Vec<_> = powers
        .flat_map(|power| [power, power + power / 2])
        .chain(places.served)
        .chain(places.held)
        .chain(places.held.map(|held| held.saturating_add(1)))
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

    fn steps(
        most: usize,
        asked: Option<usize>,
        served: Option<usize>,
        held: Option<usize>,
    ) -> Vec<usize> {
        let asked = asked.and_then(NonZeroUsize::new);
        let most = NonZeroUsize::new(most).unwrap();
        let steps = ladder(most, asked, Places { served, held });
        steps.into_iter().map(NonZeroUsize::get).collect()
    }

    #[test]
    fn steps_grow_by_a_third_or_a_half_up_to_the_bound() {
        assert_eq!(steps(16, None, None, None), [1, 2, 3, 4, 6, 8, 12, 16]);
        assert_eq!(steps(20, None, None, None), [1, 2, 3, 4, 6, 8, 12, 16, 20]);
        assert_eq!(steps(256, None, None, None).len(), 16);
        assert_eq!(steps(1, None, None, None), [1]);
    }

    #[test]
    fn what_the_server_holds_is_the_measure_of_the_ramp() {
        let found = steps(256, None, Some(5), Some(7));
        assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8, 12, 14]);
        // A server with one place shows what happens to the others.
        assert_eq!(steps(256, None, Some(1), Some(1)), [1, 2, 3, 4]);
        // What nothing holds can't be told by twice nothing.
        assert_eq!(steps(256, None, None, Some(0)), [1, 2, 3, 4]);
    }

    #[test]
    fn what_was_asked_for_is_the_last_step_but_never_over_the_most() {
        assert_eq!(steps(256, Some(5), Some(2), Some(2)), [1, 2, 3, 4, 5]);
        assert_eq!(steps(4, Some(1000), None, None), [1, 2, 3, 4]);
    }
}
