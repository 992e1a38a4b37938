//! DHCP messages of a client, built independently of the tested code.

use core::net::{Ipv4Addr, SocketAddrV4};
use std::vec::Vec;

use smoltcp::wire::DhcpPacket;

use crate::dhcp::{Change, LeaseEvent, MAX_REPLY, Mac, Server};

pub(super) const DISCOVER: u8 = 1;
pub(super) const OFFER: u8 = 2;
pub(super) const REQUEST: u8 = 3;
pub(super) const DECLINE: u8 = 4;
pub(super) const ACK: u8 = 5;
pub(super) const NAK: u8 = 6;
pub(super) const RELEASE: u8 = 7;
pub(super) const INFORM: u8 = 8;

/// A client's message.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) bytes: Vec<u8>,
}

impl Client {
    pub(super) fn new(mac: Mac, kind: u8) -> Self {
        let mut bytes = std::vec![0; 240];
        bytes[..3].copy_from_slice(&[1, 1, 6]);
        bytes[4..8].copy_from_slice(&[0xCA, 0xFE, 0, mac[5]]);
        bytes[28..34].copy_from_slice(&mac);
        bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
        Self { bytes }.option(53, &[kind])
    }

    pub(super) fn option(mut self, code: u8, data: &[u8]) -> Self {
        self.bytes.push(code);
        self.bytes.push(u8::try_from(data.len()).unwrap());
        self.bytes.extend_from_slice(data);
        self
    }

    pub(super) fn wants(self, address: Ipv4Addr) -> Self {
        self.option(50, &address.octets())
    }

    pub(super) fn to(self, server: Ipv4Addr) -> Self {
        self.option(54, &server.octets())
    }

    pub(super) fn has(self, address: Ipv4Addr) -> Self {
        self.patch(12, &address.octets())
    }

    pub(super) fn patch(mut self, at: usize, data: &[u8]) -> Self {
        self.bytes[at..at + data.len()].copy_from_slice(data);
        self
    }

    /// Passes the message to `server` at second `now`.
    pub(super) fn ask<const N: usize>(mut self, server: &mut Server<N>, now: u64) -> Outcome {
        self.bytes.push(255);
        let mut out = [0xAA; MAX_REPLY];
        let answer = server.answer(now, &self.bytes, &mut out);
        let reply = answer.and_then(|answer| answer.reply);
        Outcome {
            event: answer.and_then(|answer| answer.event),
            to: reply.map(|reply| reply.to),
            bytes: out[..reply.map_or(0, |reply| reply.len)].to_vec(),
        }
    }
}

pub(super) struct Outcome {
    pub(super) event: Option<LeaseEvent>,
    pub(super) to: Option<SocketAddrV4>,
    pub(super) bytes: Vec<u8>,
}

impl Outcome {
    pub(super) fn is_silence(&self) -> bool {
        self.to.is_none()
    }

    pub(super) fn option(&self, code: u8) -> Option<Vec<u8>> {
        let packet = DhcpPacket::new_checked(&self.bytes[..]).ok()?;
        let found = packet.options().find(|option| option.kind == code)?;
        Some(found.data.to_vec())
    }

    /// The codes of all options, sorted.
    pub(super) fn options(&self) -> Vec<u8> {
        let packet = DhcpPacket::new_checked(&self.bytes[..]).unwrap();
        let mut codes: Vec<_> = packet.options().map(|option| option.kind).collect();
        codes.sort_unstable();
        codes
    }

    pub(super) fn kind(&self) -> u8 {
        self.option(53).map_or(0, |data| data[0])
    }

    pub(super) fn address(&self) -> Ipv4Addr {
        Ipv4Addr::from(<[u8; 4]>::try_from(&self.bytes[16..20]).unwrap())
    }

    pub(super) fn change(&self) -> Option<Change> {
        self.event.map(|event| event.change)
    }
}
