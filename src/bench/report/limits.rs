//! Limits of a server, found from outside. Each is exact or a lower bound.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Bound, Distribution, Evidence};

/// What happens to the first connection beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// A reset answers the SYN.
    Refused,
    /// Nothing answers the SYN.
    Dropped,
    /// Accepted, then closed.
    Closed,
    /// Accepted, then reset.
    Reset,
    /// Accepted, and not served even when a slot is free.
    Silent,
    /// Served; the server ended older connections for it.
    Evicted,
    /// The search ended before the limit was reached.
    NotReached,
}

impl Overflow {
    /// The value in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Dropped => "dropped",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Silent => "silent",
            Self::Evicted => "evicted",
            Self::NotReached => "not_reached",
        }
    }
}

/// Limits of a server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Connections served at the same time.
    #[serde(default)]
    pub served_at_once: Bound,
    /// Connections that wait beyond those served.
    #[serde(default)]
    pub queued: Bound,
    /// Connections accepted in total, served or waiting.
    #[serde(default)]
    pub held: Bound,
    /// What happens to the next connection.
    pub overflow: Option<Overflow>,
    /// Time from its SYN to the refusal, or to the end after the accept.
    pub overflow_us: Option<f64>,
    /// Time from the end of a served connection to the handshake of the next.
    pub recovery_us: Option<f64>,
    /// Maximum simultaneous SYNs without a refusal or a retransmission.
    #[serde(default)]
    pub burst: Bound,
    /// Time to the first byte of connections that are served at once.
    pub served_first_byte_us: Option<Distribution>,
    /// Time to the first byte of connections that waited in the queue.
    pub queued_first_byte_us: Option<Distribution>,
    /// Whether the server closes after one reply.
    pub closes_after_reply: Option<bool>,
    /// Whether each client address has a limit of its own. Requires several sources.
    pub per_client: Option<bool>,
    /// Connections held from all sources together.
    #[serde(default)]
    pub held_from_all_sources: Bound,
    /// How the trials differ, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<String>,
    /// Evidence for each of these fields, by field name.
    #[serde(default)]
    pub evidence: BTreeMap<String, Evidence>,
}
