//! Bytes a second, by direction, and what limited them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::latency::whole_seconds_in;

/// Bytes a second, by direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// To the server.
    pub upload: Option<Flow>,
    /// From the server.
    pub download: Option<Flow>,
    /// There and back.
    pub echo: Option<Flow>,
    /// Where each was measured, or why it was not, by the field's name.
    #[serde(default)]
    pub evidence: BTreeMap<String, String>,
}

/// Throughput in one direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Payload bytes a second, of all streams together.
    pub bytes_per_s: f64,
    /// Streams at a time.
    pub streams: u64,
    /// Segments sent again; `None` where the platform can't tell.
    pub retransmissions: Option<u64>,
    /// What the limit was; `None` where it can't be known.
    pub limited_by: Option<LimitedBy>,
    /// The same with one stream alone, where that was measured too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub single: Option<Box<Flow>>,
    /// Bytes in each second; the last may be a part of one.
    #[serde(default)]
    pub seconds: Vec<u64>,
    /// How long the measured part took.
    #[serde(default)]
    pub duration_us: f64,
    /// CPU time of the thread that moved the bytes, as a share (0 to 1) of a core; `None` where
    /// the platform can't tell.
    #[serde(default)]
    pub client_cpu_share: Option<f64>,
    /// Whether it was cut short.
    #[serde(default)]
    pub interrupted: bool,
    /// What carried it.
    #[serde(default)]
    pub via: Via,
}

/// What a flow was measured with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// A service that is made for it: discard, chargen or echo.
    #[default]
    Service,
    /// The server's own port, for want of one: a request without an end, or its replies.
    OwnPort,
}

impl Flow {
    /// The seconds that are whole: the last is left out if the flow ended in its middle.
    pub fn whole_seconds(&self) -> &[u64] {
        let whole = whole_seconds_in(self.duration_us);
        &self.seconds[..whole.min(self.seconds.len())]
    }
}

/// What limited a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitedBy {
    /// The receiver's window.
    ReceiverWindow,
    /// The sender: its application or its send buffer.
    Sender,
    /// The network: congestion, loss or bandwidth.
    Network,
}

impl LimitedBy {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ReceiverWindow => "the receiver's window",
            Self::Sender => "the sender",
            Self::Network => "the network",
        }
    }
}
