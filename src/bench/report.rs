//! `tcpctl.bench/1`: the one type that is printed, saved, compared, merged and drawn.
//!
//! Times are microseconds, and say so in their names. A number that can't be known is `null`,
//! a lower bound is `{"at_least": n}`; why, is said beside it in `evidence`, or in `caveats`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::compare::Comparison;
use super::hdr_log::Packed;
pub use super::limits::Overflow;
use super::measurement::{ErrorClass, Measurement};
use super::verdict::Caveat;
use super::{stats, verdict};

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
    /// When the first measurement began.
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

/// A moment, as RFC 3339 writes it, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub SystemTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A clock outside of the years 1970 to 9999 can't be written, and must not end the run.
        let last = std::time::Duration::from_secs(253_402_300_799);
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH);
        let moment = SystemTime::UNIX_EPOCH + since.unwrap_or_default().min(last);
        humantime::format_rfc3339_millis(moment).fmt(f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_rfc3339_weak(&text)
            .map(Self)
            .map_err(|error| D::Error::custom(format!("'{text}' is no date: {error}")))
    }
}

/// Where a run was measured from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Whether the board is a virtual one: then latency and throughput are the cable model's.
    #[serde(rename = "virtual")]
    pub is_virtual: bool,
    /// The operating system here.
    pub os: String,
    /// Its kernel's release, where it tells.
    pub kernel: Option<String>,
    /// Processors that this process may use.
    pub cpus: u64,
    /// The version of tcpctl.
    pub tcpctl: String,
}

impl Environment {
    /// Of this computer.
    pub fn here(is_virtual: bool) -> Self {
        Self {
            is_virtual,
            os: std::env::consts::OS.to_owned(),
            kernel: kernel(),
            cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64),
            tcpctl: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

fn kernel() -> Option<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(release.trim().to_owned())
}

/// A count that may be only a lower bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bound {
    /// So many.
    Exactly(u64),
    /// At least so many: the search ended before the server did.
    AtLeast {
        /// The lower bound.
        at_least: u64,
    },
}

impl Bound {
    /// The number, whether exact or a lower bound.
    pub const fn number(self) -> u64 {
        match self {
            Self::Exactly(n) | Self::AtLeast { at_least: n } => n,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(n) => n.fmt(f),
            Self::AtLeast { at_least } => write!(f, "at least {at_least}"),
        }
    }
}

/// What a server can take, found from outside.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Connections that it serves at a time.
    pub served_at_once: Option<Bound>,
    /// Connections that it keeps waiting beyond those.
    pub queued: Option<Bound>,
    /// Connections that it holds in all.
    pub held: Option<Bound>,
    /// What happens to the next.
    pub overflow: Option<Overflow>,
    /// How soon the next knows, from its SYN.
    pub overflow_us: Option<f64>,
    /// How soon a freed place is taken again.
    pub recovery_us: Option<f64>,
    /// The most SYNs at a time without a refusal or a retransmission.
    pub burst: Option<Bound>,
    /// Time to the first byte for connections that are served at once.
    pub served_first_byte_us: Option<Distribution>,
    /// Time to the first byte for connections that had to wait.
    pub queued_first_byte_us: Option<Distribution>,
    /// Whether the server closes after one reply.
    pub closes_after_reply: Option<bool>,
    /// Whether each client address has a limit of its own; asked for with several sources.
    pub per_client: Option<bool>,
    /// Connections that it holds from all of these addresses together.
    pub held_from_all_sources: Option<Bound>,
    /// How each of these fields is known, or why it is not, by the field's name.
    #[serde(default)]
    pub evidence: BTreeMap<String, String>,
}

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
    /// CPU time of this process, user and system; `None` where the platform can't tell.
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
fn whole_seconds_in(duration_us: f64) -> usize {
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

/// One step of the ramp: a closed loop with so many connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Connections at a time.
    pub connections: u64,
    /// Completed requests a second.
    pub served_per_s: f64,
    /// Median time to the complete reply.
    pub p50_us: Option<f64>,
    /// Its 99th percentile.
    pub p99_us: Option<f64>,
    /// The longest.
    #[serde(default)]
    pub max_us: Option<f64>,
    /// Requests that ended, completed or failed.
    #[serde(default)]
    pub requests: u64,
    /// Connections that were refused, or reset or closed without a byte of reply.
    pub refused: u64,
    /// Requests that failed in any way.
    pub failed: u64,
    /// SYNs sent again; `None` where the platform can't tell.
    #[serde(default)]
    pub syn_retransmissions: Option<u64>,
    /// Segments sent again, SYNs among them; `None` where the platform can't tell.
    pub retransmissions: Option<u64>,
    /// Whether this is the knee: from here on more connections bring no more replies, or fail.
    pub knee: bool,
    /// Why requests failed, or SYNs were sent again; `None` where few did, or it was not found.
    #[serde(default)]
    pub cause: Option<Cause>,
}

impl Step {
    /// Requests that failed, and SYNs that had to be sent again.
    pub fn troubled(&self) -> u64 {
        self.failed + self.syn_retransmissions.unwrap_or_default()
    }

