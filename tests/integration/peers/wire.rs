use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::scratch::unique_name;
use crate::processes::{Board, Process};

/// The board's interface in its namespace.
pub(crate) const INTERFACE: &str = "tap0";
/// Address of the client if the board is an access point.
pub(crate) const HOST: &str = "192.168.1.2";
/// The board's address, as in the tutorial.
pub(crate) const BOARD: &str = "192.168.1.1";
/// MAC address of the board, which gives it the name `tcpctl-0001`.
pub(crate) const MAC: &str = "02:74:63:70:00:01";
/// The board's port.
pub(crate) const PORT: &str = "3000";

/// A network namespace of one test, deleted when dropped.
pub(crate) struct Namespace(String);

impl Namespace {
    /// Creates a namespace with nothing but a loopback interface.
    pub(crate) fn new() -> Self {
        // The first `ip netns add` on a machine prepares the common folder; concurrent ones
        // collide.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        delete_left_behind();
        let namespace = Self(unique_name());
        ip(&["netns", "add", &namespace.0]);
        namespace.ip("link set lo up");
        namespace
    }

    /// Name of the namespace.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Connects two namespaces: `here` and `there` are the interfaces at both ends and their
    /// addresses. Both ends are up.
    pub(crate) fn connect(&self, here: (&str, &str), other: &Self, there: (&str, &str)) {
        self.ip(&format!(
            "link add {} type veth peer name {} netns {}",
            here.0, there.0, other.0
        ));
        for (namespace, (interface, address)) in [(self, here), (other, there)] {
            namespace.ip(&format!("addr add {address}/24 dev {interface}"));
            namespace.ip(&format!("link set {interface} up"));
        }
    }

    /// Runs `ip` in the namespace.
    pub(crate) fn ip(&self, arguments: &str) {
        let mut all = vec!["-n", &self.0];
        all.extend(arguments.split(' '));
        ip(&all);
    }

    /// A program in the namespace.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.enter(&Command::new(program))
    }

    /// `tcpctl` in the namespace.
    pub(crate) fn tcpctl(&self, arguments: &str) -> Command {
        let mut command = self.enter(&Board::tcpctl());
        command.args(arguments.split(' '));
        command
    }

    /// Starts a program in the namespace. Arguments are separated by spaces.
    pub(crate) fn start(&self, command_line: &str) -> Process {
        let mut words = command_line.split(' ');
        let mut command = self.command(words.next().unwrap_or_default());
        command.args(words);
        Process::start(command)
    }

    /// The command, run in this namespace. `ip` replaces itself with the program, so there is one
    /// process.
    pub(crate) fn enter(&self, inner: &Command) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.0])
            .arg(inner.get_program());
        command.args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// A board in AP mode and a client host, on one link.
pub(crate) struct Wire {
    // Dropped before its namespace.
    pub(crate) board: Board,
    pub(crate) namespace: Namespace,
}

impl Wire {
    /// A board, with [`HOST`] at the other end.
    pub(crate) fn new(options: &str) -> Self {
        let wire = Self::without_address(options);
        let Self { namespace, .. } = &wire;
        namespace.ip(&format!("addr add {HOST}/24 dev {INTERFACE}"));
        wire
    }

    /// A board, with no address at the other end.
    pub(crate) fn without_address(options: &str) -> Self {
        let namespace = Namespace::new();
        let sim = namespace.tcpctl(&format!("sim --tap {INTERFACE} --mac {MAC} {options}"));
        let board = Board::start(sim);
        assert_eq!(board.address.to_string(), format!("{BOARD}:{PORT}"));
        namespace.ip(&format!("link set {INTERFACE} up"));
        Self { board, namespace }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("ip: {error}"));
    assert!(
        output.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Deletes the namespaces of killed test runs.
fn delete_left_behind() {
    let output = Command::new("ip").args(["netns", "list"]).output();
    let output = output.unwrap_or_else(|error| panic!("ip: {error}"));
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let process = name
            .strip_prefix("tcpctl-")
            .and_then(|rest| rest.split_once('-')?.0.parse::<u32>().ok());
        if process.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            // Another run may delete it at the same time.
            let _ = Command::new("ip")
                .args(["netns", "del", name])
                .stderr(Stdio::null())
                .status();
        }
    }
}
