//! What each run contributed to a merged report.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The runs of a merged report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machines {
    /// The time in which all of them sent load.
    pub overlap_us: f64,
    /// One for each run with a load, in the order of their start.
    pub runs: Vec<Machine>,
}

/// The load of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The run's label, else its host name; `None` where it has neither.
    pub name: Option<String>,
    /// When its load started.
    pub started_at: Timestamp,
    /// The length of its load.
    pub duration_us: f64,
    /// Its connections.
    pub connections: u64,
    /// Replies in the time of the load.
    pub completed: u64,
    /// Its share of the replies of all runs.
    pub share: f64,
    /// These replies per second of its load.
    pub rate_per_s: f64,
    /// Requests that failed.
    pub failed: u64,
    /// The 99th percentile of its complete replies; `None` with fewer than 100.
    pub p99_us: Option<f64>,
    /// The share of its CPUs that the client used; `None` where it is not known.
    pub client_cpu_share: Option<f64>,
}
