//! RFC 862, 863 and 864 services, used as throughput endpoints.

/// A service that is made to move bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Discards what it receives (RFC 863).
    Discard,
    /// Sends endlessly (RFC 864).
    Chargen,
    /// Sends back what it receives (RFC 862).
    Echo,
}

impl Service {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 3] = [Self::Discard, Self::Chargen, Self::Echo];

    /// Its name in `/etc/services`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discard => "discard",
            Self::Chargen => "chargen",
            Self::Echo => "echo",
        }
    }

    /// The report's field that is measured with it.
    pub const fn flow(self) -> &'static str {
        match self {
            Self::Discard => "upload",
            Self::Chargen => "download",
            Self::Echo => "echo",
        }
    }
}

/// The ports of the services on the target's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Of [`Service::Discard`].
    pub discard: u16,
    /// Of [`Service::Chargen`].
    pub chargen: u16,
    /// Of [`Service::Echo`].
    pub echo: u16,
}

impl Ports {
    /// The ports assigned by IANA.
    pub const STANDARD: Self = Self {
        discard: 9,
        chargen: 19,
        echo: 7,
    };

    /// The port of one service.
    pub const fn of(self, service: Service) -> u16 {
        match service {
            Service::Discard => self.discard,
            Service::Chargen => self.chargen,
            Service::Echo => self.echo,
        }
    }
}
