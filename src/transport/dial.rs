//! From an endpoint to a connected stream.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use super::{ConnectError, Stream, eyeballs};
use crate::sim::Session;
use crate::sys;

/// What can be connected to, as often as one likes.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// A name; it is resolved for each connection, for a board's address changes.
    Name {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
    /// Addresses of one server, the preferred first.
    Addresses(Vec<SocketAddr>),
    /// A virtual board; it lives as long as its last endpoint.
    Virtual(Rc<Session>),
}

/// Which addresses to use.
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
pub struct Dial {
    /// Which addresses to use.
    pub family: Family,
    /// The local address to connect from.
    pub source: Option<IpAddr>,
    /// The network interface to connect through.
    pub interface: Option<String>,
    /// For the name and all addresses together.
    pub timeout: Duration,
}

/// A connected stream.
#[derive(Debug)]
pub struct Connection {
    /// The stream.
    pub stream: Stream,
    /// The peer's address.
    pub address: SocketAddr,
    /// From the first attempt to the established connection; the name's resolution is not in it.
    pub connect_time: Duration,
}

impl Dial {
    /// Connects to `endpoint`.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, ConnectError> {
        let deadline = Instant::now() + self.timeout;
        match endpoint {
            Endpoint::Name { host, port } => {
                let addresses = self.resolve(host, *port, deadline).await?;
                self.race(addresses, deadline).await
            }
            Endpoint::Addresses(addresses) => self.race(addresses.clone(), deadline).await,
            Endpoint::Virtual(session) => self.virtual_connect(session).await,
        }
    }

    async fn resolve(
        &self,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let failed = |reason: String| ConnectError::Resolve {
            host: host.to_owned(),
            reason,
        };
        let found = tokio::time::timeout_at(deadline.into(), tokio::net::lookup_host((host, port)))
            .await
            .map_err(|_| failed(format!("no answer within {:?}", self.timeout)))?
            .map_err(|error| failed(resolver_reason(&error)))?;
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in found {
            // getaddrinfo may name an address once for each socket type.
            if self.allows(address) && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(failed(match self.family {
                Family::V4 => "it has no IPv4 address".to_owned(),
                Family::V6 => "it has no IPv6 address".to_owned(),
                Family::Any => "it has no address of the source's family".to_owned(),
            }));
        }
        Ok(addresses)
    }

    /// Whether the family and the source address allow connecting to `address`.
    pub fn allows(&self, address: SocketAddr) -> bool {
        self.family.includes(address.ip())
            && self
                .source
                .is_none_or(|source| source.is_ipv4() == address.is_ipv4())
    }

    async fn race(
        &self,
        addresses: Vec<SocketAddr>,
        deadline: Instant,
    ) -> Result<Connection, ConnectError> {
        let begin = Instant::now();
        let attempt = |address| {
            let dial = self.clone();
            async move { dial.attempt(address).await }
        };
        let race = eyeballs::race(eyeballs::interleave(addresses), attempt);
        let (address, stream) = tokio::time::timeout_at(deadline.into(), race)
            .await
            .map_err(|_| ConnectError::TimedOut {
                after: self.timeout,
            })?
            .map_err(ConnectError::from_attempts)?;
        Ok(Connection {
            stream: Stream::Kernel(stream),
            address,
            connect_time: begin.elapsed(),
        })
    }

    async fn attempt(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )?;
        if let Some(interface) = &self.interface {
            sys::bind_to_interface(&socket, interface)?;
        }
        if let Some(source) = self.source {
            socket
                .bind(&SocketAddr::new(source, 0).into())
                .map_err(|error| local(&error, source))?;
        }
        // A message is written as a whole: nothing is to be waited for.
        socket.set_tcp_nodelay(true)?;
        TcpSocket::from_std_stream(socket.into())
            .connect(address)
            .await
    }

    async fn virtual_connect(&self, session: &Session) -> Result<Connection, ConnectError> {
        let begin = Instant::now();
        let address = session.address();
        let stream = tokio::time::timeout(self.timeout, session.connect(address))
            .await
            .map_err(|_| ConnectError::TimedOut {
                after: self.timeout,
            })?
            .map_err(|error| ConnectError::from_attempts(vec![(address, error)]))?;
        Ok(Connection {
            stream: Stream::Virtual(stream),
            address,
            connect_time: begin.elapsed(),
        })
    }
}

/// The resolver's own words, without the prefix that std puts before them.
fn resolver_reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.rsplit(": ").next().unwrap_or(&text).to_owned()
}

/// An error of the local address, told apart from those of the peer by naming the address.
fn local(error: &io::Error, source: IpAddr) -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        format!("the source address {source} can't be used: {error}"),
    )
}
