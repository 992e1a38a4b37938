use std::net::SocketAddr;
use std::process::Command;

use rustix::process::Signal;

use super::process::{Ended, Process, Stream};

/// A running `tcpctl sim`, killed when dropped.
pub(crate) struct Board {
    pub(crate) process: Process,
    /// Address of the board.
    pub(crate) address: SocketAddr,
}

impl Board {
    /// `tcpctl` without the settings of this machine.
    pub(crate) fn tcpctl() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcpctl"));
        for name in ["TCPCTL_TARGET", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        // Directory for the key files of virtual boards.
        command.env("XDG_DATA_HOME", env!("CARGO_TARGET_TMPDIR"));
        command
    }

    /// Starts a `sim` command line and waits until it is ready.
    pub(crate) fn start(sim: Command) -> Self {
        Self::ready(Process::start(sim))
    }

    /// Waits until a `sim` is ready.
    pub(crate) fn ready(process: Process) -> Self {
        let address = process.line(Stream::Stdout, Self::address_in);
        Self { process, address }
    }

    /// Waits for a line of the console that contains `part`, and returns it.
    pub(crate) fn wait_for(&self, part: &str) -> String {
        self.process.line_with(Stream::Stdout, part)
    }

    /// Interrupts the board (SIGINT) and waits until it exits.
    pub(crate) fn interrupt(self) -> Ended {
        self.process.signal(Signal::INT);
        self.process.finish()
    }

    /// Waits until the board exits by itself.
    pub(crate) fn finish(self) -> Ended {
        self.process.finish()
    }

    /// The address in a `ready` line, as text or JSON.
    pub(crate) fn address_in(line: &str) -> Option<SocketAddr> {
        if let Some(rest) = line.strip_prefix("ready addr=") {
            return rest.split(' ').next()?.parse().ok();
        }
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        (event["event"] == "ready").then(|| event["addr"].as_str()?.parse().ok())?
    }
}
