//! Espressif's own tool works with the fake board, and reads what `tcpctl` writes.

use std::path::Path;
use std::process::Command;

use super::scene::{Folder, PASSPHRASE, Scene};
use crate::common::firmware::{Program, image, table};
use crate::common::loader::{Board, Kind, Start, Wiring};
use crate::common::noise;
use crate::processes::{Need, skipped};

/// Runs `esptool` and returns its output.
fn output_of(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// Runs `esptool` on the board, without reset lines.
fn esptool(board: &Board, arguments: &[&str]) -> String {
    let mut command = Command::new("esptool");
    command
        .args(["--chip", "auto", "--port", board.port()])
        .args(["--before", "no-reset", "--after", "no-reset-stub"])
        .args(arguments);
    output_of(command)
}

#[test]
fn esptool_identifies_chip_mac_and_flash() {
    if skipped(&[Need::Program("esptool")]) {
        return;
    }
    for (chip_id, name) in [
        (5, "ESP32-C3"),
        (0, "ESP32"),
        (2, "ESP32-S2"),
        (9, "ESP32-S3"),
    ] {
        for loader in [&["flash-id"][..], &["--no-stub", "flash-id"]] {
            let board = Board::of(Kind {
                chip_id,
                ..Kind::default()
            });
            let text = esptool(&board, loader);
            for fact in [name, "84:f7:03:1a:0b:3c", "4MB"] {
                assert!(text.contains(fact), "{fact}: {text}");
            }
        }
    }
}

#[test]
fn esptool_resets_the_board_by_its_lines() {
    if skipped(&[Need::Program("esptool"), Need::Program("cc")]) {
        return;
    }
    for (wiring, before) in [
        (Wiring::Bridge, "default-reset"),
        (Wiring::UsbJtag, "usb-reset"),
    ] {
        let board = Board::of(Kind {
            wiring,
            ..Kind::default()
        });
        let mut command = Command::new("esptool");
        command
            .args(["--port", board.port(), "--before", before])
            .args(["--after", "hard-reset", "read-mac"]);
        board.wire(&mut command);
        let text = output_of(command);
        assert!(text.contains("84:f7:03:1a:0b:3c"), "{text}");
        let starts = board.state().starts.clone();
        assert!(starts.contains(&Start::Loader), "{wiring:?}: {starts:?}");
        assert_eq!(starts.last(), Some(&Start::Program), "{wiring:?}");
    }
}

#[test]
fn esptool_reads_back_what_it_wrote() {
    if skipped(&[Need::Program("esptool")]) {
        return;
    }
    let folder = Folder::new();
    let image = noise(7, 40_000);
    let mut pressed = image.clone();
    pressed.resize(70_000, 0);
    for (name, bytes, stub) in [
        ("noise", &image, true),
        ("compressible", &pressed, true),
        ("rom", &image, false),
    ] {
        let board = Board::new();
        let there = folder.file(name, bytes);
        let back = folder.path("back");
        let stub = if stub { &[][..] } else { &["--no-stub"] };
        let write = ["write-flash", "0x10000", &there];
        let text = esptool(&board, &[stub, &write].concat());
        assert!(text.contains("Hash of data verified"), "{text}");
        assert_eq!(board.read(0x10000, bytes.len()), *bytes);
        board.press_boot_and_reset();
        let length = bytes.len().to_string();
        let read = ["read-flash", "0x10000", &length, back.to_str().unwrap()];
        esptool(&board, &[stub, &read].concat());
        assert_eq!(std::fs::read(&back).unwrap(), *bytes);
    }
}

#[test]
fn esptool_erases_the_requested_region() {
    if skipped(&[Need::Program("esptool")]) {
        return;
    }
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait"]).code, 0);
    scene.board.press_boot_and_reset();
    esptool(&scene.board, &["erase-region", "0xe000", "0x1000"]);
    assert!(
        scene
            .board
            .read(0xe000, 4096)
            .iter()
            .all(|byte| *byte == 0xff)
    );
    assert!(scene.board.read(0x8000, 2) == [0xaa, 0x50]);
    scene.board.press_boot_and_reset();
    esptool(&scene.board, &["erase-flash"]);
    assert!(
        scene
            .board
            .read(0, 4 << 20)
            .iter()
            .all(|byte| *byte == 0xff)
    );
}

#[test]
fn esptool_reads_what_tcpctl_wrote() {
    if skipped(&[Need::Program("esptool")]) {
        return;
    }
    let scene = Scene::new(Board::new());
    // An image without a key has management off.
    assert_eq!(scene.flash(&["--no-wait", "--management", "off"]).code, 0);
    let saved = scene.folder.path("board.bin");
    let saved = saved.to_str().unwrap();
    let arguments = ["flash", "--firmware", &scene.elf, "--mode", "ap"];
    let save = [
        "--password-stdin",
        "--save-image",
        saved,
        "--management",
        "off",
    ];
    let ended = crate::common::run_with_input(
        [&arguments[..], &save].concat(),
        format!("{PASSPHRASE}\n").as_bytes(),
    );
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    scene.board.press_boot_and_reset();
    let length = std::fs::read(saved).unwrap().len().to_string();
    let back = scene.folder.path("back");
    let read = ["read-flash", "0", &length, back.to_str().unwrap()];
    esptool(&scene.board, &read);
    assert!(std::fs::read(&back).unwrap() == std::fs::read(saved).unwrap());
    scene.board.press_boot_and_reset();
    let verified = esptool(&scene.board, &["verify-flash", "0", saved]);
    assert!(verified.contains("successful"), "{verified}");

    // The other way round: tcpctl leaves alone what esptool writes.
    let other = Board::new();
    esptool(&other, &["write-flash", "--flash-size", "keep", "0", saved]);
    let other = Scene::with(other, &Program::default());
    other.board.press_boot_and_reset();
    let ended = other.flash(&["--json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let events = crate::flash::scene::events(&ended);
    assert_eq!(events.iter().filter(|event| *event == "skipped").count(), 5);
    assert_eq!(ended.objects().last().unwrap()["greeting"], "Hello World");
}

/// `esptool` makes an app image of an ELF and joins it with the rest.
fn merged_by_esptool(
    folder: &Folder,
    chip: &'static str,
    chip_id: u16,
    boot_address: &str,
) -> String {
    let program = Program {
        chip,
        ..Program::default()
    };
    let file = |name: &str| folder.path(name).to_str().unwrap().to_owned();
    let elf = folder.file("program.elf", &program.elf());
    let app = file("app.bin");
    let bootloader = folder.file("bootloader.bin", &image(chip_id, None, 20_000));
    let table = folder.file("table.bin", &table(0xd000, 0x2_0000));
    let whole = file("whole.bin");
    let run = |arguments: &[&str]| {
        let mut command = Command::new("esptool");
        command.args(["--chip", chip]).args(arguments);
        output_of(command)
    };
    run(&["elf2image", "--output", &app, &elf]);
    run(&[
        "merge-bin",
        "--output",
        &whole,
        boot_address,
        &bootloader,
        "0x8000",
        &table,
        "0x20000",
        &app,
    ]);
    assert!(Path::new(&whole).exists());
    whole
}

#[test]
fn esptool_image_is_flashed() {
    if skipped(&[Need::Program("esptool"), Need::Program("cc")]) {
        return;
    }
    for (chip, chip_id, boot_address) in [
        ("esp32", 0, "0x1000"),
        ("esp32s2", 2, "0x1000"),
        ("esp32s3", 9, "0x0"),
    ] {
        let scene = Scene::new(Board::of(Kind {
            chip_id: chip_id.into(),
            wiring: Wiring::Bridge,
            ..Kind::default()
        }));
        let whole = merged_by_esptool(&scene.folder, chip, chip_id, boot_address);
        let ended = scene.run(&["--firmware", &whole, "--mode", "ap", "--password-stdin"]);
        assert_eq!(ended.code, 0, "{chip}: {}", ended.stderr);
        let mut expected = std::fs::read(&whole).unwrap();
        expected[0xd000..][..4096].copy_from_slice(&scene.board.read(0xd000, 4096));
        assert!(scene.board.read(0, expected.len()) == expected, "{chip}");
    }
}
