//! Chips whose firmware needs Espressif's toolchain: a classic ESP32, an S2 and an S3, with images
//! made by another tool.

use super::scene::{PASSPHRASE, Scene};
use crate::common::Ended;
use crate::common::firmware::{Program, image, merged, table};
use crate::common::loader::{Board, Kind, Wiring};
use crate::processes::{Need, skipped};

const CHIPS: [(&str, u16, usize); 3] = [
    ("esp32", 0, 0x1000),
    ("esp32s2", 2, 0x1000),
    ("esp32s3", 9, 0),
];
/// Offset of the settings in these images, which differs from ours.
const SETTINGS: u32 = 0xd000;
const APP: u32 = 0x2_0000;

fn board(chip_id: u16) -> Board {
    Board::of(Kind {
        chip_id: chip_id.into(),
        wiring: Wiring::Bridge,
        ..Kind::default()
    })
}

fn text(ended: &Ended) -> String {
    format!("{}{}", String::from_utf8_lossy(&ended.stdout), ended.stderr)
}

/// A merged image that was made by another toolchain.
fn foreign(chip_id: u16, boot_address: usize) -> Vec<u8> {
    merged(&[
        (boot_address, &image(chip_id, None, 20_000)),
        (0x8000, &table(SETTINGS, APP)),
        (APP as usize, &image(chip_id, Some("5.1-idf"), 90_000)),
    ])
}

#[test]
fn merged_image_is_flashed_with_settings() {
    if skipped(&[Need::Program("cc")]) {
        return;
    }
    for (chip, chip_id, boot_address) in CHIPS {
        let scene = Scene::new(board(chip_id));
        let whole = foreign(chip_id, boot_address);
        let file = scene.folder.file("elsewhere.bin", &whole);
        let arguments = ["--firmware", &file, "--mode", "ap", "--password-stdin"];
        let ended = scene.run(&arguments);
        let printed = text(&ended);
        assert_eq!(ended.code, 0, "{chip}: {printed}");
        assert!(printed.contains(&format!("board      {chip}")), "{printed}");
        assert!(
            printed.contains("MAC 84:f7:03:1a:0b:3c"),
            "{chip}: {printed}"
        );
        assert!(printed.contains("version 5.1-idf"), "{chip}: {printed}");
        assert!(printed.contains("Hello World in"), "{chip}: {printed}");
        assert!(!printed.contains(PASSPHRASE), "{chip}: {printed}");
        let mut expected = whole;
        expected[SETTINGS as usize..][..4096].copy_from_slice(&scene.board.read(SETTINGS, 4096));
        assert!(scene.board.read(0, expected.len()) == expected, "{chip}");
        let stored = tcpctl_settings::Settings::decode(&scene.board.read(SETTINGS, 4096));
        assert!(stored.is_ok(), "{chip}");
    }
}

#[test]
fn application_gets_its_chips_bootloader() {
    if skipped(&[Need::Program("cc")]) {
        return;
    }
    for (chip, chip_id, boot_address) in CHIPS {
        let app = image(chip_id, Some("5.1-idf"), 90_000);
        let program = Program {
            chip,
            ..Program::default()
        };
        for (form, bytes) in [("app.bin", app), ("program.elf", program.elf())] {
            let scene = Scene::new(board(chip_id));
            let file = scene.folder.file(form, &bytes);
            let ended = scene.run(&["--firmware", &file, "--mode", "ap", "--password-stdin"]);
            let printed = text(&ended);
            assert_eq!(ended.code, 0, "{chip} {form}: {printed}");
            assert!(
                printed.contains("Hello World in"),
                "{chip} {form}: {printed}"
            );
            let header = scene.board.read(u32::try_from(boot_address).unwrap(), 14);
            assert_eq!(header[0], 0xe9, "{chip} {form}");
            assert_eq!(header[12..14], chip_id.to_le_bytes(), "{chip} {form}");
        }
    }
}

#[test]
fn image_for_another_chip_is_refused() {
    let scene = Scene::new(Board::new());
    for (chip, chip_id, boot_address) in CHIPS {
        let program = Program {
            chip,
            ..Program::default()
        };
        for (form, bytes) in [
            ("merged.bin", foreign(chip_id, boot_address)),
            ("app.bin", image(chip_id, Some("5.1-idf"), 9_000)),
            ("program.elf", program.elf()),
        ] {
            scene.board.press_boot_and_reset();
            let file = scene.folder.file(form, &bytes);
            let ended = scene.run(&["--firmware", &file, "--mode", "ap", "--password-stdin"]);
            assert_eq!(ended.code, 2, "{chip} {form}: {}", ended.stderr);
            let words = format!("the board has an esp32c3, but firmware {file} is for the {chip}");
            assert!(ended.stderr.contains(&words), "{}", ended.stderr);
            assert!(scene.board.is_untouched(), "{chip} {form}");
        }
        scene.board.press_boot_and_reset();
        let ended = scene.run(&["--chip", chip, "--mode", "ap", "--open"]);
        assert_eq!(ended.code, 2, "{chip}: {}", ended.stderr);
        let words = format!("the board has an esp32c3, but --chip is {chip}");
        assert!(ended.stderr.contains(&words), "{}", ended.stderr);
    }
}

#[test]
fn esp32_locks_are_read_from_efuses() {
    for (kind, words) in [
        (
            Kind {
                security_flags: 1,
                ..Kind::default()
            },
            "secure boot",
        ),
        (
            Kind {
                crypt_count: 1,
                ..Kind::default()
            },
            "flash encryption",
        ),
    ] {
        let scene = Scene::new(Board::of(Kind { chip_id: 0, ..kind }));
        let file = scene.folder.file("elsewhere.bin", &foreign(0, 0x1000));
        let ended = scene.run(&["--firmware", &file, "--mode", "ap", "--password-stdin"]);
        assert_eq!(ended.code, 70, "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
        assert!(scene.board.is_untouched());
    }
}

#[test]
fn missing_loader_hints_the_boot_pin() {
    let chips = [("esp32", 0, "GPIO0)"), ("esp32s3", 9, "GPIO0)")];
    crate::common::in_parallel(chips, |(chip, chip_id, pin)| {
        let scene = Scene::new(Board::with(crate::common::loader::Fault::Silent));
        let file = scene
            .folder
            .file("app.bin", &image(chip_id, Some("1"), 900));
        let ended = scene.run(&["--firmware", &file, "--mode", "ap", "--password-stdin"]);
        assert_eq!(ended.code, 70, "{chip}: {}", ended.stderr);
        assert!(ended.stderr.contains(pin), "{chip}: {}", ended.stderr);
    });
}

#[test]
fn image_without_settings_partition_is_refused() {
    let scene = Scene::new(Board::new());
    let mut other = table(SETTINGS, APP);
    other[32 + 12..][..8].copy_from_slice(b"nvs_keys");
    let whole = merged(&[
        (0, &image(5, None, 20_000)),
        (0x8000, &other),
        (APP as usize, &image(5, Some("9"), 9_000)),
    ]);
    let file = scene.folder.file("other.bin", &whole);
    let ended = scene.run(&["--firmware", &file, "--mode", "ap", "--password-stdin"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("no settings partition"),
        "{}",
        ended.stderr
    );
    assert!(scene.board.state().commands.is_empty());
}
