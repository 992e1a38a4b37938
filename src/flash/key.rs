//! The management key of a board that is being flashed, and its file.

use std::path::Path;

use tcpctl_settings::{Management, ManagementKey, ServerParts, ServerSettings, Settings};

use crate::atomic_file::{Destination, Purpose};
use crate::failure::{Failure, Kind};
use crate::keys::{self, KeyFile};

/// A key file, and the key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    file: KeyFile,
    key: Option<ManagementKey>,
    /// Whether `--key-file` named the file.
    is_given: bool,
}

impl Found {
    /// Reads the file of `--key-file`, or checks that it can be created.
    ///
    /// # Errors
    /// Others can read it, it holds no key, or it cannot be created.
    pub fn given(path: &Path) -> Result<Self, Failure> {
        let found = Self::read(KeyFile::at(path), true)?;
        if found.key.is_none() {
            Destination::check("--key-file", path, Purpose::Secret)?;
        }
        Ok(found)
    }

    /// Reads this user's file of the board with this MAC address.
    ///
    /// # Errors
    /// There is no directory for key files, or the file is unusable.
    pub fn of_board(mac: [u8; 6]) -> Result<Self, Failure> {
        let file = KeyFile::of_board(mac).map_err(|failure| {
            let hint = failure.hint.clone().unwrap_or_default();
            failure.hint(format!("{hint}, or --management off"))
        })?;
        Self::read(file, false)
    }

    fn read(file: KeyFile, is_given: bool) -> Result<Self, Failure> {
        let key = file.find()?;
        Ok(Self {
            file,
            key,
            is_given,
        })
    }
}

/// The key of a board, and the file that will hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardKey {
    file: KeyFile,
    /// The key to store in the file; `None` if it is there already.
    new: Option<ManagementKey>,
    /// Which of two different keys is lost.
    pub conflict: Option<Conflict>,
}

/// The file and the board have different keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// The file gets the board's key, because other computers may have it as well.
    FileReplaced,
    /// The board gets the key of the file that `--key-file` names.
    BoardReplaced,
}

impl BoardKey {
    /// Sets the key of `settings`: that of `--key-file`, else the board's own, else that of its
    /// file, else a new one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn apply(found: Found, settings: &mut Settings) -> Result<Self, Failure> {
        let (key, new, conflict) = match (found.key, settings.management_key.take()) {
            (Some(key), Some(own)) if key == own => (key, false, None),
            (Some(key), Some(_)) if found.is_given => (key, false, Some(Conflict::BoardReplaced)),
            (Some(_), Some(own)) => (own, true, Some(Conflict::FileReplaced)),
            (Some(key), None) => (key, false, None),
            (None, Some(own)) => (own, true, None),
            (None, None) => (keys::generate()?, true, None),
        };
        settings.management_key = Some(key.clone());
        Ok(Self {
            file: found.file,
            new: new.then_some(key),
            conflict,
        })
    }

    /// Writes the file if the key is new.
    ///
    /// # Errors
    /// E.g. the disk is full.
    pub fn store(&self) -> Result<(), Failure> {
        let Some(key) = &self.new else { return Ok(()) };
        if self.conflict == Some(Conflict::FileReplaced) {
            return self.file.replace(key.clone());
        }
        let stored = self.file.create(key.clone()).map_err(|failure| {
            let hint = failure.hint.clone().unwrap_or_default();
            failure.hint(format!("{hint}. Nothing was written to the board"))
        })?;
        if stored == *key {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Internal,
            format!("another program just wrote key file {}", self.file.name()),
        )
        .hint("nothing was written to the board; run the command again"))
    }

    /// Path of the file, sanitized for a terminal.
    pub fn file_name(&self) -> String {
        self.file.name()
    }

    /// Whether the file exists already.
    pub fn exists(&self) -> bool {
        self.new.is_none() || self.conflict.is_some()
    }
}

/// Switches management off in settings that get no key.
///
/// # Errors
/// None: fewer ports are taken than before.
pub fn without_management(settings: &mut Settings) -> Result<(), Failure> {
    let parts = ServerParts {
        management: Management::Off,
        ..settings.server.clone().into_parts()
    };
    settings.server = ServerSettings::new(parts)
        .map_err(|invalid| Failure::new(Kind::Internal, invalid.to_string()))?;
    Ok(())
}
