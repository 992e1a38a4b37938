//! When, where and how a run was made.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time as RFC 3339 writes it, to the millisecond.
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
            .map_err(|error| D::Error::custom(format!("'{text}' is not a valid time: {error}")))
    }
}

/// The computer that sent the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Whether the target is a virtual board: latency and throughput come from the link model.
    #[serde(rename = "virtual")]
    pub is_virtual: bool,
    /// The operating system, as Rust names it.
    pub os: String,
    /// The kernel's release; `None` where it is not known.
    pub kernel: Option<String>,
    /// Processors that this process may use.
    pub cpus: u64,
    /// The computer's host name; `None` where it is not known.
    #[serde(default)]
    pub hostname: Option<String>,
    /// What the system knows of its clock; `None` where it knows nothing.
    #[serde(default)]
    pub clock: Option<ClockState>,
    /// The version of tcpctl.
    pub tcpctl: String,
}

/// What a system knows of its clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClockState {
    /// Whether something keeps it in step with others, such as NTP.
    #[serde(rename = "synchronized")]
    pub is_synchronized: bool,
    /// The largest error, as the system estimates it.
    pub max_error_us: f64,
}

/// The options in force, defaults included; times in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// The parts that were measured.
    pub parts: Parts,
    /// Connections of `-c`; `None`: as many as the limits found.
    pub connections: Option<u64>,
    /// Length of the load; `None` where `requests` ends it.
    pub duration_us: Option<f64>,
    /// Requests of `-n`.
    pub requests: Option<u64>,
    /// Rate of an open loop.
    pub rate_per_s: Option<f64>,
    /// Load before the measurement starts.
    pub warmup_us: f64,
    /// Whether a connection carries many requests.
    pub keep_alive: bool,
    /// How connections are closed.
    pub close: CloseMode,
    /// The start of the message, at most 256 bytes, invalid UTF-8 replaced.
    pub message: String,
    /// The length of the whole message, bytes.
    pub message_bytes: u64,
    /// The regular expression of `--expect`.
    pub expect: Option<String>,
    /// The lines of a reply, of `--lines`.
    #[serde(default)]
    pub lines: Option<u64>,
    /// The silence that ends a reply, of `--idle`.
    #[serde(default)]
    pub idle_us: Option<f64>,
    /// The longest wait for a connection.
    pub connect_timeout_us: f64,
    /// The longest wait for a complete reply.
    pub reply_timeout_us: f64,
    /// The most connections of the search for the limits and of the ramp.
    pub max_connections: u64,
    /// The longest search for the limits, and the longest ramp.
    pub budget_us: f64,
    /// Source addresses; empty: the system chooses.
    pub sources: Vec<IpAddr>,
    /// Threads of the load engine.
    pub threads: u64,
    /// When the run was to start; `None`: at once.
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
    /// How many connections the server takes.
    pub limits: bool,
    /// How fast it replies.
    pub latency: bool,
    /// What more connections bring.
    pub ramp: bool,
    /// How many bytes per second it moves.
    pub throughput: bool,
}
