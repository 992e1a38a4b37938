//! Name and passphrase of a Wi-Fi network.

use core::fmt::{self, Write};
use core::str::FromStr;

use heapless::{String, Vec};

use crate::{Field, HostName, Invalid, Reason};

/// Name of a Wi-Fi network: 1 to 32 arbitrary bytes (IEEE 802.11-2020, 9.4.2.2).
///
/// The empty SSID is the standard's wildcard and is refused. `Display` shows UTF-8 as text and
/// escapes everything else.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ssid(Vec<u8, { Self::MAX_LEN }>);

impl Ssid {
    /// Longest SSID, in bytes.
    pub const MAX_LEN: usize = 32;

    /// Checks an SSID.
    ///
    /// # Errors
    /// It is empty or longer than [`MAX_LEN`](Self::MAX_LEN) bytes.
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

    /// The SSID as sent over the air.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<HostName> for Ssid {
    /// The default SSID of a board's access point.
    fn from(name: HostName) -> Self {
        const { assert!(HostName::MAX_LEN <= Self::MAX_LEN) };
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

/// A WPA2-Personal secret: a passphrase of 8 to 63 characters, or the key as 64 hexadecimal digits.
///
/// A passphrase has the characters ASCII 32 to 126 (IEEE 802.11-2020, annex J.4). `Debug` hides
/// it, and there is no `Display`. There is no `FromStr` because command-line parsers repeat a
/// refused value in their message.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(String<{ Self::MAX_LEN }>);

impl Passphrase {
    /// Maximum characters: a key in hexadecimal.
    pub const MAX_LEN: usize = 64;

    /// Checks a secret. A trailing line end is refused like any other control character.
    ///
    /// # Errors
    /// The error names the length or the position of a character, and nothing else of the secret.
    pub fn new(secret: &str) -> Result<Self, Invalid> {
        let refuse = |reason| Err(Invalid::new(Field::Passphrase, reason));
        let unprintable = |c: char| !matches!(c, ' '..='~');
        if let Some(index) = secret.chars().position(unprintable) {
            return refuse(Reason::NotPrintableAscii {
                position: index + 1,
            });
        }
        // Only ASCII is left, so the length in bytes is the number of characters.
        match (secret.len(), String::try_from(secret)) {
            (64, _) if !secret.bytes().all(|b| b.is_ascii_hexdigit()) => {
                refuse(Reason::NotHexadecimal)
            }
            (8..=64, Ok(secret)) => Ok(Self(secret)),
            (got, _) => refuse(Reason::PassphraseLength { got }),
        }
    }

    /// A random passphrase of 16 letters and digits (80 bits), without the easily confused
    /// characters l, o, 0 and 1.
    pub fn random(mut random: impl FnMut() -> u32) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        const LEN: usize = 16;
        let mut secret = String::new();
        for _ in 0..LEN {
            // Weak generators have better randomness in their high bits.
            let index = (random() >> 27) as usize;
            // Cannot fail: 16 of 64 characters.
            _ = secret.push(ALPHABET[index].into());
        }
        Self(secret)
    }

    /// The secret, for the radio and for flash. Never print it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Security of a network. There is no default: an open network must be requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// No passphrase.
    Open,
    /// WPA2-Personal.
    Wpa2(Passphrase),
}

/// Writes bytes as printable text.
///
/// UTF-8 stays readable. Control characters, invisible and direction-changing ones, the backslash
/// (so that two byte strings never look the same) and bytes that are not UTF-8 are escaped.
pub(crate) fn write_escaped(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                // Nothing is quoted here, so quotes need no escaping.
                '\'' | '"' => f.write_char(character)?,
                _ => write!(f, "{}", character.escape_debug())?,
            }
        }
        write!(f, "{}", chunk.invalid().escape_ascii())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn ssid_length_is_1_to_32_bytes() {
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
            "ssid: length is 33, must be 1 to 32 bytes"
        );
    }

    #[test]
    fn ssid_length_counts_bytes_not_characters() {
        assert!(Ssid::new("é".repeat(16)).is_ok());
        assert!(Ssid::new("é".repeat(17)).is_err());
    }

    #[test]
    fn every_host_name_is_a_valid_ssid() {
        for name in ["a", &"x".repeat(HostName::MAX_LEN)] {
            let ssid = Ssid::from(HostName::new(name).unwrap());
            assert_eq!(ssid, Ssid::new(name).unwrap());
        }
    }

    #[test]
    fn displayed_ssid_is_escaped() {
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
    fn passphrase_length_is_8_to_63() {
        for good in [8, 63] {
            assert!(Passphrase::new(&"p".repeat(good)).is_ok());
        }
        for got in [0, 1, 7, 65, 100] {
            let refused = Passphrase::new(&"p".repeat(got)).unwrap_err();
            assert_eq!(refused.reason, Reason::PassphraseLength { got });
        }
        assert_eq!(
            Passphrase::new("12345").unwrap_err().to_string(),
            "passphrase: length is 5, must be 8 to 63 characters, or 64 hexadecimal digits"
        );
    }

    #[test]
    fn raw_key_has_64_hexadecimal_digits() {
        assert!(Passphrase::new(&"0aF9".repeat(16)).is_ok());
        let refused = Passphrase::new(&"0aG9".repeat(16)).unwrap_err();
        assert_eq!(refused.reason, Reason::NotHexadecimal);
    }

    #[test]
    fn random_passphrase_is_valid_and_uses_the_whole_alphabet() {
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
    fn passphrase_is_printable_ascii() {
        let all: std::string::String = (b' '..=b'~').map(char::from).collect();
        assert!(Passphrase::new(&all[..63]).is_ok());
        assert!(Passphrase::new(&all[32..]).is_ok());
        for (secret, position) in [("pass\tword", 5), ("password\n", 9), ("Käsekuchen", 2)] {
            let refused = Passphrase::new(secret).unwrap_err();
            assert_eq!(refused.reason, Reason::NotPrintableAscii { position });
        }
    }
}
