//! The boards that were found recently, for completion and for later commands.
//!
//! The cache is optional: where the file cannot be read or written, the network is asked. It decides
//! where messages go, so a file that others can write is not read. Commands that end at the same
//! time write one after the other, so that none overwrites the boards of another.

use std::fs;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::report::BoardReport;
use crate::atomic_file::{self, Purpose};
use crate::{dirs, sys, target};

/// How long an address is used without a query: the TTL of host records (RFC 6762 §10).
const FRESH_FOR: Duration = Duration::from_mins(2);
/// How long a name is proposed for completion.
const MAX_AGE: Duration = Duration::from_hours(24);
/// Maximum size of the file, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Maximum number of boards. The newest ones are kept.
const MAX_BOARDS: usize = 1000;
/// How long to wait for another command that writes the cache, which takes about a millisecond.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The content of the cache file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    version: u32,
    boards: Vec<CachedBoard>,
}

/// A board in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedBoard {
    /// Name of the board.
    pub name: String,
    /// Host name, with `.local`.
    pub host: Option<String>,
    /// Addresses, as `discover` prints them.
    pub addresses: Vec<String>,
    /// Port of the server.
    pub port: u16,
    /// MAC address, if known.
    pub mac: Option<String>,
    /// When the board was last seen, in seconds since 1970.
    pub seen: u64,
}

impl CachedBoard {
    /// The entry of a board that has a name and a port.
    pub fn new(board: &BoardReport, now: SystemTime) -> Option<Self> {
        Some(Self {
            name: board.name.clone()?,
            host: board.host.clone(),
            addresses: board.addresses.clone(),
            port: board.port?,
            mac: board.mac.clone(),
            seen: seconds(now),
        })
    }

    /// The socket addresses of the board.
    pub fn socket_addresses(&self) -> Vec<SocketAddr> {
        self.addresses
            .iter()
            .filter_map(|text| target::address(text, self.port))
            .collect()
    }

    /// Whether the board's name or host name is `name`, with or without `.local`.
    pub fn has_name(&self, name: &str) -> bool {
        let name = label(name);
        label(&self.name).eq_ignore_ascii_case(name)
            || self
                .host
                .as_deref()
                .is_some_and(|host| label(host).eq_ignore_ascii_case(name))
    }

    fn is_same(&self, other: &Self) -> bool {
        match (&self.mac, &other.mac) {
            (Some(a), Some(b)) => a == b && self.port == other.port,
            _ => self.name == other.name && self.addresses == other.addresses,
        }
    }

    fn age(&self, now: SystemTime) -> Duration {
        match seconds(now).checked_sub(self.seen) {
            Some(age) => Duration::from_secs(age),
            // The clock was set back.
            None => Duration::MAX,
        }
    }
}

/// The board cache of one user.
#[derive(Debug, Clone)]
pub struct Cache {
    path: Option<PathBuf>,
}

impl Cache {
    /// This user's cache.
    pub fn for_user() -> Self {
        let base = dirs::user_directory("XDG_CACHE_HOME", ".cache", "LOCALAPPDATA");
        Self {
            path: base.map(|base| base.join("tcpctl").join("boards.json")),
        }
    }

    /// Path of the cache file, if the user has a cache directory.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// A cache in the file at `path`.
    pub fn at(path: PathBuf) -> Self {
        Self { path: Some(path) }
    }

    /// The boards with this name that were seen in the last two minutes.
    pub fn fresh(&self, name: &str, now: SystemTime) -> Vec<CachedBoard> {
        let mut boards = self.read();
        boards.retain(|board| board.has_name(name) && board.age(now) < FRESH_FOR);
        boards
    }

