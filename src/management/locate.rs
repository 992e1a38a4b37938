//! Locates a board's management channel and greeting server, before and after a change.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Map, Value};
use tcpctl_settings::MANAGEMENT_PORT;
use tokio::time::{Instant, timeout};

use crate::connect::{self, Connection, Endpoint};
use crate::discover::names::Announced;
use crate::exchange;
use crate::failure::{Failure, Kind, reason};
use crate::management::{ChannelError, UnauthenticatedChannel};
use crate::net::{ConnectError, Dialer, Family};
use crate::sanitize;

/// Limit for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of the reply to `status`, which a full board never sends.
const STATUS_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a management channel may be busy with another session: a silent session lasts 5 s, and
/// closing it and starting again up to 1.25 s.
const BUSY_TIMEOUT: Duration = Duration::from_secs(8);
/// Time between two attempts.
const RETRY_DELAY: Duration = Duration::from_millis(250);
const MANAGEMENT_OFF: &str = "management is off";
/// Maximum length of a status.
const MAX_STATUS: usize = 16 * 1024;

/// A route to a board.
#[derive(Debug, Clone)]
pub struct Route {
    /// Address of the board.
    host: Endpoint,
    /// Port of the management channel.
    port: u16,
    /// The greeting server, if its port does not follow from the settings.
    greeting: Option<Endpoint>,
    /// Whether the server refused a connection. If so, there is no board behind a management
    /// channel that refuses as well, so do not wait for it.
    is_server_refused: bool,
}

/// A dialer with this timeout.
pub fn dialer(timeout: Duration) -> Dialer {
    Dialer {
        family: Family::Any,
        source: None,
        interface: None,
        timeout,
    }
}

impl Route {
    /// The route to a board before a change. The reply to `status` has the port of the management
    /// channel.
    ///
    /// # Errors
    /// The name does not resolve, or the board reports that it has no management channel.
    pub async fn find(target: &str, host: Endpoint, port: Option<u16>) -> Result<Self, Failure> {
        let (port, is_server_refused) = match (port, &host) {
            (_, Endpoint::Virtual(session)) if session.management_key().is_none() => {
                return Err(failure(target, Kind::Device, MANAGEMENT_OFF)
                    .hint("give the virtual board without management=off"));
            }
            (Some(port), _) => (port, false),
            (None, Endpoint::Virtual(_)) => (MANAGEMENT_PORT, false),
            (None, _) => match named_port(target, &host).await? {
                NamedPort::Known(port) => (port, false),
                NamedPort::Unknown => (MANAGEMENT_PORT, false),
                NamedPort::Refused => (MANAGEMENT_PORT, true),
            },
        };
        Ok(Self {
            is_server_refused,
            ..Self::to(host, port)
        })
    }

    /// The route to a board at another address, with the same ports.
    #[must_use]
    pub fn at(&self, host: Endpoint) -> Self {
        Self::to(host, self.port)
    }

    /// The route to a board that announced itself.
    pub fn announced(board: Announced) -> Self {
        let host = Endpoint::Addresses(board.addresses);
        Self {
            greeting: Some(host.clone()),
            port: board.management.unwrap_or(MANAGEMENT_PORT),
            host,
            is_server_refused: false,
        }
    }

    fn to(host: Endpoint, port: u16) -> Self {
        // Another port belongs to a relay or is forwarded, and so is that of the greeting server.
        let is_forwarded = port != MANAGEMENT_PORT || matches!(host, Endpoint::Virtual(_));
        Self {
            greeting: is_forwarded.then(|| host.clone()),
            host,
            port,
            is_server_refused: false,
        }
    }

    /// Whether mDNS can find the board.
    pub fn is_on_a_network(&self) -> bool {
        !matches!(self.host, Endpoint::Virtual(_))
    }

    /// Connects to the management channel and waits for the board's hello.
    ///
    /// # Errors
    /// See [`LocateError`].
    pub async fn connect(
        &self,
        limit: Duration,
    ) -> Result<(UnauthenticatedChannel, SocketAddr), LocateError> {
        let dialer = dialer(limit);
        let connection = connect::connect_to_port(&dialer, &self.host, self.port)
            .await
            .map_err(LocateError::Connect)?;
        let address = connection.address;
        let channel = UnauthenticatedChannel::receive(connection.stream).await;
        Ok((channel.map_err(LocateError::Channel)?, address))
    }

