//! Application images (ESP-IDF, "App Image Format").

use espflash::target::Chip;
use sha2::{Digest, Sha256};

use crate::sanitize;

/// First byte of an image.
pub(crate) const IMAGE_MAGIC: u8 = 0xe9;
const IMAGE_HEADER_LEN: usize = 24;
/// Magic of the application descriptor at the start of the first segment.
const APP_DESCRIPTOR_MAGIC: [u8; 4] = [0x32, 0x54, 0xcd, 0xab];

/// Checks an image like the bootloader, and returns its chip.
pub(crate) fn check(image: &[u8]) -> Result<Chip, String> {
    let header = image
        .get(..IMAGE_HEADER_LEN)
        .filter(|header| header[0] == IMAGE_MAGIC)
        .ok_or("it has no image header")?;
    let id = u16::from_le_bytes([header[12], header[13]]);
    let chip = Chip::try_from(id).map_err(|_| format!("unknown chip id {id}"))?;
    let mut at = IMAGE_HEADER_LEN;
    let mut sum = 0xef;
    for _ in 0..header[1] {
        let length = image.get(at + 4..at + 8).and_then(|l| l.try_into().ok());
        let length = length.map_or(usize::MAX, |length| u32::from_le_bytes(length) as usize);
        let start = at + 8;
        let end = start.saturating_add(length);
        let data = image.get(start..end).ok_or("it is truncated")?;
        sum = data.iter().fold(sum, |sum, byte| sum ^ byte);
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
    Ok(chip)
}

/// The application descriptor (ESP-IDF, `esp_app_desc_t`): what an application says about itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// Escaped; `None` if empty.
    pub(crate) version: Option<String>,
    /// Escaped.
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
