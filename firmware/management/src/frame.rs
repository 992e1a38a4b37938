//! Frames: a length as two bytes, big-endian, and that many bytes.

use alloc::vec::Vec;

/// Maximum length of a message, in bytes before encryption: 1 kB of an update and its header.
pub const MAX_MESSAGE: usize = 1200;

/// Length of the tag of each encrypted message, in bytes.
pub(crate) const TAG_LEN: usize = 16;

/// Maximum length of a frame, in bytes, without its length field.
pub const MAX_FRAME: usize = MAX_MESSAGE + TAG_LEN;

/// Length of the length field.
const PREFIX: usize = 2;

/// Assembles frames from received pieces.
pub(crate) struct FrameReader {
    /// The length field as far as it is received, then the frame.
    buffer: Vec<u8>,
}

/// A frame with a length out of bounds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLength;

impl FrameReader {
    pub(crate) const fn new() -> Self {
        Self { buffer: Vec::new() }
    }

    /// Takes bytes from `input` up to the end of the frame; `None` if it is not complete.
    ///
    /// Its length must be within `bounds`. Memory is reserved only then.
    pub(crate) fn read(
        &mut self,
        input: &mut &[u8],
        bounds: core::ops::RangeInclusive<usize>,
    ) -> Result<Option<Vec<u8>>, BadLength> {
        self.fill(input, PREFIX);
        let Some(&[high, low]) = self.buffer.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !bounds.contains(&length) {
            return Err(BadLength);
        }
        self.fill(input, PREFIX + length);
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        let mut frame = core::mem::take(&mut self.buffer);
        frame.drain(..PREFIX);
        Ok(Some(frame))
    }

    /// Takes bytes until the buffer has `length` bytes.
    fn fill(&mut self, input: &mut &[u8], length: usize) {
        let missing = length.saturating_sub(self.buffer.len());
        self.buffer.reserve_exact(missing);
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.buffer.extend_from_slice(taken);
        *input = rest;
    }
}

/// The frame with this content.
pub(crate) fn with_prefix(content: &[u8]) -> Vec<u8> {
    // Cannot fail: the length is at most `MAX_FRAME`.
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    let mut frame = Vec::with_capacity(PREFIX + content.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(content);
    frame
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    #[test]
    fn frames_are_found_in_any_pieces() {
        let stream = [with_prefix(b"one"), with_prefix(b"three")].concat();
        for size in 1..=stream.len() {
            let mut reader = FrameReader::new();
            let mut frames = vec![];
            for mut piece in stream.chunks(size) {
                while let Some(frame) = reader.read(&mut piece, 1..=5).unwrap() {
                    frames.push(frame);
                }
                assert!(piece.is_empty());
            }
            assert_eq!(frames, [b"one".to_vec(), b"three".to_vec()], "{size}");
        }
    }

    #[test]
    fn bad_length_is_refused_before_memory_is_reserved() {
        for length in [0_u16, 9, u16::MAX] {
            let mut reader = FrameReader::new();
            let bytes = length.to_be_bytes();
            assert_eq!(reader.read(&mut &bytes[..], 1..=8), Err(BadLength));
            assert!(reader.buffer.capacity() <= 8);
        }
    }
}
