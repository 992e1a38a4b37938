//! Settings of the servers. A virtual board needs no others.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::macros::{bounded_number, switch};
use crate::{Field, Greeting, Invalid, Reason};

/// The TCP port of the management channel.
pub const MANAGEMENT_PORT: u16 = 3001;

bounded_number! {
    /// TCP port of the greeting server: 1 to 65535, by default 3000.
    TcpPort(u16), Field::TcpPort, 1..=65535, default 3000
}

bounded_number! {
    /// Connections served at once: 1 to 32, by default 4.
    ///
    /// Each costs the board a socket with its buffers.
    Workers(u8), Field::Workers, 1..=32, default 4
}

bounded_number! {
    /// Accepted connections that wait for a worker: 0 to 32, by default 4.
    ///
    /// Further connections are refused. Each costs the board a socket with its buffers.
    Backlog(u8), Field::Backlog, 0..=32, default 4
}

/// Time that a silent connection keeps its worker before it gets the greeting: 0 to 10 minutes in
/// whole milliseconds, by default 5 s.
///
/// With 0 the server reads what has arrived and replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestTimeout(u32);

impl RequestTimeout {
    /// Do not wait: read what has arrived and reply.
    pub const NONE: Self = Self(0);
    /// Longest timeout: 10 minutes.
    pub const MAX: Self = Self(600_000);
    /// Default timeout: 5 s.
    pub const DEFAULT: Self = Self(5_000);

    /// Checks a number of milliseconds.
    ///
    /// # Errors
    /// More than 10 minutes.
    pub const fn from_millis(millis: u32) -> Result<Self, Invalid> {
        if millis > Self::MAX.0 {
            return Err(Invalid::new(
                Field::RequestTimeout,
                Reason::TooLong {
                    max_ms: Self::MAX.0,
                },
            ));
        }
        Ok(Self(millis))
    }

    /// The timeout in milliseconds; zero means not to wait.
    pub const fn as_millis(self) -> u32 {
        self.0
    }
}

impl TryFrom<Duration> for RequestTimeout {
    type Error = Invalid;

    /// Checks a duration. A fraction of a millisecond is refused rather than rounded, because 0
    /// has another meaning.
    fn try_from(time: Duration) -> Result<Self, Invalid> {
        if !time.subsec_nanos().is_multiple_of(1_000_000) {
            return Err(Invalid::new(
                Field::RequestTimeout,
                Reason::NotWholeMilliseconds,
            ));
        }
        Self::from_millis(u32::try_from(time.as_millis()).unwrap_or(u32::MAX))
    }
}

impl Default for RequestTimeout {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for RequestTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            millis if millis.is_multiple_of(1000) => write!(f, "{}s", millis / 1000),
            millis => write!(f, "{millis}ms"),
        }
    }
}

impl FromStr for RequestTimeout {
    type Err = Invalid;

    /// Parses whole seconds or milliseconds, as `Display` writes them.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (number, unit_ms) = match text.strip_suffix("ms") {
            Some(number) => (number, 1),
            None => (text.strip_suffix('s').unwrap_or(""), 1000),
        };
        let number: u32 = number
            .parse()
            .map_err(|_| Invalid::new(Field::RequestTimeout, Reason::NotADuration))?;
        Self::from_millis(number.saturating_mul(unit_ms))
    }
}

switch! {
    /// Whether the board runs the services echo (RFC 862), discard (RFC 863) and chargen (RFC 864).
    /// Off by default: they send and receive without a limit.
    Services, Field::Services, default Off
}

impl Services {
    /// The services and their ports.
    pub const PORTS: [(&str, u16); 3] = [("echo", 7), ("discard", 9), ("chargen", 19)];
}

switch! {
    /// Whether the requests `status` and `readings` get the board's data (on by default) or the
    /// greeting.
    Status, Field::Status, default On
}

switch! {
    /// Whether commands that change something are accepted. Off by default: the port is open to
    /// everyone on the network.
    Commands, Field::Commands, default Off
}

