//! Boards and firmware that do not fit each other: one line, and nothing has changed.

use std::io::Write;
use std::process::Stdio;

use super::{Workshop, status};
use crate::common::{closed_port, finish};

#[test]
fn unsuitable_firmware_is_refused() {
    let workshop = Workshop::new();
    let board = workshop.start(&[]);
    let target = board.address.to_string();
    let older = workshop.image("0.0.1", 4096);
    let other_chip = workshop.image_for("esp32c6", "0.2.0", 4096);
    let text = workshop.write("text", "not a firmware");
    let large = workshop.image("0.9.0", 983_056);
    for (firmware, words) in [
        (&older, "0.0.1 is older than"),
        (&other_chip, "is for the esp32c6"),
        (&text, "not an ELF"),
        (&large, "983056 bytes"),
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
    for (board, words) in [
        (&no_chip, "without a chip"),
        (&no_management, "management is off"),
    ] {
        let target = board.address.to_string();
        let ended = workshop.update(&[&target, "--firmware", &image]);
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

#[test]
fn fleet_stops_at_the_first_board_that_fails() {
    let workshop = Workshop::new();
    let image = workshop.image("0.2.0", 4096);
    let boards = [1, 2].map(|seed: u8| {
        let seed = seed.to_string();
        workshop.start_other(&["--seed", &seed, "--chip", "esp32c3"])
    });
    let (_hold, dead) = closed_port();
    let list = format!("{}\n{dead}\n{}\n", boards[0].address, boards[1].address);
    let arguments = ["--targets", "-", "--firmware", &image, "--json"];
    let mut command = workshop.command(&arguments);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(list.as_bytes()).unwrap();
    drop(stdin);
    let ended = finish(child);
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    assert_eq!(status(&boards[0], "firmware"), "0.2.0");
    assert_eq!(status(&boards[1], "firmware"), env!("CARGO_PKG_VERSION"));
    let objects = ended.objects();
    let last = objects.last().unwrap();
    assert_eq!(last["exit_code"], 7);
    let message = last["message"].as_str().unwrap();
    assert_eq!(message, "1 of 3 boards updated, 1 failed, 1 not tried");
}
