//! A panic message in memory that survives a reset.
//!
//! Such memory is random at power-on, and a reset can interrupt a write, so the record has a magic
//! and a checksum.
//!
//! | offset | bytes | |
//! |---:|---:|---|
//! | 0 | 4 | magic, `PANC` |
//! | 4 | 4 | FNV-1a of the length and the text, little-endian |
//! | 8 | 2 | n, the length of the text, little-endian |
//! | 10 | n | the text, UTF-8 |

use core::fmt::{self, Write};

/// Length of a record, in bytes.
pub const LEN: usize = 256;

const MAGIC: [u8; 4] = *b"PANC";
const HEADER: usize = 10;
/// Maximum bytes of text.
const TEXT: usize = LEN - HEADER;

/// Encodes a record of `message`, truncated if it is too long.
pub fn write(message: impl fmt::Display) -> [u8; LEN] {
    let mut record = [0; LEN];
    let (header, text) = record.split_at_mut(HEADER);
    let mut cut = Truncated { text, length: 0 };
    let _ = write!(cut, "{message}");
    let length = cut.length;
    // Cannot fail: the length is at most `TEXT`.
    let size = u16::try_from(length).unwrap_or_default().to_le_bytes();
    let sum = checksum(size, &text[..length]).to_le_bytes();
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&sum);
    header[8..].copy_from_slice(&size);
    record
}

/// The text of a valid record.
pub fn read(record: &[u8; LEN]) -> Option<&str> {
    let rest = record.strip_prefix(&MAGIC)?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let (size, rest) = rest.split_first_chunk::<2>()?;
    let text = rest.get(..usize::from(u16::from_le_bytes(*size)))?;
    if checksum(*size, text) != u32::from_le_bytes(*sum) {
        return None;
    }
    core::str::from_utf8(text).ok()
}

/// FNV-1a, 32 bits.
fn checksum(size: [u8; 2], text: &[u8]) -> u32 {
    size.iter()
        .chain(text)
        .fold(0x811c_9dc5, |hash: u32, &byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        })
}

/// Text that is truncated at a character boundary.
struct Truncated<'t> {
    text: &'t mut [u8],
    length: usize,
}

impl Write for Truncated<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = TEXT - self.length;
        let fits = text.floor_char_boundary(room);
        self.text[self.length..self.length + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.length += fits;
        if fits < text.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn record_round_trips() {
        for text in ["", "panicked at src/main.rs:7:1: out of luck", "Zürich"] {
            assert_eq!(read(&write(text)), Some(text));
        }
    }

    #[test]
    fn long_message_is_truncated_at_a_character() {
        let long = "ü".repeat(500);
        let record = write(&long);
        let text = read(&record).unwrap();
        assert_eq!(text, "ü".repeat(TEXT / 2));
        // Text after the truncated piece is dropped as well.
        let record = write(format_args!("{long}{}", "x"));
        assert!(!read(&record).unwrap().contains('x'));
    }

    #[test]
    fn random_memory_is_not_a_record() {
        assert_eq!(read(&[0; LEN]), None);
        assert_eq!(read(&[0xff; LEN]), None);
        let mut random = 1_u32;
        let noise = [(); LEN].map(|()| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random.to_le_bytes()[3]
        });
        assert_eq!(read(&noise), None);
        let mut with_magic = noise;
        with_magic[..4].copy_from_slice(&MAGIC);
        assert_eq!(read(&with_magic), None);
    }

    #[test]
    fn any_flipped_bit_is_detected() {
        let record = write("out of luck");
        for bit in 0..(HEADER + "out of luck".len()) * 8 {
            let mut damaged = record;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&damaged), None, "bit {bit}");
        }
    }
}
