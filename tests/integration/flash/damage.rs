//! A damaged file is either a valid firmware or refused; nothing panics.

use espflash::flasher::FlashSize;
use tcpctl::esp::image::{Firmware, merge};

use crate::common::firmware::Program;
use crate::common::noise;

/// Reads a file as `flash` does without a board.
fn read(bytes: Vec<u8>) {
    let Ok(firmware) = Firmware::parse("damaged".to_owned(), bytes) else {
        return;
    };
    let crystal = firmware.chip.default_xtal_frequency();
    let _ = firmware.image(FlashSize::_4Mb, crystal);
}

#[test]
fn overlapping_partitions_are_refused() {
    let parsed = Firmware::parse("whole".to_owned(), Program::default().elf()).unwrap();
    let image = parsed
        .image(FlashSize::_4Mb, parsed.chip.default_xtal_frequency())
        .unwrap();
    let merged =
        tcpctl::esp::image::merge([&image.bootloader, &image.table, &image.app].into_iter());
    // The table's second entry is the settings: offset, then size.
    let with = |at: usize, value: u32| {
        let mut other = merged.clone();
        other[0x8020 + at..0x8020 + at + 4].copy_from_slice(&value.to_le_bytes());
        Firmware::parse("merged".to_owned(), other)
    };
    assert!(with(4, 0xa000).is_ok());
    for (at, value) in [
        // Beyond any flash: an image up to there would have 4 GiB.
        (4, 0xffff_f000),
        // Over the bootloader, the table, and the program.
        (4, 0),
        (4, 0x8000),
        (4, 0x10000),
        // Not a whole sector.
        (4, 0xe004),
        (8, 0x100),
    ] {
        let refused = with(at, value).unwrap_err().to_string();
        assert!(
            refused.contains("at invalid offsets"),
            "{value:#x}: {refused}"
        );
    }
}

#[test]
fn only_the_damaged_file_is_refused() {
    let program = Program {
        size: 2_000,
        ..Program::default()
    };
    let elf = program.elf();
    let parsed = Firmware::parse("whole".to_owned(), elf.clone()).unwrap();
    let image = parsed
        .image(FlashSize::_4Mb, parsed.chip.default_xtal_frequency())
        .unwrap();
    let merged = merge([&image.bootloader, &image.table, &image.app].into_iter());
    for whole in [&elf, &image.app.data, &merged] {
        read(whole.clone());
        let choices = noise(whole.len() as u64, 8 * 100);
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
