//! The mDNS responder: `HOSTNAME.local` and the service `HOSTNAME._tcpctl._tcp.local`
//! (RFC 6762, RFC 6763).
//!
//! [`Responder`] implements the protocol, from datagrams and times to datagrams, without socket or
//! clock. [`run`] provides both.
//!
//! `edge-mdns` and the `domain` crate that it re-exports parse and build messages. The responder of
//! `edge-mdns` is not used: it sends neither probes nor goodbyes nor cache-flush bits, matches the
//! name but not the type of a question, and ignores known answers.

mod message;
mod records;
mod responder;
mod schedule;
#[cfg(test)]
mod tests;
mod zone;

use core::cell::RefCell;
use core::net::SocketAddr;
use core::pin::pin;

use embassy_futures::select::{Either3, select3};
use embassy_net::Stack;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_time::{Instant, Timer};

use crate::udp;

pub use responder::{Datagram, Event, GROUP, PORT, Responder};
pub use zone::{Identity, InvalidIdentity};

/// Maximum length of a datagram, in bytes: the UDP payload of an Ethernet frame.
const MAX_DATAGRAM: usize = 1472;
/// Maximum datagrams that wait while one is processed. Queries cause bursts, because every host
/// replies.
const WAITING: usize = 8;
/// Interval to check the board's address, in ms. The stack's notification wakes only one waiter,
/// and two waiting tasks would wake each other forever.
const ADDRESS_CHECK: u64 = 250;

/// The memory of [`run`]: about 9 kB.
#[derive(Debug)]
pub struct Buffers {
    rx_meta: [PacketMetadata; WAITING],
    rx: [u8; 3 * MAX_DATAGRAM],
    tx_meta: [PacketMetadata; 1],
    tx: [u8; MAX_DATAGRAM],
    received: [u8; MAX_DATAGRAM],
    reply: [u8; MAX_DATAGRAM],
}

impl Buffers {
    /// Empty buffers.
    pub const fn new() -> Self {
        Self {
            rx_meta: [PacketMetadata::EMPTY; WAITING],
            rx: [0; 3 * MAX_DATAGRAM],
            tx_meta: [PacketMetadata::EMPTY; 1],
            tx: [0; MAX_DATAGRAM],
            received: [0; MAX_DATAGRAM],
            reply: [0; MAX_DATAGRAM],
        }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// Announces the board and answers queries until `shutdown` completes, then sends a goodbye and
/// returns. Keep polling the stack's runner until then.
///
/// Waits for an address and restarts when link or address change. `on_event` gets the host name in
/// use. The responder is borrowed only between waits.
pub async fn run(
    stack: Stack<'_>,
    responder: &RefCell<Responder<'_>>,
    buffers: &mut Buffers,
    shutdown: impl Future<Output = ()>,
    mut on_event: impl FnMut(Event, &str),
) {
    let Buffers {
        rx_meta,
        rx,
        tx_meta,
        tx,
        received,
        reply,
    } = buffers;
    let mut socket = UdpSocket::new(stack, rx_meta, rx, tx_meta, tx);
    // Older peers require a hop limit of 255 (RFC 6762 §11).
    socket.set_hop_limit(Some(255));
    let mut shutdown = pin!(shutdown);
    loop {
        udp::ensure_bound(&mut socket, PORT).await;
        if !stack.has_multicast_group(GROUP) {
            // Fails while the stack's group table is full. The next iteration retries.
            let _ = stack.join_multicast_group(GROUP);
        }
        let now = Instant::now().as_millis();
        let sent = with(responder, |responder| {
            responder.set_network(now, network(stack));
            let datagram = responder.on_timer(now, reply);
            if let Some(event) = responder.take_event() {
                on_event(event, responder.hostname());
            }
            datagram
        });
        if let Some(Datagram { len, to }) = sent.flatten() {
            udp::send(&mut socket, &reply[..len], to).await;
            continue;
        }
        let next = with(responder, |responder| responder.next_timer()).flatten();
        let wake = next.unwrap_or(u64::MAX).min(now + ADDRESS_CHECK);
        let timer = Timer::at(Instant::from_millis(wake));
        match select3(&mut shutdown, socket.recv_from(received), timer).await {
            Either3::First(()) => break,
            Either3::Second(Ok((len, from))) => {
                let SocketAddr::V4(peer) = from.endpoint.into() else {
                    continue;
                };
                let Some(to) = from.local_address else {
                    continue;
                };
                let now = Instant::now().as_millis();
                let answer = with(responder, |responder| {
                    responder.on_packet(now, peer, to.into(), &received[..len], reply)
                });
                if let Some(Datagram { len, to }) = answer.flatten() {
                    udp::send(&mut socket, &reply[..len], to).await;
                }
            }
            // A datagram was too long, or the timer expired.
            Either3::Second(Err(_)) | Either3::Third(()) => {}
        }
    }
    if let Some(Datagram { len, to }) = with(responder, |it| it.goodbye(reply)).flatten() {
        udp::ensure_bound(&mut socket, PORT).await;
        udp::send(&mut socket, &reply[..len], to).await;
    }
    // Fails only if the group has not been joined.
    let _ = stack.leave_multicast_group(GROUP);
}

/// The board's address and prefix while it is online.
fn network(stack: Stack<'_>) -> Option<(core::net::Ipv4Addr, u8)> {
    let config = stack.config_v4().filter(|_| stack.is_link_up())?;
    Some((config.address.address(), config.address.prefix_len()))
}

/// Borrows the responder, unless it is borrowed elsewhere.
fn with<'a, R>(
    responder: &RefCell<Responder<'a>>,
    work: impl FnOnce(&mut Responder<'a>) -> R,
) -> Option<R> {
    responder
        .try_borrow_mut()
        .ok()
        .map(|mut responder| work(&mut responder))
}
