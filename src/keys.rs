//! Key files of the management channel: `keys/MAC` in the user's data directory, one per board.
//!
//! A file holds the 256-bit key as 64 hexadecimal digits. A user who can read it can change the board,
//! so a file that others can read is refused. A file that is replaced is kept as `MAC.old`: it may be the
//! only way to a board.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tcpctl_settings::ManagementKey;

use crate::atomic_file::{self, Purpose};
use crate::dirs;
use crate::failure::{Failure, Kind, reason};
use crate::{sanitize, shell};

/// Hexadecimal digits of a key.
const DIGITS: usize = 2 * ManagementKey::LEN;
/// Maximum bytes to read from a file: a byte order mark, the digits, and one or two line ends.
const LIMIT: u64 = 256;

/// The key of one board, in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    path: PathBuf,
}

/// The directory of the key files; `None` without a home directory.
pub fn directory() -> Option<PathBuf> {
    let base = dirs::user_directory("XDG_DATA_HOME", ".local/share", "LOCALAPPDATA")?;
    Some(base.join("tcpctl").join("keys"))
}

impl KeyFile {
    /// The file at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// This user's file for the board with this MAC address.
    ///
    /// # Errors
    /// The user has no data directory.
    pub fn of_board(mac: [u8; 6]) -> Result<Self, Failure> {
        let directory = directory().ok_or_else(|| {
            Failure::usage("no directory for key files: neither HOME nor XDG_DATA_HOME is set")
                .hint("give --key-file FILE")
        })?;
        Ok(Self::at(directory.join(digits(&mac))))
    }

    /// The path, safe for a terminal.
    pub fn name(&self) -> String {
        sanitize::one_line(&self.path.to_string_lossy())
    }

    /// The key; `None` if the file does not exist. Blocks.
    ///
    /// # Errors
    /// Others can read the file, or it holds no key.
    pub fn find(&self) -> Result<Option<ManagementKey>, Failure> {
        let failed = |what: &str| Failure::usage(format!("key file {}: {what}", self.name()));
        // A pipe, e.g. `--key-file <(pass board)`, can be opened as well.
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&reason(&error))),
        };
        let metadata = file.metadata().map_err(|error| failed(&reason(&error)))?;
        if let Some(mode) = exposed_mode(&metadata) {
            return Err(failed(&format!("others can read it (mode {mode:04o})"))
                .hint(format!("chmod 600 {}", shell::quote(&self.name()))));
        }
        let key = read(file).map_err(|what| failed(&what))?;
        Ok(Some(key))
    }

    /// The key. Blocks.
    ///
    /// # Errors
    /// As [`KeyFile::find`], or the file does not exist.
    pub fn load(&self) -> Result<ManagementKey, Failure> {
        self.find()?.ok_or_else(|| {
            Failure::usage(format!("key file {} does not exist", self.name())).hint(
                "copy it from the computer that flashed the board, or connect the board to USB and \
                 run tcpctl flash --settings-only --management on",
            )
        })
    }

    /// Stores a key for a board without a key file. If another program was faster, returns that key
    /// instead. Blocks until the key is on the disk.
    ///
    /// # Errors
    /// E.g. the disk is full. Nothing is left behind.
    pub fn create(&self, key: ManagementKey) -> Result<ManagementKey, Failure> {
        let line = format!("{}\n", digits(key.reveal()));
        let failed = |error: io::Error| {
            let message = format!("cannot write key file {}: {}", self.name(), reason(&error));
            let hint = match error.kind() {
                io::ErrorKind::StorageFull => "free some space, or give --key-file FILE",
                _ => "give --key-file FILE, or --management off",
            };
            Failure::new(Kind::Internal, message).hint(hint)
        };
        make_directory(&self.path).map_err(failed)?;
        match atomic_file::create_new(&self.path, line.as_bytes(), Purpose::Secret) {
            Ok(()) => Ok(key),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.load(),
            Err(error) => Err(failed(error)),
        }
    }
}

impl KeyFile {
    /// Stores another key, and keeps the old file as `NAME.old`. Blocks until the key is on the
    /// disk.
    ///
    /// # Errors
    /// E.g. the disk is full. The file is as it was, or has its other name.
    pub fn replace(&self, key: ManagementKey) -> Result<(), Failure> {
        let mut old = self.path.clone().into_os_string();
        old.push(".old");
        fs::rename(&self.path, old).map_err(|error| {
            let message = format!("cannot rename key file {}: {}", self.name(), reason(&error));
            Failure::new(Kind::Internal, message).hint("give --key-file FILE")
        })?;
        self.create(key).map(drop)
    }
}

/// Generates a key from the system's random numbers.
///
/// # Errors
/// The system has none.
pub fn generate() -> Result<ManagementKey, Failure> {
    random_bytes().map(ManagementKey::new)
}

/// Random bytes from the system.
///
/// # Errors
/// The system has none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(
            Kind::Internal,
            format!("the system has no random numbers: {}", reason(&error)),
        )
    })?;
    Ok(bytes)
}

