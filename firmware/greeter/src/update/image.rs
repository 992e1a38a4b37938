//! Checks an application image as it is read, as the bootloader and ESP-IDF's tools do (ESP-IDF, "App
//! Image Format").
//!
//! | part | bytes |
//! |---|---|
//! | header: magic, segments, entry point, chip | 24 |
//! | each segment: load address, length, data | 8 + length |
//! | padding, and the XOR checksum in the last of 16 bytes | 1 to 16 |
//! | SHA-256 of everything before, if byte 23 of the header is 1 | 32 |
//!
//! The first segment starts with the application descriptor: version and project.

use sha2::{Digest, Sha256};

/// The project in the descriptor of this firmware.
pub const PROJECT: &str = "tcpctl-firmware";
/// Maximum version in a descriptor, in bytes.
pub const MAX_VERSION: usize = 32;
/// Bytes from the start of an image to the end of its project name, which an early check needs.
pub const START_LEN: usize = HEADER_LEN + SEGMENT_HEADER_LEN + DESCRIPTOR_LEN;

const HEADER_LEN: usize = 24;
const SEGMENT_HEADER_LEN: usize = 8;
/// Bytes of the descriptor up to the end of its project name.
const DESCRIPTOR_LEN: usize = 80;
pub(super) const HASH_LEN: usize = 32;
pub(super) const MAGIC: u8 = 0xe9;
pub(super) const DESCRIPTOR_MAGIC: [u8; 4] = [0x32, 0x54, 0xcd, 0xab];

/// Addresses of code: the chips' instruction memory, and the flash mapped for it (technical
/// reference manuals, "System and Memory"). Data memory is below.
pub const CODE: core::ops::Range<u32> = 0x4000_0000..0x5000_0000;

/// Chips and their ids in image headers (ESP-IDF, `esp_chip_id_t`).
const CHIP_IDS: [(&str, u16); 8] = [
    ("esp32", 0),
    ("esp32s2", 2),
    ("esp32c3", 5),
    ("esp32s3", 9),
    ("esp32c2", 12),
    ("esp32c6", 13),
    ("esp32c61", 20),
    ("esp32c5", 23),
];

/// The id of a chip in image headers; `None` for a chip that this firmware does not run on.
pub fn chip_id(chip: &str) -> Option<u16> {
    let mut chips = CHIP_IDS.iter();
    chips.find(|(name, _)| *name == chip).map(|(_, id)| *id)
}

/// The known chip with this name.
pub fn known_chip(name: &str) -> Option<&'static str> {
    let mut chips = CHIP_IDS.iter();
    chips.find(|(chip, _)| *chip == name).map(|(chip, _)| *chip)
}

/// The chip of an image that starts with these bytes.
pub fn chip_of(start: &[u8]) -> Option<&'static str> {
    let [low, high] = *start.get(12..)?.first_chunk()?;
    let id = u16::from_le_bytes([low, high]);
    let is_image = start.first() == Some(&MAGIC);
    let mut chips = CHIP_IDS.iter().filter(|_| is_image);
    chips.find(|(_, it)| *it == id).map(|(chip, _)| *chip)
}

/// The defect of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageError {
    /// Not an application image: wrong magic, or no application descriptor.
    NotAnApplication,
    /// The image is for another chip.
    WrongChip,
    /// The image belongs to another project.
    WrongProject,
    /// The image ends too early.
    Truncated,
    /// The checksum or the SHA-256 is wrong.
    Damaged,
    /// The entry point is not in a segment with code.
    EntryPoint,
}

/// The version of an application, from its descriptor. Untrusted text.
pub type Version = heapless::String<MAX_VERSION>;

/// Checks an image that is passed piece by piece.
#[derive(Debug)]
pub struct ImageCheck {
    chip: u16,
    part: Part,
    /// Bytes left of the current part.
    left: usize,
    /// The part of the header of the image or segment that is read so far.
    header: heapless::Vec<u8, HEADER_LEN>,
    descriptor: heapless::Vec<u8, DESCRIPTOR_LEN>,
    segments: u8,
    has_hash: bool,
    entry: u32,
    is_entry_found: bool,
    checksum: u8,
    last: u8,
    /// Bytes up to the end of the checksum.
    length: usize,
    hash: Sha256,
    stored: heapless::Vec<u8, HASH_LEN>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    SegmentHeader,
    Data,
    Checksum,
    Hash,
    /// The bytes after the image.
    Rest,
}

