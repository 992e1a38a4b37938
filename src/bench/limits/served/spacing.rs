//! Which of the held connections are asked at a time.

/// Requests at a time: one wait finds one interval out of one more.
const REQUESTS: usize = 8;
/// So many of the lowest.
const LOWEST: usize = 4;

/// How the numbers that are asked for lie in what is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spacing {
    /// The lowest, one by one.
    Lowest,
    /// Evenly.
    Even,
    /// Evenly, two requests for each, on a path that loses segments: what is not answered by
    /// either was hardly lost twice.
    Doubled,
}

/// Which of the silent connections to ask, by index, and how many stay silent before each.
pub(super) fn choose(
    least: usize,
    most: usize,
    silents: usize,
    spacing: Spacing,
) -> Vec<(usize, usize)> {
    let unknown = most - least;
    let fits = |count: usize, copies: usize| {
        let steps = (1..=count).map(|step| match spacing {
            Spacing::Lowest => least + step - 1,
            Spacing::Even | Spacing::Doubled => least + unknown * step / (count + 1),
        });
        let mut asked = Vec::new();
        for ahead in steps {
            for _ in 0..copies {
                asked.push((ahead + asked.len(), ahead));
            }
        }
        let largest = asked.last().map_or(0, |&(index, _)| index);
        (largest < silents).then_some(asked)
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
                .find_map(|count| fits(count, copies))
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spread_over_what_is_unknown_and_fit() {
        for most in 2..200 {
            for least in 1..most {
                for spacing in [Spacing::Lowest, Spacing::Even, Spacing::Doubled] {
                    let chosen = choose(least, most, most, spacing);
                    assert!(!chosen.is_empty(), "{least} {most}");
                    for (earlier, &(index, ahead)) in chosen.iter().enumerate() {
                        assert_eq!(index, ahead + earlier, "so many silent ones are before it");
                        assert!((least..most).contains(&ahead) && index < most);
                    }
                }
            }
        }
    }
}
