//! The files that a report is written to.

use std::path::Path;

use crate::atomic_file::{Destination, Purpose};
use crate::failure::Failure;

/// The files that a report is written to.
#[derive(Debug, Default)]
pub struct Files {
    /// HTML page.
    pub html: Option<Destination>,
    /// Saved run.
    pub save: Option<Destination>,
    /// Histogram log.
    pub hdr_log: Option<Destination>,
}

impl Files {
    /// Checks that each file can be written, without changing existing files.
    ///
    /// # Errors
    /// A usage error.
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
        refuse_duplicates(&paths)?;
        Ok(Self {
            html: check("--html", html)?,
            save: check("--save", save)?,
            hdr_log: check("--hdr-log", hdr_log)?,
        })
    }
}

/// Refuses two options that name the same file: the second would overwrite the first.
fn refuse_duplicates(paths: &[(&str, Option<&Path>)]) -> Result<(), Failure> {
    // A device can be written several times.
    let is_file = |path: &Path| path.is_file() || !path.exists();
    for (at, (option, path)) in paths.iter().enumerate() {
        let Some(path) = path.filter(|path| is_file(path)) else {
            continue;
        };
        if let Some((other, _)) = paths[..at].iter().find(|(_, other)| *other == Some(path)) {
            let message = format!("{other} and {option} name the same file");
            return Err(Failure::usage(message).hint("give each its own file"));
        }
    }
    Ok(())
}
