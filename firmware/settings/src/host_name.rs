//! Host name of a board in DHCP and, with `.local`, in mDNS.

use core::fmt::{self, Write};
use core::str::FromStr;

use heapless::String;

use crate::{Field, Invalid, Reason};

/// A host name: one label of letters, digits and inner hyphens (RFC 1035 §2.3.1, RFC 1123 §2.1).
///
/// At most 32 characters, the limit of the board's TCP/IP stack for the DHCP host name. The case
/// is kept, although names are compared without it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HostName(String<{ Self::MAX_LEN }>);

impl HostName {
    /// Longest name, in characters.
    pub const MAX_LEN: usize = 32;

    /// Checks a name.
    ///
    /// # Errors
    /// The length, or a character that is not allowed.
    pub fn new(name: &str) -> Result<Self, Invalid> {
        let refuse = |reason| Err(Invalid::new(Field::HostName, reason));
        let invalid = |&(_, c): &(usize, char)| !c.is_ascii_alphanumeric() && c != '-';
        if let Some((index, got)) = name.chars().enumerate().find(invalid) {
            return refuse(Reason::HostNameCharacter {
                got,
                position: index + 1,
            });
        }
        if name.starts_with('-') || name.ends_with('-') {
            return refuse(Reason::EdgeHyphen);
        }
        match String::try_from(name) {
            Ok(name) if !name.is_empty() => Ok(Self(name)),
            _ => refuse(Reason::Length {
                got: name.len(),
                min: 1,
                max: Self::MAX_LEN,
            }),
        }
    }

    /// The default name: `tcpctl-` and the last four hexadecimal digits of the MAC address. It is
    /// also the default SSID of an access point.
    pub fn of_board(mac: [u8; 6]) -> Self {
        let [.., high, low] = mac;
        let mut name = String::new();
        // Cannot fail: the name has 11 of 32 characters.
        _ = write!(name, "tcpctl-{high:02x}{low:02x}");
        Self(name)
    }

    /// The name, without a domain.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        Self::new(name)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostName(\"{self}\")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn reason(name: &str) -> Reason {
        let refused = HostName::new(name).unwrap_err();
        assert_eq!(refused.field, Field::HostName);
        refused.reason
    }

    #[test]
    fn labels_are_accepted() {
        for name in [
            "a",
            "7",
            "3com",
            "greeter-1a2b3c",
            "Desk-2",
            &"x".repeat(32),
        ] {
            assert_eq!(HostName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn length_is_1_to_32_characters() {
        assert_eq!(
            reason(""),
            Reason::Length {
                got: 0,
                min: 1,
                max: 32
            }
        );
        assert_eq!(
            reason(&"x".repeat(33)),
            Reason::Length {
                got: 33,
                min: 1,
                max: 32
            }
        );
    }

    #[test]
    fn only_letters_digits_and_hyphens_are_accepted() {
        for (name, got, position) in [
            ("my_board", '_', 3),
            ("board.local", '.', 6),
            ("a b", ' ', 2),
            ("bröd", 'ö', 3),
            ("\x1b[2J", '\x1b', 1),
        ] {
            assert_eq!(reason(name), Reason::HostNameCharacter { got, position });
        }
        let refused = HostName::new("\x1b[2J").unwrap_err();
        assert!(!refused.to_string().contains('\x1b'), "{refused}");
    }

    #[test]
    fn a_hyphen_at_either_end_is_refused() {
        for name in ["-", "-a", "a-"] {
            assert_eq!(reason(name), Reason::EdgeHyphen);
        }
    }

    #[test]
    fn default_name_comes_from_the_mac() {
        let name = HostName::of_board([0x84, 0xF7, 0x03, 0x1A, 0x0B, 0x3C]);
        assert_eq!(name.as_str(), "tcpctl-0b3c");
        assert_eq!(HostName::new(name.as_str()), Ok(name));
    }
}
