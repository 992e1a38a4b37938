//! The C programs to compare with, compiled on demand.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};

use crate::Result;

/// Cores of the servers and of the clients.
pub(crate) const SERVER_CORE: usize = 1;
pub(crate) const CLIENT_CORE: usize = 0;

/// The compiled programs in a temporary folder.
pub(crate) struct Reference {
    folder: PathBuf,
}

impl Reference {
    /// Compiles the programs.
    ///
    /// # Errors
    /// Without a C compiler.
    pub(crate) fn build() -> Result<Self> {
        let reference = Self {
            folder: env::temp_dir().join(format!("tcpctl-bench-{}", process::id())),
        };
        fs::create_dir(&reference.folder)?;
        for program in ["epoll_client", "epoll_server", "stream_server"] {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/reference");
            let status = Command::new("cc")
                .args(["-O2", "-Wall", "-Wextra", "-o"])
                .arg(reference.folder.join(program))
                .arg(format!("{folder}/{program}.c"))
                .status()
                .map_err(|error| format!("the comparison needs cc: {error}"))?;
            if !status.success() {
                return Err(format!("cc {program}.c ended with {status}").into());
            }
        }
        Ok(reference)
    }

    /// Command that runs the client on its core.
    pub(crate) fn client(&self) -> Command {
        on_core(CLIENT_CORE, self.folder.join("epoll_client"))
    }

    /// Starts a server, `greet` or `echo`, on its core.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) fn serve(&self, mode: &str) -> Result<Server> {
        self.start("epoll_server", mode)
    }

    /// Starts a `discard` or `chargen` server on its core.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) fn stream_server(&self, mode: &str) -> Result<Server> {
        self.start("stream_server", mode)
    }

    fn start(&self, program: &str, mode: &str) -> Result<Server> {
        let mut child = on_core(SERVER_CORE, self.folder.join(program))
            .arg(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let port = line.trim().parse()?;
        Ok(Server { child, port })
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // On failure the folder stays in the temporary folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A running server, ended when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server ends when its input ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A command pinned to one core.
pub(crate) fn on_core(core: usize, program: PathBuf) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}
