//! DHCP messages: parses requests and writes replies.
//!
//! smoltcp, which the board links anyway, accesses fields and options.

use core::net::Ipv4Addr;

use smoltcp::wire::{
    ArpHardware, DhcpFlags, DhcpMessageType, DhcpOpCode, DhcpOption, DhcpOptionWriter, DhcpPacket,
    EthernetAddress,
};

use super::{Config, Mac};

/// UDP port of servers.
pub const SERVER_PORT: u16 = 67;
/// UDP port of clients.
pub const CLIENT_PORT: u16 = 68;
/// Maximum length of a reply, in bytes: every client accepts an IP datagram of 576 bytes (RFC 2131
/// §2).
pub const MAX_REPLY: usize = 548;

/// Minimum length of a BOOTP message. Relays and old clients drop shorter ones (RFC 1542 §2.1).
const MIN_REPLY: usize = 300;
/// Offset of the options, after the fixed fields and the magic cookie.
const OPTIONS: usize = 240;
const MAGIC: u32 = 0x6382_5363;
/// Length of a MAC address.
const HARDWARE_LEN: u8 = 6;

/// Message of a DHCPNAK, which a client may show.
const REFUSED: &[u8] = b"address in use or not in this network";

/// Option codes of RFC 2132.
mod code {
    pub(super) const SUBNET_MASK: u8 = 1;
    pub(super) const ROUTER: u8 = 3;
    pub(super) const REQUESTED_ADDRESS: u8 = 50;
    pub(super) const LEASE_TIME: u8 = 51;
    pub(super) const MESSAGE_TYPE: u8 = 53;
    pub(super) const SERVER_ID: u8 = 54;
    pub(super) const MESSAGE: u8 = 56;
    pub(super) const RENEWAL_TIME: u8 = 58;
    pub(super) const REBINDING_TIME: u8 = 59;
    pub(super) const CLIENT_ID: u8 = 61;
}

