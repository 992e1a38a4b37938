//! Reads the settings from their partition.

use core::fmt;

use tcpctl_settings::{BLOCK_SIZE, DecodeError, Settings};

use crate::boot_loop::{IgnoreReason, Start};

/// The label of the partition in `partitions.csv`.
pub const LABEL: &str = "settings";

/// The flash of a board.
pub trait Flash {
    /// The offset of the partition with this label, if there is one.
    fn partition(&mut self, label: &str) -> Result<Option<u32>, Unreadable>;
    /// Fills `bytes` from `offset` on.
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Unreadable>;
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
    /// The board failed with the stored settings.
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

/// Reads the settings, unless this start ignores them. Blocks while the flash is read, and needs a
/// sector (4 kB) of stack.
pub fn load(start: Start, flash: &mut impl Flash) -> Result<Settings, Missing> {
    if let Some(reason) = start.ignore_reason() {
        return Err(Missing::Ignored(reason));
    }
    let offset = flash.partition(LABEL)?.ok_or(Missing::NoPartition)?;
    let mut sector = [0; BLOCK_SIZE];
    flash.read(offset, &mut sector)?;
    Settings::decode(&sector).map_err(Missing::Unusable)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    use tcpctl_settings::{MAX_LEN, Network, PARTITIONS, Security, Ssid};

    use super::*;
    use crate::boot_loop::{MAX_FAILED_STARTS, NO_RECORD};
    use crate::reset::Reset;

    /// Offset of the partition in this flash.
    const OFFSET: u32 = 0x3000;

    /// A flash with one partition.
    struct Chip {
        label: Result<&'static str, Unreadable>,
        sector: Result<Vec<u8>, Unreadable>,
    }

    impl Flash for Chip {
        fn partition(&mut self, label: &str) -> Result<Option<u32>, Unreadable> {
            self.label.map(|it| (it == label).then_some(OFFSET))
        }

        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Unreadable> {
            assert_eq!(offset, OFFSET, "only the partition is read");
            bytes.copy_from_slice(self.sector.as_ref().map_err(|error| *error)?);
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
        let mut sector = vec![0xff; BLOCK_SIZE];
        let mut buffer = [0; MAX_LEN];
        let block = settings().encode(&mut buffer).unwrap();
        sector[..block.len()].copy_from_slice(block);
        sector
    }

    fn chip(sector: Vec<u8>) -> Chip {
        Chip {
            label: Ok("settings"),
            sector: Ok(sector),
        }
    }

    fn first() -> Start {
        Start::after(Reset::PowerOn, NO_RECORD)
    }

    #[test]
    fn settings_are_found_by_label() {
        assert_eq!(load(first(), &mut chip(sector())), Ok(settings()));
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
        broken.sector = Err(Unreadable);
        for (mut chip, missing, words) in [
            (other, Missing::NoPartition, "no partition `settings`"),
            (no_table, Missing::Unreadable, "cannot be read"),
            (broken, Missing::Unreadable, "cannot be read"),
        ] {
            assert_eq!(load(first(), &mut chip), Err(missing));
            assert!(missing.to_string().contains(words), "{missing}");
        }
    }

    #[test]
    fn blank_damaged_and_newer_settings_are_distinguished() {
        let mut damaged = sector();
        damaged[20] ^= 1;
        let torn = [&sector()[..16], &vec![0xff; BLOCK_SIZE - 16]].concat();
        // Another version, with the CRC over it and the body.
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
            let missing = load(first(), &mut chip(sector)).unwrap_err();
            assert!(matches!(missing, Missing::Unusable(_)), "{missing}");
            assert!(missing.to_string().contains(words), "{missing}");
        }
    }

    #[test]
    fn start_that_ignores_settings_reads_no_flash() {
        let mut start = first();
        for _ in 0..MAX_FAILED_STARTS {
            start = Start::after(Reset::Panic, start.record());
        }
        let mut untouchable = Chip {
            label: Err(Unreadable),
            sector: Err(Unreadable),
        };
        let missing = load(start, &mut untouchable).unwrap_err();
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
