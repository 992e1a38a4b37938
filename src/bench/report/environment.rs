//! When and where a run was measured.

use std::fmt;
use std::time::SystemTime;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
