//! Writes files whole or not at all: a new file next to the target is renamed over it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Kind, reason};
use crate::sanitize;

/// The purpose of a file. It determines who may read the file and whether the file must survive a
/// crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Output for the user. Keeps the permissions of the file that it replaces.
    Output,
    /// Holds a secret: only the owner may read it (mode 0600).
    Secret,
    /// A cache that can be rebuilt: mode 0600, and not flushed to the disk before the rename.
    Cache,
}

/// Replaces the file at `path`. Blocks until the data is on the disk, except for a cache.
///
/// # Errors
/// The first step that failed. The file at `path` is then as it was.
pub fn replace(path: &Path, bytes: &[u8], purpose: Purpose) -> io::Result<()> {
    let draft = draft(path);
    remove_stale(&draft);
    let written = create(&draft, bytes, purpose).and_then(|()| {
        if purpose == Purpose::Output
            && let Ok(old) = fs::metadata(path)
        {
            fs::set_permissions(&draft, old.permissions())?;
        }
        fs::rename(&draft, path)?;
        sync_directory(path, purpose)
    });
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Removes the draft of a killed process with the same process ID.
fn remove_stale(draft: &Path) {
    let _ = fs::remove_file(draft);
}

/// Creates the file at `path`. Blocks until the data is on the disk, except for a cache.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], or the first step that failed. Nothing is left behind.
pub fn create_new(path: &Path, bytes: &[u8], purpose: Purpose) -> io::Result<()> {
    let draft = draft(path);
    remove_stale(&draft);
    let written = create(&draft, bytes, purpose).and_then(|()| {
        // A hard link fails if the file exists, where a rename would replace it.
        fs::hard_link(&draft, path).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            // The file system has no hard links, e.g. FAT.
            _ if path.try_exists()? => Err(io::ErrorKind::AlreadyExists.into()),
            _ => fs::rename(&draft, path),
        })?;
        sync_directory(path, purpose)
    });
    let _ = fs::remove_file(&draft);
    written
}

fn create(path: &Path, bytes: &[u8], purpose: Purpose) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if purpose != Purpose::Output {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    match purpose {
        // Flush before the rename, or a crash could leave an empty file in place of the old one.
        Purpose::Output | Purpose::Secret => file.sync_all(),
        Purpose::Cache => Ok(()),
    }
}

