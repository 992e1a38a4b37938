//! Why a value was refused: the field and the reason, never the secret.

use core::error::Error;
use core::fmt;

/// A setting, by the name that the command line gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// Access point or station.
    Mode,
    /// The network's name.
    Ssid,
    /// The WPA2 passphrase, or the word that the network is open.
    Passphrase,
    /// The access point's radio channel.
    Channel,
    /// How many stations the access point takes.
    MaxStations,
    /// The board's name in DHCP and mDNS.
    HostName,
    /// The greeting server's port.
    TcpPort,
    /// What the server answers.
    Greeting,
    /// Connections served at once.
    Workers,
    /// Connections that wait for a worker.
    Backlog,
    /// How long a silent connection keeps its worker.
    RequestTimeout,
    /// The bench services.
    Services,
    /// The answer to a request of `status`.
    Status,
}

impl Field {
    /// The name: that of the option of `tcpctl flash` that sets it, where there is one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mode => "mode",
            Self::Ssid => "ssid",
            Self::Passphrase => "passphrase",
            Self::Channel => "channel",
            Self::MaxStations => "max-stations",
            Self::HostName => "hostname",
            Self::TcpPort => "tcp-port",
            Self::Greeting => "greeting",
            Self::Workers => "workers",
            Self::Backlog => "backlog",
            Self::RequestTimeout => "request-timeout",
            Self::Services => "services",
            Self::Status => "status",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a board's settings are made afresh, and keep nothing that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Afresh {
    /// The board has none, or none that can be read.
    Blank,
    /// What it has goes with everything else on it.
    Erased,
    /// Nobody has looked: it is somewhere else.
    Unseen,
}

/// What is wrong with a value, and, displayed, what would be right.
///
/// No variant holds a piece of a passphrase, so no error message can give one away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A number outside its bounds.
    OutOfRange {
        /// The number given.
        got: u32,
        /// The least that is allowed.
        min: u32,
        /// The most that is allowed.
        max: u32,
    },
    /// A text that is not a whole number, or one far out of bounds.
    NotANumber {
        /// The least that is allowed.
        min: u32,
        /// The most that is allowed.
        max: u32,
    },
    /// Channel 14, which only Japan allows, and only for 802.11b.
    Channel14,
    /// Too few or too many bytes.
    Length {
        /// The number of bytes given.
        got: usize,
        /// The least that is allowed.
        min: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// Neither 8 to 63 characters nor 64.
    PassphraseLength {
        /// The number of characters given.
        got: usize,
    },
    /// 64 characters are a key, and these are not all hexadecimal digits.
    NotHexadecimal,
    /// A character that a passphrase can't have.
    NotPrintableAscii {
        /// Its place, counted from 1. The character itself is part of a secret.
        position: usize,
    },
    /// A character that a host name can't have.
    HostNameCharacter {
        /// The character.
        got: char,
        /// Its place, counted from 1.
        position: usize,
    },
    /// A host name that starts or ends with a hyphen.
    EdgeHyphen,
    /// A time that is not a whole number of milliseconds.
    NotWholeMilliseconds,
    /// A time longer than allowed.
    TooLong {
        /// The most that is allowed, in milliseconds.
        max_ms: u32,
    },
    /// A word that is not one of the two expected.
    NotOneOf(&'static str, &'static str),
    /// The greeting server's port is a bench service's, and the services are on.
    PortTaken {
        /// The port.
        port: u16,
        /// The service that listens there.
        service: &'static str,
    },
    /// No mode was given, and there is none to keep, for this reason.
    NoMode(Afresh),
    /// A station has to know which network to join.
    NoSsid,
    /// Neither a passphrase nor the word that the network is open.
    NoSecurity,
    /// A setting that a station takes from its router.
    NotForAStation,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PASSPHRASE: &str = "WPA2 needs 8 to 63, or 64 hexadecimal digits";
        match *self {
            Self::OutOfRange { got, min, max } => write!(f, "{got}; choose {min} to {max}"),
            Self::NotANumber { min, max } => {
                write!(f, "not a whole number from {min} to {max}")
            }
            Self::Channel14 => f.write_str(
                "14; it is Japan's alone, and 802.11b's alone, so few devices would see the \
                 network; choose 1 to 13",
            ),
            Self::Length { got, min, max } => {
                let unit = if got == 1 { "byte" } else { "bytes" };
                write!(f, "{got} {unit}; {min} to {max} are allowed")
            }
            Self::PassphraseLength { got } => {
                let unit = if got == 1 { "character" } else { "characters" };
                write!(f, "{got} {unit}; {PASSPHRASE}")
            }
            Self::NotHexadecimal => {
                write!(f, "64 characters, not all hexadecimal digits; {PASSPHRASE}")
            }
            Self::NotPrintableAscii { position } => write!(
                f,
                "character {position} is not printable ASCII; use letters, digits, punctuation \
                 and spaces"
            ),
            Self::HostNameCharacter { got, position } => write!(
                f,
                "'{}' at character {position}; use letters, digits and hyphens, and no domain",
                got.escape_debug()
            ),
            Self::EdgeHyphen => {
                f.write_str("a hyphen at an end; start and end with a letter or a digit")
            }
            Self::NotWholeMilliseconds => {
                f.write_str("finer than a millisecond; give whole milliseconds")
            }
            Self::TooLong { max_ms } => write!(f, "too long; choose 0 to {max_ms} ms"),
            Self::NotOneOf(one, other) => write!(f, "unknown; choose {one} or {other}"),
            Self::PortTaken { port, service } => write!(
                f,
                "{port} is the {service} service's while services are on; choose another port, \
                 or turn the services off"
            ),
            Self::NoMode(afresh) => {
                let why = match afresh {
                    Afresh::Blank => ", and the board has none stored",
                    Afresh::Erased => ", and erasing takes what the board has stored",
                    Afresh::Unseen => "",
                };
                write!(
                    f,
                    "missing{why}; choose ap (its own network) or sta (join one)"
                )
            }
            Self::NoSsid => {
                f.write_str("missing; a station needs the name of the network that it joins")
            }
            Self::NoSecurity => {
                f.write_str("missing; give a passphrase, or say that the network is open")
            }
            Self::NotForAStation => f.write_str(
                "an access point's setting, and the board is a station; leave it out, or change \
                 the mode to ap",
            ),
        }
    }
}

/// A value refused: which field, and why.
///
/// Displayed it reads `passphrase: 5 characters; WPA2 needs 8 to 63, or 64 hexadecimal digits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The setting.
    pub field: Field,
    /// What is wrong with its value.
    pub reason: Reason,
}

impl Invalid {
    pub(crate) const fn new(field: Field, reason: Reason) -> Self {
        Self { field, reason }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

impl Error for Invalid {}
