//! A file that is written whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Kind};
use crate::sanitize;

/// A file that can be written: found out before the load starts, without touching what is there.
#[derive(Debug)]
pub struct Destination {
    /// As the user wrote it.
    shown: String,
    path: PathBuf,
    way: Way,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A new file beside it takes its place at the end.
    Replace,
    /// In place: a device or a pipe, or a file in a folder that takes no new ones.
    InPlace,
}

impl Destination {
    /// Checks that `path` can be written. `option` names it in the message, e.g. `--save`.
    ///
    /// # Errors
    /// A usage error that says why not.
    pub fn check(option: &str, path: &Path) -> Result<Self, Failure> {
        let shown = sanitize::one_line(&path.to_string_lossy());
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::usage(format!("{option} {shown} can't be written: {error}"))
                .hint("nothing was done yet; give another path")
        };
        let (path, way) = match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(cannot(&"it is a folder")),
            Ok(found) if found.is_file() => {
                // A link stays a link: what it leads to is replaced.
                let path = fs::canonicalize(path).map_err(|error| cannot(&error))?;
                OpenOptions::new()
                    .append(true)
                    .open(&path)
                    .map_err(|error| cannot(&error))?;
                let way = match probe(&path) {
                    Ok(()) => Way::Replace,
                    Err(_) => Way::InPlace,
                };
                (path, way)
            }
            // Opening a pipe would wait for its reader.
            Ok(_) => (path.to_owned(), Way::InPlace),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                probe(path).map_err(|error| cannot(&error))?;
                (path.to_owned(), Way::Replace)
            }
            Err(error) => return Err(cannot(&error)),
        };
        Ok(Self { shown, path, way })
    }

    /// Writes the file: after this it has all of `bytes`, or it is as it was.
    ///
    /// # Errors
    /// The disk is full, or someone has changed what [`Destination::check`] has seen.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.put(bytes).map_err(|error| {
            let message = format!("{} can't be written: {error}", self.shown);
            Failure::new(Kind::Internal, message)
        })
    }

    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        if self.way == Way::InPlace {
            let mut file = OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(&self.path)?;
            return file.write_all(bytes);
        }
        let beside = beside(&self.path);
        let written = write_new(&beside, bytes).and_then(|()| {
            if let Ok(found) = fs::metadata(&self.path) {
                fs::set_permissions(&beside, found.permissions())?;
            }
            fs::rename(&beside, &self.path)
        });
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    // Before the rename: a crash must not leave an empty file in the old one's place.
    file.sync_all()
}

/// Whether a file can be made beside `path`.
fn probe(path: &Path) -> io::Result<()> {
    let beside = beside(path);
    write_new(&beside, &[])?;
    fs::remove_file(&beside)
}

/// A name beside `path` that nobody else uses.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}
