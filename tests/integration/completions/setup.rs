//! A shell on a pseudo-terminal with tcpctl's completion loaded and boards in the cache.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::common::terminal::pseudo_terminal;

/// Maximum wait for a shell, far more than one takes on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A folder with a cache of boards, a file to complete, and a `tcpctl` that completes as the real
/// one does and otherwise prints its arguments.
pub(crate) struct Setup {
    folder: tempfile::TempDir,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache/tcpctl");
        fs::create_dir_all(&cache).unwrap();
        let seen = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let board = |name: &str| {
            serde_json::json!({
                "name": name, "host": null, "addresses": ["127.0.0.1"], "port": 9, "mac": null,
                "seen": seen.as_secs(),
            })
        };
        let boards = [
            "greeter-1a2b3c",
            "kitchen",
            "lab board",
            "evil$(touch ran)",
            "evil;touch ran",
        ];
        let content = serde_json::json!({"version": 1, "boards": boards.map(board)});
        fs::write(cache.join("boards.json"), content.to_string()).unwrap();
        fs::write(folder.path().join("photo of a board.jpg"), "").unwrap();
        let program = folder.path().join("tcpctl");
        let script = format!(
            "#!/bin/sh\n\
             if [ -n \"$TCPCTL_COMPLETE\" ]; then exec '{}' \"$@\"; fi\n\
             printf 'ran:'\n\
             for word; do printf ' <%s>' \"$word\"; done\n\
             printf '.\\n'\n",
            env!("CARGO_BIN_EXE_tcpctl")
        );
        crate::common::write_executable(&program, script.as_bytes());
        Self { folder }
    }

    /// A command with this folder as its home and no configuration of this machine.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut path = self.folder.path().as_os_str().to_owned();
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("XDG_CACHE_HOME", self.folder.path().join("cache"))
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm")
            .current_dir(&self.folder);
        command
    }

    /// The committed script of this name.
    pub(crate) fn script(name: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
        folder.join(name).to_str().unwrap().to_owned()
    }

    /// Whether a board's name was executed as a command.
    pub(crate) fn was_tricked(&self) -> bool {
        self.folder.path().join("ran").exists()
    }
}

/// A shell on a pseudo-terminal.
pub(crate) struct Shell {
    child: Child,
    terminal: File,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Shell {
    pub(crate) fn start(setup: &Setup, words: &[&str]) -> Self {
        let (terminal, slave) = pseudo_terminal(200);
        // Job control needs a controlling terminal.
        let child = setup
            .command("setsid")
            .arg("--ctty")
            .args(words)
            .stdin(Stdio::from(slave.try_clone().unwrap()))
            .stdout(Stdio::from(slave.try_clone().unwrap()))
            .stderr(Stdio::from(slave))
            .spawn()
            .unwrap();
        let mut reader = terminal.try_clone().unwrap();
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            terminal,
            output,
            seen: String::new(),
        }
    }

    /// Types text.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for `text` after everything waited for before.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            let left = TIMEOUT.saturating_sub(start.elapsed());
            let Ok(bytes) = self.output.recv_timeout(left) else {
                panic!("{text:?} does not come, but {:?}", self.seen);
            };
            self.seen += &String::from_utf8_lossy(&bytes);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
