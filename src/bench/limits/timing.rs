//! Wait times: constants of TCP stacks, and timeouts derived from the baseline.

use std::time::Duration;

/// Linux and smoltcp retransmit a SYN after 1 s (RFC 6298 §2); the rest is a margin for a busy
/// computer.
pub(super) const SYN_RETRANSMITTED: Duration = Duration::from_millis(1_150);
/// [`SYN_RETRANSMITTED`] for a stack that cannot report whether it has retransmitted the SYN.
pub(super) const SYN_SURELY_RETRANSMITTED: Duration = Duration::from_millis(1_400);
/// A server whose SYN-ACK was answered by an ACK that got lost has no connection until it
/// retransmits the SYN-ACK after 1 s. If it is full by then, it never gets one.
pub(super) const SYN_ACK_RETRANSMITTED: Duration = Duration::from_millis(1_100);
/// Linux retransmits data after 200 ms and again 400 ms later, plus a round trip each.
pub(super) const DATA_RETRANSMITTED_TWICE: Duration = Duration::from_secs(1);
/// Well before the first retransmission of a SYN or a SYN-ACK, but more than a scheduling delay or
/// the sleep interval of a radio.
pub(super) const BEFORE_RETRANSMISSION: Duration = Duration::from_millis(350);
/// Sleeping radios wake up within 300 ms. Two observations this far apart are independent.
pub(super) const INDEPENDENT: Duration = Duration::from_millis(500);
/// A server slower than this counts as slow to reply: waiting for two silences takes longer than a
/// FIN probe.
pub(super) const SLOW_REPLY: Duration = Duration::from_millis(100);
/// Slots that are reused later than this suggest that the server polls for free slots on a timer.
pub(super) const SLOW_RECOVERY: Duration = Duration::from_millis(30);
/// Such timers expire at least once a second.
pub(super) const ACCEPT_TIMER: Duration = Duration::from_millis(1_100);
/// Maximum time until a server is idle after all connections were closed.
pub(super) const SETTLE: Duration = Duration::from_secs(4);
/// Twice a scheduling delay.
pub(super) const SCHEDULING_DELAY: Duration = Duration::from_millis(60);

/// A longer path is not a LAN, so segments may get lost.
const LONG_PATH: Duration = Duration::from_millis(15);
/// Linux retransmits data after 200 ms and a round trip at the earliest (`TCP_RTO_MIN`).
const DATA_RETRANSMITTED: Duration = Duration::from_millis(200);

/// Timeouts derived from the baseline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// The longest handshake without a loss.
    pub(super) round_trip: Duration,
    /// Timeout for the answer to a SYN.
    pub(super) syn: Duration,
    /// Timeout for the answer to a request that is being served.
    pub(super) reply: Duration,
    /// Timeout for what the server does after the accept.
    pub(super) after_accept: Duration,
    /// Whether segments get lost, or the path is long enough that they may.
    pub(super) is_lossy: bool,
}

impl Timeouts {
    pub(super) fn new(connects: &[Duration], first_bytes: &[Duration], is_lossy: bool) -> Self {
        let round_trip = connects.iter().max().copied().unwrap_or_default();
        let mut slowest = first_bytes.iter().max().copied().unwrap_or_default();
        // The median, because the longest may be a scheduling delay.
        let is_lossy = is_lossy || median(connects) > LONG_PATH;
        if is_lossy {
            // The slowest reply may have been retransmitted after a second. If every silence had to
            // last longer than that, no hold would outlast them.
            slowest = slowest.min(median(first_bytes) * 3);
        }
        let mut reply = slowest + (slowest / 2).max(round_trip * 4).max(SCHEDULING_DELAY);
        if is_lossy {
            reply += DATA_RETRANSMITTED;
        }
        Self {
            round_trip,
            syn: (round_trip * 4 + Duration::from_millis(20))
                .clamp(Duration::from_millis(40), Duration::from_millis(900)),
            reply,
            after_accept: (round_trip * 3).max(Duration::from_millis(60)),
            is_lossy,
        }
    }

    /// These timeouts for a server that was seen to reply after `reply`.
    pub(super) fn with_reply_after(self, reply: Duration) -> Self {
        Self {
            reply: self.reply.max(reply * 3 / 2 + self.round_trip * 4),
            ..self
        }
    }

    /// These timeouts for a server that polls for free slots on a timer.
    pub(super) fn with_accept_timer(self) -> Self {
        Self {
            reply: self.reply + ACCEPT_TIMER,
            ..self
        }
    }

    /// Timeout for the server to close a connection on which it has received a FIN.
    pub(super) fn fin_response(self) -> Duration {
        self.round_trip * 4 + SCHEDULING_DELAY
    }

    pub(super) fn settling(self) -> Settling {
        Settling {
            after: if self.is_lossy {
                SYN_ACK_RETRANSMITTED + self.after_accept * 2
            } else {
                self.after_accept
            },
            needs_another: self.is_lossy,
        }
    }
}

/// When a connection counts as held rather than as one beyond the limit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Settling {
    /// Time after the handshake by which an application that rejects connections has closed it.
    pub(super) after: Duration,
    /// Whether another connection must be accepted after that. If the last segment of a handshake
    /// may be lost, only that shows that the server was not full.
    pub(super) needs_another: bool,
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