/// The fields of a client's message that are needed by a server without relays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) kind: DhcpMessageType,
    pub(super) mac: Mac,
    /// The address that the client already uses, if any.
    pub(super) client_address: Option<Ipv4Addr>,
    pub(super) requested: Option<Ipv4Addr>,
    pub(super) server_id: Option<Ipv4Addr>,
    xid: u32,
    flags: DhcpFlags,
    client_id: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Parses a datagram. `None` unless it is a request from a station on this link. A relay
    /// (giaddr) indicates another link.
    pub(super) fn parse(packet: &'a DhcpPacket<&'a [u8]>) -> Option<Self> {
        let mac = packet.client_hardware_address();
        if packet.opcode() != DhcpOpCode::Request
            || packet.magic_number() != MAGIC
            || packet.hardware_type() != ArpHardware::Ethernet
            || packet.hardware_len() != HARDWARE_LEN
            || !packet.relay_agent_ip().is_unspecified()
            || !mac.is_unicast()
            || mac.0 == Mac::default()
        {
            return None;
        }
        let mut request = Self {
            kind: DhcpMessageType::Unknown(0),
            mac: mac.0,
            client_address: Some(packet.client_ip()).filter(|address| !address.is_unspecified()),
            requested: None,
            server_id: None,
            xid: packet.transaction_id(),
            flags: packet.flags(),
            client_id: None,
        };
        for option in packet.options() {
            match (option.kind, option.data) {
                (code::MESSAGE_TYPE, [kind]) => request.kind = DhcpMessageType::from(*kind),
                (code::REQUESTED_ADDRESS, data) => request.requested = address(data),
                (code::SERVER_ID, data) => request.server_id = address(data),
                (code::CLIENT_ID, data) => request.client_id = Some(data),
                _ => {}
            }
        }
        Some(request)
    }

    /// Writes a DHCPOFFER of `address`; returns the length.
    pub(super) fn offer(
        &self,
        address: Ipv4Addr,
        config: &Config,
        out: &mut [u8],
    ) -> Option<usize> {
        self.write_header(None, address, out)?;
        self.lease(DhcpMessageType::Offer, config, out)
    }

    /// Writes a DHCPACK that grants `address`; returns the length.
    pub(super) fn grant(
        &self,
        address: Ipv4Addr,
        config: &Config,
        out: &mut [u8],
    ) -> Option<usize> {
        self.write_header(self.client_address, address, out)?;
        self.lease(DhcpMessageType::Ack, config, out)
    }

    /// Writes an offer or a grant, which have the same options.
    fn lease(&self, kind: DhcpMessageType, config: &Config, out: &mut [u8]) -> Option<usize> {
        let lease = config.lease_seconds;
        let mut options = Options::new(kind, config, out)?;
        options.push(code::LEASE_TIME, &lease.to_be_bytes())?;
        // RFC 2131 §4.4.5: T1 at half of the lease, T2 at seven eighths.
        options.push(code::RENEWAL_TIME, &(lease / 2).to_be_bytes())?;
        options.push(code::REBINDING_TIME, &(lease - lease / 8).to_be_bytes())?;
        options.push_network(config)?;
        options.finish(self)
    }

    /// Writes the DHCPACK that answers a DHCPINFORM: parameters, no address and no times
    /// (RFC 2131 §4.3.5).
    pub(super) fn inform(&self, config: &Config, out: &mut [u8]) -> Option<usize> {
        self.write_header(self.client_address, Ipv4Addr::UNSPECIFIED, out)?;
        let mut options = Options::new(DhcpMessageType::Ack, config, out)?;
        options.push_network(config)?;
        options.finish(self)
    }

    /// Writes a DHCPNAK: neither addresses nor parameters, but a message (RFC 2131 table 3).
    pub(super) fn refuse(&self, config: &Config, out: &mut [u8]) -> Option<usize> {
        self.write_header(None, Ipv4Addr::UNSPECIFIED, out)?;
        let mut options = Options::new(DhcpMessageType::Nak, config, out)?;
        options.push(code::MESSAGE, REFUSED)?;
        options.finish(self)
    }

    /// Writes the fixed fields of RFC 2131 table 3; `None` if `out` is shorter than [`MAX_REPLY`].
    /// The client's address (ciaddr) is repeated in a DHCPACK alone.
    fn write_header(
        &self,
        client: Option<Ipv4Addr>,
        yours: Ipv4Addr,
        out: &mut [u8],
    ) -> Option<()> {
        let out = out.get_mut(..MAX_REPLY)?;
        out.fill(0);
        let mut packet = DhcpPacket::new_unchecked(out);
        packet.set_opcode(DhcpOpCode::Reply);
        packet.set_hardware_type(ArpHardware::Ethernet);
        packet.set_hardware_len(HARDWARE_LEN);
        packet.set_transaction_id(self.xid);
        packet.set_flags(self.flags);
        packet.set_client_ip(client.unwrap_or(Ipv4Addr::UNSPECIFIED));
        packet.set_your_ip(yours);
        packet.set_client_hardware_address(EthernetAddress(self.mac));
        packet.set_magic_number(MAGIC);
        Some(())
    }
}

/// The options of a reply that is being written.
struct Options<'o> {
    writer: DhcpOptionWriter<'o>,
    len: usize,
}

impl<'o> Options<'o> {
    /// Starts with the options of every reply: message type and server identifier.
    fn new(kind: DhcpMessageType, config: &Config, out: &'o mut [u8]) -> Option<Self> {
        let writer = DhcpOptionWriter::new(out.get_mut(OPTIONS..MAX_REPLY)?);
        let mut options = Self {
            writer,
            len: OPTIONS,
        };
        options.push(code::MESSAGE_TYPE, &[kind.into()])?;
        options.push(code::SERVER_ID, &config.server.octets())?;
        Some(options)
    }

    fn push(&mut self, kind: u8, data: &[u8]) -> Option<()> {
        self.writer.emit(DhcpOption { kind, data }).ok()?;
        self.len += 2 + data.len();
        Some(())
    }

    /// Adds the subnet's parameters, whether requested or not: they are few, and some clients
    /// forget to request them.
    fn push_network(&mut self, config: &Config) -> Option<()> {
        self.push(code::SUBNET_MASK, &config.mask.octets())?;
        self.push(code::ROUTER, &config.server.octets())
    }

    /// Echoes the client's identifier (RFC 6842 §3) and ends the message. Returns its length.
    fn finish(mut self, request: &Request<'_>) -> Option<usize> {
        if let Some(id) = request.client_id {
            self.push(code::CLIENT_ID, id)?;
        }
        self.writer.end().ok()?;
        Some((self.len + 1).max(MIN_REPLY))
    }
}

fn address(data: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(data).ok().map(Ipv4Addr::from)
}
