//! `tcpctl.bench/1`: the one type that is printed, saved, compared, merged and drawn.
//!
//! Times are microseconds, and say so in their names. A number that can't be known is `null`,
//! a lower bound is `{"at_least": n}`; why, is said beside it in `evidence`, or in `caveats`.

mod environment;
mod evidence;
mod latency;
mod limits;
mod ramp;
mod throughput;

use std::time::SystemTime;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::compare::Comparison;
use super::hdr_log::Packed;
use super::verdict::Caveat;
use super::{stats, verdict};
use tcpctl_engine::measurement::Measurement;

pub use self::environment::{Environment, Timestamp};
pub use self::evidence::{Bound, Evidence, EvidenceKind};
pub use self::latency::{Distribution, Errors, Interval, Latency};
pub use self::limits::{Limits, Overflow};
pub use self::ramp::{Cause, CauseKind, RampEnd, Scheduled, Step, Trial};
pub use self::throughput::{Flow, LimitedBy, Throughput, Via};

/// The name and version of the report's form.
pub const SCHEMA: &str = "tcpctl.bench/1";

/// The JSON schema of a [`Report`], as `tcpctl schema bench` prints it.
pub const JSON_SCHEMA: &str = include_str!("../../schemas/tcpctl.bench.json");

/// All that one run of `tcpctl bench`, or several merged ones, have found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    schema: Schema,
    /// The target, as the user wrote it.
    pub target: String,
    /// When the command began. The load's own start is in `latency`.
    pub started_at: Timestamp,
    /// Where it was measured from.
    pub environment: Environment,
    /// How many runs are in it: 1, or as many as were merged.
    pub runs: u64,
    /// What the server can take; `None` where it was not asked.
    pub limits: Option<Limits>,
    /// How fast it answers, and how often it fails; `None` where it was not asked.
    pub latency: Option<Latency>,
    /// Concurrency, step by step.
    #[serde(default)]
    pub ramp: Vec<Step>,
    /// Why the ramp has no further steps; `None` where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp_ended: Option<RampEnd>,
    /// Bytes a second; `None` where it was not asked.
    pub throughput: Option<Throughput>,
    /// How it differs from an earlier run; `None` without `--compare`.
    pub comparison: Option<Comparison>,
    /// What a reader must know before believing a number.
    #[serde(default)]
    pub caveats: Vec<Caveat>,
    /// How good this server is, in a few lines.
    #[serde(default)]
    pub verdict: String,
    /// The whole distributions, from which runs are merged without loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histograms: Option<Histograms>,
}

impl Report {
    /// When the load began; of a run without one, when the command did.
    pub(super) fn load_started_at(&self) -> SystemTime {
        let of_load = self.latency.as_ref().and_then(|latency| latency.started_at);
        of_load.unwrap_or(self.started_at).0
    }

    /// A report of what the load engine has seen, if it ran. What else is known is put into its
    /// fields; then [`Report::conclude`] draws the conclusions.
    pub fn new(
        target: &str,
        started_at: SystemTime,
        environment: Environment,
        measurement: Option<&Measurement>,
    ) -> Self {
        let cpus = environment.cpus;
        Self {
            schema: Schema,
            target: target.to_owned(),
            started_at: Timestamp(started_at),
            environment,
            runs: 1,
            limits: None,
            latency: measurement.map(|measurement| stats::latency(measurement, cpus)),
            ramp: Vec::new(),
            ramp_ended: None,
            throughput: None,
            comparison: None,
            caveats: Vec::new(),
            verdict: String::new(),
            histograms: measurement.map(stats::histograms),
        }
    }

    /// Fills in `caveats` and `verdict` from all that is there by now.
    #[must_use]
    pub fn conclude(mut self) -> Self {
        // What was said of a run and can't be found in its numbers is kept.
        self.caveats.retain(|caveat| caveat.code.is_given());
        let mut caveats = verdict::caveats(&self);
        caveats.append(&mut self.caveats);
        self.caveats = caveats;
        self.verdict = verdict::lines(&self).join("\n");
        self
    }
}

/// The schema's name; another one does not parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Schema;

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

/// Whole distributions, nanoseconds, in the form that `HdrHistogram`'s other tools read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histograms {
    /// Of `latency.connect_us`.
    pub connect: Packed,
    /// Of `latency.first_byte_us`.
    pub first_byte: Packed,
    /// Of `latency.complete_us`.
    pub complete: Packed,
    /// Of `latency.schedule_error_us`.
    pub schedule_error: Option<Packed>,
    /// Of `latency.smoothed_rtt_us`.
    pub smoothed_rtt: Option<Packed>,
    /// Of `latency.min_rtt_us`.
    pub min_rtt: Option<Packed>,
}

#[cfg(test)]
mod tests;