    /// The names of the boards of the last day, sorted.
    pub fn names(&self, now: SystemTime) -> Vec<String> {
        let boards = self.read().into_iter();
        let mut names: Vec<_> = boards
            .filter(|board| board.age(now) < MAX_AGE)
            .map(|board| board.name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The MAC addresses of the boards of the last day with this name.
    pub fn macs(&self, name: &str, now: SystemTime) -> Vec<String> {
        let mut boards = self.read();
        boards.retain(|board| board.has_name(name) && board.age(now) < MAX_AGE);
        boards.into_iter().filter_map(|board| board.mac).collect()
    }

    /// Adds boards and drops the oldest.
    pub fn store(&self, seen: Vec<CachedBoard>, now: SystemTime) {
        self.change(|boards| {
            boards.retain(|old| old.age(now) < MAX_AGE && !seen.iter().any(|new| new.is_same(old)));
            boards.splice(0..0, seen);
            boards.truncate(MAX_BOARDS);
        });
    }

    /// Removes the boards with this name.
    pub fn forget(&self, name: &str) {
        self.change(|boards| boards.retain(|board| !board.has_name(name)));
    }

    fn read(&self) -> Vec<CachedBoard> {
        let content = self.path.as_deref().map(read);
        match content {
            Some(Ok(content)) if content.version == 1 => content.boards,
            _ => Vec::new(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<CachedBoard>)) {
        let Some(path) = &self.path else {
            return;
        };
        // The cache is optional, so a failure is ignored.
        let _ = self.try_change(path, change);
    }

    fn try_change(
        &self,
        path: &Path,
        change: impl FnOnce(&mut Vec<CachedBoard>),
    ) -> io::Result<()> {
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        create_folder(folder)?;
        let _alone = lock(folder)?;
        let known = self.read();
        let mut boards = known.clone();
        change(&mut boards);
        keep_what_fits(&mut boards);
        if boards == known {
            return Ok(());
        }
        let text = serde_json::to_vec(&Content { version: 1, boards })?;
        atomic_file::replace(path, &text, Purpose::Cache)
    }
}

/// The name of a board without `.local` and the service type, which DNS tools print after it.
pub fn label(name: &str) -> &str {
    let name = name.trim_end_matches('.');
    let name = strip_suffix(name, ".local").unwrap_or(name);
    strip_suffix(name, "._tcpctl._tcp").unwrap_or(name)
}

fn strip_suffix<'n>(name: &'n str, suffix: &str) -> Option<&'n str> {
    let (start, end) = name.split_at_checked(name.len().checked_sub(suffix.len())?)?;
    (end.eq_ignore_ascii_case(suffix) && !start.is_empty()).then_some(start)
}

/// Drops the last boards if the file would become too large to read.
fn keep_what_fits(boards: &mut Vec<CachedBoard>) {
    // The bytes around the list.
    const FRAME: u64 = 64;
    let mut room = MAX_FILE - FRAME;
    boards.retain(|board| {
        // The length includes a comma.
        let size = serde_json::to_vec(board).map_or(MAX_FILE, |text| text.len() as u64 + 1);
        let left = room.checked_sub(size);
        room = left.unwrap_or(room);
        left.is_some()
    });
}

fn read(path: &Path) -> io::Result<Content> {
    let mut options = fs::File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Opening a pipe would wait for a writer.
        options.custom_flags(libc::O_NONBLOCK);
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || !sys::is_own(&metadata) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(io::Error::from)
}

/// Creates the directory for this user alone.
fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// Keeps other commands from writing until the lock is dropped. Without a lock the last writer
/// wins.
fn lock(folder: &Path) -> io::Result<Option<fs::File>> {
    #[cfg(unix)]
    let opened = fs::File::open(folder);
    // Windows cannot open directories.
    #[cfg(not(unix))]
    let opened = fs::File::create(folder.join("lock"));
    let Ok(folder) = opened else {
        return Ok(None);
    };
    let begin = Instant::now();
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(Some(folder)),
            Err(fs::TryLockError::WouldBlock) if begin.elapsed() < LOCK_TIMEOUT => {
                thread::sleep(Duration::from_millis(2));
            }
            Err(fs::TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            // The file system does not support locks.
            Err(fs::TryLockError::Error(_)) => return Ok(None),
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests;
