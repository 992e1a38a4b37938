//! Results of a search: the server's behavior, the trials, and the limits with their evidence.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Serialize;

use super::timing::Timeouts;
use crate::bench::report::{Bound, Evidence, EvidenceKind, Overflow};
use crate::failure::reason;

/// A limit, with evidence of how it is known or why it is not.
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

/// The result of filling the server once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// Connections open at the same time.
    pub held: usize,
    /// Connections served at once.
    pub served: Bound,
    /// What happened to the next connection.
    pub overflow: Overflow,
}

/// The result for further source addresses while the server was full for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PerClient {
    /// Whether each address has a limit of its own.
    pub is_each: bool,
    /// Connections held from all addresses together: exact if the last address was rejected
    /// earlier than the first.
    pub in_all: Bound,
}

/// How the search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchEnd {
    /// Everything was measured.
    Complete,
    /// It was stopped from outside.
    Stopped,
    /// The budget was used up.
    OutOfTime,
}

/// The limits of a server, found from outside.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LimitsFinding {
    /// Connections served at the same time.
    pub served_at_once: Limit,
    /// Connections that wait beyond those served.
    pub queued: Limit,
    /// Connections accepted in total.
    pub held: Limit,
    /// The largest burst of SYNs without a refusal or a retransmission, for a server whose
    /// connections cannot be held. If the server is slow enough to be kept full: the maximum number
    /// of connections that waited for their greeting when the next was rejected.
    pub burst: Limit,
    /// What happens to the next connection; `None` if it was not observed.
    pub overflow: Option<Overflow>,
    /// How `overflow` is known.
    pub overflow_evidence: Evidence,
    /// Time from the SYN to the refusal, or from the accept to the end, per observation.
    pub overflow_after: Vec<Duration>,
    /// Time from the end of a served connection to the handshake of the next, per trial.
    pub recovery: Vec<Duration>,
    /// From request to first byte on an otherwise idle server.
    pub served_first_byte: Vec<Duration>,
    /// Time from freeing a slot to the first byte, of a request that waited in the queue.
    pub queued_first_byte: Vec<Duration>,
    /// Whether the server closes after one reply.
    pub closes_after_reply: Option<bool>,
    /// The time after which the server answers or closes a silent connection.
    pub silence_ends_after: Option<Duration>,
    /// Whether other source addresses are accepted when the first is not; `None` with one source.
    pub per_client: Option<PerClient>,
    /// The first line that the server sends to a connection that it then closes.
    pub rejection: Option<String>,
    /// One entry each time the server was filled.
    pub trials: Vec<Trial>,
    /// How the trials differ: other clients use the server, the path loses segments, or this computer
    /// was busy.
    pub drift: Option<String>,
    /// By how much this process woke up late, where that was more than 2 ms. No wait of the search
    /// includes it.
    pub late: Duration,
    /// Retransmissions on connections that were established.
    pub retransmissions: usize,
    /// Whether the path loses segments, or is long enough that it may.
    pub is_lossy: bool,
    /// Connections started in total.
    pub opened: usize,
    /// Maximum connections open at the same time.
    pub max_open: usize,
    /// Duration of the search, on the network's clock.
    pub took: Duration,
    /// How the search ended.
    pub ended: SearchEnd,
}

impl LimitsFinding {
    pub(super) fn empty() -> Self {
        let evidence = || {
            Evidence::new(
                EvidenceKind::NotMeasured,
                "the search ended before it was measured",
            )
        };
        let limit = || Limit {
            value: Bound::Unknown,
            evidence: evidence(),
        };
        Self {
            served_at_once: limit(),
            queued: limit(),
            held: limit(),
            burst: Limit::unknown(
                EvidenceKind::NotApplicable,
                "the server waits for a request, so its connections can be held",
            ),
            overflow: None,
            overflow_evidence: evidence(),
            overflow_after: Vec::new(),
            recovery: Vec::new(),
            served_first_byte: Vec::new(),
            queued_first_byte: Vec::new(),
            closes_after_reply: None,
            silence_ends_after: None,
            per_client: None,
            rejection: None,
            trials: Vec::new(),
            drift: None,
            late: Duration::ZERO,
            retransmissions: 0,
            is_lossy: false,
            opened: 0,
            max_open: 0,
            took: Duration::ZERO,
            ended: SearchEnd::Complete,
        }
    }

    /// Connections for a load that is meant to be served without refusals: as many as are served
    /// at once. One fewer where nothing queues, because a client's next connection can overtake
    /// the server's cleanup of its last. One where the number is not known exactly.
    pub fn default_connections(&self) -> NonZeroUsize {
        let spare = usize::from(self.queued.value == Bound::Exact(0));
        self.served_at_once
            .value
            .exact()
            .and_then(|served| NonZeroUsize::new(served.saturating_sub(spare)))
            .unwrap_or(NonZeroUsize::MIN)
    }
}

