//! Differences between a run and an earlier one.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Differences between a run and an earlier one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The earlier run.
    pub baseline: Baseline,
    /// The confidence of all intervals together, 0 to 1.
    pub confidence: f64,
    /// Why no interval is given; `None` where both runs are long enough.
    #[serde(default)]
    pub too_short: Option<TooShort>,
    /// Completed requests per second.
    pub rate_per_s: Difference,
    /// The median time to the complete reply, microseconds.
    pub p50_us: Difference,
    /// The 99th percentile of that time, microseconds.
    pub p99_us: Difference,
    /// The share of requests that failed, 0 to 1.
    pub failed_share: Difference,
    /// Bytes uploaded per second; `None` unless both runs measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_bytes: Option<Difference>,
    /// Bytes downloaded per second; `None` unless both runs measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_bytes: Option<Difference>,
    /// Bytes echoed per second; `None` unless both runs measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo_bytes: Option<Difference>,
    /// Other differences: results without an interval, and how the runs were made.
    pub changes: Vec<Change>,
}

impl Comparison {
    /// The rows by their field names.
    pub fn rows(&self) -> Vec<(&'static str, &Difference)> {
        let latency = [
            ("rate_per_s", &self.rate_per_s),
            ("p50_us", &self.p50_us),
            ("p99_us", &self.p99_us),
            ("failed_share", &self.failed_share),
        ];
        let throughput = [
            ("upload_bytes", &self.upload_bytes),
            ("download_bytes", &self.download_bytes),
            ("echo_bytes", &self.echo_bytes),
        ];
        let measured = throughput
            .into_iter()
            .filter_map(|(name, row)| Some((name, row.as_ref()?)));
        latency.into_iter().chain(measured).collect()
    }

    /// Whether any result differs.
    pub fn has_difference(&self) -> bool {
        self.rows().iter().any(|(_, row)| row.is_significant())
            || self.changes.iter().any(|it| it.kind == ChangeKind::Result)
    }
}

/// The earlier run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Target of the earlier run.
    pub target: String,
    /// Start of the earlier run.
    pub started_at: Timestamp,
}

/// A run that is too short for a confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TooShort {
    /// Whole seconds that each run must have.
    pub needs_s: u64,
    /// Whole seconds of the shorter run.
    pub has_s: u64,
}

/// One number of both runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The value of the earlier run as a whole.
    pub before: Option<f64>,
    /// The value of this run as a whole.
    pub now: Option<f64>,
    /// `now` less `before`.
    pub difference: Option<f64>,
    /// Lower end of the difference's confidence interval, over one-second windows.
    pub low: Option<f64>,
    /// The upper end of the interval.
    pub high: Option<f64>,
    /// Conclusion from the interval.
    pub finding: Finding,
}

impl Difference {
    /// Whether the interval excludes zero.
    pub fn is_significant(&self) -> bool {
        matches!(self.finding, Finding::Higher | Finding::Lower)
    }
}

/// Conclusions of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// No significant difference.
    None,
    /// Higher than before.
    Higher,
    /// Lower than before.
    Lower,
    /// Too few one-second windows for a confidence interval.
    TooFew,
}

/// A difference in a result or in the setup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Whether the result or the setup differs.
    pub kind: ChangeKind,
    /// Name of the result or option, e.g. `connections`.
    pub what: String,
    /// Value in the earlier run.
    pub before: String,
    /// Value in this run.
    pub now: String,
}

/// The kinds of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A result, e.g. a limit.
    Result,
    /// How the run was made, e.g. another target: the results may not be comparable.
    Setup,
}
