//! The sockets with which one link is asked and listened to.
//!
//! Questions go out from two ports. From a port of our own each board answers us alone and at
//! once (RFC 6762 §6.7), with no regard to what others have just asked. From port 5353, which is
//! shared with whatever mDNS service runs on this computer, they answer everybody, which passes
//! firewalls that know mDNS; on it announcements and goodbyes come, too. Each of the two is
//! enough, so that a taken port or a strict firewall costs nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::message::MAX_MESSAGE;
use crate::net::interfaces::Interface;

/// The port of mDNS.
pub const PORT: u16 = 5353;
/// The groups of mDNS.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// Bytes that the kernel is asked to hold for us: hundreds of boards answer within 100 ms.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The sockets of one link and one address family.
#[derive(Debug)]
pub struct Link {
    /// The interface's number.
    pub interface: u32,
    group: SocketAddr,
    /// From a port of our own.
    own: Option<UdpSocket>,
    /// From the port of mDNS.
    shared: Option<UdpSocket>,
}

/// A datagram from a link.
#[derive(Debug)]
pub struct Received {
    /// The interface's number.
    pub interface: u32,
    /// Who sent it.
    pub from: SocketAddr,
    /// What it says.
    pub bytes: Vec<u8>,
    /// Whether it came to the port of mDNS, where what is told to everybody comes.
    pub to_all: bool,
}

impl Link {
    /// The links of an interface, one for each address family that it has.
    ///
    /// # Errors
    /// Neither socket of any family could be had.
    pub fn open(interface: &Interface, port: u16) -> io::Result<Vec<Self>> {
        let mut links = Vec::new();
        let mut problem = io::ErrorKind::AddrNotAvailable.into();
        let mut add =
            |group: SocketAddr, own: io::Result<Socket>, shared: io::Result<Socket>| match (
                own.and_then(into_tokio),
                shared.and_then(into_tokio),
            ) {
                (Err(error), Err(_)) => problem = error,
                (own, shared) => links.push(Self {
                    interface: interface.index,
                    group,
                    own: own.ok(),
                    shared: shared.ok(),
                }),
            };
        if let Some((address, _)) = interface.v4.first() {
            let own = multicast_v4(*address, SocketAddr::new((*address).into(), 0));
            let shared = shared_v4(interface, port);
            add(SocketAddr::new(GROUP_V4.into(), port), own, shared);
        }
        if !interface.v6.is_empty() {
            let own = multicast_v6(interface.index, 0);
            let shared = shared_v6(interface.index, port);
            let group = SocketAddrV6::new(GROUP_V6, port, 0, interface.index);
            add(group.into(), own, shared);
        }
        if links.is_empty() {
            return Err(problem);
        }
        Ok(links)
    }

    /// Whether announcements are heard here.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Asks from our own port, or, where there is none, from that of mDNS.
    ///
    /// # Errors
    /// What the system says: the interface may be gone.
    pub async fn ask(&self, query: &[u8]) -> io::Result<()> {
        let socket = self.own.as_ref().or(self.shared.as_ref());
        match socket {
            Some(socket) => socket.send_to(query, self.group).await.map(drop),
            None => Ok(()),
        }
    }

    /// Asks one host alone, from our own port, as RFC 6762 §5.5 has it; nobody, where the host is of
    /// another family than this link.
    ///
    /// # Errors
    /// What the system says: there may be no way to the host.
    pub async fn ask_alone(&self, host: IpAddr, query: &[u8]) -> io::Result<()> {
        let port = self.group.port();
        let to: SocketAddr = match (host, self.group) {
            (IpAddr::V4(host), SocketAddr::V4(_)) => (host, port).into(),
            (IpAddr::V6(host), SocketAddr::V6(_)) => {
                SocketAddrV6::new(host, port, 0, self.interface).into()
            }
            _ => return Ok(()),
        };
        match &self.own {
            Some(socket) => socket.send_to(query, to).await.map(drop),
            None => Ok(()),
        }
    }

