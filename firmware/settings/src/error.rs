//! Why a value is invalid: the field and the reason, never the secret.

use core::error::Error;
use core::fmt;

/// A setting, by its name on the command line. `table` has one row for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the help texts in `table`")]
pub enum Field {
    Mode,
    Ssid,
    Channel,
    MaxStations,
    HostName,
    Greeting,
    TcpPort,
    Workers,
    Backlog,
    RequestTimeout,
    Services,
    Status,
    Commands,
    Management,
    /// WPA2 passphrase, or an open network. There is no option for it, because a passphrase is
    /// never on a command line.
    Passphrase,
}

/// Why there are no stored settings to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoStoredSettings {
    /// The board has no readable settings.
    Blank,
    /// The settings are about to be erased.
    Erased,
    /// There is no board to read settings from.
    Unread,
}

/// The reason why a value is invalid. Displays the valid form.
///
/// No variant holds a part of a passphrase, so no error message can reveal one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A number outside its bounds.
    OutOfRange {
        /// The number.
        got: u32,
        /// Smallest allowed value.
        min: u32,
        /// Largest allowed value.
        max: u32,
    },
    /// Not a whole number, or one that is far out of bounds.
    NotANumber {
        /// Smallest allowed value.
        min: u32,
        /// Largest allowed value.
        max: u32,
    },
    /// Channel 14: for 802.11b in Japan only.
    Channel14,
    /// Too few or too many bytes.
    Length {
        /// Number of bytes given.
        got: usize,
        /// Minimum number of bytes.
        min: usize,
        /// Maximum number of bytes.
        max: usize,
    },
    /// A passphrase with neither 8 to 63 characters nor 64.
    PassphraseLength {
        /// Number of characters given.
        got: usize,
    },
    /// 64 characters are a raw key, and these are not all hexadecimal digits.
    NotHexadecimal,
    /// A passphrase with a character that is not printable ASCII.
    NotPrintableAscii {
        /// Position of the character, from 1. The character itself is part of a secret.
        position: usize,
    },
    /// A host name with another character than a letter, a digit or a hyphen.
    HostNameCharacter {
        /// The character.
        got: char,
        /// Position of the character, from 1.
        position: usize,
    },
    /// A host name that starts or ends with a hyphen.
    EdgeHyphen,
    /// Not a duration.
    NotADuration,
    /// A duration that is not a whole number of milliseconds.
    NotWholeMilliseconds,
    /// A duration above the maximum.
    TooLong {
        /// Maximum duration, in milliseconds.
        max_ms: u32,
    },
    /// Neither of two words.
    NotOneOf(&'static str, &'static str),
    /// Another enabled server has the port.
    PortTaken {
        /// The port.
        port: u16,
        /// Name of the other server.
        service: &'static str,
    },
    /// No mode was given, and none is stored.
    NoMode(NoStoredSettings),
    /// A station without an SSID.
    NoSsid,
    /// Neither a passphrase nor an open network.
    NoSecurity,
    /// A setting that applies only to an access point.
    NotForStation,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OutOfRange { got, min, max } => {
                write!(f, "{got} is not in the range {min} to {max}")
            }
            Self::NotANumber { min, max } => {
                write!(f, "must be a whole number from {min} to {max}")
            }
            Self::Channel14 => f.write_str(
                "14 is not in the range 1 to 13 (channel 14 is for 802.11b in Japan only)",
            ),
            Self::Length { got, min, max } => {
                write!(f, "length is {got}, must be {min} to {max} bytes")
            }
            Self::PassphraseLength { got } => write!(
                f,
                "length is {got}, must be 8 to 63 characters, or 64 hexadecimal digits"
            ),
            Self::NotHexadecimal => {
                f.write_str("64 characters must all be hexadecimal digits, else use 8 to 63")
            }
            Self::NotPrintableAscii { position } => {
                write!(f, "character {position} is not printable ASCII")
            }
            Self::HostNameCharacter { got, position } => write!(
                f,
                "'{}' at position {position} is not a letter, digit or hyphen",
                got.escape_debug()
            ),
            Self::EdgeHyphen => f.write_str("must start and end with a letter or a digit"),
            Self::NotADuration => f.write_str("must be a duration, e.g. 5s or 250ms"),
            Self::NotWholeMilliseconds => f.write_str("must be a whole number of milliseconds"),
            Self::TooLong { max_ms } => write!(f, "must be at most {} s", max_ms / 1000),
            Self::NotOneOf(one, other) => write!(f, "must be {one} or {other}"),
            Self::PortTaken { port, service } => {
                write!(f, "port {port} is used by {service}, which is on")
            }
            Self::NoMode(why) => f.write_str(match why {
                NoStoredSettings::Blank => "missing, and the board has no stored mode",
                NoStoredSettings::Erased => "missing, and the stored mode is erased",
                NoStoredSettings::Unread => "missing",
            }),
            Self::NoSsid => f.write_str("missing, a station needs the network's name"),
            Self::NoSecurity => f.write_str("missing, and the network is not declared open"),
            Self::NotForStation => f.write_str("only an access point has this setting"),
        }
    }
}

/// An invalid value: the field and the reason.
///
/// Displays as `workers: 33 is not in the range 1 to 32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Setting.
    pub field: Field,
    /// Reason.
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