/// Flushes the directory entry of a secret to the disk as well.
#[cfg_attr(
    not(unix),
    allow(
        clippy::unnecessary_wraps,
        reason = "it fails where directories are files"
    )
)]
fn sync_directory(path: &Path, purpose: Purpose) -> io::Result<()> {
    #[cfg(unix)]
    if purpose == Purpose::Secret {
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
        let directory = fs::File::open(parent.unwrap_or(Path::new(".")))?;
        return match directory.sync_all() {
            // Some file systems do not support it.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        };
    }
    #[cfg(not(unix))]
    let _ = (path, purpose);
    Ok(())
}

/// A name next to `path` that no other process uses.
fn draft(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// An output file that was checked to be writable before the work started.
#[derive(Debug)]
pub struct Destination {
    /// The path as the user wrote it, safe for a terminal.
    shown: String,
    path: PathBuf,
    mode: WriteMode,
    purpose: Purpose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriteMode {
    Replace,
    /// In place: for devices, pipes, and files in a folder that does not allow new files.
    InPlace,
}

impl Destination {
    /// Checks that `path` can be written, without changing what is there. `option` names it in
    /// errors, e.g. `--save`.
    ///
    /// # Errors
    /// A usage error with the reason.
    pub fn check(option: &str, path: &Path, purpose: Purpose) -> Result<Self, Failure> {
        let shown = sanitize::one_line(&path.to_string_lossy());
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::usage(format!("{option}: cannot write {shown}: {}", reason(error)))
                .hint("give another path")
        };
        if path.as_os_str() == "-" {
            return Err(
                Failure::usage(format!("{option}: standard output is not supported"))
                    .hint("give a path; for a file with the name - write ./-"),
            );
        }
        let (path, mode) = match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(cannot(&"is a directory")),
            Ok(found) if found.is_file() => {
                // Write to the target of a symbolic link, and keep the link.
                let path = fs::canonicalize(path).map_err(|error| cannot(&error))?;
                OpenOptions::new()
                    .append(true)
                    .open(&path)
                    .map_err(|error| cannot(&error))?;
                let mode = match probe(&path) {
                    Ok(()) => WriteMode::Replace,
                    Err(_) => WriteMode::InPlace,
                };
                (path, mode)
            }
            // The file is not opened, because opening a pipe waits for its reader.
            Ok(_) => (path.to_owned(), WriteMode::InPlace),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                probe(path).map_err(|error| cannot(&error))?;
                (path.to_owned(), WriteMode::Replace)
            }
            Err(error) => return Err(cannot(&error)),
        };
        Ok(Self {
            shown,
            path,
            mode,
            purpose,
        })
    }

    /// Writes the file. On an error the old file is kept, unless it is written in place.
    ///
    /// # Errors
    /// E.g. the disk is full.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.try_write(bytes).map_err(|error| {
            let message = format!("cannot write {}: {}", self.shown, reason(&error));
            let failure = Failure::new(Kind::Internal, message);
            match error.kind() {
                io::ErrorKind::StorageFull => failure.hint("free some space, or give another path"),
                _ => failure,
            }
        })
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<()> {
        match self.mode {
            WriteMode::Replace => replace(&self.path, bytes, self.purpose),
            WriteMode::InPlace => {
                let mut options = OpenOptions::new();
                let mut file = options.write(true).truncate(true).open(&self.path)?;
                #[cfg(unix)]
                if self.purpose == Purpose::Secret && file.metadata()?.is_file() {
                    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                    file.set_permissions(owner_only)?;
                }
                file.write_all(bytes)
            }
        }
    }
}

/// Fails if no file can be created next to `path`.
fn probe(path: &Path) -> io::Result<()> {
    let draft = draft(path);
    remove_stale(&draft);
    create(&draft, &[], Purpose::Cache)?;
    fs::remove_file(&draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that is removed at the end of its test.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    fn check(path: &Path) -> Result<Destination, Failure> {
        Destination::check("--save", path, Purpose::Output)
    }

    #[test]
    fn check_changes_nothing_and_write_replaces() {
        let folder = Folder::new();
        let path = folder.file("old");
        fs::write(&path, "precious").unwrap();
        let destination = check(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        check(&folder.file("new")).unwrap();
        assert_eq!(folder.names(), ["old"]);
        destination.write(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(folder.names(), ["old"]);
    }

    #[test]
    fn unwritable_path_is_usage_error() {
        let folder = Folder::new();
        let missing = folder.file("no/such/run.json");
        for path in [&*missing, folder.0.path()] {
            let failure = check(path).unwrap_err();
            assert_eq!(failure.exit().code(), 2);
            assert!(failure.message.starts_with("--save: "), "{failure}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = Folder::new();
        let (real, link) = (folder.file("real"), folder.file("link"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real", &link).unwrap();
        check(&link).unwrap().write(b"new").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let mode = || fs::metadata(&real).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o640);
        // A secret never inherits permissions.
        replace(&real, b"key", Purpose::Secret).unwrap();
        assert_eq!(mode(), 0o600);
        // A device is written in place.
        check(Path::new("/dev/null")).unwrap().write(b"x").unwrap();
    }

    #[test]
    fn stale_draft_does_not_block_a_new_file() {
        let folder = Folder::new();
        let path = folder.file("run.json");
        fs::write(draft(&path), "left by a killed process").unwrap();
        check(&path).unwrap().write(b"new").unwrap();
        assert_eq!(folder.names(), ["run.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn secret_written_in_place_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new();
        let path = folder.file("board.bin");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let destination = Destination {
            shown: String::new(),
            path: path.clone(),
            mode: WriteMode::InPlace,
            purpose: Purpose::Secret,
        };
        destination.write(b"key").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }
}
