//! Application images (ESP-IDF, "App Image Format").

use espflash::target::Chip;
use sha2::{Digest, Sha256};
use tcpctl_greeter::update::image::CODE;

use super::chip;
use super::entry::{Code, OUTSIDE, Piece};
use crate::sanitize;

/// First byte of an image.
pub(crate) const IMAGE_MAGIC: u8 = 0xe9;
const IMAGE_HEADER_LEN: usize = 24;
/// Maximum bytes from the entry point to the first call or jump.
const START_LEN: u32 = 128;
/// Magic of the application descriptor at the start of the first segment.
const APP_DESCRIPTOR_MAGIC: [u8; 4] = [0x32, 0x54, 0xcd, 0xab];

/// An image with a valid format.
#[derive(Debug)]
pub(crate) struct CheckedImage<'i> {
    pub(crate) chip: Chip,
    entry: u32,
    /// Segments: load address and data.
    segments: Vec<(u32, &'i [u8])>,
}

/// Checks an image as the bootloader does.
pub(crate) fn check(image: &[u8]) -> Result<CheckedImage<'_>, String> {
    let header = image
        .get(..IMAGE_HEADER_LEN)
        .filter(|header| header[0] == IMAGE_MAGIC)
        .ok_or("it has no image header")?;
    let id = u16::from_le_bytes([header[12], header[13]]);
    let chip = Chip::try_from(id).map_err(|_| format!("unknown chip id {id}"))?;
    let mut at = IMAGE_HEADER_LEN;
    let mut sum = 0xef;
    let mut segments = Vec::new();
    for _ in 0..header[1] {
        let address = word(image, at).ok_or("it is truncated")?;
        let length = word(image, at + 4).ok_or("it is truncated")? as usize;
        let start = at + 8;
        let end = start.saturating_add(length);
        let data = image.get(start..end).ok_or("it is truncated")?;
        sum = data.iter().fold(sum, |sum, byte| sum ^ byte);
        segments.push((address, data));
        at = end;
    }
    let end = (at + 1).next_multiple_of(16);
    if image.get(end - 1) != Some(&sum) {
        return Err("its checksum is wrong".to_owned());
    }
    if header[23] == 1 {
        let stored = image.get(end..end + 32).ok_or("it is truncated")?;
        if Sha256::digest(&image[..end]).as_slice() != stored {
            return Err("its SHA-256 is wrong".to_owned());
        }
    }
    Ok(CheckedImage {
        chip,
        entry: word(header, 4).unwrap_or_default(),
        segments,
    })
}

impl CheckedImage<'_> {
    /// Checks the start as far as possible without symbols: the entry point is in code, and this
    /// code calls or jumps to code of the image.
    pub(crate) fn check_start(&self) -> Result<(), &'static str> {
        let pieces = self.segments.iter().map(|&(address, data)| Piece {
            address,
            data,
            is_code: CODE.contains(&address),
        });
        let code = Code {
            is_xtensa: chip::is_xtensa(self.chip),
            pieces: pieces.collect(),
        };
        if code.at(self.entry).is_none() {
            return Err(OUTSIDE);
        }
        let mut left = usize::MAX;
        let targets = code.targets(self.entry, START_LEN, &mut left);
        if !targets.iter().any(|target| code.at(*target).is_some()) {
            return Err("its entry point leads to no code");
        }
        Ok(())
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*word))
}

/// The application descriptor (ESP-IDF, `esp_app_desc_t`): version and project of an application.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// Version, escaped; `None` if empty.
    pub(crate) version: Option<String>,
    /// Project, escaped.
    pub(crate) project: String,
}

impl Descriptor {
    /// The descriptor at the start of the first segment. Bootloaders and RAM images have none.
    pub(crate) fn find(image: &[u8]) -> Option<Self> {
        let descriptor = image.get(IMAGE_HEADER_LEN + 8..)?;
        if !descriptor.starts_with(&APP_DESCRIPTOR_MAGIC) {
            return None;
        }
        let text = |range| {
            let text = descriptor.get::<std::ops::Range<usize>>(range)?;
            let text = text.split(|byte| *byte == 0).next()?;
            Some(sanitize::one_line(&String::from_utf8_lossy(text)))
        };
        Some(Self {
            version: text(16..48).filter(|version| !version.is_empty()),
            project: text(48..80)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use tcpctl_greeter::update::image::chip_id;
    use tcpctl_greeter::update::sample::Sample;

    use super::super::{DEFAULT_FLASH, Firmware};
    use super::*;

    /// espflash contains bootloaders of ESP-IDF, which are code of a real compiler.
    #[test]
    fn start_of_compiled_code_is_accepted() {
        for chip in [
            "esp32", "esp32c2", "esp32c3", "esp32c5", "esp32c6", "esp32c61", "esp32s2", "esp32s3",
        ] {
            let mut image = vec![0; 1008];
            Sample::new(chip_id(chip).unwrap(), "1.0").write(&mut image);
            let firmware = Firmware::parse(chip.to_owned(), image).unwrap();
            let crystal = firmware.chip.default_xtal_frequency();
            let image = firmware.image(DEFAULT_FLASH, crystal).unwrap();
            let bootloader = check(&image.bootloader.data).unwrap();
            assert_eq!(bootloader.check_start(), Ok(()), "{chip}");
        }
    }
}
