//! Connects to a TARGET: by name, by address, or to a virtual board.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::config::{self, Key};
use crate::discover::names;
use crate::failure::Failure;
use crate::net::{ConnectError, Dialer, Family};
use crate::serial::port::{self, Chosen};
use crate::sim::Session;
use crate::target::DEFAULT_PORT;

mod stream;

pub use stream::Stream;

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

/// Connects to `endpoint`, by whichever of its addresses answers first.
///
/// # Errors
/// No address, or no connection to any of them within the dialer's timeout.
pub async fn connect(dialer: &Dialer, endpoint: &Endpoint) -> Result<Connection, ConnectError> {
    let deadline = Instant::now() + dialer.timeout;
    match endpoint {
        Endpoint::Name { host, port } => connect_by_name(dialer, host, *port, deadline).await,
        Endpoint::Addresses(addresses) => dial(dialer, addresses.clone(), deadline).await,
        Endpoint::Virtual(session) => virtual_connect(dialer, session).await,
    }
}

async fn dial(
    dialer: &Dialer,
    addresses: Vec<SocketAddr>,
    deadline: Instant,
) -> Result<Connection, ConnectError> {
    let dialed = dialer.dial(addresses, deadline).await?;
    Ok(Connection {
        stream: Stream::Kernel(dialed.stream),
        address: dialed.address,
        connect_time: dialed.connect_time,
    })
}

/// Connects to a name. Where a board was a moment ago it most likely still is; if not, the
/// network is asked.
async fn connect_by_name(
    dialer: &Dialer,
    host: &str,
    port: Option<u16>,
    deadline: Instant,
) -> Result<Connection, ConnectError> {
    let wanted = names::Wanted {
        host,
        port,
        interface: dialer.interface.as_deref(),
    };
    let kind = names::kind(host);
    if matches!(kind, names::Kind::Board | names::Kind::Either)
        && let Some(addresses) = names::remembered(&wanted)
    {
        let addresses = allowed(dialer, addresses);
        let soon = deadline.min(Instant::now() + REMEMBERED_PATIENCE);
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
    dial(dialer, addresses, deadline).await
}

/// Asks the boards themselves who has a name.
async fn ask_network(
    dialer: &Dialer,
    wanted: &names::Wanted<'_>,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let failed = |reason: String| ConnectError::Resolve {
        host: wanted.host.to_owned(),
        reason,
    };
    let patience = deadline.saturating_duration_since(Instant::now());
    let addresses = names::ask(wanted, patience).await.map_err(failed)?;
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

/// Why a name with addresses has none that may be used.
fn no_address(dialer: &Dialer) -> String {
    match dialer.family {
        Family::V4 => "it has no IPv4 address".to_owned(),
        Family::V6 => "it has no IPv6 address".to_owned(),
        Family::Any => "it has no address of the source's family".to_owned(),
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
        .map_err(|error| failed(resolver_reason(&error)))?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        // getaddrinfo may name an address once for each socket type.
        if dialer.allows(address) && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(failed(no_address(dialer)));
    }
    Ok(addresses)
}

async fn virtual_connect(dialer: &Dialer, session: &Session) -> Result<Connection, ConnectError> {
    let begin = Instant::now();
    let address = session.address();
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

/// The serial port of a board: the one given, else the one in `TCPCTL_PORT` or the config file, else
/// the only one with a board. Blocks while a board's name is resolved.
///
/// # Errors
/// No port, several, or one that does not exist.
pub fn serial_port(given: Option<&str>) -> Result<Chosen, Failure> {
    if given.is_some() {
        return port::choose(given, names::macs);
    }
    match config::find(Key::Port)? {
        Some(found) => {
            port::choose(Some(&found.value), names::macs).map_err(|error| found.with_source(error))
        }
        None => port::choose(None, names::macs),
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
