//! What was found of a server's limits, and how each number is known.

use std::time::Duration;

use serde::Serialize;

use crate::bench::report::{Bound, Evidence, EvidenceKind, Overflow};

/// A limit, and how it is known or why it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// The count.
    pub value: Bound,
    /// How it is known.
    pub evidence: Evidence,
}

impl Limit {
    pub(super) fn new(value: Bound, detail: impl Into<String>) -> Self {
        let kind = match value {
            Bound::Exact(_) => EvidenceKind::Observed,
            Bound::AtLeast { .. } => EvidenceKind::LowerBound,
            Bound::Unknown => EvidenceKind::NotMeasured,
        };
        Self {
            value,
            evidence: Evidence::new(kind, detail),
        }
    }

    pub(super) fn unknown(kind: EvidenceKind, detail: impl Into<String>) -> Self {
        Self {
            value: Bound::Unknown,
            evidence: Evidence::new(kind, detail),
        }
    }
}

/// One hold of the server: what it took this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Round {
    /// Connections that were open together.
    pub held: usize,
    /// Of those, how many are served at once.
    pub served: Bound,
    /// What happened to the next.
    pub overflow: Overflow,
}

/// What other addresses of ours have met at a server that was full for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PerClient {
    /// Whether each address has a limit of its own.
    pub is_each: bool,
    /// Connections that were held from all of the addresses together; exact if the last of them
    /// was turned away earlier than the first.
    pub in_all: Bound,
}

/// How the search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All that was to be asked has been asked.
    Complete,
    /// It was told to stop.
    Stopped,
    /// The budget was used up.
    OutOfTime,
}

/// The limits of a server, found from outside.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Connections that it serves at the same time.
    pub served_at_once: Limit,
    /// Connections that it keeps waiting beyond those.
    pub queued: Limit,
    /// Connections that it holds in all.
    pub held: Limit,
    /// The largest burst of SYNs without a refusal or a retransmission; asked of a server that
    /// can't be held. Of one that is slow enough to be kept full: the most that waited to be
    /// greeted when the next was turned away.
    pub burst: Limit,
    /// What happens to the next; `None` if it was not seen and can't be said not to exist.
    pub overflow: Option<Overflow>,
    /// How that is known.
    pub overflow_evidence: Evidence,
    /// From its SYN to the refusal, or to the end after the accept. One for each time it was seen.
    pub overflow_after: Vec<Duration>,
    /// From the end of a served connection to the next one's handshake, once a round.
    pub recovery: Vec<Duration>,
    /// From request to first byte on a server with nothing else to do.
    pub served_first_byte: Vec<Duration>,
    /// The same for a request that waited in the queue, from the moment a place was freed.
    pub queued_first_byte: Vec<Duration>,
    /// Whether the server closes after one reply.
    pub closes_after_reply: Option<bool>,
    /// After how long it answers or ends a connection on which nothing is said.
    pub silence_ends_after: Option<Duration>,
    /// Whether other source addresses find room where the first finds none; `None` if there is
    /// one address only.
    pub per_client: Option<PerClient>,
    /// Each hold.
    pub rounds: Vec<Round>,
    /// Whether the rounds differ: other clients are on the server, or the path loses much.
    pub drift: Option<String>,
    /// Retransmissions that were seen on connections that got through.
    pub losses: usize,
    /// Whether the path loses segments, or is long enough that it has to be reckoned with.
    pub lossy: bool,
    /// Connections that were started in all.
    pub opened: usize,
    /// The most of them that were open together.
    pub most_open: usize,
    /// How long it took, on the network's clock.
    pub took: Duration,
    /// How it ended.
    pub ended: Ended,
}

impl Finding {
    pub(super) fn nothing_yet() -> Self {
        let ended_before = || {
            Evidence::new(
                EvidenceKind::NotMeasured,
                "the search ended before it was measured",
            )
        };
        let not_asked = || Limit {
            value: Bound::Unknown,
            evidence: ended_before(),
        };
        Self {
            served_at_once: not_asked(),
            queued: not_asked(),
            held: not_asked(),
            burst: Limit::unknown(
                EvidenceKind::NotApplicable,
                "the server waits for a request, so its connections can be held",
            ),
            overflow: None,
            overflow_evidence: ended_before(),
            overflow_after: Vec::new(),
            recovery: Vec::new(),
            served_first_byte: Vec::new(),
            queued_first_byte: Vec::new(),
            closes_after_reply: None,
            silence_ends_after: None,
            per_client: None,
            rounds: Vec::new(),
            drift: None,
            losses: 0,
            lossy: false,
            opened: 0,
            most_open: 0,
            took: Duration::ZERO,
            ended: Ended::Complete,
        }
    }
}

/// Why nothing can be said of the server's limits: none of these is one.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// Every SYN of the first was refused.
    #[error("nothing listens there")]
    NothingListens,
    /// Not one SYN was answered.
    #[error("no answer to a SYN: a firewall drops it, nobody has the address, or it is full")]
    NoAnswer,
    /// No route.
    #[error("unreachable")]
    Unreachable,
    /// No local port is left here.
    #[error("this computer has no free local port for more connections")]
    LocalPorts,
    /// No file descriptor is left here.
    #[error("this computer has no free file descriptor for more connections")]
    LocalFiles,
    /// It answered before, and does not any more.
    #[error("the server stopped answering when it held {held} connections, and has not come back")]
    Died {
        /// The most connections that were open when it was last heard of.
        held: usize,
    },
    /// The operating system's own wait failed.
    #[error("waiting for the network failed: {0}")]
    Wait(std::io::Error),
}

/// A search that failed, with what was seen until then as lower bounds.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct LimitsError {
    /// Why.
    #[source]
    pub reason: Reason,
    /// What was seen until then.
    pub so_far: Box<Finding>,
}
