//! From an endpoint to a connected stream.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use super::{ConnectError, Stream, eyeballs};
use crate::discover::names;
use crate::sim::Session;
use crate::sys;
use crate::target::DEFAULT_PORT;

/// How long a board has to answer where it was a moment ago, before the network is asked.
const REMEMBERED_PATIENCE: Duration = Duration::from_millis(700);

/// What can be connected to, as often as one likes.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// A name; it is resolved for each connection, for a board's address changes.
    Name {
        /// The name.
        host: String,
        /// The port, where it is not for the board to tell.
        port: Option<u16>,
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
    /// Connects to `endpoint`, by whichever of its addresses answers first.
    ///
    /// # Errors
    /// No address, or no connection to any, within the time that it has.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, ConnectError> {
        let deadline = Instant::now() + self.timeout;
        match endpoint {
            Endpoint::Name { host, port } => self.connect_by_name(host, *port, deadline).await,
            Endpoint::Addresses(addresses) => self.race(addresses.clone(), deadline).await,
            Endpoint::Virtual(session) => self.virtual_connect(session).await,
        }
    }

    /// Connects to a name. Where a board was a moment ago it most likely still is; if not, the
    /// network is asked.
    async fn connect_by_name(
        &self,
        host: &str,
        port: Option<u16>,
        deadline: Instant,
    ) -> Result<Connection, ConnectError> {
        let wanted = names::Wanted {
            host,
            port,
            interface: self.interface.as_deref(),
        };
        let kind = names::kind(host);
        if matches!(kind, names::Kind::Board | names::Kind::Either)
            && let Some(addresses) = names::remembered(&wanted)
        {
            let addresses = self.allowed(addresses);
            let soon = deadline.min(Instant::now() + REMEMBERED_PATIENCE);
            if !addresses.is_empty() {
                if let Ok(connection) = self.race(addresses, soon).await {
                    return Ok(connection);
                }
                names::forget(host);
            }
        }
        let port_or_default = port.unwrap_or(DEFAULT_PORT);
        let system = self.resolve(host, port_or_default, deadline);
        let network = self.ask_network(&wanted, deadline);
        let addresses = match kind {
            names::Kind::System => system.await?,
            names::Kind::Board => network.await?,
            names::Kind::SystemFirst => {
                let later = async {
                    tokio::time::sleep(names::RESOLVER_FIRST).await;
                    network.await
                };
                either(system, later).await?
            }
            // Both are asked at once, so that neither waits for the other's patience.
            names::Kind::Either => either(system, network).await?,
        };
        self.race(addresses, deadline).await
    }

    /// Asks the boards themselves who has a name.
    async fn ask_network(
        &self,
        wanted: &names::Wanted<'_>,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let failed = |reason: String| ConnectError::Resolve {
            host: wanted.host.to_owned(),
            reason,
        };
        let patience = deadline.saturating_duration_since(Instant::now());
        let addresses = names::ask(wanted, patience).await.map_err(failed)?;
        let addresses = self.allowed(addresses);
        if addresses.is_empty() {
            return Err(failed(self.no_address()));
        }
        Ok(addresses)
    }

    fn allowed(&self, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let mut addresses = addresses;
        addresses.retain(|address| self.allows(*address));
        addresses
    }

    /// Why a name with addresses has none that may be used.
    fn no_address(&self) -> String {
        match self.family {
            Family::V4 => "it has no IPv4 address".to_owned(),
            Family::V6 => "it has no IPv6 address".to_owned(),
            Family::Any => "it has no address of the source's family".to_owned(),
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
            return Err(failed(self.no_address()));
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
        let race = eyeballs::race(eyeballs::interleave(addresses.clone()), attempt);
        let (address, stream) = tokio::time::timeout_at(deadline.into(), race)
            .await
            .map_err(|_| ConnectError::TimedOut {
                after: self.timeout,
                addresses,
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
                addresses: vec![address],
            })?
            .map_err(|error| ConnectError::from_attempts(vec![(address, error)]))?;
        Ok(Connection {
            stream: Stream::Virtual(stream),
            address,
            connect_time: begin.elapsed(),
        })
    }
}

/// The first of two resolvers that knows the name; where neither does, what both say.
async fn either(
    system: impl Future<Output = Result<Vec<SocketAddr>, ConnectError>>,
    network: impl Future<Output = Result<Vec<SocketAddr>, ConnectError>>,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let (mut system, mut network) = (pin!(system), pin!(network));
    let reason = |error: ConnectError| match error {
        ConnectError::Resolve { host, reason } => (host, reason),
        other => (String::new(), other.to_string()),
    };
    tokio::select! {
        result = &mut system => match result {
            Ok(addresses) => Ok(addresses),
            Err(error) => match network.await {
                Ok(addresses) => Ok(addresses),
                Err(other) => {
                    let (host, network) = reason(other);
                    let (_, system) = reason(error);
                    Err(ConnectError::Resolve {
                        host,
                        reason: format!("{network}; the system's resolver: {system}"),
                    })
                }
            },
        },
        result = &mut network => match result {
            Ok(addresses) => Ok(addresses),
            Err(error) => system.await.map_err(|_| error),
        },
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
