//! Virtual boards on this computer's own mDNS: the firmware's responder over the kernel's sockets.
//!
//! The responder takes what comes from its own address for its own packets, which some access
//! points send back. On a computer, other programs have that address too. So its own packets are
//! told apart here, by what is in them, and the others' get another address of the link for as long
//! as the responder looks at them.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::pin;
use std::time::{Duration, Instant};

use tcpctl_greeter::mdns::{Datagram, Event, GROUP, Identity, Responder};
use tokio::net::UdpSocket;

use crate::mdns::link;
use crate::mdns::message::MAX_MESSAGE;
use crate::net::interfaces::Interface;

/// Room for an answer: an Ethernet frame's.
const MAX_ANSWER: usize = 1472;
/// Own packets that are remembered.
const MAX_REMEMBERED: usize = 4096;

/// Announces boards on an interface until `stop` is done, and then says goodbye for them.
///
/// Boards that are announced together do not hear each other: their names must differ.
/// `address` is where they are reached, one of the interface's, with the length of its prefix;
/// `port` is that of mDNS. `tell` hears what happens to which board's name.
///
/// # Errors
/// The interface has no multicast, or the port is taken by a program that does not share it.
pub async fn announce(
    interface: &Interface,
    address: (Ipv4Addr, u8),
    port: u16,
    identities: &[Identity<'_>],
    stop: impl Future<Output = ()>,
    mut tell: impl FnMut(usize, Event, &str),
) -> io::Result<()> {
    let socket = link::shared_v4(interface, port)?;
    socket.set_nonblocking(true)?;
    let mut wire = Wire {
        socket: UdpSocket::from_std(socket.into())?,
        address: address.0,
        port,
        sent: Sent::default(),
    };
    let begin = Instant::now();
    let mut boards = Vec::new();
    for (seed, identity) in (1..).zip(identities) {
        let responder = Responder::new(identity, seed)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        boards.push(responder);
    }
    for board in &mut boards {
        board.set_network(0, Some(address));
    }
    let mut received = vec![0; MAX_MESSAGE];
    let mut out = vec![0; MAX_ANSWER];
    let mut stop = pin!(stop);
    loop {
        let now = milliseconds(begin);
        let mut next = u64::MAX;
        for (number, board) in boards.iter_mut().enumerate() {
            while let Some(datagram) = board.on_timer(now, &mut out) {
                wire.send(&out, datagram, None).await;
            }
            if let Some(event) = board.take_event() {
                tell(number, event, board.hostname());
            }
            next = next.min(board.next_timer().unwrap_or(u64::MAX));
        }
        let wait = Duration::from_millis(next.saturating_sub(milliseconds(begin)).clamp(1, 60_000));
        tokio::select! {
            () = &mut stop => break,
            got = wire.socket.recv_from(&mut received) => {
                // An error is about a datagram that nobody took: it is no reason to be silent.
                if let Ok((length, SocketAddr::V4(from))) = got {
                    wire.answer(&mut boards, milliseconds(begin), from, &received[..length], &mut out)
                        .await;
                }
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
    for board in &mut boards {
        if let Some(datagram) = board.goodbye(&mut out) {
            wire.send(&out, datagram, None).await;
        }
    }
    Ok(())
}

fn milliseconds(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The socket, and what it has sent.
struct Wire {
    socket: UdpSocket,
    address: Ipv4Addr,
    port: u16,
    sent: Sent,
}

impl Wire {
    /// Hands a datagram to the boards, and sends what they answer at once.
    async fn answer(
        &mut self,
        boards: &mut [Responder<'_>],
        now: u64,
        from: SocketAddrV4,
        packet: &[u8],
        out: &mut [u8],
    ) {
        let ours = *from.ip() == self.address;
        if ours && from.port() == self.port && self.sent.contains(packet) {
            return;
        }
        // The responder knows one port of mDNS; a test's is another.
        let seen_port = if from.port() == self.port {
            tcpctl_greeter::mdns::PORT
        } else {
            from.port()
        };
        let seen = SocketAddrV4::new(if ours { self.alias() } else { *from.ip() }, seen_port);
        for board in boards {
            if let Some(datagram) = board.on_packet(now, seen, GROUP.into(), packet, out) {
                self.send(out, datagram, Some(from)).await;
            }
        }
    }

    /// Another address of the same link.
    fn alias(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() ^ 1)
    }

    /// Sends to the group, or to the one who asked. What can't be sent is lost, as on any network.
    async fn send(&mut self, out: &[u8], datagram: Datagram, asked: Option<SocketAddrV4>) {
        let packet = &out[..datagram.len];
        let to = match asked {
            Some(asked) if *datagram.to.ip() != GROUP => asked,
            _ => SocketAddrV4::new(GROUP, self.port),
        };
        if *to.ip() == GROUP {
            self.sent.remember(packet);
        }
        let _ = self.socket.send_to(packet, to).await;
    }
}

/// Packets that were sent, by their hash.
#[derive(Default)]
struct Sent {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Sent {
    fn remember(&mut self, packet: &[u8]) {
        let hash = hash(packet);
        if self.known.insert(hash) {
            self.order.push_back(hash);
        }
        if self.order.len() > MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn contains(&self, packet: &[u8]) -> bool {
        self.known.contains(&hash(packet))
    }
}

fn hash(packet: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    packet.hash(&mut hasher);
    hasher.finish()
}
