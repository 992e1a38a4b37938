//! The program as a user has it: copied.
//!
//! A linker writes its output through a memory map, and the kernel keeps that file in small pages
//! for as long as it is cached; each start then meets more page faults than one of a file that was
//! written from end to end, as `cargo install`, `tar` and `dpkg` do. `nc` is such a file.

use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

/// A copy of the program, gone when this is dropped.
pub(crate) struct Installed(PathBuf);

impl Installed {
    /// Copies it.
    ///
    /// # Errors
    /// There is no room for it in the directory of temporary files.
    pub(crate) fn new(program: &str) -> io::Result<Self> {
        let path = env::temp_dir().join(format!("tcpctl-installed-{}", process::id()));
        fs::copy(program, &path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        // What is left behind is a temporary file.
        let _ = fs::remove_file(&self.0);
    }
}
