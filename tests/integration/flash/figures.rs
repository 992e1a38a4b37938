//! The bytes and the time of a flash on the wire, counted by the board at the baud rates that were
//! set.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::scene::Scene;
use crate::common::firmware::Program;
use crate::common::loader::Board;

/// The length of a part after compression, as the stub receives it.
fn compressed(bytes: &[u8]) -> usize {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().len()
}

#[test]
fn only_needed_bytes_are_sent() {
    let program = Program {
        size: 900_000,
        ..Program::default()
    };
    let scene = Scene::with(Board::new(), &program);
    let baud = 115_200;
    let ended = scene.flash(&["--no-wait", "--json", "--baud", &baud.to_string()]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let plan = ended.objects().remove(0);
    let parts = plan["parts"].as_array().unwrap();
    let needed: usize = parts
        .iter()
        .map(|part| {
            let offset = u32::try_from(part["offset"].as_u64().unwrap()).unwrap();
            let length = usize::try_from(part["bytes"].as_u64().unwrap()).unwrap();
            compressed(&scene.board.read(offset, length))
        })
        .sum();
    let sent = usize::try_from(scene.board.state().received).unwrap();
    println!("needed {needed} bytes, sent {sent}");
    assert!(sent < needed + needed / 20, "needed {needed}, sent {sent}");
    // Includes both directions, loading the stub, reading the settings back and verifying, at 10
    // bits per byte.
    let wire = Duration::from_nanos(scene.board.state().wire_ns);
    let ideal = Duration::from_nanos(needed as u64 * 10_000_000_000 / baud);
    println!("at {baud} baud ideally {ideal:?}, on the wire {wire:?}");
    assert!(wire < ideal + ideal / 16, "ideally {ideal:?}, {wire:?}");
}

#[test]
fn settings_take_less_than_3_s_on_the_wire() {
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait"]).code, 0);
    scene.board.press_boot_and_reset();
    let settings = ["--settings-only", "--greeting", "moin", "--no-wait"];
    let ended = scene.run(&[&settings[..], &["--baud", "115200"]].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let wire = Duration::from_nanos(scene.board.state().wire_ns);
    println!("on the wire {wire:?}");
    assert!(wire < Duration::from_secs(3), "{wire:?}");
}
