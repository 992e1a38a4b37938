//! How fast a server answers, and how often it fails.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Timestamp;
use tcpctl_engine::measurement::ErrorClass;

/// How fast a server answers, and how often it fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Requests that ended in the measured part, one way or another.
    pub requests: u64,
    /// Requests that were completed as expected.
    pub completed: u64,
    /// Completed requests a second.
    pub rate_per_s: f64,
    /// The rate that was asked for (open loop); `None` in a closed loop.
    pub target_rate_per_s: Option<f64>,
    /// Connections at a time, or in an open loop the most that were in flight.
    pub connections: u64,
    /// Whether a connection carried many requests.
    pub keep_alive: bool,
    /// When the measured part began, after limits and warm-up; `None` in files of before it was
    /// told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// How long the measured part took.
    pub duration_us: f64,
    /// Whether it was cut short.
    pub interrupted: bool,
    /// Requests that failed, by class; a class without any is 0.
    pub errors: Errors,
    /// From the (intended) start to the established connection.
    pub connect_us: Distribution,
    /// From the (intended) start to the reply's first byte.
    pub first_byte_us: Distribution,
    /// From the (intended) start to the complete reply.
    pub complete_us: Distribution,
    /// How late requests were started here; `None` in a closed loop.
    pub schedule_error_us: Option<Distribution>,
    /// SYNs sent again; `None` where the platform can't tell.
    pub syn_retransmissions: Option<u64>,
    /// Data segments sent again; `None` where the platform can't tell.
    pub retransmissions: Option<u64>,
    /// Smoothed round-trip times; `None` where the platform can't tell.
    pub smoothed_rtt_us: Option<Distribution>,
    /// Shortest round-trip times: the network's share of the latency.
    pub min_rtt_us: Option<Distribution>,
    /// Time in which the receiver's window was the limit.
    pub receiver_limited_us: Option<f64>,
    /// Time in which the send buffer here was the limit.
    pub send_buffer_limited_us: Option<f64>,
    /// CPU time of the load engine's threads, user and system; `None` where the platform can't tell.
    pub client_cpu_us: Option<f64>,
    /// The same, a request.
    pub client_cpu_us_per_request: Option<f64>,
    /// The same, as a share (0 to 1) of the cores that the load engine's threads could use.
    pub client_cpu_share: Option<f64>,
    /// Threads of the load engine.
    pub threads: u64,
    /// Second by second; the last may be a part of one.
    #[serde(default)]
    pub seconds: Vec<Interval>,
}

impl Latency {
    /// The seconds that are whole: the last is left out if the run ended in its middle.
    pub fn whole_seconds(&self) -> &[Interval] {
        let whole = whole_seconds_in(self.duration_us);
        &self.seconds[..whole.min(self.seconds.len())]
    }
}

/// Whole seconds in a time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a run of seconds; a negative one has none"
)]
pub(super) fn whole_seconds_in(duration_us: f64) -> usize {
    // A timer's lateness is no part of a second.
    (duration_us / 1e6 + 0.02).floor() as usize
}

/// Failed requests by class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors(BTreeMap<ErrorClass, u64>);

impl Errors {
    /// So many of one class.
    pub fn of(&self, class: ErrorClass) -> u64 {
        self.0.get(&class).copied().unwrap_or(0)
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.0.values().sum()
    }

    /// The classes that occurred, the most frequent first.
    pub fn by_frequency(&self) -> Vec<(ErrorClass, u64)> {
        let occurred =
            |(class, count): (&ErrorClass, &u64)| (*count > 0).then_some((*class, *count));
        let mut classes: Vec<_> = self.0.iter().filter_map(occurred).collect();
        classes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        classes
    }

    /// These and those.
    pub fn add(&mut self, other: &Self) {
        for (class, count) in &other.0 {
            *self.0.entry(*class).or_default() += count;
        }
    }
}

impl From<&BTreeMap<ErrorClass, u64>> for Errors {
    fn from(counts: &BTreeMap<ErrorClass, u64>) -> Self {
        Self(counts.clone())
    }
}

/// With every class, so that 0 is told from what is not known.
impl Serialize for Errors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(ErrorClass::ALL.map(|class| (class, self.of(class))))
    }
}

impl<'de> Deserialize<'de> for Errors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut counts = BTreeMap::<ErrorClass, u64>::deserialize(deserializer)?;
        counts.retain(|_, count| *count > 0);
        Ok(Self(counts))
    }
}

/// A distribution of times, in microseconds. Without samples all but their number is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// The median.
    pub p50: Option<f64>,
    /// 90 of 100 are not above it.
    pub p90: Option<f64>,
    /// 99 of 100 are not above it.
    pub p99: Option<f64>,
    /// 999 of 1,000 are not above it; `None` under 1,000 samples, which can't know.
    pub p99_9: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
    /// The mean, which is never enough alone.
    pub mean: Option<f64>,
    /// How many there are.
    pub samples: u64,
}

/// One second of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Requests completed in it.
    pub completed: u64,
    /// Requests failed in it.
    pub failed: u64,
    /// The median of those completed; `None` without any, and where two runs were merged.
    pub p50_us: Option<f64>,
    /// Their 99th percentile; `None` likewise.
    pub p99_us: Option<f64>,
}
