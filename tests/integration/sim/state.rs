//! `sim --state` and `sim --networks`: state that survives the process, and refused options.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::common::assert_one_error;
use crate::processes::{Board, Ended, Process};

/// A temporary folder with its own key files.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn sim(&self, options: &[&str]) -> Command {
        let mut sim = Board::tcpctl();
        sim.args(["sim", "ideal", "--listen", "127.0.0.1:0"])
            .args(options)
            .env("XDG_DATA_HOME", self.path("data"));
        sim
    }

    fn start(&self, options: &[&str]) -> Board {
        let state = self.path("board");
        Board::start(self.sim(&[&["--state", &state], options].concat()))
    }

    fn refused(&self, options: &[&str], code: i32, parts: &[&str]) -> Ended {
        let ended = Process::start(self.sim(options)).finish();
        assert_eq!((ended.code, &*ended.stdout), (Some(code), ""), "{ended:?}");
        assert_one_error(&ended.stderr);
        for part in parts {
            assert!(ended.stderr.contains(part), "no {part}: {ended:?}");
        }
        ended
    }

    fn keys(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("data/tcpctl/keys"));
        let entries = entries.into_iter().flatten();
        let mut keys: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        keys.sort();
        keys
    }
}

fn name(board: &Board) -> Value {
    let status = crate::common::run(["send", &board.address.to_string(), "status"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    status["name"].clone()
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn board_keeps_settings_key_and_mac_in_its_state() {
    let folder = Folder::new();
    let board = folder.start(&["--workers", "2", "--greeting", "kept"]);
    let first = name(&board);
    let keys = folder.keys();
    let [key] = &keys[..] else { panic!("{keys:?}") };
    let key = (key.clone(), std::fs::read_to_string(key).unwrap());
    assert_eq!(mode(&key.0), 0o600);
    assert_eq!(mode(Path::new(&folder.path("board"))), 0o600);
    board.process.signal(Signal::KILL);
    assert_eq!(board.finish().code, None);

    // Without its file, the key is taken from the state again.
    std::fs::remove_file(&key.0).unwrap();
    let board = folder.start(&[]);
    assert!(board.wait_for("ready ").contains(" workers=2 "));
    assert_eq!(name(&board), first);
    assert_eq!(std::fs::read_to_string(&key.0).unwrap(), key.1);
    let printed = crate::common::run(["send", &board.address.to_string()]);
    assert_eq!(printed.stdout, b"kept");
    board.interrupt();

    // Settings apply only to a new board.
    let board = folder.start(&["--workers", "3"]);
    assert!(board.wait_for("ready ").contains(" workers=2 "));
    let ended = board.interrupt();
    assert!(ended.stderr.contains("keeps the settings"), "{ended:?}");
}

#[test]
fn network_of_a_kept_station_exists_without_a_file() {
    let folder = Folder::new();
    let networks = folder.path("nets.toml");
    std::fs::write(&networks, "[[network]]\nssid = \"home\"\nopen = true\n").unwrap();
    let board = folder.start(&["--networks", &networks]);
    assert!(board.wait_for("ready ").contains(" mode=sta "));
    board.interrupt();
    let board = folder.start(&[]);
    assert!(board.wait_for("ready ").contains(" mode=sta "));
}

#[test]
fn boards_with_separate_state_files_differ() {
    let (folder, other) = (Folder::new(), Folder::new());
    let names = [&folder, &other].map(|folder| name(&folder.start(&[])));
    assert_ne!(names[0], names[1]);
}

#[test]
fn unusable_state_is_refused_and_kept() {
    let folder = Folder::new();
    let state = folder.path("board");
    let board = folder.start(&[]);
    folder.refused(&["--state", &state], 2, &["in use by another tcpctl sim"]);
    board.interrupt();
    std::fs::write(&state, "a letter").unwrap();
    folder.refused(
        &["--state", &state],
        2,
        &["not the state of a virtual board"],
    );
    assert_eq!(std::fs::read(&state).unwrap(), b"a letter");
    folder.refused(&["--state", "/nowhere/board"], 2, &["/nowhere/board"]);
    folder.refused(&["--state", "/tmp"], 2, &["--state /tmp"]);
}

#[test]
fn networks_file_is_checked_before_the_board_starts() {
    let folder = Folder::new();
    let file = folder.path("nets.toml");
    for (text, part) in [
        ("", "nets.toml:1: no network"),
        ("[[network]]\nssid = \"a\"\n", "neither passphrase nor open"),
        (
            "[[network]]\nssid = \"a\"\npassphrase = \"hunter2\"\n",
            "length is 7",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let ended = folder.refused(&["--networks", &file], 2, &[part]);
        assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
    }
    folder.refused(&["--networks", "/nowhere/nets"], 2, &["/nowhere/nets"]);
    assert!(folder.keys().is_empty());
}

#[test]
fn board_without_a_network_waits_for_it() {
    let folder = Folder::new();
    let file = folder.path("nets.toml");
    let network = |name: &str| format!("[[network]]\nssid = \"{name}\"\nopen = true\n");
    std::fs::write(&file, network("lab")).unwrap();
    let board = folder.start(&["--networks", &file]);
    assert!(board.wait_for("ready ").contains(" mode=sta "));
    board.interrupt();
    std::fs::write(&file, network("home")).unwrap();
    let state = folder.path("board");
    let sim = folder.sim(&["--state", &state, "--networks", &file]);
    let process = Process::start(sim);
    let lost = "link down reason=\"no such network\"";
    process.line_with(crate::processes::Stream::Stdout, lost);
    std::fs::write(&file, network("lab")).unwrap();
    Board::ready(process).interrupt();
}

#[test]
fn files_are_no_options_of_a_target() {
    for key in ["state", "networks"] {
        let target = format!("sim:{key}=/tmp/x");
        let ended = crate::common::run(["send", &target]);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(key), "{}", ended.stderr);
    }
}

#[test]
fn board_without_a_home_has_no_key_file() {
    let folder = Folder::new();
    let mut sim = folder.sim(&[]);
    sim.env_remove("XDG_DATA_HOME").env_remove("HOME");
    let ended = Board::start(sim).interrupt();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains("neither HOME nor XDG_DATA_HOME"),
        "{ended:?}"
    );
}

#[test]
fn exposed_key_file_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.start(&[]).interrupt();
    let key = folder.keys().remove(0);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let state = folder.path("board");
    folder.refused(
        &["--state", &state],
        2,
        &["others can read it", "chmod 600"],
    );
}
