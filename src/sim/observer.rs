//! What of a connection shows on the cable: smoltcp keeps no counters, so its segments are
//! counted as they leave.

use std::collections::HashMap;

use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket, TcpSeqNumber,
};

use crate::transport::readiness::ConnectionInfo;

/// The open connections by their local port, which is theirs alone.
#[derive(Default)]
pub struct Observer {
    connections: HashMap<u16, Sent>,
}

/// What one connection has sent.
#[derive(Default)]
struct Sent {
    syns: u32,
    retransmissions: u32,
    /// The end of what was sent, in sequence numbers.
    highest: Option<TcpSeqNumber>,
}

impl Observer {
    /// Starts to count for a port.
    pub fn opened(&mut self, port: u16) {
        self.connections.insert(port, Sent::default());
    }

    /// Stops to count for a port.
    pub fn closed(&mut self, port: u16) {
        self.connections.remove(&port);
    }

    /// Whether a connection uses this port.
    pub fn is_open(&self, port: u16) -> bool {
        self.connections.contains_key(&port)
    }

    /// What is known of the connection at `port`.
    pub fn info(&self, port: u16) -> Option<ConnectionInfo> {
        self.connections.get(&port).map(|sent| ConnectionInfo {
            syn_retransmissions: sent.syns.saturating_sub(1),
            retransmissions: sent.retransmissions,
            ..ConnectionInfo::default()
        })
    }

    /// Counts an outgoing Ethernet frame.
    pub fn sent(&mut self, frame: &[u8]) {
        let Ok(frame) = EthernetFrame::new_checked(frame) else {
            return;
        };
        if frame.ethertype() != EthernetProtocol::Ipv4 {
            return;
        }
        let Ok(packet) = Ipv4Packet::new_checked(frame.payload()) else {
            return;
        };
        if packet.next_header() != IpProtocol::Tcp {
            return;
        }
        let Ok(segment) = TcpPacket::new_checked(packet.payload()) else {
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
        let start = segment.seq_number();
        // A keep-alive repeats the last byte on purpose; it is no retransmission, and not longer.
        if sent.highest.is_some_and(|highest| start < highest) && length > 1 {
            sent.retransmissions += 1;
        }
        let end = start + length;
        sent.highest = Some(sent.highest.map_or(end, |highest| highest.max(end)));
    }
}
