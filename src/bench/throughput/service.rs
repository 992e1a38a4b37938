//! The services of old that make good instruments: RFC 862, 863 and 864.

/// A service that moves bytes for their own sake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Takes what comes (RFC 863).
    Discard,
    /// Sends without an end (RFC 864).
    Chargen,
    /// Sends back what comes (RFC 862).
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

    /// What is measured with it: the report's field.
    pub const fn flow(self) -> &'static str {
        match self {
            Self::Discard => "upload",
            Self::Chargen => "download",
            Self::Echo => "echo",
        }
    }
}

/// Where the services are on the target's host.
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
    /// The assigned ones.
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
