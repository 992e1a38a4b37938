//! The firmware of each chip as a flash image, checked as ROM and bootloader will check it.
//!
//! The ELFs come from `firmware/images`. Without them these tests report that they are skipped;
//! with `TCPCTL_REQUIRE_FIRMWARE=1` they fail.

mod chips;
mod image;
#[cfg(target_os = "linux")]
mod linker;
mod readme;
mod sizes;

use std::path::{Path, PathBuf};

use espflash::flasher::{FlashData, FlashSettings, FlashSize};
use espflash::image_format::Metadata;
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::image_format::{ImageFormat, Segment};
use object::read::elf::ElfFile32;
use object::{Endianness, Object, ObjectSymbol};
use tcpctl::esp::image::Firmware;
use tcpctl::esp::image::entry::Program;
use tcpctl_greeter::memory::Memory;

use chips::{CHIPS, Chip};
use image::{Application, Partition};

/// Offset of the partition table.
const TABLE: u32 = 0x8000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A chip's firmware; `None` where it was not built.
fn elf(chip: &Chip) -> Option<Vec<u8>> {
    let path: PathBuf = root().join(format!("target/firmware/{}.elf", chip.name));
    match std::fs::read(&path) {
        Ok(elf) => Some(elf),
        Err(error) => {
            let why = format!("{}: {error}; run firmware/images", path.display());
            assert!(
                std::env::var_os("TCPCTL_REQUIRE_FIRMWARE").is_none(),
                "not built, and required: {why}"
            );
            println!("skipped {}: {why}", chip.name);
            None
        }
    }
}

/// Bootloader, partition table and application with their offsets.
fn flash_image(chip: &Chip, elf: &[u8]) -> [Segment<'static>; 3] {
    let settings = FlashSettings::new(None, Some(FlashSize::_2Mb), None);
    let data = FlashData::new(
        settings,
        0,
        None,
        chip.target,
        chip.target.default_xtal_frequency(),
    );
    let table = root().join("firmware/settings/partitions.csv");
    let format =
        IdfBootloaderFormat::new(elf, &data, Some(&table), None, Some(TABLE), Some("ota_0"))
            .unwrap_or_else(|error| panic!("{}: {error}", chip.name));
    let segments: Vec<_> = ImageFormat::from(format)
        .flash_segments()
        .into_iter()
        .map(|segment| (segment.addr, segment.data().to_vec()))
        .collect();
    let [bootloader, table, application] = <[_; 3]>::try_from(segments).expect("three parts");
    [bootloader, table, application].map(|(addr, data)| {
        let data: &'static [u8] = data.leak();
        Segment::new(addr, data)
    })
}

#[test]
fn images_match_their_chip_and_fit_its_memory() {
    for chip in &CHIPS {
        let Some(elf) = elf(chip) else { continue };
        let name = chip.name;
        assert_eq!(
            Metadata::from_bytes(Some(&elf)).chip_name(),
            Some(name),
            "the flash tool recognizes the chip by this"
        );
        let [bootloader, table, application] = flash_image(chip, &elf);

        assert_eq!(bootloader.addr, chip.boot_address, "{name}");
        assert!(bootloader.addr + bootloader.size() <= TABLE, "{name}");
        assert_eq!(bootloader.data()[0], image::MAGIC, "{name}");
        assert_eq!(image::chip_id(bootloader.data()), chip.id, "{name}");

        assert_eq!(table.addr, TABLE, "{name}");
        let partitions = image::partitions(table.data());
        let find = |label: &str| -> &Partition {
            partitions
                .iter()
                .find(|partition| partition.label == label)
                .unwrap_or_else(|| panic!("{name}: no partition {label}"))
        };
        let slot = find("ota_0");
        assert_eq!(application.addr, slot.offset, "{name}");
        assert!(application.size() <= slot.size, "{name}");

        let app = Application::parse(application.data());
        assert_eq!(app.chip_id, chip.id, "{name}");
        // Revision 1 of the ESP32 is common, but esp-hal requires 3.0 by default.
        let min_revision = if name == "esp32" { 100 } else { 0 };
        assert_eq!(app.min_revision, min_revision, "{name}");
        assert_eq!(app.checksum, app.stated_checksum, "{name}: checksum");
        assert!(app.has_digest, "{name}: the bootloader checks a SHA-256");
        assert_eq!(app.project, "tcpctl-firmware", "{name}");
        assert_eq!(app.version, env!("CARGO_PKG_VERSION"), "{name}");
        assert!(
            app.segments.iter().any(|segment| segment.holds(app.entry)),
            "{name}: the entry point is in no segment"
        );
        for segment in &app.segments {
            chip.check(segment, application.addr);
        }
    }
}

