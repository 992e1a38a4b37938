//! The chips, and their memory (esp-hal 1.2, `ld/CHIP/memory.x`, from Espressif's technical
//! reference manuals).

use espflash::target::Chip as Target;

use crate::firmware_images::image::Piece;

/// A page of the flash cache: offset in flash and address agree within it.
const PAGE: u32 = 64 * 1024;

/// A range of addresses: the first one, and the one after the last.
type Memory = (u32, u32);

pub(crate) struct Chip {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    /// Chip ID in image headers (ESP-IDF, `esp_chip_id_t`).
    pub(crate) id: u16,
    /// Offset in flash where the ROM expects the bootloader (ESP-IDF, "Bootloader").
    pub(crate) boot_address: u32,
    /// Maximum bytes of the application image: about 5% more than its last size.
    pub(crate) budget: u32,
    /// Addresses to which flash is mapped.
    flash: &'static [Memory],
    /// RAM that the bootloader may load into, up to its own.
    ram: &'static [Memory],
}

pub(crate) const CHIPS: [Chip; 8] = [
    Chip {
        name: "esp32",
        target: Target::Esp32,
        id: 0,
        boot_address: 0x1000,
        budget: 900_000,
        flash: &[(0x400d_0000, 0x4040_0000), (0x3f40_0000, 0x3f80_0000)],
        ram: &[(0x4008_0000, 0x400a_0000), (0x3ffb_0000, 0x3ffe_0000)],
    },
    Chip {
        name: "esp32c2",
        target: Target::Esp32c2,
        id: 12,
        boot_address: 0,
        budget: 650_000,
        flash: &[(0x4200_0000, 0x4220_0000), (0x3c00_0000, 0x3c20_0000)],
        ram: &[(0x4038_0000, 0x403a_e800), (0x3fca_0000, 0x3fcc_e800)],
    },
    Chip {
        name: "esp32c3",
        target: Target::Esp32c3,
        id: 5,
        boot_address: 0,
        budget: 670_000,
        flash: &[(0x4200_0000, 0x4240_0000), (0x3c00_0000, 0x3c40_0000)],
        ram: &[(0x4038_0000, 0x403c_a400), (0x3fc8_0000, 0x3fcc_e400)],
    },
    Chip {
        name: "esp32c5",
        target: Target::Esp32c5,
        id: 23,
        boot_address: 0x2000,
        budget: 830_000,
        flash: &[(0x4200_0000, 0x4240_0000)],
        ram: &[(0x4080_0000, 0x4084_e5a0)],
    },
    Chip {
        name: "esp32c6",
        target: Target::Esp32c6,
        id: 13,
        boot_address: 0,
        budget: 775_000,
        flash: &[(0x4200_0000, 0x4240_0000)],
        ram: &[(0x4080_0000, 0x4086_e610)],
    },
    Chip {
        name: "esp32c61",
        target: Target::Esp32c61,
        id: 20,
        boot_address: 0,
        budget: 795_000,
        flash: &[(0x4200_0000, 0x4240_0000)],
        ram: &[(0x4080_0000, 0x4083_ea70)],
    },
    Chip {
        name: "esp32s2",
        target: Target::Esp32s2,
        id: 2,
        boot_address: 0x1000,
        budget: 845_000,
        flash: &[(0x4008_0000, 0x4038_0000), (0x3f00_0000, 0x3f40_0000)],
        ram: &[(0x4002_0000, 0x4004_e000), (0x3ffb_0000, 0x3ffd_e000)],
    },
    Chip {
        name: "esp32s3",
        target: Target::Esp32s3,
        id: 9,
        boot_address: 0,
        budget: 800_000,
        flash: &[(0x4200_0000, 0x4400_0000), (0x3c00_0000, 0x3e00_0000)],
        ram: &[(0x4037_0000, 0x403b_9000), (0x3fc8_8000, 0x3fcd_b700)],
    },
];

impl Chip {
    pub(crate) fn is_xtensa(&self) -> bool {
        matches!(
            self.target,
            Target::Esp32 | Target::Esp32s2 | Target::Esp32s3
        )
    }

    /// Checks that a segment of the application at `start` in flash can be loaded or mapped.
    pub(crate) fn check(&self, segment: &Piece, start: u32) {
        let fits = |&(start, end): &Memory| {
            (start..=end).contains(&segment.address) && segment.end() <= end
        };
        if self.flash.iter().any(fits) {
            assert_eq!(
                (start + segment.offset) % PAGE,
                segment.address % PAGE,
                "{}: the cache cannot map {segment:x?}",
                self.name
            );
            return;
        }
        // Address zero is padding, which the bootloader skips.
        assert!(
            segment.address == 0 || self.ram.iter().any(fits),
            "{}: {segment:x?} is in no memory that the bootloader loads",
            self.name
        );
    }
}
