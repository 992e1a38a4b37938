//! Lines on their way to a slow console.
//!
//! Whoever has something to say must not wait for a serial line: 115200 baud are 11 bytes a
//! millisecond. So lines are put here whole, or dropped whole and counted, and are taken away in
//! small pieces.

use core::fmt::{self, Write};

use embassy_time::Duration;

/// Bytes that are taken and written at once,
pub const PIECE: usize = 16;
/// and the pause after them: a third of what 115200 baud carry, so that two thirds of the time are
/// the network's even while the queue is full.
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

    /// Appends a line with its end, CR LF, or drops all of it; says whether it was taken. The first
    /// line that fits after some were dropped has their number before it.
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

    /// Moves the oldest bytes into `piece` and returns how many; none are there when it is zero.
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

/// The end of the queue, where a line grows.
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
    fn a_full_queue_leaves_two_thirds_of_the_time_to_the_network() {
        // A start bit, eight bits, a stop bit.
        let byte = Duration::from_micros(10 * 1_000_000 / 115_200);
        let writing = byte * u32::try_from(PIECE).unwrap();
        assert!(writing.as_micros() * 3 <= (writing + PAUSE).as_micros());
        // And the longest request is still printed within seconds.
        let longest = 4 * crate::server::RECEIVE_BUFFER + 64;
        let pieces = u32::try_from(longest.div_ceil(PIECE)).unwrap();
        assert!((writing + PAUSE) * pieces < Duration::from_secs(3));
    }

    #[test]
    fn lines_come_out_as_they_went_in_whatever_the_pieces() {
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
    fn a_line_that_does_not_fit_is_dropped_whole_and_counted() {
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
    fn a_line_longer_than_the_ring_never_fits_and_never_panics() {
        let mut lines = Lines::<8>::new();
        assert!(!lines.push("123456789"));
        assert!(!lines.push("1234567"));
        assert_eq!(drain(&mut lines, 3), "");
        assert!(!Lines::<0>::new().push(""));
        assert_eq!(Lines::<0>::new().take(&mut [0; 4]), 0);
    }
}
