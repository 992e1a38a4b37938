//! The block of settings in flash.
//!
//! It stands at the start of a 4 kB data partition, one erasable sector; what follows it is not
//! read. Numbers in the header are little-endian.
//!
//! | offset | bytes | |
//! |---:|---:|---|
//! | 0 | 4 | magic, `TCPS` |
//! | 4 | 2 | version of the format, now 3 |
//! | 6 | 2 | n, the length of the body |
//! | 8 | 4 | CRC-32 (ISO-HDLC: Ethernet's, zlib's) of bytes 4 to 7 and of the body |
//! | 12 | n | body, in [postcard](https://postcard.jamesmunns.com/wire-format) |
//!
//! The header is the same for every version, so that an undamaged block from the future is known
//! as one. The body is these fields in this order; `u16` and `u32` are varints, text and bytes
//! have their length (a varint) before them, and `?` is a byte, 0 for none or 1 and the value:
//!
//! | field | type | since |
//! |---|---|---|
//! | network | variant 0, access point: SSID `bytes?`, security; 1, station: SSID `bytes`, security | 1 |
//! | security (within network) | variant 0, open; 1, WPA2: passphrase or 64 digits, `text` | 1 |
//! | channel | `u8` | 1 |
//! | maximum stations | `u8` | 1 |
//! | host name | `text?` | 1 |
//! | TCP port | `u16` | 1 |
//! | greeting | `bytes` | 1 |
//! | workers | `u8` | 1 |
//! | backlog | `u8` | 1 |
//! | request timeout, ms | `u32` | 2, else 5000 |
//! | services | `u8`, 0 or 1 | 2, else 0 |
//! | status | `u8`, 0 or 1 | 3, else 1 |
//!
//! The passphrase is there in plain text, as the radio needs it. Who can read a board's flash can
//! read it, unless the chip encrypts its flash.

use core::error::Error;
use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use serde::Deserialize;

use crate::wire::{MAX_BODY_LEN, Version1, Version2, Version3};
use crate::{Invalid, Settings};

/// The bytes of flash that a block may fill: one sector, the least that can be erased.
pub const BLOCK_SIZE: usize = 4096;

/// The most bytes that [`Settings::encode`] writes.
pub const MAX_LEN: usize = HEADER_LEN + MAX_BODY_LEN;

/// The version that [`Settings::encode`] writes, and the newest that [`Settings::decode`] reads.
pub const VERSION: u16 = 3;

const MAGIC: [u8; 4] = *b"TCPS";
const HEADER_LEN: usize = 12;

const _: () = assert!(MAX_LEN <= BLOCK_SIZE);

/// No table: a kilobyte of flash would save microseconds, once a boot.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

impl Settings {
    /// Writes these settings as a block and returns the part of `buffer` that it fills.
    ///
    /// # Errors
    /// [`BufferTooSmall`], never with [`MAX_LEN`] bytes.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        let (header, rest) = buffer
            .split_first_chunk_mut::<HEADER_LEN>()
            .ok_or(BufferTooSmall)?;
        let body = postcard::to_slice(&Version3::from(self), rest).map_err(|_| BufferTooSmall)?;
        // A body of more than 65535 bytes does not fit any block.
        let length = u16::try_from(body.len()).map_err(|_| BufferTooSmall)?;

        let [v0, v1] = VERSION.to_le_bytes();
        let [l0, l1] = length.to_le_bytes();
        let [m0, m1, m2, m3] = MAGIC;
        let [c0, c1, c2, c3] = checksum([v0, v1, l0, l1], body).to_le_bytes();
        *header = [m0, m1, m2, m3, v0, v1, l0, l1, c0, c1, c2, c3];

