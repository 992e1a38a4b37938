//! A virtual board behind its relay, with a state file and Wi-Fi networks, in a temporary folder.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::common::{Ended, finish, tcpctl};
use crate::processes::{Board, Process};

pub(crate) const NETWORKS: &str = "\
[[network]]
ssid = \"lab\"
passphrase = \"correct horse\"

[[network]]
ssid = \"home\"
passphrase = \"battery staple\"
";

/// Passphrases that must not be in any output.
const SECRETS: [&str; 3] = ["correct horse", "battery staple", "wrong horse"];

/// A folder with all files of a board, removed when dropped.
pub(crate) struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = Self { folder };
        lab.write("nets.toml", NETWORKS);
        lab
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The board's key file, which is the only one.
    pub(crate) fn key_file(&self) -> PathBuf {
        let keys = std::fs::read_dir(self.path("data/tcpctl/keys")).unwrap();
        let keys: Vec<_> = keys.map(|entry| entry.unwrap().path()).collect();
        let [key] = &keys[..] else {
            panic!("{keys:?}");
        };
        key.clone()
    }

    /// Starts the board, from its state file if there is one. A new board is a station on `lab`.
    pub(crate) fn start(&self) -> Board {
        Board::ready(self.start_unreachable())
    }

    /// Starts the board without waiting until it is reachable.
    pub(crate) fn start_unreachable(&self) -> Process {
        let (state, networks) = (self.path("board"), self.path("nets.toml"));
        self.sim(&["ideal", "--state", &state, "--networks", &networks])
    }

    /// Starts a `sim` on a free port.
    pub(crate) fn sim(&self, options: &[&str]) -> Process {
        let mut sim = tcpctl(["sim", "--listen", "127.0.0.1:0"]);
        sim.args(options).env("XDG_DATA_HOME", self.path("data"));
        Process::start(sim)
    }

    /// `tcpctl configure`.
    pub(crate) fn command(&self, target: &str, options: &[&str]) -> Command {
        let mut command = tcpctl(["configure", target]);
        command
            .args(options)
            .env("XDG_DATA_HOME", self.path("data"));
        command
    }

    /// Runs `tcpctl configure` with `input` on standard input.
    pub(crate) fn configure(&self, target: &str, options: &[&str], input: &str) -> Ended {
        let mut command = self.command(target, options);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let ended = finish(child);
        self.assert_no_secret(&ended);
        ended
    }

    /// The settings in force.
    pub(crate) fn show(&self, board: &Board) -> serde_json::Value {
        let ended = self.configure(&board.address.to_string(), &["--show", "--json"], "");
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.objects().remove(0)
    }

    fn assert_no_secret(&self, ended: &Ended) {
        let printed = format!("{}{}", String::from_utf8_lossy(&ended.stdout), ended.stderr);
        for secret in SECRETS {
            assert!(!printed.contains(secret), "{printed}");
        }
        let keys = std::fs::read_dir(self.path("data/tcpctl/keys"));
        for key in keys.into_iter().flatten() {
            let key = std::fs::read_to_string(key.unwrap().path()).unwrap();
            let key = key.trim();
            assert!(
                key.is_empty() || !printed.to_lowercase().contains(key),
                "{printed}"
            );
        }
    }
}

/// Kills a board as a power cut would.
pub(crate) fn kill(board: Board) {
    board.process.signal(Signal::KILL);
    assert_eq!(board.finish().code, None);
}

/// The events of a run with `--json`, each checked against the schema.
pub(crate) fn events(ended: &Ended) -> Vec<String> {
    let objects = ended.objects();
    let events = objects
        .iter()
        .map(|object| object["event"].as_str().unwrap_or("error").to_owned());
    events.collect()
}
