//! Dialing addresses: address family, local address, interface and timeout.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use super::{ConnectError, eyeballs};
use crate::failure::reason;
use crate::sys;

/// Address families to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// IPv4 and IPv6.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    /// Whether `address` is of this family.
    pub fn includes(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// How to connect.
#[derive(Debug, Clone)]
pub struct Dialer {
    /// Address families to use.
    pub family: Family,
    /// The local address to connect from.
    pub source: Option<IpAddr>,
    /// The network interface to connect through.
    pub interface: Option<String>,
    /// Limit for resolving the name and trying all its addresses together.
    pub timeout: Duration,
}

/// A connected socket.
#[derive(Debug)]
pub struct Dialed {
    /// The socket.
    pub stream: TcpStream,
    /// The peer's address.
    pub address: SocketAddr,
    /// Time from the first attempt to the established connection.
    pub connect_time: Duration,
}

impl Dialer {
    /// Connects to whichever of `addresses` answers first (RFC 8305).
    ///
    /// # Errors
    /// No connection to any of them before `deadline`.
    pub async fn dial(
        &self,
        addresses: Vec<SocketAddr>,
        deadline: Instant,
    ) -> Result<Dialed, ConnectError> {
        let begin = Instant::now();
        let attempt = |address| {
            let dialer = self.clone();
            async move { dialer.attempt(address).await }
        };
        let race = eyeballs::race(eyeballs::interleave(addresses.clone()), attempt);
        let (address, stream) = tokio::time::timeout_at(deadline.into(), race)
            .await
            .map_err(|_| ConnectError::TimedOut {
                after: self.timeout,
                addresses,
            })?
            .map_err(ConnectError::from_attempts)?;
        Ok(Dialed {
            stream,
            address,
            connect_time: begin.elapsed(),
        })
    }

    /// Whether the family and the source address allow connecting to `address`.
    pub fn allows(&self, address: SocketAddr) -> bool {
        self.family.includes(address.ip())
            && self
                .source
                .is_none_or(|source| source.is_ipv4() == address.is_ipv4())
    }

    async fn attempt(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        if let Some(interface) = &self.interface {
            sys::bind_to_interface(&socket, interface, address)?;
        }
        if let Some(source) = self.source {
            socket
                .bind(&SocketAddr::new(source, 0).into())
                .map_err(|error| source_error(&error, source))?;
        }
        // Messages are written as a whole, so Nagle's algorithm would only delay them.
        socket.set_tcp_nodelay(true)?;
        TcpSocket::from_std_stream(socket.into())
            .connect(address)
            .await
    }
}

/// Adds the local address to an error, so that the error does not seem to be about the peer's
/// address.
fn source_error(error: &io::Error, source: IpAddr) -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        format!("cannot use source address {source}: {}", reason(error)),
    )
}
