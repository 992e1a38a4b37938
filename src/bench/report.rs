//! `tcpctl.bench/1`: the report that is printed, saved, compared, merged and rendered. Plain data.
//!
//! Times are microseconds; their fields end in `_us`. A number that is not known is `null`, a lower
//! bound is `{"at_least": n}`. The reason is in `evidence` or `warnings`.

mod comparison;
mod environment;
mod evidence;
mod histograms;
mod latency;
mod limits;
mod machines;
mod ramp;
mod throughput;
mod verdict;

use std::time::SystemTime;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::comparison::{
    Baseline, Change, ChangeKind, Comparison, Difference, Finding, TooShort,
};
pub use self::environment::{ClockState, CloseMode, Environment, Options, Parts, Timestamp};
pub use self::evidence::{Bound, Evidence, EvidenceKind};
pub(super) use self::histograms::encode as encode_histogram;
pub use self::histograms::{Histograms, PackedHistogram};
pub use self::latency::{Distribution, Errors, Interval, Latency};
pub use self::limits::{Limits, Overflow};
pub use self::machines::{Machine, Machines};
pub use self::ramp::{Cause, CauseKind, RampEnd, Scheduled, Step, Trial};
pub use self::throughput::{Flow, LimitedBy, Throughput, Via};
pub use self::verdict::{CheckedCondition, Level, VerdictLine, Warning, WarningKind};

/// The schema's name and version.
pub const SCHEMA: &str = "tcpctl.bench/1";

/// The JSON schema of a [`Report`], as `tcpctl schema bench` prints it.
pub const JSON_SCHEMA: &str = include_str!("../../schemas/tcpctl.bench.json");

/// The result of one run of `tcpctl bench`, or of several merged runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: Schema,
    /// The target as the user wrote it; of merged runs with different targets, a list.
    pub target: String,
    /// The text of `--label`.
    #[serde(default)]
    pub label: Option<String>,
    /// The command line, quoted for a POSIX shell; `None` for merged runs.
    #[serde(default)]
    pub command: Option<String>,
    /// The options in force; `None` for merged runs.
    #[serde(default)]
    pub options: Option<Options>,
    /// When the command started. `latency.started_at` is the start of the load.
    pub started_at: Timestamp,
    /// The computer that sent the load.
    pub environment: Environment,
    /// The number of merged runs; 1 for a single run.
    pub runs: u64,
    /// Hashes that identify the merged runs, so that none is merged twice; empty for a single run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<String>,
    /// The contribution of each merged run; `None` for a single run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machines: Option<Machines>,
    /// Limits of the server; `None` if they were not measured.
    pub limits: Option<Limits>,
    /// Reply times and failures; `None` if they were not measured.
    pub latency: Option<Latency>,
    /// One entry for each step of the ramp.
    #[serde(default)]
    pub ramp: Vec<Step>,
    /// Why the ramp ended; `None` without a ramp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp_ended: Option<RampEnd>,
    /// Bytes per second; `None` if it was not measured.
    pub throughput: Option<Throughput>,
    /// The differences from an earlier run; `None` without `--compare`.
    pub comparison: Option<Comparison>,
    /// The outcome of each `--fail-if`.
    #[serde(default)]
    pub conditions: Vec<CheckedCondition>,
    /// Facts to know before trusting a number.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// The summary, most important line first.
    #[serde(default)]
    pub verdict: Vec<VerdictLine>,
    /// The complete distributions, so that runs can be merged without loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histograms: Option<Histograms>,
}

impl Report {
    /// When the load started; without a load, when the command started.
    pub fn load_started_at(&self) -> SystemTime {
        let load = self.latency.as_ref().and_then(|latency| latency.started_at);
        load.unwrap_or(self.started_at).0
    }
}

/// The schema's name. Reading any other name is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema;

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(SCHEMA)
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name == SCHEMA {
            Ok(Self)
        } else {
            Err(D::Error::custom(format!("schema {name}, not {SCHEMA}")))
        }
    }
}

#[cfg(test)]
mod tests;
