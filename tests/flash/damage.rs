//! Whatever is wrong with a file, it is a firmware or it is refused: nothing panics.

use espflash::flasher::FlashSize;
use tcpctl::flash::image::{Firmware, merge};
use tcpctl::flash::table::TABLE_OFFSET;

use crate::common::noise;
use crate::firmware::Program;

/// Reads a file as `flash` does, as far as a board would matter.
fn read(bytes: Vec<u8>) {
    let Ok(firmware) = Firmware::understand("damaged".to_owned(), bytes) else {
        return;
    };
    let crystal = firmware.chip.default_xtal_frequency();
    let _ = firmware.image(FlashSize::_4Mb, crystal);
}

#[test]
fn a_damaged_file_is_refused_and_nothing_else() {
    let program = Program {
        size: 2_000,
        ..Program::default()
    };
    let elf = program.elf();
    let understood = Firmware::understand("whole".to_owned(), elf.clone()).unwrap();
    let image = understood
        .image(FlashSize::_4Mb, understood.chip.default_xtal_frequency())
        .unwrap();
    let merged = merge([&image.bootloader, &image.table, &image.app].into_iter());
    for whole in [&elf, &image.app.data, &merged] {
        read(whole.clone());
        let choices = noise(whole.len() as u64, 8 * 400);
        for choice in choices.chunks(8) {
            let number = u64::from_le_bytes(choice.try_into().unwrap());
            // Half of the damage is at the start, where the headers are, and at the end.
            let length = whole.len() as u64;
            let at = match number % 4 {
                0 => number / 8 % 128,
                1 => length - 1 - number / 8 % 600,
                _ => number / 8 % length,
            };
            let at = usize::try_from(at).unwrap();
            let mut damaged = whole.clone();
            damaged[at] ^= choice[7] | 1;
            read(damaged);
            read(whole[..at].to_vec());
        }
    }
}

/// What a merged image says of itself is its author's: settings beyond any flash would make an image
/// of gigabytes of it.
#[test]
fn settings_have_a_place_that_a_flash_has() {
    let elf = Program::default().elf();
    let understood = Firmware::understand("whole".to_owned(), elf).unwrap();
    let crystal = understood.chip.default_xtal_frequency();
    let image = understood.image(FlashSize::_4Mb, crystal).unwrap();
    let merged = merge([&image.bootloader, &image.table, &image.app].into_iter());
    assert!(Firmware::understand("merged".to_owned(), merged.clone()).is_ok());
    // An entry is its magic, type, subtype, offset, size and label.
    let label = merged[TABLE_OFFSET as usize..]
        .windows(9)
        .position(|text| text == b"settings\0")
        .unwrap();
    let entry = TABLE_OFFSET as usize + label - 12;
    for (at, number) in [(4, 0xf000_0000_u32), (8, 16), (8, u32::MAX)] {
        let mut spoilt = merged.clone();
        spoilt[entry + at..][..4].copy_from_slice(&number.to_le_bytes());
        let failure = Firmware::understand("spoilt".to_owned(), spoilt).unwrap_err();
        let what = "has no place for settings";
        assert!(failure.message.contains(what), "{number:#x}: {failure}");
    }
}