    /// Whether those are more than an accident: two, and one in a hundred requests; or fewer, of
    /// which the cause was found all the same.
    pub fn is_troubled(&self) -> bool {
        self.are_troubled_many() || self.cause.is_some()
    }

    /// Whether it is worth finding out why requests failed. A client whose SYN was dropped is out
    /// of the loop for a second or longer, and one among the many requests of the others: they
    /// are counted by requests, and it lacks a connection.
    pub(super) fn is_suspicious(&self) -> bool {
        self.are_troubled_many() || self.syn_retransmissions > Some(0)
    }

    fn are_troubled_many(&self) -> bool {
        self.troubled() >= 2 && self.troubled() * 100 >= self.requests
    }
}

/// Why requests of a step failed, or their SYNs were sent again, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// What it was.
    pub kind: CauseKind,
    /// The step itself: each client comes back at once.
    pub closed: Trial,
    /// As many at a time, which all leave before the next come.
    pub bursts: Trial,
    /// A constant schedule, somewhat below the rate that the step served; `None` where that would
    /// have been too few requests.
    pub schedule: Option<Scheduled>,
}

/// What makes requests of a closed loop fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// Clients come back before the place that they have left listens again: neither so many at a
    /// time nor so many a second are too many.
    ReconnectRace,
    /// So many at a time are too many, also where nobody comes back at once.
    TooManyAtOnce,
    /// The server holds so many that come one after the other, but its queue has no room for as
    /// many SYNs in the same moment.
    BurstTooLarge,
    /// It does not take a closed loop: a schedule below the served rate meets the same.
    AnyPace,
}

impl CauseKind {
    /// For people, in a table.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ReconnectRace => "reconnect race",
            Self::TooManyAtOnce => "too many at once",
            Self::BurstTooLarge => "burst too large",
            Self::AnyPace => "at any pace",
        }
    }
}

/// Requests of one kind, and those that met a failure or a SYN sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Requests that ended.
    pub requests: u64,
    /// Failures, and SYNs sent again.
    pub troubled: u64,
}

impl Trial {
    /// How many of one request met trouble; 0 of none.
    pub fn share(self) -> f64 {
        match self.requests {
            0 => 0.0,
            requests => self.troubled as f64 / requests as f64,
        }
    }
}

/// A trial on a constant schedule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Requests a second that it asked for.
    pub rate_per_s: f64,
    /// What came of them.
    #[serde(flatten)]
    pub trial: Trial,
}

/// Why a ramp has no further steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RampEnd {
    /// It had no more: the most connections that were allowed.
    LastStep,
    /// The knee is clear.
    PastTheKnee,
    /// Most requests of the last step failed.
    MostlyFailing,
    /// The budget is used up.
    Budget,
    /// This computer has no more ports or file descriptors.
    LocalLimits,
    /// The target answers no more.
    TargetGone,
    /// Ctrl-C.
    Interrupted,
}

/// Bytes a second, by direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// To the server.
    pub upload: Option<Flow>,
    /// From the server.
    pub download: Option<Flow>,
    /// There and back.
    pub echo: Option<Flow>,
    /// Where each was measured, or why it was not, by the field's name.
    #[serde(default)]
    pub evidence: BTreeMap<String, String>,
}

/// Throughput in one direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Payload bytes a second, of all streams together.
    pub bytes_per_s: f64,
    /// Streams at a time.
    pub streams: u64,
    /// Segments sent again; `None` where the platform can't tell.
    pub retransmissions: Option<u64>,
    /// What the limit was; `None` where it can't be known.
    pub limited_by: Option<LimitedBy>,
    /// The same with one stream alone, where that was measured too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub single: Option<Box<Flow>>,
    /// Bytes in each second; the last may be a part of one.
    #[serde(default)]
    pub seconds: Vec<u64>,
    /// How long the measured part took.
    #[serde(default)]
    pub duration_us: f64,
    /// CPU time of the thread that moved the bytes, as a share (0 to 1) of a core; `None` where
    /// the platform can't tell.
    #[serde(default)]
    pub client_cpu_share: Option<f64>,
    /// Whether it was cut short.
    #[serde(default)]
    pub interrupted: bool,
    /// What carried it.
    #[serde(default)]
    pub via: Via,
}

/// What a flow was measured with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// A service that is made for it: discard, chargen or echo.
    #[default]
    Service,
    /// The server's own port, for want of one: a request without an end, or its replies.
    OwnPort,
}

impl Flow {
    /// The seconds that are whole: the last is left out if the flow ended in its middle.
    pub fn whole_seconds(&self) -> &[u64] {
        let whole = whole_seconds_in(self.duration_us);
        &self.seconds[..whole.min(self.seconds.len())]
    }
}

/// What limited a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitedBy {
    /// The receiver's window.
    ReceiverWindow,
    /// The sender: its application or its send buffer.
    Sender,
    /// The network: congestion, loss or bandwidth.
    Network,
}

impl LimitedBy {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ReceiverWindow => "the receiver's window",
            Self::Sender => "the sender",
            Self::Network => "the network",
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
