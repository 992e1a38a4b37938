//! Bytes per second by direction, and what limited them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Evidence;
use super::latency::whole_seconds_in;

/// Bytes per second by direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Bytes sent to the server.
    pub upload: Option<Flow>,
    /// Bytes received from the server.
    pub download: Option<Flow>,
    /// Bytes sent to the server and echoed.
    pub echo: Option<Flow>,
    /// How each direction was measured, or why it was not, by field name.
    #[serde(default)]
    pub evidence: BTreeMap<String, Evidence>,
}

/// The throughput of one direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Payload bytes per second, all streams together.
    pub bytes_per_s: f64,
    /// Concurrent streams.
    pub streams: u64,
    /// Retransmitted segments; `None` where the platform does not provide it.
    pub retransmissions: Option<u64>,
    /// What limited it; `None` if unknown.
    pub limited_by: Option<LimitedBy>,
    /// The flow with a single stream, if it was measured as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub single: Option<Box<Flow>>,
    /// Bytes in each second; the last second may be incomplete.
    #[serde(default)]
    pub seconds: Vec<u64>,
    /// The length of the measured part.
    #[serde(default)]
    pub duration_us: f64,
    /// CPU time of the sending and receiving thread as a share (0 to 1) of a core; `None` where the
    /// platform does not provide it.
    #[serde(default)]
    pub client_cpu_share: Option<f64>,
    /// Whether the measurement ended early.
    #[serde(default)]
    pub interrupted: bool,
    /// The port that was used.
    #[serde(default)]
    pub via: Via,
}

/// The kind of port that a flow used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// A service for this purpose: discard, chargen or echo (RFC 863, 864, 862).
    #[default]
    Service,
    /// The server's own port, without such a service: an endless request, or its replies.
    OwnPort,
}

impl Flow {
    /// The complete seconds.
    pub fn whole_seconds(&self) -> &[u64] {
        let whole = whole_seconds_in(self.duration_us);
        &self.seconds[..whole.min(self.seconds.len())]
    }
}

/// What limited a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitedBy {
    /// The receiver's window was full.
    ReceiverWindow,
    /// The sender: its application or its send buffer.
    Sender,
    /// The network: congestion, loss or bandwidth.
    Network,
}

impl LimitedBy {
    /// The limit in words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ReceiverWindow => "the receiver's window",
            Self::Sender => "the sender",
            Self::Network => "the network",
        }
    }
}
