//! One connection of the pool: when it was opened, used, answered and ended.

use std::time::Duration;

use crate::bench::limits::model::ConnectionEnd;
use tcpctl_engine::readiness::{ConnectionId, NetworkTime};

/// Identifies a connection for the whole search; a [`ConnectionId`] may be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::bench::limits) struct Handle(pub(super) usize);

/// One connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench::limits) struct HeldConnection {
    pub(in crate::bench::limits) handle: Handle,
    /// Until it is released.
    pub(super) id: Option<ConnectionId>,
    pub(in crate::bench::limits) started: NetworkTime,
    pub(in crate::bench::limits) connected: Option<NetworkTime>,
    /// When the request was sent, or the FIN instead of it.
    pub(in crate::bench::limits) asked: Option<NetworkTime>,
    /// Whether that was a FIN.
    pub(super) has_sent_fin: bool,
    /// Bytes of the request that were written.
    pub(super) written: usize,
    pub(in crate::bench::limits) first_byte: Option<NetworkTime>,
    /// What the server sent before a request.
    pub(super) unsolicited: FirstLine,
    pub(in crate::bench::limits) ended: Option<(NetworkTime, ConnectionEnd)>,
    /// SYN retransmissions, as known when it was released.
    pub(super) syn_retransmissions: Option<u32>,
    /// Data retransmissions, as known when it was released.
    pub(super) retransmissions: Option<u32>,
}

impl HeldConnection {
    pub(in crate::bench::limits) fn is_pending(&self) -> bool {
        self.connected.is_none() && self.ended.is_none()
    }

    /// Connected, as far as is known.
    pub(in crate::bench::limits) fn is_live(&self) -> bool {
        self.connected.is_some() && self.ended.is_none()
    }

    /// Live, and we have sent nothing on it.
    pub(in crate::bench::limits) fn is_silent(&self) -> bool {
        self.is_live() && self.asked.is_none()
    }

    /// Whether the server has sent something on it.
    pub(in crate::bench::limits) fn is_greeted(&self) -> bool {
        self.first_byte.is_some()
    }

    /// Ended by the server before we had sent anything, whatever the server had sent.
    pub(in crate::bench::limits) fn is_silent_and_ended(&self) -> bool {
        self.asked.is_none() && self.connected.is_some() && self.ended.is_some()
    }

    /// Refused, or ended by the server without a byte.
    pub(in crate::bench::limits) fn is_turned_away(&self) -> bool {
        self.ended.is_some() && self.first_byte.is_none()
    }

    /// The request was sent and not answered.
    pub(in crate::bench::limits) fn is_waiting(&self) -> bool {
        self.is_live() && self.asked.is_some() && !self.has_sent_fin && self.first_byte.is_none()
    }

    /// When the server answered the request, by a byte or by ending the connection.
    pub(in crate::bench::limits) fn answered_at(&self) -> Option<NetworkTime> {
        self.asked?;
        self.first_byte.or(self.ended.map(|(at, _)| at))
    }

    /// When the server sent something or ended the connection before we had sent anything.
    pub(in crate::bench::limits) fn unsolicited_at(&self) -> Option<NetworkTime> {
        if self.asked.is_some() || self.connected.is_none() {
            return None;
        }
        self.first_byte.or(self.ended.map(|(at, _)| at))
    }

    /// The age at which that happened.
    pub(in crate::bench::limits) fn unsolicited_after(&self) -> Option<Duration> {
        Some(self.unsolicited_at()?.saturating_sub(self.connected?))
    }

    /// From the handshake to the first byte.
    pub(in crate::bench::limits) fn greeted_after(&self) -> Option<Duration> {
        Some(self.first_byte?.saturating_sub(self.connected?))
    }

    /// From before the request was written to the answer: on loopback it may arrive within the
    /// write.
    pub(in crate::bench::limits) fn answered_after(&self) -> Option<Duration> {
        Some(self.answered_at()?.saturating_sub(self.asked?))
    }

    /// From the request to the first byte of the reply.
    pub(in crate::bench::limits) fn replied_after(&self) -> Option<Duration> {
        Some(self.first_byte?.saturating_sub(self.asked?))
    }

    /// The first line that the server sent before a request.
    pub(in crate::bench::limits) fn unsolicited_line(&self) -> Option<String> {
        self.unsolicited.text()
    }
}

/// The beginning of what a server sends, up to its first line end.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstLine {
    bytes: [u8; 80],
    len: usize,
}

impl FirstLine {
    pub(super) const EMPTY: Self = Self {
        bytes: [0; 80],
        len: 0,
    };

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let free = &mut self.bytes[self.len..];
        let len = free.len().min(bytes.len());
        free[..len].copy_from_slice(&bytes[..len]);
        self.len += len;
    }

    fn text(&self) -> Option<String> {
        let bytes = &self.bytes[..self.len];
        let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
        let text = String::from_utf8_lossy(line).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}
