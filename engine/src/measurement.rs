//! What the load engine has seen: counts, distributions and a second-by-second record.
//!
//! The engine fills it in, the report reads it. Times are nanoseconds in HDR histograms of three
//! significant digits (so that no value is off by more than 0.1%), never averages alone.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::times::Times;

/// Why a request failed. "Here" and "there" are never mixed up: the last two are this computer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The SYN was answered with a reset.
    Refused,
    /// No answer to the SYN in time.
    ConnectTimeout,
    /// Reset after the handshake, before the first byte of the reply.
    ResetBeforeReply,
    /// Reset after the first byte of the reply.
    ResetInReply,
    /// The reply did not come, or not to its end, in time.
    ReplyTimeout,
    /// A FIN without a byte of reply, or before the reply was what is expected.
    ClosedEarly,
    /// A whole reply that is not what is expected.
    WrongReply,
    /// No route, or a router's or the kernel's word that there is none.
    Unreachable,
    /// No local address or port is free here.
    LocalPorts,
    /// No file descriptor is free here.
    LocalFiles,
}

impl ErrorClass {
    /// Every class, in the contract's order.
    pub const ALL: [Self; 10] = [
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
    ];
}

/// One second of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Second {
    /// Requests that were completed in it.
    pub completed: u64,
    /// Requests that failed in it.
    pub failed: u64,
    /// The median of those completed in it, nanoseconds.
    pub p50: u64,
    /// Their 99th percentile, nanoseconds.
    pub p99: u64,
}

/// What is timed of a request, and has an interval for each second where that was asked for.
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
    /// All of them, in the order of the log.
    pub const ALL: [Self; 4] = [
        Self::Connect,
        Self::FirstByte,
        Self::Complete,
        Self::ScheduleError,
    ];
}

/// The distributions of one second, by [`Timed`], each in `HdrHistogram`'s V2 form, not deflated:
/// some kilobytes where the histogram itself has 270. Empty where there were no samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecondHistograms(pub [Vec<u8>; Timed::ALL.len()]);

/// What the kernel (or the virtual cable) has told of the connections, summed up.
#[derive(Debug, Clone)]
pub struct ConnectionTotals {
    /// SYNs that were sent again.
    pub syn_retransmissions: u64,
    /// Data segments that were sent again.
    pub retransmissions: u64,
    /// Smoothed round-trip times at the end of each connection, nanoseconds; where they are known.
    pub smoothed_rtt: Option<Times>,
    /// Minimum round-trip times, nanoseconds; where they are known.
    pub min_rtt: Option<Times>,
    /// Time in which the receiver's window limited the sender; where it is known.
    pub receiver_limited: Option<Duration>,
    /// Time in which the send buffer limited the sender; where it is known.
    pub send_buffer_limited: Option<Duration>,
}

/// One run of the load engine.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// When the measured part (after the warm-up) began.
    pub started_at: SystemTime,
    /// How long the measured part took.
    pub elapsed: Duration,
    /// Connections at a time (closed loop), or the most that were in flight (open loop).
    pub connections: usize,
    /// The rate that was asked for, requests a second, in an open loop.
    pub target_rate: Option<f64>,
    /// Whether a connection carried many requests.
    pub keep_alive: bool,
    /// Requests that were completed as expected.
    pub completed: u64,
    /// Requests that failed, by class.
    pub errors: BTreeMap<ErrorClass, u64>,
    /// From the start of the attempt (the intended one in an open loop) to the established
    /// connection, nanoseconds. Empty for kept connections after their first.
    pub connect: Times,
    /// From the same start to the first byte of the reply, nanoseconds.
    pub first_byte: Times,
    /// From the same start to the complete reply, nanoseconds.
    pub complete: Times,
    /// How much later than intended each request of an open loop was started, nanoseconds.
    pub schedule_error: Option<Times>,
    /// Second by second, from the start of the measured part.
    pub seconds: Vec<Second>,
    /// The distributions of the same seconds; empty unless the load asks for them.
    pub second_histograms: Vec<SecondHistograms>,
    /// What is known of the connections; `None` where the platform can't be asked.
    pub totals: Option<ConnectionTotals>,
    /// CPU time of the engine's threads in the measured part, user and system.
    pub client_cpu: Option<Duration>,
    /// Threads of the load engine.
    pub threads: usize,
    /// Whether it was cut short, by Ctrl-C or because the target went away.
    pub interrupted: bool,
    /// Whether that was because there was no connection with the target any more.
    pub target_gone: bool,
}
