//! What a server can take: the search for its limits, each number exact or a lower bound.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Distribution, Overflow};

/// A count that may be only a lower bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bound {
    /// So many.
    Exactly(u64),
    /// At least so many: the search ended before the server did.
    AtLeast {
        /// The lower bound.
        at_least: u64,
    },
}

impl Bound {
    /// The number, whether exact or a lower bound.
    pub const fn number(self) -> u64 {
        match self {
            Self::Exactly(n) | Self::AtLeast { at_least: n } => n,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(n) => n.fmt(f),
            Self::AtLeast { at_least } => write!(f, "at least {at_least}"),
        }
    }
}

/// What a server can take, found from outside.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Connections that it serves at a time.
    pub served_at_once: Option<Bound>,
    /// Connections that it keeps waiting beyond those.
    pub queued: Option<Bound>,
    /// Connections that it holds in all.
    pub held: Option<Bound>,
    /// What happens to the next.
    pub overflow: Option<Overflow>,
    /// How soon the next knows, from its SYN.
    pub overflow_us: Option<f64>,
    /// How soon a freed place is taken again.
    pub recovery_us: Option<f64>,
    /// The most SYNs at a time without a refusal or a retransmission.
    pub burst: Option<Bound>,
    /// Time to the first byte for connections that are served at once.
    pub served_first_byte_us: Option<Distribution>,
    /// Time to the first byte for connections that had to wait.
    pub queued_first_byte_us: Option<Distribution>,
    /// Whether the server closes after one reply.
    pub closes_after_reply: Option<bool>,
    /// Whether each client address has a limit of its own; asked for with several sources.
    pub per_client: Option<bool>,
    /// Connections that it holds from all of these addresses together.
    pub held_from_all_sources: Option<Bound>,
    /// How each of these fields is known, or why it is not, by the field's name.
    #[serde(default)]
    pub evidence: BTreeMap<String, String>,
}
