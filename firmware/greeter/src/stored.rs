//! The settings, out of the partition that is labelled so.

use core::fmt;

use tcpctl_settings::{BLOCK_SIZE, DecodeError, Settings};

use crate::boot_loop::{Blamed, Start};

/// The partition's label in `partitions.csv`. Nobody looks for an offset.
pub const LABEL: &str = "settings";

/// The flash of a board.
pub trait Flash {
    /// The offset of the partition with this label, if there is one.
    fn partition(&mut self, label: &str) -> Result<Option<u32>, Unreadable>;
    /// Reads as many bytes as fit `bytes` from `offset` on.
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Unreadable>;
}

/// The flash, or its partition table, can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// Why there are no settings. Displays as the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The flash or its partition table could not be read.
    Unreadable,
    /// No partition has the label.
    NoPartition,
    /// What is in the partition is of no use.
    Unusable(DecodeError),
    /// There may be settings; the board has failed with them.
    Blamed(Blamed),
}

impl From<Unreadable> for Missing {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("the flash or its partition table can't be read"),
            Self::NoPartition => write!(
                f,
                "there is no partition `{LABEL}`; flash the firmware with its own partition table"
            ),
            Self::Unusable(error) => error.fmt(f),
            Self::Blamed(blamed) => blamed.fmt(f),
        }
    }
}

/// Reads the settings, unless this start is to do without. Blocks for as long as the flash does, and
/// takes a sector, 4 kB, of stack.
pub fn load(start: Start, flash: &mut impl Flash) -> Result<Settings, Missing> {
    if let Some(blamed) = start.blame() {
        return Err(Missing::Blamed(blamed));
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
    use crate::boot_loop::{NO_RECORD, PATIENCE};
    use crate::reset::Reset;

    /// Where the partition is in this flash.
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
            assert_eq!(offset, OFFSET, "elsewhere is somebody else's");
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
    fn settings_are_found_by_the_label_and_read() {
        assert_eq!(load(first(), &mut chip(sector())), Ok(settings()));
        let named = |line: &str| line.split(',').next() == Some(LABEL);
        assert_eq!(PARTITIONS.lines().filter(|line| named(line)).count(), 1);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let mut other = chip(sector());
        other.label = Ok("nvs");
        let mut no_table = chip(sector());
        no_table.label = Err(Unreadable);
        let mut broken = chip(sector());
        broken.sector = Err(Unreadable);
        for (mut chip, missing, words) in [
            (other, Missing::NoPartition, "no partition `settings`"),
            (no_table, Missing::Unreadable, "can't be read"),
            (broken, Missing::Unreadable, "can't be read"),
        ] {
            assert_eq!(load(first(), &mut chip), Err(missing));
            assert!(missing.to_string().contains(words), "{missing}");
        }
    }

    #[test]
    fn blank_and_damaged_and_newer_settings_are_told_apart() {
        let mut damaged = sector();
        damaged[20] ^= 1;
        let torn = [&sector()[..16], &vec![0xff; BLOCK_SIZE - 16]].concat();
        // The header's version, and the check sum over it and the body.
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
    fn a_start_that_is_to_do_without_does_not_look() {
        let mut start = first();
        for _ in 0..PATIENCE {
            start = Start::after(Reset::Panic, start.record());
        }
        let mut untouchable = Chip {
            label: Err(Unreadable),
            sector: Err(Unreadable),
        };
        let missing = load(start, &mut untouchable).unwrap_err();
        assert!(matches!(missing, Missing::Blamed(_)), "{missing}");
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
