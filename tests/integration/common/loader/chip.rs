//! The registers that loaders read, and other differences between chips.

use std::collections::HashMap;

use super::Kind;

/// A chip's properties that loaders use.
#[derive(Debug)]
pub(crate) struct Model {
    /// Name in the firmware's banner.
    pub(crate) name: &'static str,
    /// The value at [`MAGIC`].
    magic: u32,
    /// Length of the security information. The S2 has no chip ID in it, and the ESP32 has none.
    pub(crate) security_info: usize,
    /// Offset of the second-stage bootloader in flash.
    pub(crate) boot_address: usize,
    /// Address of SPI1, which controls the flash, and the offsets of its USR2 and W0.
    spi: [u32; 3],
    /// Address of the MAC address in the eFuses.
    mac: u32,
    /// Whether the RTC watchdog has the address that these tests expect.
    has_watchdog: bool,
}

/// Memory maps from the technical reference manuals; magic numbers from esptool.
const ESP32: Model = Model {
    name: "esp32",
    magic: 0x00f0_1d83,
    security_info: 0,
    boot_address: 0x1000,
    spi: [0x3ff4_2000, 0x24, 0x80],
    mac: 0x3ff5_a004,
    has_watchdog: false,
};
const ESP32S2: Model = Model {
    name: "esp32s2",
    magic: 0x0000_07c6,
    security_info: 12,
    boot_address: 0x1000,
    spi: [0x3f40_2000, 0x20, 0x58],
    mac: 0x3f41_a044,
    has_watchdog: false,
};
const ESP32S3: Model = Model {
    name: "esp32s3",
    magic: 0x0000_0009,
    security_info: 20,
    boot_address: 0,
    spi: [0x6000_2000, 0x20, 0x58],
    mac: 0x6000_7044,
    has_watchdog: false,
};
const ESP32C3: Model = Model {
    name: "esp32c3",
    magic: 0x6921_506f,
    security_info: 20,
    boot_address: 0,
    spi: [0x6000_2000, 0x20, 0x58],
    mac: 0x6000_8844,
    has_watchdog: true,
};

impl Model {
    /// The chip with this ID. An unknown one is a C3 with that ID.
    pub(crate) fn of(chip_id: u32) -> &'static Self {
        match chip_id {
            0 => &ESP32,
            2 => &ESP32S2,
            9 => &ESP32S3,
            _ => &ESP32C3,
        }
    }
}

/// The RTC watchdog of the C3 (technical reference manual, chapter 9).
const WDT_CONFIG0: u32 = 0x6000_8090;
const WDT_WRITE_PROTECT: u32 = 0x6000_80a8;
const WDT_KEY: u32 = 0x50d8_3aa1;

const SPI_START: u32 = 1 << 18;
const READ_JEDEC_ID: u32 = 0x9f;

/// The register that identifies the chip.
const MAGIC: u32 = 0x4000_1000;

/// The ESP32's UART divider at 115200 baud, from which loaders compute its 40 MHz crystal.
const ESP32_CLKDIV: u32 = 0x3ff4_0014;
/// Words 0 and 6 of the ESP32's eFuse block 0: `FLASH_CRYPT_CNT`, `ABS_DONE_0`.
const ESP32_EFUSES: u32 = 0x3ff5_a000;

#[derive(Debug)]
pub(crate) struct Registers {
    model: &'static Model,
    values: HashMap<u32, u32>,
    flash_id: u32,
}

impl Registers {
    pub(crate) fn of(kind: &Kind) -> Self {
        let model = Model::of(kind.chip_id);
        let [first, second, rest @ ..] = kind.mac;
        let mut values = HashMap::from([
            (MAGIC, model.magic),
            (model.mac, u32::from_be_bytes(rest)),
            (model.mac + 4, u32::from_be_bytes([0, 0, first, second])),
        ]);
        match model.name {
            "esp32" => {
                values.insert(ESP32_CLKDIV, 347);
                values.insert(ESP32_EFUSES, u32::from(kind.crypt_count) << 20);
                values.insert(ESP32_EFUSES + 24, (kind.security_flags & 1) << 4);
            }
            // Chip revision 0.4.
            "esp32c3" => {
                values.insert(model.mac + 12, 4 << 18);
            }
            _ => {}
        }
        Self {
            model,
            values,
            // A Winbond flash with the size of this kind.
            flash_id: u32::from(kind.flash_size_log2) << 16 | 0x40ef,
        }
    }

    pub(crate) fn read(&self, address: u32) -> u32 {
        self.values.get(&address).copied().unwrap_or_default()
    }

    /// Writes the bits of `mask`. Returns whether that resets the chip.
    pub(crate) fn write(&mut self, address: u32, value: u32, mask: u32) -> bool {
        let value = (self.read(address) & !mask) | (value & mask);
        let [spi, usr2, w0] = self.model.spi;
        if address == spi && value & SPI_START != 0 {
            let command = self.read(spi + usr2) & 0xffff;
            let answer = if command == READ_JEDEC_ID {
                self.flash_id
            } else {
                0
            };
            self.values.insert(spi + w0, answer);
            // The command is done, so the bit clears itself.
            self.values.insert(spi, value & !SPI_START);
            return false;
        }
        if address == WDT_CONFIG0 && self.read(WDT_WRITE_PROTECT) != WDT_KEY {
            return false;
        }
        self.values.insert(address, value);
        // The watchdog resets the chip milliseconds after the loader has armed and locked it.
        self.model.has_watchdog
            && address == WDT_WRITE_PROTECT
            && value == 0
            && self.read(WDT_CONFIG0) >> 31 == 1
    }
}
