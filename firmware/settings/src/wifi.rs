//! What two radios have to agree on: the network's name and its key.

use core::fmt;
use core::str::FromStr;

use heapless::{String, Vec};

use crate::escape::write_escaped;
use crate::{Field, HostName, Invalid, Reason};

/// A network's name: 1 to 32 bytes, any bytes (IEEE 802.11-2020, 9.4.2.2).
///
/// The standard's empty SSID is the wildcard, which names no network, so it is refused. An SSID has
/// no character set: `Display` shows UTF-8 as text and escapes everything else.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ssid(Vec<u8, { Self::MAX_LEN }>);

impl Ssid {
    /// The most bytes of a name.
    pub const MAX_LEN: usize = 32;

    /// Checks a name.
    ///
    /// # Errors
    /// Refuses an empty name and one of more than [`MAX_LEN`](Self::MAX_LEN) bytes.
    pub fn new(name: impl AsRef<[u8]>) -> Result<Self, Invalid> {
        let name = name.as_ref();
        match Vec::from_slice(name) {
            Ok(bytes) if !bytes.is_empty() => Ok(Self(bytes)),
            _ => Err(Invalid::new(
                Field::Ssid,
                Reason::Length {
                    got: name.len(),
                    min: 1,
                    max: Self::MAX_LEN,
                },
            )),
        }
    }

    /// The name as it goes over the air.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<HostName> for Ssid {
    /// The name of a board's own network is the board's.
    fn from(name: HostName) -> Self {
        const { assert!(HostName::MAX_LEN <= Self::MAX_LEN) };
        // So it fits, and a host name is never empty.
        Self(Vec::from_slice(name.as_str().as_bytes()).unwrap_or_default())
    }
}

impl FromStr for Ssid {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        Self::new(name)
    }
}

impl fmt::Display for Ssid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(&self.0, f)
    }
}

impl fmt::Debug for Ssid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ssid(\"{self}\")")
    }
}

/// A WPA2-Personal secret: a passphrase of 8 to 63 characters, or the key itself as 64 hexadecimal
/// digits.
///
/// A passphrase's characters are ASCII 32 to 126 (IEEE 802.11-2020, annex J.4). Its `Debug` shows
/// nothing of it, it has no `Display`, and it is not parsed by `FromStr`, since what parses command
/// lines repeats a refused value in its message.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(String<{ Self::MAX_LEN }>);

impl Passphrase {
    /// The most characters: those of a key in hexadecimal.
    pub const MAX_LEN: usize = 64;

    /// Checks a secret. A line end is not stripped: it would be refused, as any other control
    /// character.
    ///
    /// # Errors
    /// Says how long it is, or which character can't be, and nothing else of it.
    pub fn new(secret: &str) -> Result<Self, Invalid> {
        let refuse = |reason| Err(Invalid::new(Field::Passphrase, reason));
        let unprintable = |c: char| !matches!(c, ' '..='~');
        if let Some(index) = secret.chars().position(unprintable) {
            return refuse(Reason::NotPrintableAscii {
                position: index + 1,
            });
        }
        // All are ASCII by now, so that bytes are characters.
        match (secret.len(), String::try_from(secret)) {
            (64, _) if !secret.bytes().all(|b| b.is_ascii_hexdigit()) => {
                refuse(Reason::NotHexadecimal)
            }
            (8..=64, Ok(secret)) => Ok(Self(secret)),
            (got, _) => refuse(Reason::PassphraseLength { got }),
        }
    }