switch! {
    /// Whether settings and updates are accepted over the network. It also needs a management key.
    Management, Field::Management, default On
}

/// The parts of [`ServerSettings`], each of them valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerParts {
    /// Port of the greeting server.
    pub port: TcpPort,
    /// Reply of the server.
    pub greeting: Greeting,
    /// Connections served at once.
    pub workers: Workers,
    /// Connections that wait for a worker.
    pub backlog: Backlog,
    /// Time that a silent connection keeps its worker.
    pub request_timeout: RequestTimeout,
    /// Echo, discard and chargen services.
    pub services: Services,
    /// Whether to reply to `status` and `readings`.
    pub status: Status,
    /// Whether to accept commands that change something.
    pub commands: Commands,
    /// Whether to accept settings and updates over the network.
    pub management: Management,
}

/// The settings of the servers, which never share a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSettings(ServerParts);

impl ServerSettings {
    /// Checks the parts together.
    ///
    /// # Errors
    /// The greeting server has the port of another server that is on.
    pub fn new(parts: ServerParts) -> Result<Self, Invalid> {
        check_ports(parts.port, parts.services, parts.management)?;
        Ok(Self(parts))
    }

    /// Sets the parts that are checked together. The caller may set the other returned parts to any
    /// value.
    ///
    /// # Errors
    /// As [`Self::new`]. Then nothing is changed.
    pub(crate) fn set_ports(
        &mut self,
        port: TcpPort,
        services: Services,
        management: Management,
    ) -> Result<&mut ServerParts, Invalid> {
        check_ports(port, services, management)?;
        self.0.port = port;
        self.0.services = services;
        self.0.management = management;
        Ok(&mut self.0)
    }

    /// The parts, to change and check again.
    pub fn into_parts(self) -> ServerParts {
        self.0
    }

    /// Port of the greeting server.
    pub const fn port(&self) -> TcpPort {
        self.0.port
    }

    /// Reply of the greeting server.
    pub const fn greeting(&self) -> &Greeting {
        &self.0.greeting
    }

    /// Connections served at once.
    pub const fn workers(&self) -> Workers {
        self.0.workers
    }

    /// Connections that wait for a worker.
    pub const fn backlog(&self) -> Backlog {
        self.0.backlog
    }

    /// Time that a silent connection keeps its worker.
    pub const fn request_timeout(&self) -> RequestTimeout {
        self.0.request_timeout
    }

    /// Whether echo, discard and chargen run.
    pub const fn services(&self) -> Services {
        self.0.services
    }

    /// Whether `status` and `readings` get a reply of their own.
    pub const fn status(&self) -> Status {
        self.0.status
    }

    /// Whether commands that change something are accepted.
    pub const fn commands(&self) -> Commands {
        self.0.commands
    }

    /// Whether settings and updates are accepted over the network.
    pub const fn management(&self) -> Management {
        self.0.management
    }
}