    /// Like [`Route::connect`], but waits while the channel refuses because it serves another session.
    ///
    /// # Errors
    /// See [`LocateError`].
    pub async fn connect_with_retry(
        &self,
    ) -> Result<(UnauthenticatedChannel, SocketAddr), LocateError> {
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            let error = match self.connect(CONNECT_TIMEOUT).await {
                Ok(connected) => return Ok(connected),
                Err(LocateError::Connect(error @ ConnectError::Refused(_)))
                    if self.is_server_refused =>
                {
                    return Err(LocateError::NoServer(error));
                }
                Err(error) => error,
            };
            if !error.may_be_busy() || Instant::now() + RETRY_DELAY > deadline {
                return Err(error);
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Connects to the greeting server, which has this port according to the settings.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn connect_to_greeting(&self, port: u16) -> Result<Connection, ConnectError> {
        let dialer = dialer(CONNECT_TIMEOUT);
        match &self.greeting {
            Some(endpoint) => connect::connect(&dialer, endpoint).await,
            None => connect::connect_to_port(&dialer, &self.host, port).await,
        }
    }
}

/// Why a management channel was not reached.
#[derive(Debug)]
pub enum LocateError {
    /// No connection.
    Connect(ConnectError),
    /// The management channel and the server both refused connections.
    NoServer(ConnectError),
    /// Connected, but without a session.
    Channel(ChannelError),
}

impl LocateError {
    /// Whether another session may be the reason. A relay accepts connections before the board
    /// refuses them.
    fn may_be_busy(&self) -> bool {
        match self {
            Self::Connect(error) => matches!(error, ConnectError::Refused(_)),
            Self::NoServer(_) => false,
            Self::Channel(error) => matches!(error, ChannelError::Broken(_)),
        }
    }

    /// The failure of a command whose target is `target`.
    pub fn into_failure(self, target: &str) -> Failure {
        match self {
            Self::Connect(error) => {
                let is_refused = matches!(error, ConnectError::Refused(_));
                let failure = error.into_failure(target);
                if is_refused {
                    failure.hint(
                        "management may be off, or another client uses it. Behind a relay give \
                         --management-port. To switch it on over USB: tcpctl flash --settings-only \
                         --management on",
                    )
                } else {
                    failure
                }
            }
            Self::NoServer(error) => error.into_failure(target).hint(
                "its server also refuses connections: is the board on, and is this its address?",
            ),
            Self::Channel(error) => channel_failure(target, error),
        }
    }
}

/// A failure of the board with this target.
pub fn failure(target: &str, kind: Kind, what: &str) -> Failure {
    Failure::new(kind, format!("{}: {what}", sanitize::one_line(target))).about(target)
}

/// The failure of a session with `target`.
pub fn channel_failure(target: &str, error: ChannelError) -> Failure {
    let failure = |kind, what: &str| failure(target, kind, what);
    match error {
        ChannelError::Rejected => failure(Kind::Device, "authentication failed").hint(
            "is the key file that of this board? The computer that flashed it has the right one; \
             tcpctl config shows where",
        ),
        ChannelError::TimedOut => failure(Kind::Timeout, "no answer on the management channel"),
        ChannelError::Broken(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            failure(Kind::Broken, "the board closed the management channel")
                .hint("another client may use it: try again")
        }
        ChannelError::Broken(error) => failure(
            Kind::Broken,
            &format!("management channel broken: {}", reason(&error)),
        )
        .hint("another client may use it: try again"),
        ChannelError::Protocol(error) => failure(Kind::Device, &reason(&error)).hint(
            "the board may have another version: update the older one, the board with tcpctl flash",
        ),
    }
}

/// The port of the management channel, according to the board's status.
enum NamedPort {
    Known(u16),
    Unknown,
    /// The server refused the connection.
    Refused,
}

/// Requests the board's status and returns the port in it.
async fn named_port(target: &str, host: &Endpoint) -> Result<NamedPort, Failure> {
    let status = match timeout(STATUS_TIMEOUT, status(host)).await {
        Ok(Ok(Some(status))) => status,
        Ok(Err(error @ ConnectError::Resolve { .. })) => return Err(error.into_failure(target)),
        // A full board still accepts connections to its management channel.
        Ok(Err(ConnectError::Refused(_))) => return Ok(NamedPort::Refused),
        Ok(Ok(None) | Err(_)) | Err(_) => return Ok(NamedPort::Unknown),
    };
    let failure = |what: &str| failure(target, Kind::Device, what);
    match status.get("management") {
        None => Err(failure("its firmware has no management channel")
            .hint("write a newer one over USB: tcpctl flash")),
        Some(Value::Null) => Err(failure(MANAGEMENT_OFF)
            .hint("switch it on over USB: tcpctl flash --settings-only --management on")),
        Some(management) => {
            let port = management.get("port").and_then(Value::as_u64);
            let port = port.and_then(|port| u16::try_from(port).ok());
            Ok(port.map_or(NamedPort::Unknown, NamedPort::Known))
        }
    }
}

/// The reply to `status`; `None` if it is something else.
async fn status(host: &Endpoint) -> Result<Option<Map<String, Value>>, ConnectError> {
    let connection = connect::connect(&dialer(STATUS_TIMEOUT), host).await?;
    let mut stream = connection.stream;
    let line = exchange::line(&mut stream, b"status\n", MAX_STATUS).await;
    let line = line.unwrap_or_default();
    let status: Option<Map<String, Value>> = serde_json::from_slice(&line).ok();
    Ok(status.filter(|it| it.get("schema").is_some_and(|it| it == "tcpctl.status/1")))
}