    /// Asks from the port of mDNS, if that is ours too.
    ///
    /// # Errors
    /// What the system says: the interface may be gone.
    pub async fn ask_all(&self, query: &[u8]) -> io::Result<()> {
        match &self.shared {
            Some(socket) => socket.send_to(query, self.group).await.map(drop),
            None => Ok(()),
        }
    }

    /// Waits for a datagram. It may be dropped while it waits, and nothing is lost.
    pub async fn receive(&self) -> Received {
        // A longer one is cut, and then read as far as it goes.
        let mut buffer = vec![0; MAX_MESSAGE];
        loop {
            let mut to_all = false;
            let result = tokio::select! {
                result = receive(self.own.as_ref(), &mut buffer) => result,
                result = receive_again(self.shared.as_ref()) => match result {
                    Ok(()) => {
                        let Some(socket) = &self.shared else { continue };
                        to_all = true;
                        match socket.try_recv_from(&mut buffer) {
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                            result => result,
                        }
                    }
                    Err(error) => Err(error),
                },
            };
            match result {
                Ok((length, from)) => {
                    return Received {
                        interface: self.interface,
                        from,
                        bytes: buffer[..length].to_vec(),
                        to_all,
                    };
                }
                // An ICMP message about a datagram of ours, or an interface that has gone: the
                // next look at the interfaces says which.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    }
}

async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => std::future::pending().await,
    }
}

async fn receive_again(socket: Option<&UdpSocket>) -> io::Result<()> {
    match socket {
        Some(socket) => socket.readable().await,
        None => std::future::pending().await,
    }
}

fn into_tokio(socket: Socket) -> io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

/// A socket on the port of mDNS, beside those of others, that hears the group on one interface
/// only, and sends to it there.
///
/// # Errors
/// The port is taken by somebody who does not share it, or the interface has no multicast.
pub fn shared_v4(interface: &Interface, port: u16) -> io::Result<Socket> {
    let address = interface.v4.first().map(|(address, _)| *address);
    let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
    // What is sent to this computer alone is left to its own mDNS service, where the system lets a
    // socket have the group's address.
    let bind = if cfg!(target_os = "linux") {
        GROUP_V4
    } else {
        Ipv4Addr::UNSPECIFIED
    };
    let socket = multicast_v4(address, SocketAddr::new(bind.into(), port))?;
    // Linux gives a socket what any other has joined, on any interface, unless told otherwise.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_multicast_all_v4(false)?;
    let on = if cfg!(windows) {
        InterfaceIndexOrAddress::Address(address)
    } else {
        InterfaceIndexOrAddress::Index(interface.index)
    };
    socket.join_multicast_v4_n(&GROUP_V4, &on)?;
    Ok(socket)
}

fn multicast_v4(address: Ipv4Addr, bind: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    if bind.port() != 0 {
        share(&socket)?;
    }
    socket.set_multicast_if_v4(&address)?;
    // RFC 6762 §11.
    socket.set_multicast_ttl_v4(255)?;
    enlarge(&socket);
    socket.bind(&bind.into())?;
    Ok(socket)
}

fn shared_v6(index: u32, port: u16) -> io::Result<Socket> {
    let socket = multicast_v6(index, port)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_multicast_all_v6(false)?;
    socket.join_multicast_v6(&GROUP_V6, index)?;
    Ok(socket)
}

fn multicast_v6(index: u32, port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    if port != 0 {
        share(&socket)?;
    }
    socket.set_multicast_if_v6(index)?;
    socket.set_multicast_hops_v6(255)?;
    enlarge(&socket);
    let bind = if port != 0 && cfg!(target_os = "linux") {
        SocketAddrV6::new(GROUP_V6, port, 0, index)
    } else {
        SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0)
    };
    socket.bind(&SocketAddr::V6(bind).into())?;
    Ok(socket)
}

/// Lets others have the same port, as they let us.
fn share(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    Ok(())
}

fn enlarge(socket: &Socket) {
    // The kernel gives what it allows; with less, a crowd is asked again.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
}
