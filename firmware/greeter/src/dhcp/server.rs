//! The protocol: the reply to each message (RFC 2131 §4.3).

use core::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::wire::{DhcpMessageType, DhcpPacket};

use super::message::{CLIENT_PORT, Request};
use super::table::Table;
use super::{Config, ConfigError, Lease, LeaseState, Mac};

/// Time that an offered address is reserved, in seconds. Slow clients retry after 4 and 8 s (RFC
/// 2131 §4.1).
const OFFER_SECONDS: u64 = 15;
/// Time that a declined address is not assigned, in seconds. It is short, so that a client that
/// declines everything cannot exhaust the pool for long.
const QUARANTINE_SECONDS: u64 = 5 * 60;

const BROADCAST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT);

/// A DHCP server with a table of up to `N` leases, without sockets or a clock.
///
/// Times are whole seconds on any clock that does not go back.
#[derive(Clone, Debug)]
pub struct Server<const N: usize> {
    config: Config,
    table: Table<N>,
}

/// Result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The datagram to send, if any.
    pub reply: Option<Reply>,
    /// The change of a lease, if any.
    pub event: Option<LeaseEvent>,
}

/// A datagram in the reply buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Length in bytes.
    pub len: usize,
    /// Destination: the client's address if it has one, else broadcast.
    pub to: SocketAddrV4,
}

/// A change of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseEvent {
    /// The client.
    pub mac: Mac,
    /// Address of the client.
    pub address: Ipv4Addr,
    /// What happened.
    pub change: Change,
}

/// What happened to a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The client has a new lease.
    Granted,
    /// The client keeps its lease for another term.
    Renewed,
    /// The client released the lease.
    Released,
    /// The client found the address in use.
    Declined,
}

