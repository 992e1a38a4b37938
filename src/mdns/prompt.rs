//! Queries from an own port.
//!
//! Boards answer such a legacy unicast query at once and to us alone (RFC 6762 §6.7), so the first
//! board is found in milliseconds, also where another program holds port 5353. A firewall that lets
//! only port 5353 pass drops these answers: the daemon finds those boards.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::message::MAX_MESSAGE;
use crate::net::interfaces::Interface;

/// The multicast groups of mDNS.
pub(super) const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// Requested receive buffer, in bytes: hundreds of boards answer within 100 ms.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A socket that asks on one interface over one address family.
#[derive(Debug)]
pub(super) struct Prompt {
    interface: u32,
    group: SocketAddr,
    socket: UdpSocket,
}

/// A received datagram.
#[derive(Debug)]
pub struct Packet {
    /// The index of the interface.
    pub interface: u32,
    /// The sender.
    pub from: SocketAddr,
    /// The message.
    pub bytes: Vec<u8>,
}

impl Prompt {
    /// Opens a socket for each address family of an interface.
    ///
    /// # Errors
    /// No family has a usable socket.
    pub(super) fn open(interface: &Interface, port: u16) -> io::Result<Vec<Self>> {
        let index = interface.index;
        let v4 = interface.v4.first().map(|(address, _)| {
            let group = SocketAddr::new(GROUP_V4.into(), port);
            (group, socket_v4(*address))
        });
        let v6 = (!interface.v6.is_empty()).then(|| {
            let group = SocketAddrV6::new(GROUP_V6, port, 0, index).into();
            (group, socket_v6(index))
        });
        let mut prompts = Vec::new();
        let mut problem = io::ErrorKind::AddrNotAvailable.into();
        for (group, socket) in v4.into_iter().chain(v6) {
            match socket.and_then(|socket| UdpSocket::from_std(socket.into())) {
                Ok(socket) => prompts.push(Self {
                    interface: index,
                    group,
                    socket,
                }),
                Err(error) => problem = error,
            }
        }
        if prompts.is_empty() {
            return Err(problem);
        }
        Ok(prompts)
    }

    /// Sends a query to the multicast group.
    ///
    /// # Errors
    /// What the system reports: the interface may be gone.
    pub(super) async fn ask(&self, query: &[u8]) -> io::Result<()> {
        self.socket.send_to(query, self.group).await.map(drop)
    }

    /// Sends a query to one host (RFC 6762 §5.5); does nothing for a host of the other family.
    ///
    /// # Errors
    /// What the system reports: there may be no route.
    pub(super) async fn ask_host(&self, host: IpAddr, query: &[u8]) -> io::Result<()> {
        let port = self.group.port();
        let to: SocketAddr = match (host, self.group) {
            (IpAddr::V4(host), SocketAddr::V4(_)) => (host, port).into(),
            (IpAddr::V6(host), SocketAddr::V6(_)) => {
                SocketAddrV6::new(host, port, 0, self.interface).into()
            }
            _ => return Ok(()),
        };
        self.socket.send_to(query, to).await.map(drop)
    }

    /// Waits for a datagram. Cancel safe.
    pub(super) async fn receive(&self) -> Packet {
        // A longer message is truncated and parsed up to the cut.
        let mut buffer = vec![0; MAX_MESSAGE];
        loop {
            match self.socket.recv_from(&mut buffer).await {
                Ok((length, from)) => {
                    return Packet {
                        interface: self.interface,
                        from,
                        bytes: buffer[..length].to_vec(),
                    };
                }
                // An ICMP error for one of our datagrams, or the interface is gone.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    }
}

fn socket_v4(address: Ipv4Addr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_multicast_if_v4(&address)?;
    // RFC 6762 §11.
    socket.set_multicast_ttl_v4(255)?;
    prepare(socket, SocketAddr::new(address.into(), 0))
}

fn socket_v6(index: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.set_multicast_if_v6(index)?;
    socket.set_multicast_hops_v6(255)?;
    prepare(socket, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0))
}

fn prepare(socket: Socket, bind: SocketAddr) -> io::Result<Socket> {
    // The kernel may grant less. The query is then repeated.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&bind.into())?;
    Ok(socket)
}
