//! Boards and firmware that do not match: one error line, and nothing has changed.

use super::{Workshop, status};
use crate::common::firmware::Program;

#[test]
fn unsuitable_firmware_is_refused() {
    let workshop = Workshop::new();
    let board = workshop.start(&[]);
    let target = board.address.to_string();
    let older = workshop.image("0.0.1", 4096);
    let other_chip = workshop.image_for("esp32c6", "0.2.0", 4096);
    let odd = workshop.image("nightly", 4096);
    let text = workshop.write("text", "not a firmware");
    let large = workshop.image("0.9.0", 983_056);
    let cut_off = workshop.path("cut-off.elf");
    let program = Program {
        starts: false,
        ..Program::default()
    };
    std::fs::write(&cut_off, program.elf()).unwrap();
    for (firmware, words) in [
        (&older, "0.0.1 is older than"),
        (&odd, "nightly cannot be compared with"),
        (&other_chip, "is for the esp32c6"),
        (&text, "not an ELF"),
        (&large, "983056 bytes"),
        (&cut_off, "does not lead to main"),
    ] {
        let ended = workshop.update(&[&target, "--firmware", firmware]);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.has_one_error(), "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    assert_eq!(status(&board, "firmware"), env!("CARGO_PKG_VERSION"));
    let options = [&target, "--firmware", &older, "--allow-downgrade"];
    let ended = workshop.update(&[&options[..], &["--dry-run"]].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.objects()[0]["change"], "downgrade");
    let ended = workshop.update(&options);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(status(&board, "firmware"), "0.0.1");
}

#[test]
fn boards_that_cannot_be_updated_say_why() {
    let workshop = Workshop::new();
    let image = workshop.image("0.2.0", 4096);
    let no_chip = workshop.start_other(&["--seed", "1"]);
    let no_management = workshop.start_other(&["--seed", "2", "--management", "off"]);
    for (target, words) in [
        (&*no_chip.address.to_string(), "without a chip"),
        (&*no_management.address.to_string(), "management is off"),
        ("sim:chip=esp32c3,management=off", "management is off"),
    ] {
        let ended = workshop.update(&[target, "--firmware", &image]);
        assert_eq!(ended.code, 70, "{}", ended.stderr);
        assert!(ended.has_one_error(), "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    let board = workshop.start(&["--seed", "3"]);
    let target = board.address.to_string();
    let key = workshop.write("key", &"0".repeat(64));
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let ended = workshop.update(&[&target, "--firmware", &image, "--key-file", &key]);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("authentication failed"),
        "{}",
        ended.stderr
    );
}

#[test]
fn state_of_another_chip_is_refused() {
    let workshop = Workshop::new();
    drop(workshop.start(&[]));
    let state = workshop.0.path("board");
    let sim = workshop
        .0
        .sim(&["ideal", "--chip", "esp32c6", "--state", &state]);
    let ended = sim.finish();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("firmware for the esp32c3"),
        "{}",
        ended.stderr
    );
}