#[test]
fn partition_table_is_the_same_for_every_chip() {
    for chip in &CHIPS {
        let Some(elf) = elf(chip) else { continue };
        let [_, table, _] = flash_image(chip, &elf);
        let partitions = image::partitions(table.data());
        let rows: Vec<_> = partitions
            .iter()
            .map(|it| (it.label.as_str(), it.kind, it.offset, it.size))
            .collect();
        assert_eq!(
            rows,
            [
                ("otadata", (1, 0x00), 0xc000, 0x2000),
                ("settings", (1, 0x06), 0xe000, 0x2000),
                ("ota_0", (0, 0x10), 0x10000, 0xf_0000),
                ("ota_1", (0, 0x11), 0x10_0000, 0xf_0000),
            ],
            "{}",
            chip.name
        );
    }
}

#[test]
fn images_and_memory_stay_within_their_budgets() {
    for chip in &CHIPS {
        let Some(elf) = elf(chip) else { continue };
        let [_, _, application] = flash_image(chip, &elf);
        let sizes = sizes::Sizes::of(&elf);
        println!("\n{}", sizes.table(chip.name, application.size()));
        assert!(
            application.size() <= chip.budget,
            "{}: {} bytes of application, the budget is {}",
            chip.name,
            application.size(),
            chip.budget
        );
        assert!(
            sizes.stack >= 32 * 1024,
            "{}: {} bytes of stack",
            chip.name,
            sizes.stack
        );
        let memory = Memory::of(chip.name);
        assert_eq!(
            sizes.heap,
            memory.reclaimed_heap + memory.extra_heap,
            "{}: heap",
            chip.name
        );
        let slot = tcpctl_greeter::server::RECEIVE_BUFFER + tcpctl_greeter::server::SEND_BUFFER;
        assert!(
            sizes.slots >= memory.slots * slot,
            "{}: {} bytes are no room for {} connections",
            chip.name,
            sizes.slots,
            memory.slots
        );
    }
}

/// The address of xtensa-lx-rt's `Reset`. Once it reaches `main`, `xtensa_start.rs` can go.
fn crates_reset(elf: &[u8]) -> Option<u32> {
    let file = ElfFile32::<Endianness>::parse(elf).expect("an ELF of 32 bits");
    let reset = file.symbols().find(|symbol| symbol.name() == Ok("Reset"));
    reset.map(|reset| reset.address().try_into().unwrap())
}

#[test]
fn entry_point_leads_to_main() {
    for chip in &CHIPS {
        let Some(elf) = elf(chip) else { continue };
        let program = Program::parse(&elf).unwrap();
        assert_eq!(program.check(), Ok(()), "{}", chip.name);
        // The check must fail for the routine that `xtensa_start.rs` replaces.
        let reset = crates_reset(&elf).filter(|_| chip.is_xtensa());
        assert_eq!(reset.is_some(), chip.is_xtensa(), "{}", chip.name);
        assert!(
            reset.is_none_or(|reset| !program.reaches_main(reset)),
            "{}",
            chip.name
        );
        // The program agrees, and it can check the image without symbols.
        let [_, _, application] = flash_image(chip, &elf);
        for file in [elf, application.data().to_vec()] {
            let firmware = Firmware::parse(chip.name.to_owned(), file);
            assert!(firmware.is_ok(), "{}: {firmware:?}", chip.name);
        }
    }
}

/// Whether a library function divides 128-bit integers. They return wrong values on Xtensa (rustc
/// 1.101, LLVM 23). No upstream issue was found.
fn divides_128_bits(symbol: &str) -> bool {
    (symbol.ends_with("ti3") || symbol.ends_with("ti4"))
        && (symbol.contains("div") || symbol.contains("mod"))
}

#[test]
fn divisions_of_128_bits_are_recognized() {
    for symbol in [
        "__divti3",
        "__modti3",
        "__udivti3",
        "__umodti3",
        "__divmodti4",
        "__udivmodti4",
        "compiler_builtins::int::udiv::__udivmodti4",
    ] {
        assert!(divides_128_bits(symbol), "{symbol}");
    }
    for symbol in [
        "__multi3",
        "__ashlti3",
        "__udivdi3",
        "__udivmoddi4",
        "modify",
    ] {
        assert!(!divides_128_bits(symbol), "{symbol}");
    }
}

#[test]
fn division_of_128_bits_is_not_linked() {
    for chip in CHIPS.iter().filter(|chip| chip.is_xtensa()) {
        let Some(elf) = elf(chip) else { continue };
        let sizes = sizes::Sizes::of(&elf);
        let found = sizes.symbol_names().find(|name| divides_128_bits(name));
        assert_eq!(found, None, "{}", chip.name);
    }
}

#[test]
fn damaged_image_is_noticed() {
    let Some((chip, elf)) = CHIPS.iter().find_map(|chip| Some((chip, elf(chip)?))) else {
        return;
    };
    let [_, _, application] = flash_image(chip, &elf);
    let mut bytes = application.data().to_vec();
    let whole = Application::parse(&bytes);
    bytes[1000] ^= 1;
    let damaged = Application::parse(&bytes);
    assert_ne!(damaged.checksum, damaged.stated_checksum);
    assert_eq!(whole.checksum, whole.stated_checksum);
    bytes[12] ^= 1;
    assert_ne!(Application::parse(&bytes).chip_id, chip.id);
}
