//! The program as users install it: a copy.
//!
//! A linker writes its output through a memory map, and the kernel caches that file in small pages;
//! each start then has more page faults than with a file written sequentially, as `cargo install`,
//! `tar` and `dpkg` do. `nc` is such a file.

use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

/// A copy of the program, removed when dropped.
pub(crate) struct Installed(PathBuf);

impl Installed {
    /// Copies the program.
    ///
    /// # Errors
    /// No space in the directory for temporary files.
    pub(crate) fn new(program: &str) -> io::Result<Self> {
        let path = env::temp_dir().join(format!("tcpctl-installed-{}", process::id()));
        fs::copy(program, &path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        // On failure a temporary file remains.
        let _ = fs::remove_file(&self.0);
    }
}
