//! Requests with their own reply instead of the greeting.

use core::fmt;

use crate::counters::Counters;

/// Maximum length of a request line for a [`RequestHandler`], in bytes.
pub const MAX_LINE: usize = 64;

/// Replies to requests that are commands.
pub trait RequestHandler {
    /// Writes the reply to a request line. Returns false to send the greeting instead.
    ///
    /// Called from the network task: it must not block.
    fn reply(&self, line: &str, counters: &Counters, reply: &mut Reply<'_>) -> bool;
}

/// A request that is one line of printable ASCII, without its line end.
pub(crate) fn request_line(bytes: &[u8]) -> Option<heapless::String<MAX_LINE>> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let is_printable = line.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let text = core::str::from_utf8(line).ok().filter(|_| is_printable)?;
    heapless::String::try_from(text).ok()
}

/// A reply under construction, bounded by its buffer.
#[derive(Debug)]
pub struct Reply<'b> {
    buffer: &'b mut [u8],
    length: usize,
}

impl<'b> Reply<'b> {
    /// An empty reply.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    /// Length so far, in bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Maximum length of the reply, in bytes.
    pub fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// Removes everything after the first `length` bytes, the end of an earlier write.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// The text so far.
    pub fn as_str(&self) -> &str {
        // Writes are whole strings, so only a truncation inside a character is invalid.
        core::str::from_utf8(&self.buffer[..self.length]).unwrap_or_default()
    }
}

impl fmt::Write for Reply<'_> {
    /// Writes all of `text`, or nothing if it does not fit.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let space = self.buffer.get_mut(self.length..end).ok_or(fmt::Error)?;
        space.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    #[test]
    fn only_one_printable_line_is_a_request_line() {
        for line in [&b"status"[..], b"status\n", b"status\r\n"] {
            assert_eq!(request_line(line).as_deref(), Some("status"));
        }
        assert_eq!(request_line(b"led on\n").as_deref(), Some("led on"));
        for other in [
            &b"status\n\n"[..],
            b"a\nb\n",
            b"\x00",
            b"caf\xc3\xa9",
            &[b'x'; 65],
        ] {
            assert_eq!(request_line(other), None, "{other:?}");
        }
    }

    #[test]
    fn reply_is_bounded_by_its_buffer() {
        let mut buffer = [0; 8];
        let mut reply = Reply::new(&mut buffer);
        assert!(reply.write_str("12345").is_ok());
        assert!(reply.write_str("6789").is_err());
        assert!(reply.write_str("678").is_ok());
        assert_eq!(reply.as_str(), "12345678");
        reply.truncate(5);
        assert_eq!(reply.as_str(), "12345");
    }
}