        let filled = HEADER_LEN + body.len();
        buffer.get(..filled).ok_or(BufferTooSmall)
    }

    /// Reads a block of this version or an older one; `sector` may be longer than the block.
    ///
    /// A setting that an older version did not have takes its default.
    ///
    /// # Errors
    /// Says what is there instead of settings, and what to do. It never panics, whatever the
    /// bytes.
    pub fn decode(sector: &[u8]) -> Result<Self, DecodeError> {
        let sector = sector.get(..BLOCK_SIZE).unwrap_or(sector);
        let is_all = |value| sector.iter().all(|&byte| byte == value);
        if is_all(0xFF) || is_all(0x00) {
            return Err(DecodeError::Blank);
        }
        let Some(rest) = sector.strip_prefix(&MAGIC) else {
            return Err(if MAGIC.starts_with(sector) {
                DecodeError::Torn
            } else {
                DecodeError::NotSettings
            });
        };
        let Some((&[v0, v1, l0, l1, c0, c1, c2, c3], rest)) = rest.split_first_chunk() else {
            return Err(DecodeError::Torn);
        };
        let length = u16::from_le_bytes([l0, l1]);
        let Some(body) = rest.get(..usize::from(length)) else {
            return Err(DecodeError::Torn);
        };
        if checksum([v0, v1, l0, l1], body) != u32::from_le_bytes([c0, c1, c2, c3]) {
            // Erased flash reads 0xFF, and no body ends in that: its end was never written.
            return Err(match body.last() {
                Some(0xFF) => DecodeError::Torn,
                _ => DecodeError::Corrupted,
            });
        }
        let body = match u16::from_le_bytes([v0, v1]) {
            1 => Version2::from(read::<Version1<'_>>(body)?).into(),
            2 => read::<Version2<'_>>(body)?.into(),
            3 => read::<Version3<'_>>(body)?,
            0 => return Err(DecodeError::Malformed),
            version => return Err(DecodeError::Newer { version }),
        };
        body.try_into().map_err(DecodeError::Invalid)
    }
}

/// Reads a body to its last byte.
fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(DecodeError::Malformed),
    }
}

/// The check sum of a version and a length, as they are in flash, and of a body.
fn checksum(version_and_length: [u8; 4], body: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&version_and_length);
    digest.update(body);
    digest.finalize()
}

/// The buffer for a block is shorter than the block; [`MAX_LEN`] bytes always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferTooSmall;

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the buffer is too small; {MAX_LEN} bytes always do")
    }
}

impl Error for BufferTooSmall {}

/// What is in flash instead of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Erased flash (all 0xFF), or all 0x00: none were ever written, or they were erased.
    Blank,
    /// Something else, without the magic.
    NotSettings,
    /// A block that goes on beyond the sector, or whose end was never written.
    Torn,
    /// A block with a wrong check sum.
    Corrupted,
    /// An undamaged block in a format of the future.
    Newer {
        /// Its version.
        version: u16,
    },
    /// An undamaged block whose body doesn't read as its version says.
    Malformed,
    /// An undamaged block with a setting that is not allowed.
    Invalid(Invalid),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const AGAIN: &str = "write them again with `tcpctl flash`";
        match self {
            Self::Blank => {
                f.write_str("no settings are stored; write some with `tcpctl flash --mode ap|sta`")
            }
            Self::NotSettings => write!(
                f,
                "what is stored is not settings; if it may be overwritten, {AGAIN}"
            ),
            Self::Torn => write!(f, "the stored settings are cut short; {AGAIN}"),
            Self::Corrupted => write!(f, "the stored settings are damaged; {AGAIN}"),
            Self::Newer { version } => write!(
                f,
                "the stored settings are of version {version}, newer than the {VERSION} that is \
                 understood here; update the firmware or tcpctl, whichever says this"
            ),
            Self::Malformed => write!(
                f,
                "the stored settings are undamaged and yet make no sense; {AGAIN}"
            ),
            Self::Invalid(invalid) => {
                write!(f, "the stored settings are not valid ({invalid}); {AGAIN}")
            }
        }
    }
}

impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Invalid(invalid) => Some(invalid),
            _ => None,
        }
    }
}