/// Why the search found no limits of the server.
#[derive(Debug, thiserror::Error)]
pub enum FailureReason {
    /// Every SYN of the first connection was refused.
    #[error("connection refused")]
    NothingListens,
    /// No SYN was answered.
    #[error("no answer to the SYN: filtered by a firewall, no such host, or the server is full")]
    NoAnswer,
    /// No route.
    #[error("host or network unreachable")]
    Unreachable,
    /// No local port is free.
    #[error("no free local port on this computer")]
    LocalPorts,
    /// No file descriptor is free.
    #[error("no free file descriptor on this computer")]
    LocalFiles,
    /// The server answered before, and no longer does.
    #[error("the server stopped answering while {held} connections were open")]
    Died {
        /// Maximum connections that were open when it last answered.
        held: usize,
    },
    /// The operating system's own wait failed.
    #[error("waiting for the network failed: {}", reason(.0))]
    Wait(std::io::Error),
}

/// A search that failed, with lower bounds from what it observed.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct LimitsError {
    /// The reason.
    #[source]
    pub reason: FailureReason,
    /// The observations until then.
    pub so_far: Box<LimitsFinding>,
}

/// Why a phase of the search ends early.
#[derive(Debug)]
pub(super) enum Abort {
    /// Stopped from outside.
    Stopped,
    /// The budget is used up.
    OutOfTime,
    /// A silent connection was answered or closed after this time: the hold is incomplete.
    HoldLost(Duration),
    /// A reply came after its timeout: conclusions from silence are void.
    LateReply(Duration),
    /// The search found nothing about the server.
    Failed(FailureReason),
}

/// How the server or the kernel ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    /// A reset answered the SYN.
    Refused,
    /// The kernel gave up on the SYN.
    TimedOut,
    /// The peer's FIN.
    Fin,
    /// The peer's reset.
    Reset,
}

impl ConnectionEnd {
    /// The overflow that such an end after the accept means.
    pub(super) const fn after_accept(self) -> Overflow {
        match self {
            Self::Reset => Overflow::Reset,
            Self::Refused | Self::TimedOut | Self::Fin => Overflow::Closed,
        }
    }
}

/// How the server treats one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerBehavior {
    /// Waits for a request and replies.
    Replies,
    /// Did not reply in time. The request is still pending.
    NeverReplies,
    /// Sends data before a request, and closes: its connections cannot be held.
    GreetsAndCloses,
    /// Sends data first and then waits: a connection that was greeted is being served.
    GreetsAndWaits,
    /// Accepts every connection and ends it before a request.
    Rejects(ConnectionEnd),
}

/// The reaction of a slow server to a silent client that then sends a FIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FinResponse {
    /// The server replies even to a silent client, this long after the handshake.
    Greets(Duration),
    /// Closes the connection at once.
    Closes,
    /// It handles the FIN like a request, and replies as late.
    Serves,
    /// Keeps the connection.
    KeepsOpen,
}

/// The results of a few exchanges with an otherwise idle server.
#[derive(Debug, Clone)]
pub(super) struct Baseline {
    pub(super) behavior: ServerBehavior,
    pub(super) closes_after_reply: Option<bool>,
    /// From request (or handshake, if it greets first) to first byte.
    pub(super) first_byte: Vec<Duration>,
    pub(super) timeouts: Timeouts,
    /// Whether the server is slow to reply, and yet closes at once when a client sends a FIN.
    pub(super) closes_on_fin: bool,
    /// Whether it handles such a connection like a request.
    pub(super) serves_fin: bool,
    /// Whether it reuses freed slots so late that it seems to poll for them on a timer.
    pub(super) has_accept_timer: bool,
}

impl Baseline {
    pub(super) fn slowest_reply(&self) -> Duration {
        self.first_byte.iter().max().copied().unwrap_or_default()
    }
}

/// A server that accepts no more connections.
#[derive(Debug, Clone)]
pub(super) struct FullServer {
    pub(super) held: usize,
    pub(super) overflow: Overflow,
    /// Time from the SYN (or from the handshake, if it was accepted first) to the refusal.
    pub(super) after: Option<Duration>,
    /// When the first unanswered SYN was sent.
    pub(super) dropped_since: Option<Duration>,
    /// The first line that it sent to a connection that it then closed.
    pub(super) rejection: Option<String>,
}

/// Connections served at once, and the outcome for the others.
#[derive(Debug, Clone)]
pub(super) struct Concurrency {
    pub(super) workers: Bound,
    /// The outcome for requests that had to wait; `None` if none did.
    pub(super) queue: Option<QueueOutcome>,
    /// Time from request to first byte of those served at once.
    pub(super) first_byte: Vec<Duration>,
}

/// The outcome for a request that had to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueOutcome {
    /// It got a reply, this long after a slot was freed.
    ServedAfter(Duration),
    /// It got no reply, although a slot was free.
    Unserved,
}

/// The largest burst of SYNs, and the result of the next larger one.
#[derive(Debug, Clone)]
pub(super) struct Burst {
    pub(super) largest: Bound,
    pub(super) overflow: Overflow,
    pub(super) after: Option<Duration>,
    /// How `largest` is known.
    pub(super) detail: String,
    /// Differing results of other observations.
    pub(super) drift: Option<String>,
}
