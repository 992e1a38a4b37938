//! A board, a firmware and a folder for one test.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tcpctl::keys::KeyFile;

use crate::common::firmware::Program;
use crate::common::loader::{Board, Wiring};
use crate::common::{Ended, finish, run_with_input, tcpctl};

pub(crate) const PASSPHRASE: &str = "correct horse battery";

/// A folder of one test's own.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and returns its path.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

pub(crate) struct Scene {
    pub(crate) board: Board,
    pub(crate) folder: Folder,
    pub(crate) elf: String,
}

impl Scene {
    pub(crate) fn new(board: Board) -> Self {
        Self::with(board, &Program::default())
    }

    pub(crate) fn with(board: Board, program: &Program) -> Self {
        let folder = Folder::new();
        let elf = folder.file("firmware.elf", &program.elf());
        Self { board, folder, elf }
    }

    /// `tcpctl flash` on the board.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut all = vec!["flash", "--port", self.board.port()];
        all.extend(arguments);
        let mut command = tcpctl(all);
        command
            .current_dir(Path::new("/"))
            .env("XDG_DATA_HOME", self.folder.path("data"))
            .env("RUST_LOG", "trace");
        if self.board.state().kind.wiring != Wiring::None {
            self.board.wire(&mut command);
        }
        command
    }

    /// Runs `tcpctl flash` with the passphrase piped in.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let _ = stdin.write_all(format!("{PASSPHRASE}\n").as_bytes());
        drop(stdin);
        let ended = finish(child);
        assert_no_passphrase(&ended);
        // One test writes a malformed key file.
        if let Ok(Some(key)) = KeyFile::at(self.key_file()).find() {
            assert_not_in(&ended, key.reveal());
        }
        ended
    }

    /// The default key file of the board.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.path("data/tcpctl/keys/84f7031a0b3c")
    }

    /// Writes the key file of the board, so that no new key is generated.
    pub(crate) fn write_key(&self, text: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.key_file();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Saves the image of an access point with [`PASSPHRASE`], without a board. Also returns its
    /// path.
    pub(crate) fn save(&self, more: &[&str]) -> (Ended, PathBuf) {
        let image = self.folder.path("board.bin");
        let network = ["--mode", "ap", "--password-stdin"];
        let save = ["--save-image", image.to_str().unwrap()];
        let arguments = [
            &["flash", "--firmware", &self.elf],
            &network[..],
            &save,
            more,
        ]
        .concat();
        let ended = run_with_input(arguments, format!("{PASSPHRASE}\n").as_bytes());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_no_passphrase(&ended);
        (ended, image)
    }

    /// Writes everything, as an access point with [`PASSPHRASE`].
    pub(crate) fn flash(&self, more: &[&str]) -> Ended {
        let full = ["--firmware", &self.elf, "--mode", "ap", "--password-stdin"];
        self.run(&[&full, more].concat())
    }
}

fn assert_no_passphrase(ended: &Ended) {
    assert_not_in(ended, PASSPHRASE);
}

/// Checks for the secret as it is, in Base64, and in the form of a debug log of bytes.
pub(crate) fn assert_not_in(ended: &Ended, secret: impl AsRef<[u8]>) {
    use base64::Engine as _;

    let secret = secret.as_ref();
    let printed = format!("{}{}", String::from_utf8_lossy(&ended.stdout), ended.stderr);
    let bytes = |form: fn(&u8) -> String| secret.iter().map(form).collect::<Vec<_>>();
    // Without padding it is a prefix of the padded form as well.
    let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(secret);
    assert!(!printed.contains(&base64), "{base64} in {printed}");
    for secret in [
        String::from_utf8_lossy(secret).to_lowercase(),
        bytes(|byte| format!("{byte:02x}")).join(""),
        bytes(|byte| format!("{byte:02x}")).join(" "),
        bytes(|byte| format!("{byte:02x}")).join(", "),
        bytes(|byte| format!("0x{byte:02x}")).join(", "),
        bytes(ToString::to_string).join(", "),
    ] {
        assert!(
            !printed.to_lowercase().contains(&secret),
            "{secret} in {printed}"
        );
    }
}

/// The events of a run with `--json`.
pub(crate) fn events(ended: &Ended) -> Vec<String> {
    ended
        .objects()
        .iter()
        .map(|object| object["event"].as_str().unwrap_or("error").to_owned())
        .filter(|event| event != "progress")
        .collect()
}
