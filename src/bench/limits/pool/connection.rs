//! One connection of the pool, and the times of its events.

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
    /// The connection number, until the connection is released.
    pub(super) id: Option<ConnectionId>,
    pub(in crate::bench::limits) started: NetworkTime,
    pub(in crate::bench::limits) connected: Option<NetworkTime>,
    /// When the request, or the FIN in its place, was sent.
    pub(in crate::bench::limits) asked: Option<NetworkTime>,
    /// Whether a FIN was sent instead of a request.
    pub(super) has_sent_fin: bool,
    /// Bytes of the request that were written.
    pub(super) written: usize,
    pub(in crate::bench::limits) first_byte: Option<NetworkTime>,
    /// Data that the server sent before a request.
    pub(super) unsolicited: FirstLine,
    pub(in crate::bench::limits) ended: Option<(NetworkTime, ConnectionEnd)>,
    /// SYN retransmissions, recorded at the release.
    pub(super) syn_retransmissions: Option<u32>,
    /// Data retransmissions, recorded at the release.
    pub(super) retransmissions: Option<u32>,
}

impl HeldConnection {
    pub(in crate::bench::limits) fn is_pending(&self) -> bool {
        self.connected.is_none() && self.ended.is_none()
    }

    /// Whether it is established, as far as this side can tell.
    pub(in crate::bench::limits) fn is_live(&self) -> bool {
        self.connected.is_some() && self.ended.is_none()
    }

    /// Whether it is live and this side has sent nothing.
    pub(in crate::bench::limits) fn is_silent(&self) -> bool {
        self.is_live() && self.asked.is_none()
    }

    /// Whether the server has sent data.
    pub(in crate::bench::limits) fn is_greeted(&self) -> bool {
        self.first_byte.is_some()
    }

    /// Whether the server ended it before this side sent anything, with or without data.
    pub(in crate::bench::limits) fn is_silent_and_ended(&self) -> bool {
        self.asked.is_none() && self.connected.is_some() && self.ended.is_some()
    }

    /// Whether it was refused, or ended by the server without a byte.
    pub(in crate::bench::limits) fn is_rejected(&self) -> bool {
        self.ended.is_some() && self.first_byte.is_none()
    }

    /// Whether a request was sent and not answered.
    pub(in crate::bench::limits) fn is_waiting(&self) -> bool {
        self.is_live() && self.asked.is_some() && !self.has_sent_fin && self.first_byte.is_none()
    }

    /// When the server answered the request, by data or by ending the connection.
    pub(in crate::bench::limits) fn answered_at(&self) -> Option<NetworkTime> {
        self.asked?;
        self.first_byte.or(self.ended.map(|(at, _)| at))
    }

    /// When the server sent data or ended the connection before this side sent anything.
    pub(in crate::bench::limits) fn unsolicited_at(&self) -> Option<NetworkTime> {
        if self.asked.is_some() || self.connected.is_none() {
            return None;
        }
        self.first_byte.or(self.ended.map(|(at, _)| at))
    }

    /// Time from the handshake to [`Self::unsolicited_at`].
    pub(in crate::bench::limits) fn unsolicited_after(&self) -> Option<Duration> {
        Some(self.unsolicited_at()?.saturating_sub(self.connected?))
    }

    /// From the handshake to the first byte.
    pub(in crate::bench::limits) fn greeted_after(&self) -> Option<Duration> {
        Some(self.first_byte?.saturating_sub(self.connected?))
    }

    /// Time from before the request was written to the answer: on loopback the answer may arrive
    /// during the write.
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

/// The start of the server's data, up to the first line end.
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
