//! Connects to a TARGET: by name, by address, or to a virtual board.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::config::{self, Key};
use crate::discover::names;
use crate::failure::{Failure, Kind, reason};
use crate::net::{ConnectError, Dialer, Family};
use crate::serial::port::{self, SelectedPort};
use crate::sim::Session;
use crate::target::{DEFAULT_PORT, Target, TargetKind};

mod stream;

pub use stream::Stream;

/// How long to try a board's cached address before querying the network for its name.
const CACHED_ADDRESS_TIMEOUT: Duration = Duration::from_millis(700);

/// A destination for any number of connections.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// A name. It is resolved for each connection, because a board's address can change.
    Name {
        /// The name.
        host: String,
        /// Port; `None` for the port that the board announces.
        port: Option<u16>,
    },
    /// Addresses of one server, the preferred one first.
    Addresses(Vec<SocketAddr>),
    /// A virtual board, which runs as long as an endpoint refers to it.
    Virtual(Rc<Session>),
}

/// A connected stream.
#[derive(Debug)]
pub struct Connection {
    /// The stream.
    pub stream: Stream,
    /// The peer's address.
    pub address: SocketAddr,
    /// Time from the first attempt to the established connection, without name resolution.
    pub connect_time: Duration,
}

impl Endpoint {
    /// The endpoint of `target`. Starts a virtual board.
    ///
    /// # Errors
    /// The virtual board did not start.
    pub fn open(target: &Target) -> Result<Self, Failure> {
        Ok(match &target.kind {
            TargetKind::Name { host, port } => Self::Name {
                host: host.clone(),
                port: *port,
            },
            TargetKind::Addresses(addresses) => Self::Addresses(addresses.clone()),
            TargetKind::Virtual(spec) => {
                Self::Virtual(Rc::new(Session::start(spec).map_err(|error| {
                    Failure::new(
                        Kind::Device,
                        format!("cannot start the virtual board: {}", reason(&error)),
                    )
                    .about(&*target.text)
                })?))
            }
        })
    }
}

/// Connects to whichever address of `endpoint` answers first.
///
/// # Errors
/// No address, or no connection to any of them within the dialer's timeout.
pub async fn connect(dialer: &Dialer, endpoint: &Endpoint) -> Result<Connection, ConnectError> {
    let deadline = Instant::now() + dialer.timeout;
    match endpoint {
        Endpoint::Name { host, port } => connect_by_name(dialer, host, *port, deadline).await,
        Endpoint::Addresses(addresses) => dial(dialer, addresses.clone(), deadline).await,
        Endpoint::Virtual(session) => virtual_connect(dialer, session, session.address()).await,
    }
}

/// Connects to another port of the same board.
///
/// # Errors
/// As [`connect`].
pub async fn connect_to_port(
    dialer: &Dialer,
    endpoint: &Endpoint,
    port: u16,
) -> Result<Connection, ConnectError> {
    match endpoint {
        Endpoint::Name { host, .. } => {
            let endpoint = Endpoint::Name {
                host: host.clone(),
                port: Some(port),
            };
            connect(dialer, &endpoint).await
        }
        Endpoint::Addresses(addresses) => {
            let mut addresses = addresses.clone();
            for address in &mut addresses {
                address.set_port(port);
            }
            connect(dialer, &Endpoint::Addresses(addresses)).await
        }
        Endpoint::Virtual(session) => {
            virtual_connect(
                dialer,
                session,
                SocketAddr::new(session.address().ip(), port),
            )
            .await
        }
    }
}

async fn dial(
    dialer: &Dialer,
    addresses: Vec<SocketAddr>,
    deadline: Instant,
) -> Result<Connection, ConnectError> {
    let connected = dialer.dial(addresses, deadline).await?;
    Ok(Connection {
        stream: Stream::Kernel(connected.stream),
        address: connected.address,
        connect_time: connected.connect_time,
    })
}

/// Connects by name: first to the cached address of a board, then to the resolved addresses.
async fn connect_by_name(
    dialer: &Dialer,
    host: &str,
    port: Option<u16>,
    deadline: Instant,
) -> Result<Connection, ConnectError> {
    let wanted = names::NameQuery {
        host,
        port,
        interface: dialer.interface.as_deref(),
    };
    let kind = names::resolver(host);
    if matches!(kind, names::Resolver::Boards | names::Resolver::Either)
        && let Some(addresses) = names::cached(&wanted)
    {
        let addresses = allowed(dialer, addresses);
        let soon = deadline.min(Instant::now() + CACHED_ADDRESS_TIMEOUT);
        if !addresses.is_empty() {
            if let Ok(connection) = dial(dialer, addresses, soon).await {
                return Ok(connection);
            }
            names::forget(host);
        }
    }
    let port_or_default = port.unwrap_or(DEFAULT_PORT);
    let system = resolve(dialer, host, port_or_default, deadline);
    let network = ask_network(dialer, &wanted, deadline);
    let addresses = match kind {
        names::Resolver::System => system.await?,
        names::Resolver::Boards => network.await?,
        names::Resolver::SystemFirst => {
            let later = async {
                tokio::time::sleep(names::SYSTEM_TIMEOUT).await;
                network.await
            };
            either(system, later).await?
        }
        // Run both resolvers at once, so that neither waits for the other's timeout.
        names::Resolver::Either => either(system, network).await?,
    };
    dial(dialer, addresses, deadline).await
}