/// Refuses the greeting server the port of another server that is on.
fn check_ports(port: TcpPort, services: Services, management: Management) -> Result<(), Invalid> {
    let services = Services::PORTS.into_iter().filter(|_| services.is_on());
    let management = management
        .is_on()
        .then_some(("management", MANAGEMENT_PORT));
    match services
        .chain(management)
        .find(|&(_, taken)| taken == port.get())
    {
        Some((service, port)) => Err(Invalid::new(
            Field::TcpPort,
            Reason::PortTaken { port, service },
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn default_server_settings() {
        let server = ServerSettings::default();
        assert_eq!(server.port().get(), 3000);
        assert_eq!(server.workers().get(), 4);
        assert_eq!(server.backlog().get(), 4);
        assert_eq!(server.request_timeout().as_millis(), 5000);
        assert_eq!(server.services(), Services::Off);
        assert_eq!(server.status(), Status::On);
        assert_eq!(server.commands(), Commands::Off);
        assert_eq!(server.management(), Management::On);
        assert_eq!(ServerSettings::new(server.clone().into_parts()), Ok(server));
    }

    #[test]
    fn numbers_are_checked_against_their_bounds() {
        assert!(Workers::new(0).is_err());
        assert!(Workers::new(32).is_ok());
        assert!(Workers::new(33).is_err());
        assert!(Backlog::new(0).is_ok());
        assert!(Backlog::new(32).is_ok());
        assert!(Backlog::new(33).is_err());
        assert!(TcpPort::new(0).is_err());
        assert!(TcpPort::new(65535).is_ok());
        assert_eq!(
            TcpPort::new(65536).unwrap_err().to_string(),
            "tcp-port: 65536 is not in the range 1 to 65535"
        );
    }

    #[test]
    fn numbers_parse_from_text() {
        assert_eq!("32".parse(), Workers::new(32));
        for text in ["", "-1", "four", "4.0", "99999999999"] {
            let refused = text.parse::<Workers>().unwrap_err();
            assert_eq!(
                refused.reason,
                Reason::NotANumber { min: 1, max: 32 },
                "{text}"
            );
            assert_eq!(
                refused.to_string(),
                "workers: must be a whole number from 1 to 32"
            );
        }
        assert_eq!(
            "300".parse::<Workers>().unwrap_err().reason,
            Reason::OutOfRange {
                got: 300,
                min: 1,
                max: 32
            }
        );
    }

    #[test]
    fn request_timeout_is_whole_milliseconds_up_to_10_minutes() {
        let try_from = RequestTimeout::try_from;
        assert_eq!(try_from(Duration::ZERO), Ok(RequestTimeout::NONE));
        assert_eq!(try_from(Duration::from_mins(10)), Ok(RequestTimeout::MAX));
        for long in [
            Duration::from_millis(600_001),
            Duration::from_secs(u64::MAX),
        ] {
            assert_eq!(
                try_from(long).unwrap_err().reason,
                Reason::TooLong { max_ms: 600_000 }
            );
        }
        for fine in [Duration::from_nanos(1), Duration::from_micros(500)] {
            assert_eq!(
                try_from(fine).unwrap_err().reason,
                Reason::NotWholeMilliseconds
            );
        }
    }

    #[test]
    fn ports_of_services_are_taken_while_they_are_on() {
        for (service, number) in Services::PORTS {
            let port = TcpPort::new(number.into()).unwrap();
            let parts = |services| ServerParts {
                port,
                services,
                ..ServerParts::default()
            };
            assert!(ServerSettings::new(parts(Services::Off)).is_ok());
            let refused = ServerSettings::new(parts(Services::On)).unwrap_err();
            assert_eq!(refused.field, Field::TcpPort);
            assert_eq!(
                refused.reason,
                Reason::PortTaken {
                    port: number,
                    service
                }
            );
        }
    }

    #[test]
    fn port_of_the_management_channel_is_taken_while_it_is_on() {
        let port = TcpPort::new(MANAGEMENT_PORT.into()).unwrap();
        let parts = |management| ServerParts {
            port,
            management,
            ..ServerParts::default()
        };
        assert!(ServerSettings::new(parts(Management::Off)).is_ok());
        let refused = ServerSettings::new(parts(Management::On)).unwrap_err();
        assert_eq!(refused.field, Field::TcpPort);
    }

    #[test]
    fn switches_parse_on_and_off_only() {
        for on in [true, false] {
            let services = Services::from(on);
            assert_eq!(services.is_on(), on);
            assert_eq!(services.to_string().parse(), Ok(services));
        }
        assert_eq!(
            "yes".parse::<Status>().unwrap_err().to_string(),
            "status: must be on or off"
        );
    }

    #[test]
    fn request_timeout_parses_what_it_displays() {
        for (millis, text) in [(0, "0s"), (1500, "1500ms"), (5000, "5s"), (600_000, "600s")] {
            let timeout = RequestTimeout::from_millis(millis).unwrap();
            assert_eq!(timeout.to_string(), text);
            assert_eq!(text.parse(), Ok(timeout));
        }
        for text in ["", "s", "5", "5m", "-1s", "99999999999s", "601s"] {
            assert!(text.parse::<RequestTimeout>().is_err(), "{text}");
        }
    }
}
