//! Where the report goes, beside standard output.

use std::path::Path;

use crate::atomic_file::{Destination, Purpose};
use crate::failure::Failure;

/// Files that a report is written to.
#[derive(Debug, Default)]
pub struct Files {
    /// The page.
    pub html: Option<Destination>,
    /// The saved run.
    pub save: Option<Destination>,
    /// The histograms.
    pub hdr_log: Option<Destination>,
}

impl Files {
    /// Finds out that each file can be written, without touching what is there.
    ///
    /// # Errors
    /// One that can't be.
    pub fn new(
        html: Option<&Path>,
        save: Option<&Path>,
        hdr_log: Option<&Path>,
    ) -> Result<Self, Failure> {
        let check = |option, path: Option<&Path>| {
            path.map(|path| Destination::check(option, path, Purpose::Output))
                .transpose()
        };
        let paths = [("--html", html), ("--save", save), ("--hdr-log", hdr_log)];
        each_its_own(&paths)?;
        Ok(Self {
            html: check("--html", html)?,
            save: check("--save", save)?,
            hdr_log: check("--hdr-log", hdr_log)?,
        })
    }
}

/// No two options may name one file: what is written first would be lost.
fn each_its_own(paths: &[(&str, Option<&Path>)]) -> Result<(), Failure> {
    // A device takes all that comes.
    let is_file = |path: &Path| path.is_file() || !path.exists();
    for (at, (option, path)) in paths.iter().enumerate() {
        let Some(path) = path.filter(|path| is_file(path)) else {
            continue;
        };
        if let Some((other, _)) = paths[..at].iter().find(|(_, other)| *other == Some(path)) {
            let message = format!("{other} and {option} name the same file");
            return Err(Failure::usage(message).hint("nothing was sent; give each its own"));
        }
    }
    Ok(())
}
