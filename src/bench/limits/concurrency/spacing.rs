//! Chooses which of the held connections get a request together.

/// Simultaneous requests. One wait narrows the range to one of REQUESTS + 1 intervals.
const REQUESTS: usize = 8;
/// Simultaneous requests with [`Spacing::Lowest`].
const LOWEST: usize = 4;

/// How the tested numbers are spread over the unknown range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spacing {
    /// The lowest numbers, one by one.
    Lowest,
    /// Evenly spread.
    Even,
    /// Evenly spread, with two requests per number. On a lossy path both are rarely lost.
    Doubled,
}

/// Which of the silent connections get a request: each with its index and the number of silent
/// connections before it.
pub(super) fn choose(
    least: usize,
    most: usize,
    silent: usize,
    spacing: Spacing,
) -> Vec<(usize, usize)> {
    let unknown = most - least;
    let place = |count: usize, copies: usize| {
        let numbers = (1..=count).map(|step| match spacing {
            Spacing::Lowest => least + step - 1,
            Spacing::Even | Spacing::Doubled => least + unknown * step / (count + 1),
        });
        let mut asked = Vec::new();
        for before in numbers {
            for _ in 0..copies {
                asked.push((before + asked.len(), before));
            }
        }
        let largest = asked.last().map_or(0, |&(index, _)| index);
        (largest < silent).then_some(asked)
    };
    let (requests, copies): (usize, &[usize]) = match spacing {
        Spacing::Lowest => (LOWEST, &[1]),
        Spacing::Even => (REQUESTS, &[1]),
        Spacing::Doubled => (REQUESTS, &[2, 1]),
    };
    copies
        .iter()
        .find_map(|&copies| {
            (1..=requests.min(unknown))
                .rev()
                .find_map(|count| place(count, copies))
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spread_over_the_unknown_range_and_fit() {
        for most in 2..200 {
            for least in 1..most {
                for spacing in [Spacing::Lowest, Spacing::Even, Spacing::Doubled] {
                    let chosen = choose(least, most, most, spacing);
                    assert!(!chosen.is_empty(), "{least} {most}");
                    for (earlier, &(index, before)) in chosen.iter().enumerate() {
                        assert_eq!(index, before + earlier);
                        assert!((least..most).contains(&before) && index < most);
                    }
                }
            }
        }
    }
}
