//! DHCP server of an access point (RFC 2131, RFC 2132).
//!
//! [`Config`] is the validated pool. The table has one entry per address, so no address has two
//! owners. [`Server::answer`] implements the protocol, from a datagram and a time to a datagram,
//! without socket or clock. [`serve`] provides both.
//!
//! Clients are identified by their hardware address. RFC 2131 §4.2 prefers a client identifier, but on
//! an access point the hardware address identifies a station, and the table stays small. The
//! identifier is echoed (RFC 6842 §3).

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

/// Maximum requests that wait while one is processed.
const WAITING: usize = 4;
/// Maximum length of a request, in bytes: the UDP payload of an Ethernet frame.
const MAX_REQUEST: usize = 1472;

/// The memory of [`serve`]: about 5 kB.
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

/// Answers DHCP clients on port 67 while it is polled.
///
/// `on_event` gets every change of a lease. The server is borrowed only while a request is processed.
/// If it is borrowed elsewhere, the request is dropped, and the client asks again.
///
/// A lost link, a vanished client or a full transmit queue loses one answer, never the server.
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
        // An error means a datagram longer than any request.
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
