//! The block of settings in flash.
//!
//! A block is at the start of a 4 kB sector, the smallest erasable unit. Numbers in the header are
//! little-endian.
//!
//! | offset | bytes | |
//! |---:|---:|---|
//! | 0 | 4 | magic, `TCPS` |
//! | 4 | 2 | version of the format, now 4 |
//! | 6 | 2 | n, length of the body |
//! | 8 | 4 | CRC-32 (ISO-HDLC: Ethernet's, zlib's) of bytes 4 to 7 and of the body |
//! | 12 | n | body, in [postcard](https://postcard.jamesmunns.com/wire-format) |
//!
//! The header is the same in every version, so that an undamaged block of a newer version is
//! recognized. The body has these fields in this order. `u16` and `u32` are varints, text and bytes
//! follow their length (a varint), and `?` is a byte, 0 for none or 1 and the value:
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
//! | sequence number | `u32` | 4, else 0 |
//! | trial | `u8`, 0 or 1 | 4, else 0 |
//! | management key | 32 bytes`?` | 4, else none |
//! | commands | `u8`, 0 or 1 | 4, else 0 |
//! | management | `u8`, 0 or 1 | 4, else 1 (0 if the TCP port is 3001) |
//!
//! The state of a trial is at the end of the sector, see [`sectors`](crate::sectors).
//!
//! Passphrase and key are in plain text. Who can read a board's flash can read them, unless the
//! chip encrypts its flash.

use core::error::Error;
use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use serde::Deserialize;

use crate::Invalid;
use crate::settings::{Record, RecordKind, Settings};
use crate::wire::{MAX_BODY_LEN, Version1, Version2, Version3, Version4};

/// Size of a sector, in bytes.
pub const BLOCK_SIZE: usize = 4096;

/// Length of the longest block, in bytes.
pub const MAX_LEN: usize = HEADER_LEN + MAX_BODY_LEN;

/// The version that [`Record::encode`] writes, and the newest that [`Record::decode`] reads.
pub const VERSION: u16 = 4;

const MAGIC: [u8; 4] = *b"TCPS";
const HEADER_LEN: usize = 12;

/// A table would cost a kilobyte and save microseconds at each start.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

impl Record {
    /// Writes a block. Returns the part of `buffer` that it fills.
    ///
    /// # Errors
    /// [`BufferTooSmall`], never with [`MAX_LEN`] bytes.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.settings
            .encode_record(self.sequence, self.kind, buffer)
    }

    /// Reads a block of this version or an older one; `sector` may be longer than the block.
    ///
    /// Fields that an older version lacks take their defaults.
    ///
    /// # Errors
    /// What is there instead. It never panics, whatever the bytes.
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
            // Erased flash reads 0xFF, and no body ends with that: the end was never written.
            return Err(match body.last() {
                Some(0xFF) => DecodeError::Torn,
                _ => DecodeError::Corrupted,
            });
        }
        let body: Version4<'_> = match u16::from_le_bytes([v0, v1]) {
            1 => Version3::from(Version2::from(read::<Version1<'_>>(body)?)).into(),
            2 => Version3::from(read::<Version2<'_>>(body)?).into(),
            3 => read::<Version3<'_>>(body)?.into(),
            4 => read(body)?,
            0 => return Err(DecodeError::Malformed),
            version => return Err(DecodeError::Newer { version }),
        };
        body.try_into().map_err(DecodeError::Invalid)
    }
}

impl Settings {
    /// Writes these settings as the permanent block of a board that has no other.
    ///
    /// # Errors
    /// [`BufferTooSmall`], never with [`MAX_LEN`] bytes.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.encode_record(1, RecordKind::Permanent, buffer)
    }

    /// Writes these settings as a [`Record`] with this sequence number and kind.
    ///
    /// # Errors
    /// [`BufferTooSmall`], never with [`MAX_LEN`] bytes.
    pub fn encode_record<'b>(
        &self,
        sequence: u32,
        kind: RecordKind,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], BufferTooSmall> {
        let (header, rest) = buffer
            .split_first_chunk_mut::<HEADER_LEN>()
            .ok_or(BufferTooSmall)?;
        let body = postcard::to_slice(&Version4::new(self, sequence, kind), rest)
            .map_err(|_| BufferTooSmall)?;
        let length = u16::try_from(body.len()).map_err(|_| BufferTooSmall)?;

        let [v0, v1] = VERSION.to_le_bytes();
        let [l0, l1] = length.to_le_bytes();
        let [m0, m1, m2, m3] = MAGIC;
        let [c0, c1, c2, c3] = checksum([v0, v1, l0, l1], body).to_le_bytes();
        *header = [m0, m1, m2, m3, v0, v1, l0, l1, c0, c1, c2, c3];

        let filled = HEADER_LEN + body.len();
        buffer.get(..filled).ok_or(BufferTooSmall)
    }

    /// The settings of a block; see [`Record::decode`].
    ///
    /// # Errors
    /// As [`Record::decode`].
    pub fn decode(sector: &[u8]) -> Result<Self, DecodeError> {
        Ok(Record::decode(sector)?.settings)
    }
}

/// Reads a whole body.
fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(DecodeError::Malformed),
    }
}

/// The CRC of a version and a length, in their flash format, and of a body.
fn checksum(version_and_length: [u8; 4], body: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&version_and_length);
    digest.update(body);
    digest.finalize()
}

/// The buffer is shorter than the block. [`MAX_LEN`] bytes always suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferTooSmall;

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the buffer has fewer than {MAX_LEN} bytes")
    }
}

impl Error for BufferTooSmall {}

/// The content of flash that is not settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Erased flash (all 0xFF), or all 0x00.
    Blank,
    /// Other data, without the magic.
    NotSettings,
    /// A block that continues beyond the sector, or whose end was never written.
    Torn,
    /// A block with a wrong CRC.
    Corrupted,
    /// An undamaged block of a newer version.
    Newer {
        /// Version of the block.
        version: u16,
    },
    /// An undamaged block whose body does not fit its version.
    Malformed,
    /// An undamaged block with an invalid value.
    Invalid(Invalid),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("no settings are stored"),
            Self::NotSettings => f.write_str("the settings partition holds other data"),
            Self::Torn => f.write_str("the stored settings are incomplete"),
            Self::Corrupted => f.write_str("the stored settings are damaged"),
            Self::Newer { version } => write!(
                f,
                "the stored settings have format {version}, newer than the supported {VERSION}"
            ),
            Self::Malformed => f.write_str("the stored settings have an invalid structure"),
            Self::Invalid(invalid) => write!(f, "the stored settings are invalid: {invalid}"),
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
