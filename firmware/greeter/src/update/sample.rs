//! Application images without code, for virtual boards, which do not run them, and for tests.

use sha2::{Digest, Sha256};

use super::image::{DESCRIPTOR_MAGIC, HASH_LEN, MAGIC, MAX_VERSION, PROJECT};

/// Minimum length of an image, in bytes.
pub const MIN_LEN: usize = 352;
/// Load address of the only segment.
const ADDRESS: u32 = 0x4200_0020;
/// Bytes of the descriptor in the segment. The code follows.
const DESCRIPTOR_LEN: usize = 256;
/// Default entry point.
const ENTRY: u32 = ADDRESS + 256;
/// The ids of chips with Xtensa cores (ESP-IDF, `esp_chip_id_t`): ESP32, ESP32-S2, ESP32-S3.
const XTENSA: [u16; 3] = [0, 2, 9];

/// An image to build.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Chip ID in image headers.
    pub chip: u16,
    /// The project.
    pub project: &'a str,
    /// The version, at most 31 bytes.
    pub version: &'a str,
    /// The entry point.
    pub entry: u32,
    /// Whether the image ends with its SHA-256.
    pub has_hash: bool,
}

impl<'a> Sample<'a> {
    /// An image of this project that every check accepts.
    pub const fn new(chip: u16, version: &'a str) -> Self {
        Self {
            chip,
            project: PROJECT,
            version,
            entry: ENTRY,
            has_hash: true,
        }
    }

    /// Fills `image`, which has at least [`MIN_LEN`] bytes and a multiple of 16. The bytes after
    /// the descriptor are an endless loop, then bytes that depend on the version.
    pub fn write(&self, image: &mut [u8]) {
        let hash_len = if self.has_hash { HASH_LEN } else { 0 };
        let end = image.len() - hash_len;
        let data = 32..end - 16;
        image.fill(0);
        image[0] = MAGIC;
        image[1] = 1;
        image[4..8].copy_from_slice(&self.entry.to_le_bytes());
        image[12..14].copy_from_slice(&self.chip.to_le_bytes());
        image[23] = u8::from(self.has_hash);
        image[24..28].copy_from_slice(&ADDRESS.to_le_bytes());
        let length = u32::try_from(data.len()).unwrap_or(0);
        image[28..32].copy_from_slice(&length.to_le_bytes());
        let descriptor = &mut image[data.clone()];
        descriptor[..4].copy_from_slice(&DESCRIPTOR_MAGIC);
        put(&mut descriptor[16..16 + MAX_VERSION], self.version);
        put(&mut descriptor[48..48 + MAX_VERSION], self.project);
        let mut random = Sha256::digest(self.version.as_bytes());
        for (index, byte) in descriptor[DESCRIPTOR_LEN..].iter_mut().enumerate() {
            let at = index % HASH_LEN;
            random[at] = random[at].wrapping_mul(5).wrapping_add(0x35);
            *byte = random[at];
        }
        // A jump to itself.
        let code: &[u8] = if XTENSA.contains(&self.chip) {
            &[0x06, 0xff, 0xff]
        } else {
            &[0x6f, 0, 0, 0]
        };
        descriptor[DESCRIPTOR_LEN..][..code.len()].copy_from_slice(code);
        image[end - 1] = image[data].iter().fold(0xef, |sum, byte| sum ^ byte);
        if self.has_hash {
            let hash = Sha256::digest(&image[..end]);
            image[end..].copy_from_slice(&hash);
        }
    }
}

/// Text with a terminating zero.
fn put(field: &mut [u8], text: &str) {
    let length = text.len().min(field.len() - 1);
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
}
