//! The fake board is what Espressif's own tool takes for one.

use std::process::Command;

use crate::common::noise;
use crate::loader::Board;
use crate::processes::{Need, skipped};

/// Runs `esptool` on the board, as far as there are no reset lines.
fn esptool(board: &Board, arguments: &[&str]) -> String {
    let output = Command::new("esptool")
        .args(["--chip", "auto", "--port", board.port()])
        .args(["--before", "no-reset", "--after", "no-reset-stub"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn esptool_knows_the_chip_its_mac_and_its_flash() {
    if skipped(&[Need::Program("esptool")]) {
        return;
    }
    for loader in [&["flash-id"][..], &["--no-stub", "flash-id"]] {
        let said = esptool(&Board::new(), loader);
        for fact in ["ESP32-C3", "84:f7:03:1a:0b:3c", "4MB"] {
            assert!(said.contains(fact), "{fact}: {said}");
        }
    }
}

#[test]
fn esptool_reads_back_what_it_wrote() {
    if skipped(&[Need::Program("esptool")]) {
        return;
    }
    let folder = std::env::temp_dir().join(format!("tcpctl-esptool-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let image = noise(7, 40_000);
    let mut pressed = image.clone();
    pressed.resize(70_000, 0);
    for (name, bytes, stub) in [
        ("noise", &image, true),
        ("compressible", &pressed, true),
        ("rom", &image, false),
    ] {
        let board = Board::new();
        let there = folder.join(name);
        let back = folder.join(format!("{name}.back"));
        std::fs::write(&there, bytes).unwrap();
        let stub = if stub { &[][..] } else { &["--no-stub"] };
        let write = ["write-flash", "0x10000", there.to_str().unwrap()];
        let said = esptool(&board, &[stub, &write].concat());
        assert!(said.contains("Hash of data verified"), "{said}");
        assert_eq!(board.read(0x10000, bytes.len()), *bytes);
        board.press_boot_and_reset();
        let length = bytes.len().to_string();
        let read = ["read-flash", "0x10000", &length, back.to_str().unwrap()];
        esptool(&board, &[stub, &read].concat());
        assert_eq!(std::fs::read(&back).unwrap(), *bytes);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
