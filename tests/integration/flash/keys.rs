//! The management key: its file is written before the board, and both have the same key.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tcpctl::keys::KeyFile;
use tcpctl_settings::ManagementKey;
use tcpctl_settings::sectors::{SectorContent, select};

use super::flow::settings;
use super::scene::{Folder, Scene};
use crate::common::firmware::Program;
use crate::common::loader::Board;
use crate::common::{Ended, run};
use crate::processes::{Need, skipped};

/// With `--settings-only`, only the greeting changes and, if necessary, the key.
const CHANGE: [&str; 4] = ["--settings-only", "--greeting", "moin", "--no-wait"];

fn key_of(board: &Board) -> Option<ManagementKey> {
    settings(board).management_key
}

fn stored(path: &Path) -> ManagementKey {
    KeyFile::at(path).load().unwrap()
}

fn flashed() -> Scene {
    let scene = Scene::new(Board::new());
    let ended = scene.flash(&["--no-wait"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    scene.board.press_boot_and_reset();
    scene
}

fn changed(scene: &Scene, more: &[&str]) -> Ended {
    let ended = scene.run(&[&CHANGE, more].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
}

#[test]
fn blank_board_gets_a_key_and_its_file() {
    let scene = Scene::new(Board::new());
    let ended = scene.flash(&["--no-wait", "--json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let file = scene.key_file();
    assert_eq!(key_of(&scene.board), Some(stored(&file)));
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let plan = &ended.objects()[0];
    assert_eq!(plan["key_file"]["path"], file.to_str().unwrap());
    assert_eq!(plan["key_file"]["exists"], false);
    // Another board has another key.
    assert_ne!(key_of(&flashed().board), key_of(&scene.board));
}

#[test]
fn existing_key_is_kept() {
    let scene = flashed();
    let key = key_of(&scene.board);
    let text = std::fs::read_to_string(scene.key_file()).unwrap();
    let ended = changed(&scene, &["--json"]);
    assert_eq!(ended.objects()[0]["key_file"]["exists"], true);
    assert_eq!(key_of(&scene.board), key);
    // A computer without the key gets it from the board.
    std::fs::remove_file(scene.key_file()).unwrap();
    scene.board.press_boot_and_reset();
    changed(&scene, &["--workers", "2"]);
    assert_eq!(key_of(&scene.board), key);
    assert_eq!(std::fs::read_to_string(scene.key_file()).unwrap(), text);
    // An erased board gets the key of the file.
    scene.board.press_boot_and_reset();
    let ended = scene.flash(&["--erase", "--yes", "--no-wait"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(key_of(&scene.board), key);
}

#[test]
fn key_of_the_board_replaces_that_of_its_file() {
    let scene = flashed();
    let key = key_of(&scene.board);
    let other = "5a".repeat(32);
    scene.write_key(&other, 0o600);
    let ended = changed(&scene, &[]);
    assert!(
        ended.stderr.contains("is not the board's"),
        "{}",
        ended.stderr
    );
    assert_eq!(key_of(&scene.board), key);
    assert_eq!(Some(stored(&scene.key_file())), key);
    let old = scene.key_file().with_extension("old");
    assert_eq!(std::fs::read_to_string(old).unwrap(), other);
}

#[test]
fn given_key_file_wins_and_is_created() {
    let scene = flashed();
    let given = scene.folder.path("given");
    let option = ["--key-file", given.to_str().unwrap()];
    let key = key_of(&scene.board);
    changed(&scene, &option);
    assert_eq!(Some(stored(&given)), key);
    // A key file that flash created keeps its mode.
    std::fs::write(&given, format!("{}\r\n", "5A".repeat(32))).unwrap();
    scene.board.press_boot_and_reset();
    let ended = changed(&scene, &option);
    assert!(ended.stderr.contains("its old key"), "{}", ended.stderr);
    assert_eq!(key_of(&scene.board), Some(ManagementKey::new([0x5a; 32])));
    assert_eq!(Some(stored(&scene.key_file())), key);
}

#[test]
fn without_management_there_is_no_key() {
    let scene = Scene::new(Board::new());
    let ended = scene.flash(&["--no-wait", "--management", "off", "--json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.objects()[0]["key_file"], serde_json::Value::Null);
    assert_eq!(key_of(&scene.board), None);
    assert!(!scene.key_file().exists());
    scene.board.press_boot_and_reset();
    changed(&scene, &["--management", "on"]);
    assert_eq!(key_of(&scene.board), Some(stored(&scene.key_file())));
}

#[test]
fn unusable_key_file_is_refused_before_the_board_changes() {
    let scene = flashed();
    let before = settings(&scene.board);
    let nowhere = scene.folder.path("nowhere/key");
    let nowhere = ["--key-file", nowhere.to_str().unwrap()];
    let good = "5a".repeat(32);
    for (text, mode, more, words) in [
        (&*good, 0o644, &[][..], "others can read it (mode 0644)"),
        ("5a", 0o600, &[], "holds no key: 64 hexadecimal digits"),
        (&good, 0o600, &nowhere, "--key-file: cannot write"),
    ] {
        scene.write_key(text, mode);
        scene.board.press_boot_and_reset();
        let ended = scene.run(&[&CHANGE, more].concat());
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert_eq!(
            ended.stderr.matches("error: ").count(),
            1,
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
        assert_eq!(settings(&scene.board), before, "{words}");
    }
}

#[test]
fn board_is_untouched_if_the_key_cannot_be_stored() {
    let scene = Scene::new(Board::new());
    // There is a file in place of the directory.
    std::fs::create_dir(scene.folder.path("data")).unwrap();
    std::fs::write(scene.folder.path("data/tcpctl"), "in the way").unwrap();
    let ended = scene.flash(&["--no-wait"]);
    assert!([2, 70].contains(&ended.code), "{}", ended.stderr);
    assert!(ended.stderr.contains("key file"), "{}", ended.stderr);
    assert!(scene.board.is_untouched());
}

#[test]
fn dry_run_writes_no_key_file() {
    let scene = Scene::new(Board::new());
    let ended = scene.flash(&["--dry-run"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(printed.contains("84f7031a0b3c (new)"), "{printed}");
    assert!(!scene.key_file().exists());
}

#[test]
fn saved_image_has_management_off_unless_it_gets_a_key() {
    let folder = Folder::new();
    let elf = folder.file("firmware.elf", &Program::default().elf());
    let image = folder.path("board.bin");
    let save = |more: &[&str]| {
        let image = ["--save-image", image.to_str().unwrap()];
        let network = ["flash", "--firmware", &elf, "--mode", "ap", "--open"];
        run([&network[..], &image, more].concat())
    };
    let saved = || {
        let image = std::fs::read(&image).unwrap();
        let sector = |at: usize| SectorContent::read(image.get(at..at + 4096).unwrap_or_default());
        select(sector(0xe000), sector(0xf000))
            .unwrap()
            .record
            .settings
    };
    let ended = save(&[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("management is off"),
        "{}",
        ended.stderr
    );
    assert!(!saved().server.management().is_on());
    assert_eq!(saved().management_key, None);

    let ended = save(&["--management", "on"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("--key-file"), "{}", ended.stderr);

    let file = folder.path("key");
    let ended = save(&["--key-file", file.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(saved().server.management().is_on());
    assert_eq!(saved().management_key, Some(stored(&file)));
}

/// A file system without room for one more file, as the user's data directory.
#[test]
fn full_disk_for_the_key_file_leaves_the_board_untouched() {
    if skipped(&[Need::Root, Need::Program("unshare"), Need::Program("mount")]) {
        return;
    }
    let scene = Scene::new(Board::new());
    let data = scene.folder.path("data");
    std::fs::create_dir(&data).unwrap();
    let flash = scene.command(&[
        "--firmware",
        &scene.elf,
        "--mode",
        "ap",
        "--open",
        "--no-wait",
    ]);
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "sh", "-ec"]);
    // There are inodes for the directory and one more file.
    command.arg("mount -t tmpfs -o nr_inodes=2 none \"$0\"; exec \"$@\"");
    command
        .arg(&data)
        .arg(flash.get_program())
        .args(flash.get_args());
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap());
    command.envs(
        flash
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(70), "{printed}");
    assert!(printed.contains("cannot write key file"), "{printed}");
    assert!(printed.contains("free some space"), "{printed}");
    assert!(scene.board.is_untouched());
}
