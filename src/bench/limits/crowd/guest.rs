//! One connection of the finder's: when it was let in, asked, answered and ended.

use std::time::Duration;

use tcpctl_engine::readiness::{ConnectionId, NetworkTime};

/// How a connection ended, other than by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench::limits) enum End {
    /// Its SYN was refused.
    Refused,
    /// The kernel gave up on its SYN.
    TimedOut,
    /// The peer closed.
    Fin,
    /// The peer reset.
    Reset,
}

/// A connection for life; [`ConnectionId`]s are used again, these are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::bench::limits) struct Name(pub(super) usize);

/// One connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench::limits) struct Guest {
    pub(in crate::bench::limits) name: Name,
    /// Until it is released.
    pub(super) id: Option<ConnectionId>,
    pub(in crate::bench::limits) started: NetworkTime,
    pub(in crate::bench::limits) connected: Option<NetworkTime>,
    pub(in crate::bench::limits) asked: Option<NetworkTime>,
    /// That was by leaving, and not by a request.
    pub(super) has_left: bool,
    /// How much of the message is written.
    pub(super) written: usize,
    pub(in crate::bench::limits) first_byte: Option<NetworkTime>,
    pub(in crate::bench::limits) ended: Option<(NetworkTime, End)>,
    /// What was known of its repeated SYNs when it was released.
    pub(super) syn_retransmissions: Option<u32>,
    /// The same of its data.
    pub(super) retransmissions: Option<u32>,
}

impl Guest {
    pub(in crate::bench::limits) fn is_pending(&self) -> bool {
        self.connected.is_none() && self.ended.is_none()
    }

    /// Connected, as far as is known.
    pub(in crate::bench::limits) fn is_live(&self) -> bool {
        self.connected.is_some() && self.ended.is_none()
    }

    /// Live, and nothing was said on it by us.
    pub(in crate::bench::limits) fn is_silent(&self) -> bool {
        self.is_live() && self.asked.is_none()
    }

    /// Ended before anything was said on it by us, whatever it said.
    pub(in crate::bench::limits) fn is_silent_and_ended(&self) -> bool {
        self.asked.is_none() && self.connected.is_some() && self.ended.is_some()
    }

    /// Asked by a request, and not answered.
    pub(in crate::bench::limits) fn is_waiting(&self) -> bool {
        self.is_live() && self.asked.is_some() && !self.has_left && self.first_byte.is_none()
    }

    /// When the server showed that it has taken the request: by a byte, or by ending it.
    pub(in crate::bench::limits) fn answered(&self) -> Option<NetworkTime> {
        self.asked?;
        self.first_byte.or(self.ended.map(|(at, _)| at))
    }

    /// When the server answered or ended it though nothing was said on it.
    pub(in crate::bench::limits) fn disturbed(&self) -> Option<NetworkTime> {
        if self.asked.is_some() || self.connected.is_none() {
            return None;
        }
        self.first_byte.or(self.ended.map(|(at, _)| at))
    }
}

/// When a connection is surely held, and not one too many of which we do not know yet.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::bench::limits) struct Settles {
    /// So long after its handshake an application that does not want it has ended it.
    pub(in crate::bench::limits) after: Duration,
    /// Whether another has to get in after that, before the server was ever full. Where the last
    /// segment of a handshake may be lost, the server has repeated its own by then; only if it was
    /// full it has no connection.
    pub(in crate::bench::limits) needs_newcomer: bool,
}
