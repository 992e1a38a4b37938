//! RFC 862, 863 and 864 services, used as throughput endpoints.

/// A throughput service.
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
    /// All services, in the order in which they are measured.
    pub const ALL: [Self; 3] = [Self::Discard, Self::Chargen, Self::Echo];

    /// Name in `/etc/services`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discard => "discard",
            Self::Chargen => "chargen",
            Self::Echo => "echo",
        }
    }

    /// The report's field with the results of this service.
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
    /// Port of [`Service::Discard`].
    pub discard: u16,
    /// Port of [`Service::Chargen`].
    pub chargen: u16,
    /// Port of [`Service::Echo`].
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
