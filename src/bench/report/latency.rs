//! Reply times and failures.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Timestamp;
use tcpctl_engine::load::RuleKind;
use tcpctl_engine::measurement::ErrorClass;

/// Reply times and failures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Requests that ended in the measured part, completed or failed.
    pub requests: u64,
    /// Requests that were completed with a valid reply.
    pub completed: u64,
    /// Requests completed within the load window.
    #[serde(default)]
    pub completed_in_window: u64,
    /// Requests completed per second within the load window.
    pub rate_per_s: f64,
    /// Target rate of an open loop; `None` in a closed loop.
    pub target_rate_per_s: Option<f64>,
    /// Connections kept busy in a closed loop; maximum requests in flight in an open loop.
    pub connections: u64,
    /// Whether connections carried many requests.
    pub keep_alive: bool,
    /// The rule that ended a reply; `None` if there was no reply.
    #[serde(default)]
    pub reply_rule: Option<RuleKind>,
    /// Whether that rule was learned from the first replies.
    #[serde(default)]
    pub reply_rule_learned: bool,
    /// Replies that were longer or shorter than learned.
    #[serde(default)]
    pub reply_rule_mismatches: u64,
    /// When the measured part started, after limits and warm-up; `None` in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Length of the measured part, including the wait for the last replies.
    pub duration_us: f64,
    /// Length of the load window, in which requests start.
    #[serde(default)]
    pub window_us: f64,
    /// Whether the load ended early.
    pub interrupted: bool,
    /// Failed requests by class.
    pub errors: Errors,
    /// From the (intended) start to the established connection.
    pub connect_us: Distribution,
    /// From the (intended) start to the reply's first byte.
    pub first_byte_us: Distribution,
    /// From the (intended) start to the complete reply.
    pub complete_us: Distribution,
    /// How late this computer started requests; `None` in a closed loop.
    pub schedule_error_us: Option<Distribution>,
    /// Retransmitted SYNs; `None` where the platform does not provide it.
    pub syn_retransmissions: Option<u64>,
    /// Retransmitted data segments; `None` where the platform does not provide it.
    pub retransmissions: Option<u64>,
    /// Smoothed round-trip times; `None` where the platform does not provide them.
    pub smoothed_rtt_us: Option<Distribution>,
    /// Minimum round-trip times: the network's share of the latency.
    pub min_rtt_us: Option<Distribution>,
    /// Time that requests waited for this computer to send them and to read their replies. The
    /// other times exclude late reading, and `connect_us` excludes late sending as well. `None`
    /// where the platform does not provide it.
    #[serde(default)]
    pub client_delay_us: Option<Distribution>,
    /// Time that the load engine's threads were runnable and waited for a CPU; `None` where the
    /// platform does not provide it.
    #[serde(default)]
    pub client_run_delay_us: Option<f64>,
    /// Time in which the receiver's window limited sending.
    pub receiver_limited_us: Option<f64>,
    /// Time in which this computer's send buffer limited sending.
    pub send_buffer_limited_us: Option<f64>,
    /// CPU time of the load engine's threads, user and system; `None` where the platform does not
    /// provide it.
    pub client_cpu_us: Option<f64>,
    /// `client_cpu_us` per request.
    pub client_cpu_us_per_request: Option<f64>,
    /// `client_cpu_us` as a share (0 to 1) of the cores that the engine's threads could use.
    pub client_cpu_share: Option<f64>,
    /// Threads of the load engine.
    pub threads: u64,
    /// One entry per second; the last second may be incomplete.
    #[serde(default)]
    pub seconds: Vec<Interval>,
}

impl Latency {
    /// The complete seconds.
    pub fn whole_seconds(&self) -> &[Interval] {
        let whole = whole_seconds_in(self.duration_us);
        &self.seconds[..whole.min(self.seconds.len())]
    }
}

/// Number of complete seconds in a duration.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a run of seconds; a negative time has none"
)]
pub(super) fn whole_seconds_in(duration_us: f64) -> usize {
    // Timers fire up to 20 ms early or late.
    (duration_us / 1e6 + 0.02).floor() as usize
}

/// Failed requests by class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors(BTreeMap<ErrorClass, u64>);

impl Errors {
    /// The count of one class.
    pub fn of(&self, class: ErrorClass) -> u64 {
        self.0.get(&class).copied().unwrap_or(0)
    }

    /// The count of all classes.
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

    /// Adds the counts of `other`.
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

/// Writes every class, because 0 differs from unknown.
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

/// A distribution of times, microseconds. A percentile p needs 100 / (100 - p) samples, and is
/// `None` below that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// The median.
    pub p50: Option<f64>,
    /// The 90th percentile.
    pub p90: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
    /// The 99.9th percentile.
    pub p99_9: Option<f64>,
    /// The maximum.
    pub max: Option<f64>,
    /// The mean.
    pub mean: Option<f64>,
    /// The number of samples.
    pub samples: u64,
}

/// One second of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Requests completed in this second.
    pub completed: u64,
    /// Requests failed in this second.
    pub failed: u64,
    /// Median time of the requests completed in this second; `None` without any, and for merged
    /// runs.
    pub p50_us: Option<f64>,
    /// 99th percentile of these times (the maximum if there are fewer than 100); `None` in the same
    /// cases.
    pub p99_us: Option<f64>,
}
