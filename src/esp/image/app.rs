//! An app image, as the bootloader reads it.

use espflash::target::Chip;
use sha2::{Digest, Sha256};

use crate::sanitize;

/// The first byte of an image (ESP-IDF, "App Image Format").
pub(crate) const IMAGE_MAGIC: u8 = 0xe9;
const IMAGE_HEADER_LEN: usize = 24;
/// The magic of an app's descriptor, the first thing in its first segment.
const APP_DESCRIPTOR_MAGIC: [u8; 4] = [0x32, 0x54, 0xcd, 0xab];

/// Checks an image as the bootloader will, and returns its chip.
pub(crate) fn check(image: &[u8]) -> Result<Chip, String> {
    let header = image
        .get(..IMAGE_HEADER_LEN)
        .filter(|header| header[0] == IMAGE_MAGIC)
        .ok_or("it has no image header")?;
    let id = u16::from_le_bytes([header[12], header[13]]);
    let chip = Chip::try_from(id)
        .map_err(|_| format!("its chip has the id {id}, which is unknown here"))?;
    let mut at = IMAGE_HEADER_LEN;
    let mut sum = 0xef;
    for _ in 0..header[1] {
        let length = image.get(at + 4..at + 8).and_then(|l| l.try_into().ok());
        let length = length.map_or(usize::MAX, |length| u32::from_le_bytes(length) as usize);
        let start = at + 8;
        let end = start.saturating_add(length);
        let data = image.get(start..end).ok_or("it is cut short")?;
        sum = data.iter().fold(sum, |sum, byte| sum ^ byte);
        at = end;
    }
    let end = (at + 1).next_multiple_of(16);
    if image.get(end - 1) != Some(&sum) {
        return Err("its check sum is wrong".to_owned());
    }
    if header[23] == 1 {
        let stored = image.get(end..end + 32).ok_or("it is cut short")?;
        if Sha256::digest(&image[..end]).as_slice() != stored {
            return Err("its SHA-256 is wrong".to_owned());
        }
    }
    Ok(chip)
}

/// The version that a program's descriptor tells: printable, or none.
pub(crate) fn version(image: &[u8]) -> Option<String> {
    let descriptor = image.get(IMAGE_HEADER_LEN + 8..)?;
    let rest = descriptor.strip_prefix(&APP_DESCRIPTOR_MAGIC)?;
    let text = rest.get(12..44)?.split(|byte| *byte == 0).next()?;
    let text = sanitize::one_line(&String::from_utf8_lossy(text));
    (!text.is_empty()).then_some(text)
}
