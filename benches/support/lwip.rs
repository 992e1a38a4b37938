//! The reference: the tutorial's server on Debian's lwIP, compiled on demand.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};

use crate::Result;
use crate::namespace::{Skipped, TAP};

/// The headers of Debian's liblwip-dev.
const HEADERS: &str = "/usr/include/lwip";

/// The compiled server in a temporary folder.
pub(crate) struct Reference {
    folder: PathBuf,
}

/// The running server, killed when dropped.
pub(crate) struct Running(Child);

impl Reference {
    /// Compiles the server.
    ///
    /// # Errors
    /// When the compiler fails although it and the headers are there.
    pub(crate) fn build() -> Result<Result<Self, Skipped>> {
        if !Path::new(HEADERS).join("netif/tapif.h").exists() {
            return Ok(Err(Skipped(
                "needs liblwip-dev for the server to compare with",
            )));
        }
        if Command::new("cc").arg("--version").output().is_err() {
            return Ok(Err(Skipped("needs cc for the server to compare with")));
        }
        let reference = Self {
            folder: env::temp_dir().join(format!("tcpctl-bench-{}", process::id())),
        };
        fs::create_dir(&reference.folder)?;
        let source = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/benches/reference/lwip_server.c"
        );
        let status = Command::new("cc")
            .args(["-O2", "-Wall", "-I", HEADERS, "-o"])
            .arg(reference.program())
            .args([source, "-llwip", "-pthread"])
            .status()?;
        if !status.success() {
            return Err(format!("cc {source} ended with {status}").into());
        }
        Ok(Ok(reference))
    }

    /// Starts the server on the interface and waits until it listens. `arguments`: the number of
    /// threads, and the milliseconds per request.
    ///
    /// # Errors
    /// When it ends instead.
    pub(crate) fn start(&self, arguments: &[String]) -> Result<Running> {
        let child = Command::new(self.program())
            .arg(TAP)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut running = Running(child);
        let mut line = String::new();
        if let Some(stdout) = running.0.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        if line.trim() != "ready" {
            return Err("the server on lwIP did not start".into());
        }
        Ok(running)
    }

    fn program(&self) -> PathBuf {
        self.folder.join("lwip_server")
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // On failure the folder stays in the temporary folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if the process has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
