//! The firmware of each chip as a flash image: what the flash tool would write, looked at as the
//! ROM and the bootloader will look at it.
//!
//! The ELFs come from `firmware/images`. Without them this says that it has skipped, and why; with
//! `TCPCTL_REQUIRE_FIRMWARE=1` a skip is a failure.

mod chips;
mod image;
mod sizes;

use std::path::{Path, PathBuf};

use espflash::flasher::{FlashData, FlashSettings, FlashSize};
use espflash::image_format::Metadata;
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::image_format::{ImageFormat, Segment};

use chips::{CHIPS, Chip};
use image::{Application, Partition};

/// Where the partition table goes.
const TABLE: u32 = 0x8000;
/// The smallest flash that there is a board with.
const FLASH: u32 = 2 * 1024 * 1024;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A chip's firmware, or nothing where it was not built.
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

/// What is written where: the bootloader, the partition table, the application.
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
        IdfBootloaderFormat::new(elf, &data, Some(&table), None, Some(TABLE), Some("factory"))
            .unwrap_or_else(|error| panic!("{}: {error}", chip.name));
    let segments: Vec<_> = ImageFormat::from(format)
        .flash_segments()
        .into_iter()
        // Its own bytes: the ELF goes away.
        .map(|segment| (segment.addr, segment.data().to_vec()))
        .collect();
    let [bootloader, table, application] = <[_; 3]>::try_from(segments).expect("three parts");
    [bootloader, table, application].map(|(addr, data)| {
        let data: &'static [u8] = data.leak();
        Segment::new(addr, data)
    })
}

#[test]
fn every_image_is_its_chip_s_and_within_bounds() {
    for chip in &CHIPS {
        let Some(elf) = elf(chip) else { continue };
        let name = chip.name;
        assert_eq!(
            Metadata::from_bytes(Some(&elf)).chip_name(),
            Some(name),
            "the flash tool tells chips apart by this"
        );
        let [bootloader, table, application] = flash_image(chip, &elf);

        assert_eq!(bootloader.addr, chip.target.boot_address(), "{name}");
        assert!(bootloader.addr + bootloader.size() <= TABLE, "{name}");
        assert_eq!(bootloader.data()[0], image::MAGIC, "{name}");
        assert_eq!(
            image::chip_id(bootloader.data()),
            chip.target.id(),
            "{name}"
        );

        assert_eq!(table.addr, TABLE, "{name}");
        let partitions = image::partitions(table.data());
        let find = |label: &str| -> &Partition {
            partitions
                .iter()
                .find(|partition| partition.label == label)
                .unwrap_or_else(|| panic!("{name}: no partition {label}"))
        };
        let factory = find("factory");
        assert_eq!(application.addr, factory.offset, "{name}");
        assert!(application.size() <= factory.size, "{name}");

        let app = Application::parse(application.data());
        assert_eq!(app.chip_id, chip.target.id(), "{name}");
        assert_eq!(app.checksum, app.stated_checksum, "{name}: check sum");
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
fn the_partition_table_is_the_same_for_every_chip_and_fits_the_smallest_flash() {
    for chip in &CHIPS {
        let Some(elf) = elf(chip) else { continue };
        let [_, table, _] = flash_image(chip, &elf);
        let partitions = image::partitions(table.data());
        let told: Vec<_> = partitions
            .iter()
            .map(|it| (it.label.as_str(), it.kind, it.offset, it.size))
            .collect();
        assert_eq!(
            told,
            [
                ("settings", (1, 0x06), 0xe000, 0x1000),
                ("factory", (0, 0x00), 0x10000, 0x1f_0000),
            ],
            "{}",
            chip.name
        );
        let settings = usize::try_from(partitions[0].size).unwrap();
        assert_eq!(settings, tcpctl_settings::BLOCK_SIZE);
        let mut free = TABLE + 0x1000;
        for partition in &partitions {
            assert!(partition.offset >= free, "{partition:?} overlaps");
            free = partition.offset + partition.size;
        }
        assert!(free <= FLASH);
    }
}

/// The budgets, and what every chip's memory comes to.
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
        // What the radio's driver takes of the heap once it is up: see firmware/README.md.
        let spare = sizes.heap.saturating_sub(chips::RADIO_HEAP);
        assert!(
            spare >= chip.spare_heap,
            "{}: {spare} bytes of heap to spare",
            chip.name
        );
        let slot = tcpctl_greeter::server::RECEIVE_BUFFER + tcpctl_greeter::server::SEND_BUFFER;
        assert!(
            sizes.slots >= 16 * slot,
            "{}: no room for 16 connections: {} bytes",
            chip.name,
            sizes.slots
        );
    }
}

/// The checks above must be able to fail: a byte turned anywhere that matters is noticed.
#[test]
fn a_damaged_image_is_noticed() {
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
    assert_ne!(Application::parse(&bytes).chip_id, chip.target.id());
}