/// Resolves a name by mDNS.
async fn ask_network(
    dialer: &Dialer,
    wanted: &names::NameQuery<'_>,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let failed = |reason: String| ConnectError::Resolve {
        host: wanted.host.to_owned(),
        reason,
    };
    let timeout = deadline.saturating_duration_since(Instant::now());
    let addresses = names::ask(wanted, timeout).await.map_err(failed)?;
    let addresses = allowed(dialer, addresses);
    if addresses.is_empty() {
        return Err(failed(no_address(dialer)));
    }
    Ok(addresses)
}

fn allowed(dialer: &Dialer, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses = addresses;
    addresses.retain(|address| dialer.allows(*address));
    addresses
}

/// Why none of a name's addresses is usable.
fn no_address(dialer: &Dialer) -> String {
    match dialer.family {
        Family::V4 => "it has no IPv4 address".to_owned(),
        Family::V6 => "it has no IPv6 address".to_owned(),
        Family::Any => "it has no address of the source address's family".to_owned(),
    }
}

async fn resolve(
    dialer: &Dialer,
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
        .map_err(|_| failed(format!("no answer within {:?}", dialer.timeout)))?
        .map_err(|error| {
            // Most resolvers accept only ASCII names (RFC 5891).
            let hint = if host.is_ascii() {
                ""
            } else {
                ", DNS needs its xn-- form"
            };
            failed(format!("{}{hint}", resolver_reason(&error)))
        })?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        // getaddrinfo may return an address once for each socket type.
        if dialer.allows(address) && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(failed(no_address(dialer)));
    }
    Ok(addresses)
}

async fn virtual_connect(
    dialer: &Dialer,
    session: &Session,
    address: SocketAddr,
) -> Result<Connection, ConnectError> {
    let begin = Instant::now();
    let stream = tokio::time::timeout(dialer.timeout, session.connect(address))
        .await
        .map_err(|_| ConnectError::TimedOut {
            after: dialer.timeout,
            addresses: vec![address],
        })?
        .map_err(|error| ConnectError::from_attempts(vec![(address, error)]))?;
    Ok(Connection {
        stream: Stream::Virtual(stream),
        address,
        connect_time: begin.elapsed(),
    })
}

/// The serial port of a board: the given one, else that of `TCPCTL_PORT` or the config file, else
/// the only one with a board. Blocks while a board's name is resolved.
///
/// # Errors
/// No port, several, or one that does not exist.
pub fn serial_port(given: Option<&str>) -> Result<SelectedPort, Failure> {
    if given.is_some() {
        return port::select(given, names::macs);
    }
    match config::find(Key::Port)? {
        Some(found) => {
            port::select(Some(&found.value), names::macs).map_err(|error| found.with_source(error))
        }
        None => port::select(None, names::macs),
    }
}

/// The addresses of the resolver that succeeds first; if both fail, both reasons.
async fn either(
    system: impl Future<Output = Result<Vec<SocketAddr>, ConnectError>>,
    network: impl Future<Output = Result<Vec<SocketAddr>, ConnectError>>,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let (mut system, mut network) = (pin!(system), pin!(network));
    let (system, network) = tokio::select! {
        first = &mut system => match first {
            Ok(addresses) => return Ok(addresses),
            Err(error) => match network.await {
                Ok(addresses) => return Ok(addresses),
                Err(other) => (error, other),
            },
        },
        first = &mut network => match first {
            Ok(addresses) => return Ok(addresses),
            Err(error) => match system.await {
                Ok(addresses) => return Ok(addresses),
                Err(other) => (other, error),
            },
        },
    };
    let parts = |error: ConnectError| match error {
        ConnectError::Resolve { host, reason } => (host, reason),
        other => (String::new(), other.to_string()),
    };
    let ((host, network), (_, system)) = (parts(network), parts(system));
    Err(ConnectError::Resolve {
        host,
        reason: format!("{network} (system resolver: {system})"),
    })
}

/// The resolver's message without the prefix that std adds.
fn resolver_reason(error: &io::Error) -> String {
    let text = reason(error);
    text.rsplit(": ").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_reasons_are_given_whichever_fails_first() {
        let failing = |reason: &'static str, is_first: bool| async move {
            if !is_first {
                tokio::task::yield_now().await;
            }
            Err(ConnectError::Resolve {
                host: "board".to_owned(),
                reason: reason.to_owned(),
            })
        };
        for system_first in [true, false] {
            let system = failing("unknown", system_first);
            let network = failing("no board", !system_first);
            let error = crate::runtime::block_on(either(system, network)).unwrap();
            let text = error.unwrap_err().to_string();
            assert!(
                text.contains("no board (system resolver: unknown)"),
                "{text}"
            );
        }
    }
}
