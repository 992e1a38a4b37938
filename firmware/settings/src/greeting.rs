//! The reply of the greeting server.

use core::fmt;
use core::str::FromStr;

use heapless::Vec;

use crate::wifi::write_escaped;
use crate::{Field, Invalid, Reason};

/// The reply of the server: 1 to 256 arbitrary bytes, by default `Hello World`.
///
/// An empty reply is refused because a client cannot distinguish it from a failed server. 256 bytes
/// fit one segment, even without an MSS option (536 bytes, RFC 9293 §3.7.1).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Greeting(Vec<u8, { Self::MAX_LEN }>);

impl Greeting {
    /// Longest greeting, in bytes.
    pub const MAX_LEN: usize = 256;

    /// Checks a greeting.
    ///
    /// # Errors
    /// It is empty or longer than [`MAX_LEN`](Self::MAX_LEN) bytes.
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

    /// The bytes to send.
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
    fn greeting_length_is_1_to_256_bytes() {
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
    fn default_greeting_is_hello_world() {
        assert_eq!(Greeting::default().as_bytes(), b"Hello World");
    }

    #[test]
    fn displayed_greeting_is_escaped() {
        let greeting = Greeting::new(b"hi\r\n\x1b[31m\xf0").unwrap();
        assert_eq!(greeting.to_string(), "hi\\r\\n\\u{1b}[31m\\xf0");
    }
}
