//! Reads the settings from their partition.

use core::fmt;

use tcpctl_settings::sectors::{SectorContent, Selected, select};
use tcpctl_settings::{BLOCK_SIZE, DecodeError, Settings};

use crate::boot_loop::{IgnoreReason, Start};

/// The label of the partition in `partitions.csv`.
pub const LABEL: &str = "settings";

#[expect(clippy::cast_possible_truncation, reason = "4096")]
const SECTOR: u32 = BLOCK_SIZE as u32;

/// The flash of a board.
pub trait Flash {
    /// The partition with this label, if it exists.
    fn partition(&mut self, label: &str) -> Result<Option<Partition>, Unreadable>;
    /// Fills `bytes` from `offset` on.
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Unreadable>;
}

/// A partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Offset in flash.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

impl Partition {
    /// Whether it has room for two sectors of settings.
    pub(crate) const fn has_two_sectors(self) -> bool {
        self.size as usize >= 2 * BLOCK_SIZE
    }
}

/// The flash or its partition table cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// Why there are no stored settings. Displays as the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The flash or its partition table could not be read.
    Unreadable,
    /// No partition has the label.
    NoPartition,
    /// The partition holds no valid settings.
    Unusable(DecodeError),
    /// The stored settings are ignored, because the board failed with them.
    Ignored(IgnoreReason),
}

impl From<Unreadable> for Missing {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("the flash or its partition table cannot be read"),
            Self::NoPartition => write!(f, "there is no partition `{LABEL}`"),
            Self::Unusable(error) => error.fmt(f),
            Self::Ignored(reason) => reason.fmt(f),
        }
    }
}

/// Reads the settings. Blocks while the flash is read, and needs a sector (4 kB) of stack.
///
/// # Errors
/// There are none.
pub fn load(flash: &mut impl Flash) -> Result<Selected, Missing> {
    let partition = find(flash)?;
    let [a, b] = contents(flash, partition)?;
    select(a, b).map_err(Missing::Unusable)
}

/// The partition of the settings.
pub(crate) fn find(flash: &mut impl Flash) -> Result<Partition, Missing> {
    flash.partition(LABEL)?.ok_or(Missing::NoPartition)
}

/// Both sectors. Partition tables before the one with two slots have one.
pub(crate) fn contents(
    flash: &mut impl Flash,
    partition: Partition,
) -> Result<[SectorContent; 2], Unreadable> {
    let a = read_sector(flash, partition.offset)?;
    let b = if partition.has_two_sectors() {
        read_sector(flash, partition.offset + SECTOR)?
    } else {
        SectorContent::read(&[])
    };
    Ok([a, b])
}

/// The settings, unless this start ignores them.
///
/// # Errors
/// There are none, or it does.
pub fn unless_ignored(
    stored: Result<Selected, Missing>,
    start: Start,
) -> Result<Settings, Missing> {
    let settings = stored?.record.settings;
    match start.ignore_reason() {
        Some(reason) => Err(Missing::Ignored(reason)),
        None => Ok(settings),
    }
}

