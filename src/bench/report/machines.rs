//! The contribution of each run to a merged report.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The runs of a merged report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machines {
    /// Time in which all runs sent load.
    pub overlap_us: f64,
    /// The runs with a load, in the order of their start.
    pub runs: Vec<Machine>,
}

/// The load of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Label of the run, else its host name; `None` if it has neither.
    pub name: Option<String>,
    /// Start of the run's load.
    pub started_at: Timestamp,
    /// Length of the run's load.
    pub duration_us: f64,
    /// Connections of the run.
    pub connections: u64,
    /// Replies during the run's load.
    pub completed: u64,
    /// Share of the run in all replies, 0 to 1.
    pub share: f64,
    /// Replies per second during the run's load.
    pub rate_per_s: f64,
    /// Requests that failed.
    pub failed: u64,
    /// 99th percentile of the times to the complete reply; `None` with fewer than 100 replies.
    pub p99_us: Option<f64>,
    /// Share of the available CPU time that the client used, 0 to 1; `None` if unknown.
    pub client_cpu_share: Option<f64>,
}
