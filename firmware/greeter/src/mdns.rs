//! The mDNS responder: `HOSTNAME.local` and the service `HOSTNAME._tcpctl._tcp.local`
//! (RFC 6762, RFC 6763).
//!
//! [`Responder`] is the protocol from datagrams and times to datagrams; it knows neither a socket
//! nor a clock. [`run`] lends it both.
//!
//! Messages are read and written by `edge-mdns` and the `domain` crate that it re-exports. Its
//! ready-made responder is not used: it neither probes nor takes leave, sends answers without the
//! cache-flush bit, matches a question's name but not its type, and ignores known answers.

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

/// The largest datagram taken or sent, in bytes: what an Ethernet frame holds.
const MAX_DATAGRAM: usize = 1472;
/// Datagrams that may wait while one is worked on. Queries come in bursts: everybody answers, and
/// everybody hears everybody.
const WAITING: usize = 8;
/// How often the board's address is looked at, in ms. The stack's own notice of a change wakes one
/// waiter only, and two tasks waiting for it wake each other for ever.
const ADDRESS_CHECK: u64 = 250;

/// The memory of [`run`]: about 9 kB, borrowed for as long as it runs.
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

/// Announces the board and answers for it until `shutdown` completes; then says goodbye and
/// returns. Keep polling the stack's runner until it has.
///
/// It waits for an address, starts again whenever link or address changed, and tells `on_event`
/// with the host name that counts from then on. The responder is borrowed only between two waits,
/// so a console may ask it for its name.
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
    // RFC 6762 §11: so that older peers see that we are on their link.
    socket.set_hop_limit(Some(255));
    let mut shutdown = pin!(shutdown);
    loop {
        udp::ensure_bound(&mut socket, PORT).await;
        if !stack.has_multicast_group(GROUP) {
            // Fails only while the stack's table of groups is full; the next round tries again.
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
            // A datagram too large for us, or time to look at the clock.
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

/// The board's address while it can be reached there.
fn network(stack: Stack<'_>) -> Option<(core::net::Ipv4Addr, u8)> {
    let config = stack.config_v4().filter(|_| stack.is_link_up())?;
    Some((config.address.address(), config.address.prefix_len()))
}

/// Works on the responder, or not at all while somebody else has it borrowed.
fn with<'a, R>(
    responder: &RefCell<Responder<'a>>,
    work: impl FnOnce(&mut Responder<'a>) -> R,
) -> Option<R> {
    responder
        .try_borrow_mut()
        .ok()
        .map(|mut responder| work(&mut responder))
}
