//! The DHCP server at the host's end of the link, for a virtual board in station mode.

use std::net::{Ipv4Addr, SocketAddrV4};

use embassy_time::Instant;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::udp;
use tcpctl_greeter::dhcp::{Config, MAX_REPLY, SERVER_PORT, Server};

/// The only leased address, because there is one board on the link.
pub(super) const LEASED: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 50);

/// Maximum queued datagrams. A client sends one at a time.
const WAITING: usize = 4;
const MAX_REQUEST: usize = 1472;

/// A DHCP server on a socket of the client stack.
pub(super) struct Router {
    server: Server<1>,
    socket: SocketHandle,
}

impl Router {
    /// A router with this address that leases [`LEASED`].
    pub(super) fn new(sockets: &mut SocketSet<'_>, address: Ipv4Addr, prefix: u8) -> Self {
        let server = Config::new(address, prefix, LEASED, LEASED)
            .and_then(Server::new)
            .unwrap_or_else(|error| unreachable!("one address is a pool: {error}"));
        let buffer = || {
            udp::PacketBuffer::new(
                vec![udp::PacketMetadata::EMPTY; WAITING],
                vec![0; WAITING * MAX_REQUEST],
            )
        };
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket
            .bind(SERVER_PORT)
            .unwrap_or_else(|error| unreachable!("a new socket has no other port: {error}"));
        Self {
            server,
            socket: sockets.add(socket),
        }
    }

    /// Answers pending requests. Returns whether it queued a reply.
    pub(super) fn serve(&mut self, sockets: &mut SocketSet<'_>, now: Instant) -> bool {
        let socket: &mut udp::Socket<'_> = sockets.get_mut(self.socket);
        let mut request = [0; MAX_REQUEST];
        let mut reply = [0; MAX_REPLY];
        let mut answered = false;
        while socket.can_recv() {
            // An error means an oversized datagram.
            let Ok((length, _)) = socket.recv_slice(&mut request) else {
                continue;
            };
            let answer = self
                .server
                .answer(now.as_secs(), &request[..length], &mut reply);
            if let Some(datagram) = answer.and_then(|answer| answer.reply) {
                let to = SocketAddrV4::new(*datagram.to.ip(), datagram.to.port());
                // If the reply is dropped, the board repeats the request.
                answered |= socket.send_slice(&reply[..datagram.len], to).is_ok();
            }
        }
        answered
    }
}
