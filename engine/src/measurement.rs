//! Results of the load engine: counts, distributions and a record per second.
//!
//! Times are nanoseconds in HDR histograms of three significant digits, so that each value is
//! accurate to 0.1%.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::load::{LearnedRule, RuleKind};
use super::times::Times;

/// Why a request failed. Local causes have classes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The SYN was answered with a reset.
    Refused,
    /// No answer to the SYN in time.
    ConnectTimeout,
    /// A reset after the handshake, before the first byte of the reply.
    ResetBeforeReply,
    /// A reset after the first byte of the reply.
    ResetInReply,
    /// No complete reply in time.
    ReplyTimeout,
    /// A FIN without a byte of reply, or before the end of the expected reply.
    ClosedEarly,
    /// A complete reply that is not the expected one.
    WrongReply,
    /// No route, or an ICMP error.
    Unreachable,
    /// No local address or port is available.
    LocalPorts,
    /// No file descriptor is available.
    LocalFiles,
    /// Not started, because this computer was not running the client at the scheduled time.
    LocalLate,
}

impl ErrorClass {
    /// All classes, in the order of the report.
    pub const ALL: [Self; 11] = [
        Self::Refused,
        Self::ConnectTimeout,
        Self::ResetBeforeReply,
        Self::ResetInReply,
        Self::ReplyTimeout,
        Self::ClosedEarly,
        Self::WrongReply,
        Self::Unreachable,
        Self::LocalPorts,
        Self::LocalFiles,
        Self::LocalLate,
    ];
}

/// One second of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Second {
    /// Completed requests.
    pub completed: u64,
    /// Failed requests.
    pub failed: u64,
    /// Median completion time, nanoseconds.
    pub p50: u64,
    /// 99th percentile of the completion times, nanoseconds.
    pub p99: u64,
}

/// The times of a request that have a distribution per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timed {
    /// See [`Measurement::connect`].
    Connect,
    /// See [`Measurement::first_byte`].
    FirstByte,
    /// See [`Measurement::complete`].
    Complete,
    /// See [`Measurement::schedule_error`].
    ScheduleError,
}

impl Timed {
    /// All kinds, in the order of the log.
    pub const ALL: [Self; 4] = [
        Self::Connect,
        Self::FirstByte,
        Self::Complete,
        Self::ScheduleError,
    ];
}

/// The distributions of one second, by [`Timed`], in `HdrHistogram`'s V2 encoding, not deflated:
/// some kilobytes instead of 270. Empty without samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecondHistograms(pub [Vec<u8>; Timed::ALL.len()]);

/// Totals over all connections, from the kernel or the virtual link.
#[derive(Debug, Clone)]
pub struct ConnectionTotals {
    /// Retransmitted SYNs.
    pub syn_retransmissions: u64,
    /// Retransmitted data segments.
    pub retransmissions: u64,
    /// Smoothed round-trip times at the end of each connection, nanoseconds, if known.
    pub smoothed_rtt: Option<Times>,
    /// Minimum round-trip times, nanoseconds, if known.
    pub min_rtt: Option<Times>,
    /// Time limited by the receiver's window, if known.
    pub receiver_limited: Option<Duration>,
    /// Time in which this computer's send buffer limited sending, if known.
    pub send_buffer_limited: Option<Duration>,
}

/// Outcomes of the requests of an open loop that started more than a millisecond late, because the
/// client was not running or the maximum number was in flight, and of those that started soon after
/// them. Late requests reach the server in quick succession, so their failures are not caused by the
/// rate of the schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LateStarts {
    /// Completed or failed, those of [`ErrorClass::LocalLate`] included.
    pub requests: u64,
    /// Failed.
    pub failed: u64,
    /// Retransmitted SYNs of their connections.
    pub syn_retransmissions: u64,
}

/// How the ends of replies were recognized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleUse {
    /// The rule; `None` where nothing was learned.
    pub kind: Option<RuleKind>,
    /// The rule, if it was learned: it can be given to a further run.
    pub learned: Option<LearnedRule>,
    /// Replies that were longer or shorter than learned.
    pub mismatches: u64,
}

/// The result of one run.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// Start of the measured part, after the warm-up.
    pub started_at: SystemTime,
    /// Duration of the measured part, until the last request ended.
    pub elapsed: Duration,
    /// Duration of the load: the part of `elapsed` in which requests were to start. The rest, the
    /// drain, waits for the last replies.
    pub window: Duration,
    /// Requests completed within `window`.
    pub completed_in_window: u64,
    /// Concurrent connections (closed loop), or the maximum in flight (open loop).
    pub connections: usize,
    /// Requested rate of an open loop, requests per second.
    pub target_rate: Option<f64>,
    /// Whether connections were reused.
    pub keep_alive: bool,
    /// Completed requests.
    pub completed: u64,
    /// Failed requests by class.
    pub errors: BTreeMap<ErrorClass, u64>,
    /// From the start of the attempt (the intended one in an open loop) to the established
    /// connection, nanoseconds. Reused connections add no sample.
    pub connect: Times,
    /// From the same start to the first byte of the reply, nanoseconds.
    pub first_byte: Times,
    /// From the same start to the complete reply, nanoseconds.
    pub complete: Times,
    /// How late each request of an open loop was started, nanoseconds.
    pub schedule_error: Option<Times>,
    /// The requests of an open loop that were started late.
    pub late_starts: LateStarts,
    /// How long each request waited for the engine, nanoseconds: the established connection before
    /// the request was sent, and the reply before it was read. All times exclude the latter;
    /// only `connect` excludes the former, because a server may have worked meanwhile. `None`
    /// where the system does not report arrivals.
    pub client_delay: Option<Times>,
    /// How long the engine's threads were runnable and waited for a CPU; `None` if unknown.
    pub run_delay: Option<Duration>,
    /// By how much the engine's threads woke up late, where that was more than 2 ms: a lower bound
    /// of the time in which they did not run although something was due. Includes stops of the
    /// process and of the machine, which `run_delay` does not.
    pub late_wake_ups: Duration,
    /// How the ends of replies were recognized.
    pub reply_rule: RuleUse,
    /// Results per second, from the start of the measured part.
    pub seconds: Vec<Second>,
    /// The distributions of the same seconds; empty unless the load requests them.
    pub second_histograms: Vec<SecondHistograms>,
    /// Totals over the connections; `None` where the platform does not report them.
    pub totals: Option<ConnectionTotals>,
    /// User and system CPU time of the engine's threads in the measured part.
    pub client_cpu: Option<Duration>,
    /// Threads of the load engine.
    pub threads: usize,
    /// Whether the run ended early, by a signal or because the target went away.
    pub interrupted: bool,
    /// Whether the run ended early because connections no longer succeeded.
    pub target_gone: bool,
}
