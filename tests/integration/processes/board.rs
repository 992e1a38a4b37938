use std::net::SocketAddr;
use std::process::Command;

use rustix::process::Signal;

use super::process::{Ended, Process, Stream};

/// A running `tcpctl sim`. It is killed when this is dropped.
pub(crate) struct Board {
    pub(crate) process: Process,
    /// Where it is reached.
    pub(crate) address: SocketAddr,
}

impl Board {
    /// `tcpctl`, with nothing of this machine's own settings.
    pub(crate) fn tcpctl() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcpctl"));
        for name in ["TCPCTL_TARGET", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command
    }

    /// Starts a command line that is a `sim`, and waits until it can be reached.
    pub(crate) fn start(sim: Command) -> Self {
        Self::ready(Process::start(sim))
    }

    /// Waits until a `sim` can be reached.
    pub(crate) fn ready(process: Process) -> Self {
        let address = process.line(Stream::Stdout, Self::address_in);
        Self { process, address }
    }

    /// Waits until the console says something that contains `part`, and returns the line.
    pub(crate) fn says(&self, part: &str) -> String {
        self.process.line_with(Stream::Stdout, part)
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn interrupt(self) -> Ended {
        self.process.signal(Signal::INT);
        self.process.finish()
    }

    /// Waits until it ends by itself.
    pub(crate) fn finish(self) -> Ended {
        self.process.finish()
    }

    /// The address in a line that says that a board is ready, for a person or a program.
    pub(crate) fn address_in(line: &str) -> Option<SocketAddr> {
        if let Some(rest) = line.strip_prefix("ready addr=") {
            return rest.split(' ').next()?.parse().ok();
        }
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        (event["event"] == "ready").then(|| event["addr"].as_str()?.parse().ok())?
    }
}