impl ImageCheck {
    /// A check for images of the chip with this ID.
    pub fn new(chip: u16) -> Self {
        Self {
            chip,
            part: Part::Header,
            left: HEADER_LEN,
            header: heapless::Vec::new(),
            descriptor: heapless::Vec::new(),
            segments: 0,
            has_hash: false,
            entry: 0,
            is_entry_found: false,
            checksum: 0xef,
            last: 0,
            length: 0,
            hash: Sha256::new(),
            stored: heapless::Vec::new(),
        }
    }

    /// Reads the next bytes.
    ///
    /// # Errors
    /// What is wrong so far.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), ImageError> {
        loop {
            let (now, rest) = bytes.split_at(self.left.min(bytes.len()));
            self.take(now)?;
            self.left -= now.len();
            bytes = rest;
            if self.left > 0 {
                return Ok(());
            }
            self.next_part()?;
            if self.part == Part::Rest {
                return Ok(());
            }
        }
    }

    /// Whether chip and project have been checked.
    pub fn is_identified(&self) -> bool {
        self.descriptor.is_full()
    }

    /// The version, once it has been read.
    pub fn version(&self) -> Option<Version> {
        let version = text(self.descriptor.get(16..48)?)?;
        Version::try_from(version).ok()
    }

    /// Whether the end of the image has been read.
    pub fn is_complete(&self) -> bool {
        self.part == Part::Rest
    }

    /// The result for the whole image.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn finish(&self) -> Result<(), ImageError> {
        if !self.is_complete() {
            return Err(ImageError::Truncated);
        }
        if !self.is_identified() {
            return Err(ImageError::NotAnApplication);
        }
        if !self.is_entry_found {
            return Err(ImageError::EntryPoint);
        }
        Ok(())
    }

    /// Processes bytes of the current part.
    fn take(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        match self.part {
            Part::Header | Part::SegmentHeader => self.header.extend(bytes.iter().copied()),
            Part::Data => {
                self.checksum = bytes.iter().fold(self.checksum, |sum, byte| sum ^ byte);
                if !self.descriptor.is_full() {
                    let room = DESCRIPTOR_LEN - self.descriptor.len();
                    self.descriptor.extend(bytes.iter().copied().take(room));
                    self.check_descriptor()?;
                }
            }
            Part::Checksum => self.last = bytes.last().copied().unwrap_or(self.last),
            Part::Hash => self.stored.extend(bytes.iter().copied()),
            Part::Rest => {}
        }
        if !matches!(self.part, Part::Hash | Part::Rest) {
            self.hash.update(bytes);
            self.length += bytes.len();
        }
        Ok(())
    }

    /// Moves on to the next part.
    fn next_part(&mut self) -> Result<(), ImageError> {
        match self.part {
            Part::Header => {
                let &[magic, segments, ..] = &self.header[..] else {
                    return Err(ImageError::NotAnApplication);
                };
                if magic != MAGIC || segments == 0 {
                    return Err(ImageError::NotAnApplication);
                }
                if self.header[12..14] != self.chip.to_le_bytes() {
                    return Err(ImageError::WrongChip);
                }
                self.segments = segments;
                self.entry = word(&self.header, 4);
                self.has_hash = self.header[23] == 1;
                self.start(Part::SegmentHeader, SEGMENT_HEADER_LEN);
            }
            Part::SegmentHeader => {
                let (address, length) = (word(&self.header, 0), word(&self.header, 4));
                let offset = self.entry.checked_sub(address);
                self.is_entry_found |=
                    CODE.contains(&address) && offset.is_some_and(|offset| offset < length);
                self.start(
                    Part::Data,
                    usize::try_from(length).map_err(|_| ImageError::Truncated)?,
                );
            }
            Part::Data => {
                if !self.is_identified() {
                    return Err(ImageError::NotAnApplication);
                }
                self.segments -= 1;
                if self.segments > 0 {
                    self.start(Part::SegmentHeader, SEGMENT_HEADER_LEN);
                } else {
                    let end = (self.length + 1).next_multiple_of(16);
                    self.start(Part::Checksum, end - self.length);
                }
            }
            Part::Checksum => {
                if self.last != self.checksum {
                    return Err(ImageError::Damaged);
                }
                if self.has_hash {
                    self.start(Part::Hash, HASH_LEN);
                } else {
                    self.start(Part::Rest, usize::MAX);
                }
            }
            Part::Hash => {
                if self.hash.clone().finalize()[..] != self.stored[..] {
                    return Err(ImageError::Damaged);
                }
                self.start(Part::Rest, usize::MAX);
            }
            Part::Rest => {}
        }
        Ok(())
    }

    fn start(&mut self, part: Part, length: usize) {
        self.part = part;
        self.left = length;
        self.header.clear();
    }

    fn check_descriptor(&self) -> Result<(), ImageError> {
        if !self.is_identified() {
            return Ok(());
        }
        if !self.descriptor.starts_with(&DESCRIPTOR_MAGIC) {
            return Err(ImageError::NotAnApplication);
        }
        if text(&self.descriptor[48..]) != Some(PROJECT) {
            return Err(ImageError::WrongProject);
        }
        Ok(())
    }
}