impl<const N: usize> Server<N> {
    /// A server with a free pool.
    ///
    /// # Errors
    /// [`ConfigError::PoolTooLarge`] if the pool has more than `N` addresses.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let table = Table::new(config.size).ok_or(ConfigError::PoolTooLarge)?;
        Ok(Self { config, table })
    }

    /// The addresses that are not free at second `now`, in the order of the pool.
    pub fn leases(&self, now: u64) -> impl Iterator<Item = Lease> {
        self.table
            .iter(now)
            .map(|(index, mac, state, remaining_seconds)| Lease {
                mac,
                address: self.config.address_at(index),
                remaining_seconds,
                state,
            })
    }

    /// Processes a datagram that arrived on port 67 at second `now`.
    ///
    /// `None` is silence: the datagram is no request, is meant for another server, or asks for an
    /// address where none is free. `reply` needs [`MAX_REPLY`](super::MAX_REPLY) bytes; with fewer
    /// everything is silence.
    pub fn answer(&mut self, now: u64, request: &[u8], reply: &mut [u8]) -> Option<Answer> {
        let packet = DhcpPacket::new_checked(request).ok()?;
        let request = Request::parse(&packet)?;
        self.table.expire(now);
        match request.kind {
            DhcpMessageType::Discover => self.discover(now, &request, reply),
            DhcpMessageType::Request => self.request(now, &request, reply),
            DhcpMessageType::Decline => self.decline(now, &request),
            DhcpMessageType::Release => self.release(now, &request),
            DhcpMessageType::Inform => self.inform(&request, reply),
            _ => None,
        }
    }

    /// Offers the client's own address, else a free one (RFC 2131 §4.3.1); silence if there is none.
    fn discover(&mut self, now: u64, request: &Request<'_>, out: &mut [u8]) -> Option<Answer> {
        let held = self.table.held_by(request.mac);
        let requested = request
            .requested
            .and_then(|address| self.config.index_of(address));
        let index = match held {
            Some((index, _)) => index,
            None => self.table.choose(request.mac, requested)?,
        };
        let address = self.config.address_at(index);
        let len = request.offer(address, &self.config, out)?;
        // A lease in use is kept: a client that was reset asks again, and may never reply.
        if !matches!(held, Some((_, LeaseState::Leased))) {
            self.table.give(
                index,
                request.mac,
                LeaseState::Offered,
                now.saturating_add(OFFER_SECONDS),
            );
        }
        Some(Answer {
            reply: Some(Reply { len, to: BROADCAST }),
            event: None,
        })
    }

    /// Grants or refuses an address (RFC 2131 §4.3.2).
    fn request(&mut self, now: u64, request: &Request<'_>, out: &mut [u8]) -> Option<Answer> {
        if request.server_id.is_some_and(|id| id != self.config.server) {
            // The client chose another server, so its offer from this server is free again.
            if let Some((index, LeaseState::Offered)) = self.table.held_by(request.mac) {
                self.table.free(index, now);
            }
            return None;
        }
        // SELECTING and INIT-REBOOT name the address in an option, RENEWING and REBINDING in ciaddr.
        let address = request.requested.or(request.client_address)?;
        let index = self.config.index_of(address);
        if let Some(index) = index.filter(|index| self.may_have(*index, request.mac)) {
            return self.grant(now, index, request, out);
        }
        // This is the only server on the link, so a NAK affects no other lease. It saves a client
        // from another network the timeout.
        let len = request.refuse(&self.config, out)?;
        Some(Answer {
            reply: Some(Reply { len, to: BROADCAST }),
            event: None,
        })
    }

    /// Whether `mac` may have the address at `index`: it holds that one, or it holds none and the
    /// address is free.
    ///
    /// RFC 2131 §4.3.2 requires silence for a rebooting client without a record. This table does not
    /// survive a reboot of the board, and the server is alone on its link, so granting the free
    /// address keeps phones connected.
    fn may_have(&self, index: usize, mac: Mac) -> bool {
        match self.table.held_by(mac) {
            Some((held, _)) => held == index,
            None => self.table.at(index).is_none(),
        }
    }

    fn grant(
        &mut self,
        now: u64,
        index: usize,
        request: &Request<'_>,
        out: &mut [u8],
    ) -> Option<Answer> {
        let address = self.config.address_at(index);
        let len = request.grant(address, &self.config, out)?;
        let change = match self.table.held_by(request.mac) {
            Some((_, LeaseState::Leased)) => Change::Renewed,
            _ => Change::Granted,
        };
        let until = now.saturating_add(self.config.lease_seconds.into());
        self.table
            .give(index, request.mac, LeaseState::Leased, until);
        // Only a client that already has this address answers ARP.
        let to = match request.client_address {
            Some(current) if current == address => SocketAddrV4::new(current, CLIENT_PORT),
            _ => BROADCAST,
        };
        let event = Some(LeaseEvent {
            mac: request.mac,
            address,
            change,
        });
        Some(Answer {
            reply: Some(Reply { len, to }),
            event,
        })
    }

    /// Quarantines a declined address (RFC 2131 §4.3.3).
    fn decline(&mut self, now: u64, request: &Request<'_>) -> Option<Answer> {
        let (index, _) = self.own(request, request.requested?)?;
        self.table
            .quarantine(index, now.saturating_add(QUARANTINE_SECONDS));
        Some(self.event(index, request.mac, Change::Declined))
    }

    /// Frees a released address (RFC 2131 §4.3.4).
    fn release(&mut self, now: u64, request: &Request<'_>) -> Option<Answer> {
        let (index, state) = self.own(request, request.client_address?)?;
        self.table.free(index, now);
        (state == LeaseState::Leased).then(|| self.event(index, request.mac, Change::Released))
    }

    /// Index of `address`, if the message is for this server and its client holds the address.
    fn own(&self, request: &Request<'_>, address: Ipv4Addr) -> Option<(usize, LeaseState)> {
        let held = self.table.held_by(request.mac)?;
        let ours = request.server_id == Some(self.config.server);
        (ours && self.config.index_of(address) == Some(held.0)).then_some(held)
    }

    fn event(&self, index: usize, mac: Mac, change: Change) -> Answer {
        let address = self.config.address_at(index);
        Answer {
            reply: None,
            event: Some(LeaseEvent {
                mac,
                address,
                change,
            }),
        }
    }

    /// Sends the parameters to a client with a static address (RFC 2131 §4.3.5).
    fn inform(&self, request: &Request<'_>, out: &mut [u8]) -> Option<Answer> {
        let host =
            |address: &Ipv4Addr| self.config.is_host(*address) && *address != self.config.server;
        let client = request.client_address.filter(host)?;
        let len = request.inform(&self.config, out)?;
        let to = SocketAddrV4::new(client, CLIENT_PORT);
        Some(Answer {
            reply: Some(Reply { len, to }),
            event: None,
        })
    }
}
