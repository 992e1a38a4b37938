//! What the server answers.

use core::fmt;
use core::str::FromStr;

use heapless::Vec;

use crate::escape::write_escaped;
use crate::{Field, Invalid, Reason};

/// The server's answer: 1 to 256 bytes, any bytes, sent as they are; at first `Hello World`.
///
/// An empty one is refused: a client could not tell it from a server that failed. 256 bytes go in
/// one segment, even to a peer that names no maximum segment size (536 bytes, RFC 9293, 3.7.1).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Greeting(Vec<u8, { Self::MAX_LEN }>);

impl Greeting {
    /// The most bytes of a greeting.
    pub const MAX_LEN: usize = 256;

    /// Checks a greeting.
    ///
    /// # Errors
    /// Refuses an empty one and one of more than [`MAX_LEN`](Self::MAX_LEN) bytes.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, Invalid> {
        let bytes = bytes.as_ref();
        match Vec::from_slice(bytes) {
            Ok(greeting) if !greeting.is_empty() => Ok(Self(greeting)),
            _ => Err(Invalid::new(
                Field::Greeting,
                Reason::Length {
                    got: bytes.len(),
                    min: 1,
                    max: Self::MAX_LEN,
                },
            )),
        }
    }

    /// The bytes that are sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Default for Greeting {
    fn default() -> Self {
        Self(Vec::from_array(*b"Hello World"))
    }
}

impl FromStr for Greeting {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

impl fmt::Display for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(&self.0, f)
    }
}

impl fmt::Debug for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Greeting(\"{self}\")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_greeting_has_1_to_256_bytes() {
        assert!(Greeting::new([0; 1]).is_ok());
        assert!(Greeting::new([0; 256]).is_ok());
        for got in [0, 257] {
            let refused = Greeting::new(&[0; 257][..got]).unwrap_err();
            assert_eq!(refused.field, Field::Greeting);
            assert_eq!(
                refused.reason,
                Reason::Length {
                    got,
                    min: 1,
                    max: 256
                }
            );
        }
    }

    #[test]
    fn the_greeting_is_the_tutorials_unless_told_otherwise() {
        assert_eq!(Greeting::default().as_bytes(), b"Hello World");
    }

    #[test]
    fn a_displayed_greeting_can_not_harm_a_terminal() {
        let greeting = Greeting::new(b"hi\r\n\x1b[31m\xf0").unwrap();
        assert_eq!(greeting.to_string(), "hi\\r\\n\\u{1b}[31m\\xf0");
    }
}
