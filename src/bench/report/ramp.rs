//! The steps of a ramp, why requests failed in them, and why the ramp ended.

use serde::{Deserialize, Serialize};

/// One step of the ramp: a closed loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Connections kept busy.
    pub connections: u64,
    /// Completed requests per second.
    pub served_per_s: f64,
    /// Median time to the complete reply.
    pub p50_us: Option<f64>,
    /// 99th percentile of the time to the complete reply.
    pub p99_us: Option<f64>,
    /// Maximum time to the complete reply.
    #[serde(default)]
    pub max_us: Option<f64>,
    /// Requests that ended, completed or failed.
    #[serde(default)]
    pub requests: u64,
    /// Connections refused, or reset or closed before the first byte of the reply.
    pub refused: u64,
    /// Requests that failed, for any reason.
    pub failed: u64,
    /// Retransmitted SYNs; `None` where the platform does not provide it.
    #[serde(default)]
    pub syn_retransmissions: Option<u64>,
    /// Retransmitted segments, SYNs included; `None` where the platform does not provide it.
    pub retransmissions: Option<u64>,
    /// Share of the step, 0 to 1, in which the client waited for a CPU or was stopped; where the
    /// platform does not report waits, only those of more than 2 ms count.
    #[serde(default)]
    pub client_wait_share: Option<f64>,
    /// Whether this is the knee: more connections bring less than 10% more, or fail.
    pub knee: bool,
    /// Why requests failed or SYNs were retransmitted; `None` where few did, or it is unknown.
    #[serde(default)]
    pub cause: Option<Cause>,
}

impl Step {
    /// Failed requests and retransmitted SYNs.
    pub fn troubled(&self) -> u64 {
        self.failed + self.syn_retransmissions.unwrap_or_default()
    }

    /// Whether the failures matter: at least two, and at least 1% of the requests; or the cause is
    /// known.
    pub fn is_troubled(&self) -> bool {
        self.are_troubled_many() || self.cause.is_some()
    }

    /// Whether the cause should be searched for. One retransmitted SYN is enough: that connection
    /// is idle for a second or longer, which hardly shows among the requests of the others.
    pub(in crate::bench) fn is_suspicious(&self) -> bool {
        self.are_troubled_many() || self.syn_retransmissions > Some(0)
    }

    fn are_troubled_many(&self) -> bool {
        self.troubled() >= 2 && self.troubled() * 100 >= self.requests
    }
}

/// The cause of a step's failures or retransmitted SYNs, and the trials that show it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// The cause.
    pub kind: CauseKind,
    /// The step itself, in which each client reconnects immediately.
    pub closed: Trial,
    /// Bursts of as many connections. All are closed before the next burst.
    pub bursts: Trial,
    /// An open loop slightly below the step's rate; `None` if it would have too few requests.
    pub schedule: Option<Scheduled>,
}

/// The cause of failures in a closed loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// Clients reconnect before the slot that they freed listens again. Neither the number of
    /// connections nor the rate is too high.
    ReconnectRace,
    /// Too many connections, even without immediate reconnects.
    TooManyAtOnce,
    /// The server holds as many connections if they arrive one by one, but its queue overflows if
    /// as many SYNs arrive at the same time.
    BurstTooLarge,
    /// An open loop below the step's rate fails in the same way.
    AnyPace,
    /// Other processes on this computer delayed the client: the failures show nothing about the
    /// server.
    ClientBusy,
}

impl CauseKind {
    /// The cause in words, short enough for a table.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ReconnectRace => "reconnect race",
            Self::TooManyAtOnce => "too many at once",
            Self::BurstTooLarge => "burst too large",
            Self::AnyPace => "at any pace",
            Self::ClientBusy => "client busy",
        }
    }
}

/// The result of a trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Completed and failed requests, without the late ones.
    pub requests: u64,
    /// Failed requests and retransmitted SYNs, without those of late requests.
    pub troubled: u64,
    /// Requests that show nothing about the server: this computer started them late, or interrupted
    /// their burst.
    #[serde(default)]
    pub late: u64,
}

impl Trial {
    /// `troubled` as a share of `requests`, 0 to 1.
    pub fn share(self) -> f64 {
        match self.requests {
            0 => 0.0,
            requests => self.troubled as f64 / requests as f64,
        }
    }
}

/// The result of a trial with an open loop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Target rate.
    pub rate_per_s: f64,
    /// Requests and failures.
    #[serde(flatten)]
    pub trial: Trial,
}

/// Why a ramp ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RampEnd {
    /// The last step is done: the maximum number of connections.
    LastStep,
    /// The knee was found.
    PastTheKnee,
    /// Most requests of the last step failed.
    MostlyFailing,
    /// The time budget was used up.
    Budget,
    /// This computer ran out of ports or file descriptors.
    LocalLimits,
    /// The server stopped answering.
    TargetGone,
    /// The ramp was interrupted.
    Interrupted,
}
