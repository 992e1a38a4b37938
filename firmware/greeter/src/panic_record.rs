//! A panic's last words, in memory that a reset leaves alone.
//!
//! At power-on such memory holds anything, and a reset can come in the middle of a write: so the
//! record has a magic and a check sum, and what does not add up was never said.
//!
//! | offset | bytes | |
//! |---:|---:|---|
//! | 0 | 4 | magic, `PANC` |
//! | 4 | 4 | FNV-1a of the length and the text, little-endian |
//! | 8 | 2 | n, the length of the text, little-endian |
//! | 10 | n | the text, UTF-8 |

use core::fmt::{self, Write};

/// The bytes of a record: enough for a place in the code and a sentence.
pub const LEN: usize = 256;

const MAGIC: [u8; 4] = *b"PANC";
const HEADER: usize = 10;
/// The most bytes of a text.
const TEXT: usize = LEN - HEADER;

/// Writes a record of `message` and returns it; what is too long is cut.
pub fn write(message: impl fmt::Display) -> [u8; LEN] {
    let mut record = [0; LEN];
    let (header, text) = record.split_at_mut(HEADER);
    let mut cut = Cut { text, length: 0 };
    // An error is a text that was cut.
    let _ = write!(cut, "{message}");
    let length = cut.length;
    // At most `TEXT`, which fits.
    let size = u16::try_from(length).unwrap_or_default().to_le_bytes();
    let sum = checksum(size, &text[..length]).to_le_bytes();
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&sum);
    header[8..].copy_from_slice(&size);
    record
}

/// The text of a record, if there is a whole one.
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

/// FNV-1a, 32 bits: tells chance from a record in a handful of instructions.
fn checksum(size: [u8; 2], text: &[u8]) -> u32 {
    size.iter()
        .chain(text)
        .fold(0x811c_9dc5, |hash: u32, &byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        })
}

/// A text that ends where its space ends, at a whole character.
struct Cut<'t> {
    text: &'t mut [u8],
    length: usize,
}

impl Write for Cut<'_> {
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
    fn a_record_is_read_as_it_was_written() {
        for text in ["", "panicked at src/main.rs:7:1: out of luck", "Zürich"] {
            assert_eq!(read(&write(text)), Some(text));
        }
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let long = "ü".repeat(500);
        let record = write(&long);
        let text = read(&record).unwrap();
        assert_eq!(text, "ü".repeat(TEXT / 2));
        // What follows a cut piece does not sneak in behind it.
        let record = write(format_args!("{long}{}", "x"));
        assert!(!read(&record).unwrap().contains('x'));
    }

    #[test]
    fn memory_at_power_on_is_no_record() {
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
    fn any_flipped_bit_of_it_is_noticed() {
        let record = write("out of luck");
        for bit in 0..(HEADER + "out of luck".len()) * 8 {
            let mut damaged = record;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&damaged), None, "bit {bit}");
        }
    }
}
