//! The steps of a ramp, why requests failed in them, and why it ended.

use serde::{Deserialize, Serialize};

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
    pub(in crate::bench) fn is_suspicious(&self) -> bool {
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