/// Reads one sector at a time, so that only one is on the stack.
#[inline(never)]
pub(crate) fn read_sector(
    flash: &mut impl Flash,
    offset: u32,
) -> Result<SectorContent, Unreadable> {
    let mut sector = [0; BLOCK_SIZE];
    flash.read(offset, &mut sector)?;
    Ok(SectorContent::read(&sector))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    use tcpctl_settings::{MAX_LEN, Network, PARTITIONS, Record, RecordKind, Security, Ssid};

    use super::*;
    use crate::boot_loop::{MAX_FAILED_STARTS, NO_RECORD};
    use crate::reset::Reset;

    /// Offset of the partition in this flash.
    const OFFSET: u32 = 0x3000;

    /// A flash with one partition.
    struct Chip {
        label: Result<&'static str, Unreadable>,
        /// Sectors of the partition.
        content: Result<Vec<u8>, Unreadable>,
    }

    impl Flash for Chip {
        fn partition(&mut self, label: &str) -> Result<Option<Partition>, Unreadable> {
            let content = self.content.as_ref();
            let partition = Partition {
                offset: OFFSET,
                size: content.map_or(SECTOR, |it| u32::try_from(it.len()).unwrap()),
            };
            self.label.map(|it| (it == label).then_some(partition))
        }

        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Unreadable> {
            let content = self.content.as_ref().map_err(|error| *error)?;
            // Panics outside the partition.
            let start = usize::try_from(offset - OFFSET).unwrap();
            bytes.copy_from_slice(&content[start..start + bytes.len()]);
            Ok(())
        }
    }

    fn settings() -> Settings {
        Settings::new(Network::Station {
            ssid: Ssid::new("home").unwrap(),
            security: Security::Open,
        })
    }

    fn sector() -> Vec<u8> {
        numbered_sector(0)
    }

    fn numbered_sector(sequence: u32) -> Vec<u8> {
        let mut sector = vec![0xff; BLOCK_SIZE];
        let mut buffer = [0; MAX_LEN];
        let record = Record {
            settings: settings(),
            sequence,
            kind: RecordKind::Permanent,
        };
        let block = record.encode(&mut buffer).unwrap();
        sector[..block.len()].copy_from_slice(block);
        sector
    }

    fn chip(content: Vec<u8>) -> Chip {
        Chip {
            label: Ok("settings"),
            content: Ok(content),
        }
    }

    #[test]
    fn newer_sector_wins_and_one_sector_is_enough() {
        for (sectors, sequence) in [
            (vec![numbered_sector(3)], 3),
            (vec![numbered_sector(3), numbered_sector(4)], 4),
            (vec![numbered_sector(4), numbered_sector(3)], 4),
            (vec![numbered_sector(3), vec![0xff; BLOCK_SIZE]], 3),
            (vec![vec![0; BLOCK_SIZE], numbered_sector(3)], 3),
        ] {
            let selected = load(&mut chip(sectors.concat())).unwrap();
            assert_eq!(selected.record.sequence, sequence);
        }
    }

    #[test]
    fn settings_are_found_by_label() {
        let selected = load(&mut chip(sector())).unwrap();
        assert_eq!(selected.record.settings, settings());
        let named = |line: &str| line.split(',').next() == Some(LABEL);
        assert_eq!(PARTITIONS.lines().filter(|line| named(line)).count(), 1);
    }

    #[test]
    fn missing_partition_and_unreadable_flash_are_reported() {
        let mut other = chip(sector());
        other.label = Ok("nvs");
        let mut no_table = chip(sector());
        no_table.label = Err(Unreadable);
        let mut broken = chip(sector());
        broken.content = Err(Unreadable);
        for (mut chip, missing, words) in [
            (other, Missing::NoPartition, "no partition `settings`"),
            (no_table, Missing::Unreadable, "cannot be read"),
            (broken, Missing::Unreadable, "cannot be read"),
        ] {
            assert_eq!(load(&mut chip), Err(missing));
            assert!(missing.to_string().contains(words), "{missing}");
        }
    }

    #[test]
    fn blank_damaged_and_newer_settings_are_distinguished() {
        let mut damaged = sector();
        damaged[20] ^= 1;
        let torn = [&sector()[..16], &vec![0xff; BLOCK_SIZE - 16]].concat();
        // Another version, with a CRC over it and the body.
        let mut newer = sector();
        let length = usize::from(u16::from_le_bytes([newer[6], newer[7]]));
        newer[4] = 9;
        let covered = [&newer[4..8], &newer[12..12 + length]].concat();
        let sum = crc32(&covered).to_le_bytes();
        newer[8..12].copy_from_slice(&sum);
        for (sector, words) in [
            (vec![0xff; BLOCK_SIZE], "no settings are stored"),
            (vec![0x00; BLOCK_SIZE], "no settings are stored"),
            (vec![0xe9; BLOCK_SIZE], "holds other data"),
            (damaged, "are damaged"),
            (torn, "are incomplete"),
            (newer, "have format 9, newer than"),
        ] {
            let missing = load(&mut chip(sector)).unwrap_err();
            assert!(matches!(missing, Missing::Unusable(_)), "{missing}");
            assert!(missing.to_string().contains(words), "{missing}");
        }
    }

    #[test]
    fn failed_starts_make_settings_ignored() {
        let stored = || load(&mut chip(sector()));
        let mut start = Start::after(Reset::PowerOn, NO_RECORD, 1);
        for _ in 0..MAX_FAILED_STARTS {
            assert_eq!(unless_ignored(stored(), start), Ok(settings()));
            start = Start::after(Reset::Panic, start.record(), 1);
        }
        let missing = unless_ignored(stored(), start).unwrap_err();
        assert!(matches!(missing, Missing::Ignored(_)), "{missing}");
        assert!(missing.to_string().contains("starts in a row"), "{missing}");
    }

    /// CRC-32 (ISO-HDLC), bit by bit.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
            })
        })
    }
}
