//! The DHCP server of a board that is its own access point (RFC 2131, RFC 2132).
//!
//! Three ideas, a file each: [`Config`] says what may be handed out and is valid once it exists;
//! the table gives every address of the pool one place, so no address can have two owners; and
//! [`Server::answer`] holds the protocol's rules, from a datagram and a time to a datagram. None of
//! them knows a socket or a clock. [`serve`] lends them both.
//!
//! Clients are told apart by their hardware address. RFC 2131 §4.2 prefers a client identifier; on
//! an access point the station *is* its hardware address, and a table without identifiers stays
//! small. The identifier is echoed as RFC 6842 §3 asks.

mod config;
mod message;
mod server;
mod table;
#[cfg(test)]
mod tests;

use core::cell::RefCell;

use embassy_net::Stack;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_time::Instant;

use crate::udp;

pub use config::{Config, ConfigError};
pub use message::{CLIENT_PORT, MAX_REPLY, SERVER_PORT};
pub use server::{Answer, Change, LeaseEvent, Reply, Server};
pub use table::{Lease, LeaseState};

/// A hardware (MAC) address.
pub type Mac = [u8; 6];

/// Requests that may wait while one is answered.
const WAITING: usize = 4;
/// The largest request taken, in bytes: an Ethernet frame's worth of UDP.
const MAX_REQUEST: usize = 1472;

/// The memory of [`serve`]: about 5 kB, borrowed for as long as it runs.
#[derive(Debug)]
pub struct Buffers {
    rx_meta: [PacketMetadata; WAITING],
    rx: [u8; 2 * MAX_REQUEST],
    tx_meta: [PacketMetadata; 2],
    tx: [u8; 2 * MAX_REPLY],
    request: [u8; MAX_REQUEST],
    reply: [u8; MAX_REPLY],
}

impl Buffers {
    /// Empty buffers.
    pub const fn new() -> Self {
        Self {
            rx_meta: [PacketMetadata::EMPTY; WAITING],
            rx: [0; 2 * MAX_REQUEST],
            tx_meta: [PacketMetadata::EMPTY; 2],
            tx: [0; 2 * MAX_REPLY],
            request: [0; MAX_REQUEST],
            reply: [0; MAX_REPLY],
        }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// Answers DHCP clients on port 67 for as long as it is polled.
///
/// `on_event` is told of every lease that begins, goes on or ends. The server is borrowed only
/// while one request is worked on, so a console may look at its leases between two polls; while
/// somebody else holds it borrowed, requests are dropped and the clients ask again.
///
/// A link that goes down, a client that is gone before its answer and a full transmit queue cost
/// that answer, never the server.
pub async fn serve<const N: usize>(
    stack: Stack<'_>,
    server: &RefCell<Server<N>>,
    buffers: &mut Buffers,
    mut on_event: impl FnMut(LeaseEvent),
) -> ! {
    let Buffers {
        rx_meta,
        rx,
        tx_meta,
        tx,
        request,
        reply,
    } = buffers;
    let mut socket = UdpSocket::new(stack, rx_meta, rx, tx_meta, tx);
    loop {
        udp::ensure_bound(&mut socket, SERVER_PORT).await;
        // An error is a datagram larger than any request.
        let Ok((len, _)) = socket.recv_from(request).await else {
            continue;
        };
        let answer = match server.try_borrow_mut() {
            Ok(mut server) => server.answer(Instant::now().as_secs(), &request[..len], reply),
            Err(_) => continue,
        };
        let Some(answer) = answer else { continue };
        if let Some(event) = answer.event {
            on_event(event);
        }
        if let Some(Reply { len, to }) = answer.reply {
            udp::send(&mut socket, &reply[..len], to).await;
        }
    }
}
