//! Connection counters. smoltcp has none, so segments are counted as they leave, and the peer's
//! acknowledgments and windows are read as they arrive.

use std::collections::HashMap;
use std::time::Duration;

use embassy_time::Instant;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpOption, TcpPacket, TcpSeqNumber,
};

use tcpctl_engine::readiness::ConnectionInfo;

/// Open connections by local port.
#[derive(Default)]
pub struct Observer {
    connections: HashMap<u16, Sent>,
}

/// Counters of one connection.
#[derive(Default)]
struct Sent {
    syns: u32,
    retransmissions: u32,
    /// Sequence number after the last byte sent.
    highest: Option<TcpSeqNumber>,
    /// The longest segment, bytes.
    longest: usize,
    peer: Option<Peer>,
    busy: Duration,
    receiver_limited: Duration,
}

/// The peer's last acknowledgment.
#[derive(Clone, Copy)]
struct Peer {
    /// Acknowledged sequence number.
    acknowledged: TcpSeqNumber,
    /// Window, bytes.
    window: usize,
    /// Window scale shift (RFC 7323 section 2).
    scale: u8,
    /// End of the accounted time.
    since: Instant,
}

impl Observer {
    /// Starts counting for a port.
    pub fn opened(&mut self, port: u16) {
        self.connections.insert(port, Sent::default());
    }

    /// Stops counting for a port.
    pub fn closed(&mut self, port: u16) {
        self.connections.remove(&port);
    }

    /// Whether a connection uses this port.
    pub fn is_open(&self, port: u16) -> bool {
        self.connections.contains_key(&port)
    }

    /// Counters of the connection at `port` as of `now`.
    pub fn info(&self, port: u16, now: Instant) -> Option<ConnectionInfo> {
        let sent = self.connections.get(&port)?;
        let (busy, receiver_limited) = sent.times(now);
        // There is no window before the handshake completes.
        let known = |time| sent.peer.is_some().then_some(time);
        Some(ConnectionInfo {
            syn_retransmissions: sent.syns.saturating_sub(1),
            retransmissions: sent.retransmissions,
            receiver_limited: known(receiver_limited),
            busy: known(busy),
            ..ConnectionInfo::default()
        })
    }

    /// Counts an outgoing Ethernet frame.
    pub fn sent(&mut self, frame: &[u8], now: Instant) {
        let Some(segment) = tcp_segment(frame) else {
            return;
        };
        let Some(sent) = self.connections.get_mut(&segment.src_port()) else {
            return;
        };
        if segment.syn() {
            sent.syns += 1;
            return;
        }
        let length = segment.payload().len();
        if length == 0 {
            return;
        }
        sent.account(now);
        let start = segment.seq_number();
        // A keep-alive repeats one byte and is not a retransmission.
        if sent.highest.is_some_and(|highest| start < highest) && length > 1 {
            sent.retransmissions += 1;
        }
        let end = start + length;
        sent.highest = Some(sent.highest.map_or(end, |highest| highest.max(end)));
        sent.longest = sent.longest.max(length);
    }

    /// Reads an incoming Ethernet frame.
    pub fn received(&mut self, frame: &[u8], now: Instant) {
        let Some(segment) = tcp_segment(frame).filter(TcpPacket::ack) else {
            return;
        };
        let Some(sent) = self.connections.get_mut(&segment.dst_port()) else {
            return;
        };
        if segment.rst() {
            return;
        }
        sent.account(now);
        let acknowledged = segment.ack_number();
        // The window of a SYN is never shifted.
        let (scale, shift) = match sent.peer {
            _ if segment.syn() => (scale(segment.options()), 0),
            Some(peer) => (peer.scale, peer.scale),
            None => return,
        };
        let older = sent
            .peer
            .is_some_and(|peer| acknowledged < peer.acknowledged);
        if !older {
            sent.peer = Some(Peer {
                acknowledged,
                window: usize::from(segment.window_len()) << shift,
                scale,
                since: now,
            });
        }
    }
}

impl Sent {
    /// Accounts for the time since the last segment.
    fn account(&mut self, now: Instant) {
        (self.busy, self.receiver_limited) = self.times(now);
        if let Some(peer) = &mut self.peer {
            peer.since = now;
        }
    }

    /// Time with unacknowledged data as of `now`, and the part of it in which the peer's window had no
    /// room for another segment.
    fn times(&self, now: Instant) -> (Duration, Duration) {
        let (mut busy, mut limited) = (self.busy, self.receiver_limited);
        if let (Some(peer), Some(highest)) = (self.peer, self.highest) {
            let since: Duration = now.saturating_duration_since(peer.since).into();
            let in_flight = if highest > peer.acknowledged {
                highest - peer.acknowledged
            } else {
                0
            };
            // With a zero window, the sender waits with nothing in flight.
            if in_flight > 0 || peer.window == 0 {
                busy += since;
                if in_flight + self.longest > peer.window {
                    limited += since;
                }
            }
        }
        (busy, limited)
    }
}

/// The TCP segment in an Ethernet frame, if any.
fn tcp_segment(frame: &[u8]) -> Option<TcpPacket<&[u8]>> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    if packet.next_header() != IpProtocol::Tcp {
        return None;
    }
    TcpPacket::new_checked(packet.payload()).ok()
}

/// The window scale of a SYN, at most 14 (RFC 7323 section 2.3).
fn scale(mut options: &[u8]) -> u8 {
    while let Ok((rest, option)) = TcpOption::parse(options) {
        match option {
            TcpOption::WindowScale(shift) => return shift.min(14),
            TcpOption::EndOfList => return 0,
            _ => options = rest,
        }
    }
    0
}