    /// A passphrase of 16 letters and digits out of 80 bits of `random`, for a board that was given
    /// none. Neither l nor o, 0 nor 1: a person reads it from one screen and types it into another.
    pub fn random(mut random: impl FnMut() -> u32) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        const LEN: usize = 16;
        let mut secret = String::new();
        for _ in 0..LEN {
            // The highest five bits: in weak generators they are the better ones.
            let index = (random() >> 27) as usize;
            // 16 characters of 64: pushing can't fail.
            _ = secret.push(ALPHABET[index].into());
        }
        Self(secret)
    }

    /// The secret itself: for the radio and for flash, and for nothing that a person reads.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is the 256-bit key itself, and not a passphrase that it is derived from.
    pub fn is_raw_key(&self) -> bool {
        self.0.len() == Self::MAX_LEN
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// How a network is protected. There is no default: an open network is open because someone said
/// so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Anyone may join, and anyone may listen.
    Open,
    /// WPA2-Personal.
    Wpa2(Passphrase),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn an_ssid_has_1_to_32_bytes() {
        assert!(Ssid::new([0xC3; 1]).is_ok());
        assert!(Ssid::new([0xC3; 32]).is_ok());
        for got in [0, 33, 200] {
            let refused = Ssid::new(&[b'x'; 200][..got]).unwrap_err();
            assert_eq!(refused.field, Field::Ssid);
            assert_eq!(
                refused.reason,
                Reason::Length {
                    got,
                    min: 1,
                    max: 32
                }
            );
        }
        assert_eq!(
            Ssid::new([b'x'; 33]).unwrap_err().to_string(),
            "ssid: 33 bytes; 1 to 32 are allowed"
        );
    }

    #[test]
    fn an_ssid_counts_bytes_and_not_characters() {
        assert!(Ssid::new("é".repeat(16)).is_ok());
        assert!(Ssid::new("é".repeat(17)).is_err());
    }

    #[test]
    fn the_longest_host_name_is_a_network_s_name() {
        for name in ["a", &"x".repeat(HostName::MAX_LEN)] {
            let ssid = Ssid::from(HostName::new(name).unwrap());
            assert_eq!(ssid, Ssid::new(name).unwrap());
        }
    }

    #[test]
    fn a_displayed_ssid_can_not_harm_a_terminal() {
        let shown = |bytes: &[u8]| Ssid::new(bytes).unwrap().to_string();
        assert_eq!(
            shown("Café 'Zur \"Post\"'".as_bytes()),
            "Café 'Zur \"Post\"'"
        );
        assert_eq!(shown(b"\x1b[2J\r\n\0"), "\\u{1b}[2J\\r\\n\\0");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert_eq!(shown(b"\xff\xc3"), "\\xff\\xc3");
        assert_eq!(shown(b"\\xff"), "\\\\xff");
    }

    #[test]
    fn a_passphrase_has_8_to_63_characters() {
        for good in [8, 63] {
            assert!(!Passphrase::new(&"p".repeat(good)).unwrap().is_raw_key());
        }
        for got in [0, 1, 7, 65, 100] {
            let refused = Passphrase::new(&"p".repeat(got)).unwrap_err();
            assert_eq!(refused.reason, Reason::PassphraseLength { got });
        }
        assert_eq!(
            Passphrase::new("12345").unwrap_err().to_string(),
            "passphrase: 5 characters; WPA2 needs 8 to 63, or 64 hexadecimal digits"
        );
    }

    #[test]
    fn a_key_has_64_hexadecimal_digits() {
        assert!(Passphrase::new(&"0aF9".repeat(16)).unwrap().is_raw_key());
        let refused = Passphrase::new(&"0aG9".repeat(16)).unwrap_err();
        assert_eq!(refused.reason, Reason::NotHexadecimal);
    }

    #[test]
    fn a_random_passphrase_is_one_and_uses_every_bit_that_it_is_given() {
        let mut seed = 7_u32;
        let mut next = || {
            let mut random = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                seed
            };
            Passphrase::random(&mut random)
        };
        let mut characters = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let secret = next();
            assert_eq!(Passphrase::new(secret.reveal()), Ok(secret.clone()));
            assert_eq!(secret.reveal().len(), 16);
            characters.extend(secret.reveal().bytes());
        }
        assert_eq!(
            characters.len(),
            32,
            "every character of the alphabet occurs"
        );
        assert_ne!(next(), next());
    }

    #[test]
    fn a_passphrase_is_printable_ascii() {
        let all: std::string::String = (b' '..=b'~').map(char::from).collect();
        assert!(Passphrase::new(&all[..63]).is_ok());
        assert!(Passphrase::new(&all[32..]).is_ok());
        for (secret, position) in [("pass\tword", 5), ("password\n", 9), ("Käsekuchen", 2)] {
            let refused = Passphrase::new(secret).unwrap_err();
            assert_eq!(refused.reason, Reason::NotPrintableAscii { position });
        }
    }
}