/// Reads the key from standard input. Blocks.
///
/// # Errors
/// It holds no key.
pub fn from_stdin() -> Result<ManagementKey, Failure> {
    read(io::stdin().lock()).map_err(|what| Failure::usage(format!("--key-file -: {what}")))
}

/// Parses a key. The error never repeats the input.
fn read(file: impl Read) -> Result<ManagementKey, String> {
    let mut bytes = Vec::new();
    file.take(LIMIT)
        .read_to_end(&mut bytes)
        .map_err(|error| reason(&error))?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    parse(text.trim_ascii()).ok_or_else(|| format!("holds no key: {DIGITS} hexadecimal digits"))
}

fn parse(text: &[u8]) -> Option<ManagementKey> {
    let (pairs, rest) = text.as_chunks::<2>();
    let mut key = [0; ManagementKey::LEN];
    if pairs.len() != key.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(pairs) {
        // `from_str_radix` would accept a sign.
        if !pair.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(ManagementKey::new(key))
}

fn digits(bytes: &[u8]) -> String {
    let mut digits = String::new();
    for byte in bytes {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// The mode of a file that group or others can access. Pipes have no useful mode; on Windows the
/// inherited ACL is accepted.
pub fn exposed_mode(metadata: &fs::Metadata) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let mode = metadata.mode() & 0o7777;
        (metadata.is_file() && mode & 0o077 != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

/// Makes the directory of `path`, for this user only.
fn make_directory(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent().filter(|it| !it.as_os_str().is_empty()) else {
        return Ok(());
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
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

        fn key_file(&self) -> KeyFile {
            KeyFile::at(self.0.path().join("keys").join("027463700001"))
        }
    }

    #[test]
    fn created_file_is_found_and_kept() {
        let folder = Folder::new();
        let file = folder.key_file();
        assert_eq!(file.find().unwrap(), None);
        assert!(file.load().unwrap_err().message.contains("does not exist"));
        let key = generate().unwrap();
        assert_eq!(file.create(key.clone()).unwrap(), key);
        assert_eq!(file.load().unwrap(), key);
        let other = generate().unwrap();
        assert_ne!(other, key);
        assert_eq!(file.create(other).unwrap(), key);
        let names = || fs::read_dir(file.path.parent().unwrap()).unwrap().count();
        assert_eq!(names(), 1, "a draft is left");
        let third = generate().unwrap();
        file.replace(third.clone()).unwrap();
        assert_eq!(file.load().unwrap(), third);
        let old = KeyFile::at(file.path.with_extension("old"));
        assert_eq!((old.load().unwrap(), names()), (key, 2));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_a_new_file() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let folder = Folder::new();
        let file = folder.key_file();
        file.create(generate().unwrap()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&file.path), 0o600);
        assert_eq!(mode(file.path.parent().unwrap()), 0o700);
        for open in [0o640, 0o604, 0o620, 0o777] {
            fs::set_permissions(&file.path, fs::Permissions::from_mode(open)).unwrap();
            let refused = file.find().unwrap_err();
            assert_eq!(refused.exit().code(), 2);
            assert!(refused.message.contains(&format!("mode {open:04o}")));
            assert!(refused.hint.unwrap().starts_with("chmod 600 "));
        }
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o400)).unwrap();
        file.load().unwrap();
        let spaced = KeyFile::at(folder.0.path().join("my key"));
        fs::write(&spaced.path, "").unwrap();
        fs::set_permissions(&spaced.path, fs::Permissions::from_mode(0o644)).unwrap();
        let hint = spaced.find().unwrap_err().hint.unwrap();
        assert!(hint.starts_with("chmod 600 '") && hint.ends_with("my key'"));
    }

    #[test]
    fn key_file_has_exactly_64_digits() {
        let digits = "0aF9".repeat(16);
        for text in [
            digits.clone(),
            format!("{digits}\n"),
            format!("\u{feff}{digits}\r\n"),
        ] {
            assert!(read(text.as_bytes()).is_ok(), "{text:?}");
        }
        for text in [
            String::new(),
            digits[1..].to_owned(),
            format!("{digits}0a"),
            format!("{digits}\n{digits}\n"),
            digits.replacen("0a", "+a", 1),
            digits.replacen("0a", "g0", 1),
            "0".repeat(100_000),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert_eq!(error, "holds no key: 64 hexadecimal digits");
        }
    }

    #[test]
    fn full_disk_and_directories_are_failures() {
        let folder = Folder::new();
        let file = KeyFile::at(folder.0.path());
        assert!(file.find().is_err());
        let below_a_file = folder.key_file();
        fs::write(folder.0.path().join("keys"), "in the way").unwrap();
        let failure = below_a_file.create(generate().unwrap()).unwrap_err();
        assert_eq!(failure.exit().code(), 70);
        assert!(failure.message.starts_with("cannot write key file "));
    }
}
