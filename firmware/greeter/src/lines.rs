//! Queue of lines for a slow console.
//!
//! Printing must not wait for a serial line (115200 baud are 11 bytes per millisecond). Lines are
//! queued or dropped as a whole, dropped ones are counted, and the queue is drained in small pieces.

use core::fmt::{self, Write};

use embassy_time::Duration;

/// Bytes to write in one piece.
pub const PIECE: usize = 16;
/// Pause after each piece. With a full queue at 115200 baud, writing takes a third of the time.
pub const PAUSE: Duration = Duration::from_millis(4);

/// A queue of lines in a ring of `N` bytes.
#[derive(Debug)]
pub struct Lines<const N: usize> {
    ring: [u8; N],
    start: usize,
    length: usize,
    dropped: u32,
}

impl<const N: usize> Lines<N> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self {
            ring: [0; N],
            start: 0,
            length: 0,
            dropped: 0,
        }
    }

    /// Appends a line and CR LF, or drops it and returns false. The number of dropped lines is
    /// printed before the next line that fits.
    pub fn push(&mut self, line: impl fmt::Display) -> bool {
        let before = self.length;
        let mut end = End(self);
        let dropped = end.0.dropped;
        let written = if dropped > 0 {
            write!(end, "console dropped={dropped}\r\n{line}\r\n")
        } else {
            write!(end, "{line}\r\n")
        };
        if written.is_ok() {
            self.dropped = 0;
            return true;
        }
        self.length = before;
        self.dropped = self.dropped.saturating_add(1);
        false
    }

    /// Moves the oldest bytes into `piece` and returns their number.
    pub fn take(&mut self, piece: &mut [u8]) -> usize {
        let taken = piece.len().min(self.length);
        for (offset, byte) in piece.iter_mut().take(taken).enumerate() {
            *byte = self.ring[(self.start + offset) % N];
        }
        self.start = (self.start + taken) % N.max(1);
        self.length -= taken;
        taken
    }
}

impl<const N: usize> Default for Lines<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes to the end of the queue.
struct End<'l, const N: usize>(&'l mut Lines<N>);

impl<const N: usize> Write for End<'_, N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let lines = &mut *self.0;
        if text.len() > N - lines.length {
            return Err(fmt::Error);
        }
        for &byte in text.as_bytes() {
            lines.ring[(lines.start + lines.length) % N] = byte;
            lines.length += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::String;

    use super::*;

    fn drain<const N: usize>(lines: &mut Lines<N>, piece: usize) -> String {
        let mut text = String::new();
        let mut buffer = std::vec![0; piece];
        loop {
            let taken = lines.take(&mut buffer);
            if taken == 0 {
                return text;
            }
            text.push_str(core::str::from_utf8(&buffer[..taken]).unwrap());
        }
    }

    #[test]
    fn full_queue_uses_a_third_of_the_time() {
        // A start bit, eight data bits and a stop bit.
        let byte = Duration::from_micros(10 * 1_000_000 / 115_200);
        let writing = byte * u32::try_from(PIECE).unwrap();
        assert!(writing.as_micros() * 3 <= (writing + PAUSE).as_micros());
        let longest = 4 * crate::server::RECEIVE_BUFFER + 64;
        let pieces = u32::try_from(longest.div_ceil(PIECE)).unwrap();
        assert!((writing + PAUSE) * pieces < Duration::from_secs(3));
    }

    #[test]
    fn lines_are_independent_of_the_piece_size() {
        for piece in 1..20 {
            let mut lines = Lines::<64>::new();
            for round in 0..10 {
                assert!(lines.push(format_args!("first {round}")));
                assert!(lines.push("second"));
                let text = drain(&mut lines, piece);
                assert_eq!(text, std::format!("first {round}\r\nsecond\r\n"));
            }
        }
    }

    #[test]
    fn line_that_does_not_fit_is_dropped_and_counted() {
        let mut lines = Lines::<40>::new();
        assert!(lines.push("0123456789012345678901234567890"));
        assert!(!lines.push("too long"));
        assert!(!lines.push("this as well"));
        assert_eq!(drain(&mut lines, 7), "0123456789012345678901234567890\r\n");
        assert!(lines.push("next"));
        assert_eq!(drain(&mut lines, 7), "console dropped=2\r\nnext\r\n");
        assert!(lines.push("last"));
        assert_eq!(drain(&mut lines, 7), "last\r\n");
    }

    #[test]
    fn line_longer_than_the_ring_is_dropped() {
        let mut lines = Lines::<8>::new();
        assert!(!lines.push("123456789"));
        assert!(!lines.push("1234567"));
        assert_eq!(drain(&mut lines, 3), "");
        assert!(!Lines::<0>::new().push(""));
        assert_eq!(Lines::<0>::new().take(&mut [0; 4]), 0);
    }
}
