//! Keeps the last minute of each sensor for a sparkline.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How long values are kept.
const WINDOW: Duration = Duration::from_mins(1);
/// Maximum width of a sparkline.
const MAX_COLUMNS: usize = 30;

/// Values of the last minute.
#[derive(Debug, Default)]
pub(super) struct History {
    values: BTreeMap<(String, String), VecDeque<(Instant, f64)>>,
}

impl History {
    /// Adds a value and returns the sparkline of its sensor.
    pub(super) fn add(&mut self, target: &str, name: &str, value: f64, now: Instant) -> String {
        let key = (target.to_owned(), name.to_owned());
        let values = self.values.entry(key).or_default();
        values.push_back((now, value));
        while values
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > WINDOW)
        {
            values.pop_front();
        }
        let skipped = values.len().saturating_sub(MAX_COLUMNS);
        let shown: Vec<_> = values
            .iter()
            .skip(skipped)
            .map(|(_, value)| *value)
            .collect();
        sparkline(&shown)
    }
}

/// Values as bars, from the lowest to the highest value.
fn sparkline(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values
        .iter()
        .map(|value| {
            let share = (value - low) / (high - low);
            // A constant value gives no share (0/0).
            let share = if share.is_finite() { share } else { 0.0 };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0 to 7"
            )]
            let bar = (share * 7.0).round() as usize;
            BARS[bar.min(7)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparkline_spans_lowest_to_highest() {
        assert_eq!(sparkline(&[1.0, 2.0, 1.5]), "▁█▅");
        assert_eq!(sparkline(&[3.0, 3.0]), "▁▁");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn history_keeps_a_minute() {
        let mut history = History::default();
        let start = Instant::now();
        for second in 0..200 {
            let line = history.add("sim", "t", 1.0, start + Duration::from_secs(second * 10));
            assert!(line.chars().count() <= 7, "{line}");
        }
    }
}