/// Text up to its terminating zero.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = bytes.split(|byte| *byte == 0).next()?;
    core::str::from_utf8(text).ok()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
    word.map_or(0, |word| u32::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;
    use std::vec::Vec;

    use super::super::sample::Sample;
    use super::*;

    const CHIP: u16 = 5;
    const GOOD: Sample<'_> = Sample::new(CHIP, "1.2.3");

    fn build(sample: Sample<'_>, length: usize) -> Vec<u8> {
        let mut image = vec![0; length];
        sample.write(&mut image);
        image
    }

    fn check(image: &[u8], piece: usize) -> Result<Version, ImageError> {
        let mut check = ImageCheck::new(CHIP);
        for piece in image.chunks(piece) {
            check.feed(piece)?;
        }
        check.finish()?;
        Ok(check.version().unwrap())
    }

    #[test]
    fn images_are_read_in_any_pieces() {
        for has_hash in [true, false] {
            let image = build(Sample { has_hash, ..GOOD }, 800);
            for piece in [1, 7, 16, 256, image.len()] {
                assert_eq!(check(&image, piece).as_deref(), Ok("1.2.3"), "{piece}");
            }
            // Bytes after the image are ignored.
            let padded = [&image[..], &[0xff; 60]].concat();
            assert_eq!(check(&padded, 64).as_deref(), Ok("1.2.3"));
        }
    }

    #[test]
    fn every_truncation_is_detected() {
        let image = build(GOOD, 400);
        for end in 0..image.len() {
            assert!(check(&image[..end], 50).is_err(), "{end}");
        }
    }

    #[test]
    fn every_changed_byte_of_a_hashed_image_is_detected() {
        let image = build(GOOD, 400);
        // Byte 23 is the flag of the hash, so skip it.
        for at in (0..image.len()).filter(|at| *at != 23) {
            let mut damaged = image.clone();
            damaged[at] ^= 0x10;
            assert!(check(&damaged, 64).is_err(), "{at}");
        }
    }

    #[test]
    fn other_images_are_refused() {
        for (image, error) in [
            (
                Sample {
                    chip: CHIP + 1,
                    ..GOOD
                },
                ImageError::WrongChip,
            ),
            (
                Sample {
                    project: "blinky",
                    ..GOOD
                },
                ImageError::WrongProject,
            ),
            (
                Sample {
                    entry: 0x10,
                    ..GOOD
                },
                ImageError::EntryPoint,
            ),
        ] {
            assert_eq!(check(&build(image, 400), 33), Err(error));
        }
        let mut bootloader = build(GOOD, 400);
        bootloader[32] = 0;
        assert_eq!(check(&bootloader, 33), Err(ImageError::NotAnApplication));
        assert_eq!(check(&[0xff; 4096], 33), Err(ImageError::NotAnApplication));
        assert_eq!(check(&[], 33), Err(ImageError::Truncated));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(mut bytes: Vec<u8>, piece in 1..64_usize) {
            let _ = check(&bytes, piece);
            // Damage after the magic and the chip.
            let image = build(GOOD, 352);
            let start = bytes.len().min(14);
            bytes[..start].copy_from_slice(&image[..start]);
            let _ = check(&bytes, piece);
        }
    }
}
