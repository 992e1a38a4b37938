//! The registers that loaders look at.

use std::collections::HashMap;

use super::Kind;

/// The RTC watchdog of the C3 (technical reference manual, chapter 9).
const WDT_CONFIG0: u32 = 0x6000_8090;
const WDT_WRITE_PROTECT: u32 = 0x6000_80a8;
const WDT_KEY: u32 = 0x50d8_3aa1;

/// SPI1, which reaches the flash.
const SPI_CMD: u32 = 0x6000_2000;
const SPI_USR2: u32 = 0x6000_2020;
const SPI_W0: u32 = 0x6000_2058;
const SPI_START: u32 = 1 << 18;
const READ_JEDEC_ID: u32 = 0x9f;

/// Where a loader finds which chip it talks to.
const MAGIC: u32 = 0x4000_1000;
/// eFuse block 1: the MAC address and the revision.
const EFUSE_BLOCK1: u32 = 0x6000_8844;

#[derive(Debug)]
pub struct Registers {
    values: HashMap<u32, u32>,
    flash_id: u32,
}

impl Registers {
    pub fn of(kind: &Kind) -> Self {
        let [first, second, rest @ ..] = kind.mac;
        let values = HashMap::from([
            (MAGIC, 0x6921_506f),
            (EFUSE_BLOCK1, u32::from_be_bytes(rest)),
            (EFUSE_BLOCK1 + 4, u32::from_be_bytes([0, 0, first, second])),
            // Revision 0.4.
            (EFUSE_BLOCK1 + 12, 4 << 18),
        ]);
        Self {
            values,
            // Winbond, of the size that it tells.
            flash_id: u32::from(kind.flash_size_log2) << 16 | 0x40ef,
        }
    }

    pub fn read(&self, address: u32) -> u32 {
        self.values.get(&address).copied().unwrap_or_default()
    }

    /// Writes the bits of `mask`; says whether that resets the chip.
    pub fn write(&mut self, address: u32, value: u32, mask: u32) -> bool {
        let value = (self.read(address) & !mask) | (value & mask);
        if address == SPI_CMD && value & SPI_START != 0 {
            let command = self.read(SPI_USR2) & 0xffff;
            let answer = if command == READ_JEDEC_ID {
                self.flash_id
            } else {
                0
            };
            self.values.insert(SPI_W0, answer);
            // Done: the bit clears itself.
            self.values.insert(SPI_CMD, value & !SPI_START);
            return false;
        }
        if address == WDT_CONFIG0 && self.read(WDT_WRITE_PROTECT) != WDT_KEY {
            return false;
        }
        self.values.insert(address, value);
        // It bites some milliseconds after it was let off: when whoever did that has locked it.
        address == WDT_WRITE_PROTECT && value == 0 && self.read(WDT_CONFIG0) >> 31 == 1
    }
}
