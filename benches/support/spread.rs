//! A value measured several times: its median and spread.

use std::fmt;

/// The values of some runs, at least one.
pub(crate) struct Spread {
    sorted: Vec<f64>,
}

impl Spread {
    /// The spread of these runs.
    pub(crate) fn of(runs: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = runs.into_iter().collect();
        assert!(!sorted.is_empty(), "at least one run");
        sorted.sort_by(f64::total_cmp);
        Self { sorted }
    }

    /// The median.
    pub(crate) fn median(&self) -> f64 {
        let runs = &self.sorted;
        f64::midpoint(runs[(runs.len() - 1) / 2], runs[runs.len() / 2])
    }

    /// The bounds of the middle half, which excludes outliers of a shared machine.
    fn middle_half(&self) -> (f64, f64) {
        let last = self.sorted.len() - 1;
        (self.sorted[last / 4], self.sorted[last - last / 4])
    }
}

/// `1.23 (1.20-1.31)`, with as many decimals as the format asks for.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.middle_half();
        let decimals = f.precision().unwrap_or(0);
        write!(
            f,
            "{:.decimals$} ({low:.decimals$}-{high:.decimals$})",
            self.median()
        )
    }
}
