//! Time, computer and options of a run.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::failure::reason;

/// A time, in RFC 3339 format with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub SystemTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The end of year 9999. A wrong clock must not end the run.
        const LAST: Duration = Duration::from_secs(253_402_300_799);
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH);
        let time = SystemTime::UNIX_EPOCH + since.unwrap_or_default().min(LAST);
        humantime::format_rfc3339_millis(time).fmt(f)
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
            .map_err(|error| {
                D::Error::custom(format!("'{text}' is not a valid time: {}", reason(&error)))
            })
    }
}

/// The computer that sent the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Whether the target is a virtual board: latency and throughput come from the link model.
    #[serde(rename = "virtual")]
    pub is_virtual: bool,
    /// Operating system, by Rust's name.
    pub os: String,
    /// Kernel release; `None` if unknown.
    pub kernel: Option<String>,
    /// Number of CPUs that this process may use.
    pub cpus: u64,
    /// Host name; `None` if unknown.
    #[serde(default)]
    pub hostname: Option<String>,
    /// State of the system's clock; `None` if the system does not report it.
    #[serde(default)]
    pub clock: Option<ClockState>,
    /// The version of tcpctl.
    pub tcpctl: String,
}

/// State of the system's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClockState {
    /// Whether NTP or the like keeps it synchronized.
    #[serde(rename = "synchronized")]
    pub is_synchronized: bool,
    /// Maximum error, as estimated by the system.
    pub max_error_us: f64,
}

/// The options in force, defaults included; times in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// The parts that were measured.
    pub parts: Parts,
    /// Connections, of `-c`; `None`: as many as follow from the limits.
    pub connections: Option<u64>,
    /// Length of the load; `None` if `requests` ends it.
    pub duration_us: Option<f64>,
    /// Number of requests, of `-n`.
    pub requests: Option<u64>,
    /// Rate of an open loop, of `-r`.
    pub rate_per_s: Option<f64>,
    /// Load before the measurement starts.
    pub warmup_us: f64,
    /// Whether a connection carries many requests.
    pub keep_alive: bool,
    /// How connections are closed.
    pub close: CloseMode,
    /// Start of the message, at most 256 bytes, with invalid UTF-8 replaced.
    pub message: String,
    /// Length of the whole message, bytes.
    pub message_bytes: u64,
    /// Regular expression of `--expect`.
    pub expect: Option<String>,
    /// Lines of a reply, of `--lines`.
    #[serde(default)]
    pub lines: Option<u64>,
    /// Silence that ends a reply, of `--idle`.
    #[serde(default)]
    pub idle_us: Option<f64>,
    /// Connect timeout.
    pub connect_timeout_us: f64,
    /// Reply timeout.
    pub reply_timeout_us: f64,
    /// Maximum connections of the search for the limits and of the ramp.
    pub max_connections: u64,
    /// Time limit of the search for the limits, and of the ramp.
    pub budget_us: f64,
    /// Source addresses; empty: the system chooses.
    pub sources: Vec<IpAddr>,
    /// Threads of the load engine.
    pub threads: u64,
    /// Requested start time; `None`: at once.
    #[serde(default)]
    pub start_at: Option<Timestamp>,
}

/// How connections are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseMode {
    /// With a FIN.
    Fin,
    /// With a reset.
    Rst,
}

/// The parts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each part, in any combination"
)]
pub struct Parts {
    /// How many connections the server serves and queues.
    pub limits: bool,
    /// Reply times.
    pub latency: bool,
    /// Rates with more and more connections.
    pub ramp: bool,
    /// Bytes per second.
    pub throughput: bool,
}
