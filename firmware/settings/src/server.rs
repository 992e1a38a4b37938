//! The settings of the servers, without any Wi-Fi: all that a virtual board needs.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::number::bounded_number;
use crate::{Field, Greeting, Invalid, Reason};

bounded_number! {
    /// The greeting server's TCP port: 1 to 65535, at first 3000 (the tutorial's).
    TcpPort(u16), Field::TcpPort, 1..=65535, default 3000
}

bounded_number! {
    /// Connections served at once: 1 to 32, at first 4.
    ///
    /// Each costs the board a socket with its buffers. The tutorial's server had one.
    Workers(u8), Field::Workers, 1..=32, default 4
}

bounded_number! {
    /// Connections that are accepted and wait in order for a worker: 0 to 32, at first 4.
    ///
    /// One more than that is refused at once. Each costs the board a socket, as a worker does.
    Backlog(u8), Field::Backlog, 0..=32, default 4
}

/// How long a connection that says nothing keeps its worker before it is greeted: 0 to 10 minutes
/// in whole milliseconds, at first 5 s.
///
/// 0 is the tutorial's way: read what has come, and greet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestTimeout(u32);

impl RequestTimeout {
    /// Read what has come, and greet.
    pub const NONE: Self = Self(0);
    /// The most that is allowed: 10 minutes.
    pub const MAX: Self = Self(600_000);
    /// What a board has that was told nothing: 5 s.
    pub const DEFAULT: Self = Self(5_000);

    /// Checks a number of milliseconds.
    ///
    /// # Errors
    /// Refuses more than 10 minutes.
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

    /// The milliseconds.
    pub const fn as_millis(self) -> u32 {
        self.0
    }

    /// The time to wait; zero means not at all.
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }
}

impl TryFrom<Duration> for RequestTimeout {
    type Error = Invalid;

    /// Checks a time.
    ///
    /// One finer than a millisecond is refused and not rounded: half a millisecond must not become
    /// 0, which means another thing.
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
        write!(f, "{}ms", self.0)
    }
}

/// Whether the bench services are there. At first they are not: they send and take as much as a
/// peer likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Services {
    /// The greeting server alone.
    #[default]
    Off,
    /// Echo (RFC 862), discard (RFC 863) and the character generator (RFC 864) as well.
    On,
}

impl Services {
    /// The services and their ports.
    pub const PORTS: [(&str, u16); 3] = [("echo", 7), ("discard", 9), ("chargen", 19)];
}

impl fmt::Display for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::On => "on",
        })
    }
}

impl FromStr for Services {
    type Err = Invalid;

    fn from_str(word: &str) -> Result<Self, Invalid> {
        match word {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(Invalid::new(Field::Services, Reason::NotOneOf("on", "off"))),
        }
    }
}

/// What a request of the one line `status` gets: the board's readings, or the greeting as any other
/// request. At first the readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// The greeting.
    Off,
    /// One line of JSON: uptime, memory, signal, temperature, counters.
    #[default]
    On,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::On => "on",
        })
    }
}

impl FromStr for Status {
    type Err = Invalid;

    fn from_str(word: &str) -> Result<Self, Invalid> {
        match word {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(Invalid::new(Field::Status, Reason::NotOneOf("on", "off"))),
        }
    }
}

/// The parts of [`ServerSettings`], each of them valid; its default is the board's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerParts {
    /// Where the greeting server listens.
    pub port: TcpPort,
    /// What it answers.
    pub greeting: Greeting,
    /// Connections served at once.
    pub workers: Workers,
    /// Connections that wait.
    pub backlog: Backlog,
    /// How long a silent connection keeps its worker.
    pub request_timeout: RequestTimeout,
    /// The bench services.
    pub services: Services,
    /// What a request of `status` gets.
    pub status: Status,
}

/// The settings of the greeting server and the bench services, which can run together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSettings(ServerParts);

impl ServerSettings {
    /// Checks that the parts fit each other.
    ///
    /// # Errors
    /// Refuses a bench service's port for the greeting server while the services are on.
    pub fn new(parts: ServerParts) -> Result<Self, Invalid> {
        let port = parts.port.get();
        let taken = Services::PORTS
            .into_iter()
            .find(|&(_, taken)| taken == port);
        match (parts.services, taken) {
            (Services::On, Some((service, port))) => Err(Invalid::new(
                Field::TcpPort,
                Reason::PortTaken { port, service },
            )),
            _ => Ok(Self(parts)),
        }
    }

    /// The parts, to change some and check again.
    pub fn into_parts(self) -> ServerParts {
        self.0
    }

    /// Where the greeting server listens.
    pub const fn port(&self) -> TcpPort {
        self.0.port
    }

    /// What it answers.
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

    /// How long a silent connection keeps its worker.
    pub const fn request_timeout(&self) -> RequestTimeout {
        self.0.request_timeout
    }

    /// The bench services.
    pub const fn services(&self) -> Services {
        self.0.services
    }

    /// What a request of `status` gets.
    pub const fn status(&self) -> Status {
        self.0.status
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_board_that_was_told_nothing_serves_on_3000() {
        let server = ServerSettings::default();
        assert_eq!(server.port().get(), 3000);
        assert_eq!(server.workers().get(), 4);
        assert_eq!(server.backlog().get(), 4);
        assert_eq!(
            server.request_timeout().as_duration(),
            Duration::from_secs(5)
        );
        assert_eq!(server.services(), Services::Off);
        assert_eq!(server.status(), Status::On);
        assert_eq!(ServerSettings::new(server.clone().into_parts()), Ok(server));
    }

    #[test]
    fn numbers_keep_their_bounds() {
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
            "tcp-port: 65536; choose 1 to 65535"
        );
    }

    #[test]
    fn numbers_are_read_from_text() {
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
                "workers: not a whole number from 1 to 32"
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
    fn a_request_timeout_is_whole_milliseconds_up_to_10_minutes() {
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
    fn the_services_keep_their_ports_while_they_are_on() {
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
    fn services_are_read_as_they_are_written() {
        for services in [Services::On, Services::Off] {
            assert_eq!(services.to_string().parse(), Ok(services));
        }
        assert!("yes".parse::<Services>().is_err());
    }

    #[test]
    fn status_is_read_as_it_is_written() {
        for status in [Status::On, Status::Off] {
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        assert_eq!(
            "yes".parse::<Status>().unwrap_err().to_string(),
            "status: unknown; choose on or off"
        );
    }
}
