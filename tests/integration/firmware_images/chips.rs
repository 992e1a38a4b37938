//! The chips that are built here, and where their memory is (esp-hal 1.2, `ld/CHIP/memory.x`, from
//! Espressif's technical reference manuals).

use espflash::target::Chip as Target;

use super::image::Piece;

/// What the radio's driver and the firmware's start take of the heap, bytes: in an emulator a C3 had
/// 53,376 less as a station and 56,652 less as an access point with WPA2.
pub(crate) const RADIO_HEAP: usize = 56 * 1024;
/// How much of it each chip but the smallest must have to spare.
const SPARE_HEAP: usize = 40 * 1024;

/// A page of the flash cache: where a segment stands in flash and where it appears agree within it.
const PAGE: u32 = 64 * 1024;

/// Its first address, and the one after its last.
type Memory = (u32, u32);

pub(crate) struct Chip {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    /// The most bytes of an application image: the for C3 and C6; for the others some 5%
    /// above what they were, so that nothing grows unseen.
    pub(crate) budget: u32,
    pub(crate) spare_heap: usize,
    /// Where flash appears.
    flash: &'static [Memory],
    /// RAM that the bootloader may fill: up to its own.
    ram: &'static [Memory],
}

pub(crate) const CHIPS: [Chip; 5] = [
    Chip {
        name: "esp32c2",
        target: Target::Esp32c2,
        budget: 560_000,
        spare_heap: 24 * 1024,
        flash: &[(0x4200_0000, 0x4220_0000), (0x3c00_0000, 0x3c20_0000)],
        ram: &[(0x4038_0000, 0x403a_e800), (0x3fca_0000, 0x3fcc_e800)],
    },
    Chip {
        name: "esp32c3",
        target: Target::Esp32c3,
        budget: 600_000,
        spare_heap: SPARE_HEAP,
        flash: &[(0x4200_0000, 0x4240_0000), (0x3c00_0000, 0x3c40_0000)],
        ram: &[(0x4038_0000, 0x403c_a400), (0x3fc8_0000, 0x3fcc_e400)],
    },
    Chip {
        name: "esp32c5",
        target: Target::Esp32c5,
        budget: 740_000,
        spare_heap: SPARE_HEAP,
        flash: &[(0x4200_0000, 0x4240_0000)],
        ram: &[(0x4080_0000, 0x4084_e5a0)],
    },
    Chip {
        name: "esp32c6",
        target: Target::Esp32c6,
        budget: 720_000,
        spare_heap: SPARE_HEAP,
        flash: &[(0x4200_0000, 0x4240_0000)],
        ram: &[(0x4080_0000, 0x4086_e610)],
    },
    Chip {
        name: "esp32c61",
        target: Target::Esp32c61,
        budget: 700_000,
        spare_heap: SPARE_HEAP,
        flash: &[(0x4200_0000, 0x4240_0000)],
        ram: &[(0x4080_0000, 0x4083_ea70)],
    },
];

impl Chip {
    /// Checks that a segment of the application at `start` in flash can be where it wants to be.
    pub(crate) fn check(&self, segment: &Piece, start: u32) {
        let fits = |&(start, end): &Memory| {
            (start..=end).contains(&segment.address) && segment.end() <= end
        };
        if self.flash.iter().any(fits) {
            assert_eq!(
                (start + segment.offset) % PAGE,
                segment.address % PAGE,
                "{}: the cache can't show {segment:x?}",
                self.name
            );
            return;
        }
        // Address zero is padding, which the bootloader skips.
        assert!(
            segment.address == 0 || self.ram.iter().any(fits),
            "{}: {segment:x?} is in no memory that can be filled",
            self.name
        );
    }
}
