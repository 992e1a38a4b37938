//! `tcpctl update` and the boards that it updates.

mod end_to_end;
mod figures;
mod fleet;
mod refusals;
mod rollback;

use std::process::{Child, Command, Stdio};

use tcpctl_greeter::update::image::chip_id;
use tcpctl_greeter::update::sample::Sample;

use crate::common::{Ended, finish, tcpctl};
use crate::configure::lab::Lab;
use crate::processes::Board;

/// A board with a chip and a state file, and images for it.
pub(crate) struct Workshop(Lab);

impl Workshop {
    pub(crate) fn new() -> Self {
        Self(Lab::new())
    }

    /// Starts the board, new or from its state file.
    pub(crate) fn start(&self, options: &[&str]) -> Board {
        let state = self.0.path("board");
        let all = ["ideal", "--chip", "esp32c3", "--state", &state];
        Board::ready(self.0.sim(&[&all, options].concat()))
    }

    /// Another board, in memory.
    pub(crate) fn start_other(&self, options: &[&str]) -> Board {
        Board::ready(self.0.sim(&[&["ideal"], options].concat()))
    }

    /// Another board that takes images, in memory.
    pub(crate) fn start_chip(&self, seed: &str, options: &[&str]) -> Board {
        self.start_other(&[&["--chip", "esp32c3", "--seed", seed], options].concat())
    }

    /// A file with an image of this version for a chip.
    pub(crate) fn image_for(&self, chip: &str, version: &str, length: usize) -> String {
        let mut image = vec![0; length];
        Sample::new(chip_id(chip).unwrap(), version).write(&mut image);
        let path = self.0.path(&format!("{chip}-{version}.bin"));
        std::fs::write(&path, image).unwrap();
        path
    }

    pub(crate) fn image(&self, version: &str, length: usize) -> String {
        self.image_for("esp32c3", version, length)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        self.0.write(name, text);
        self.0.path(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tcpctl(["update"]);
        command
            .args(arguments)
            .env("XDG_DATA_HOME", self.0.path("data"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Starts `tcpctl update --json` for the boards with these targets.
    pub(crate) fn spawn_fleet(&self, targets: &[String], arguments: &[&str]) -> Child {
        let list = self.write("boards", &targets.join("\n"));
        self.spawn(&[arguments, &["--targets", &list, "--json"]].concat())
    }

    /// Runs `tcpctl update --json`.
    pub(crate) fn update(&self, arguments: &[&str]) -> Ended {
        finish(self.spawn(&[arguments, &["--json"]].concat()))
    }
}

/// A field of a board's status.
pub(crate) fn status(board: &Board, field: &str) -> serde_json::Value {
    let address = board.address.to_string();
    let ended = crate::common::run(["status", &address, "--json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended.objects()[0][field].clone()
}
