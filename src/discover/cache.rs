//! The boards that were seen last: names for completion, and for the next command's target.
//!
//! The file is a help and never a condition: where it can't be read, written or understood, the
//! network is asked. It says where messages go, so what somebody else may have written is not read;
//! and commands that end at the same time write one after the other, so that none undoes what
//! another has just learned.

use std::fs;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::names;
use super::report::BoardReport;
use crate::atomic_file::{self, Purpose};
use crate::{dirs, sys, target};

/// How long an address is used without asking again: as long as mDNS gives a host's records
/// (RFC 6762 §10).
const FRESH: Duration = Duration::from_mins(2);
/// How long a name is offered for completion.
const REMEMBERED: Duration = Duration::from_hours(24);
/// The largest file that is read, and so that is written, bytes.
const MAX_FILE: u64 = 1 << 20;
/// Boards that are kept, the latest first.
const MAX_BOARDS: usize = 1000;
/// How long another command may take to write, which is a matter of a millisecond. After that,
/// what was seen is not remembered.
const OTHERS: Duration = Duration::from_secs(1);

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    version: u32,
    boards: Vec<Remembered>,
}

/// A board that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// What it calls itself.
    pub name: String,
    /// Its host name, with `.local`.
    pub host: Option<String>,
    /// Its addresses, as `discover` prints them.
    pub addresses: Vec<String>,
    /// Its port.
    pub port: u16,
    /// Its MAC address, if it has told it.
    pub mac: Option<String>,
    /// When it was seen, seconds since 1970.
    pub seen: u64,
}

impl Remembered {
    /// A board that can be reached, as it is remembered.
    pub fn of(board: &BoardReport, now: SystemTime) -> Option<Self> {
        Some(Self {
            name: board.name.clone()?,
            host: board.host.clone(),
            addresses: board.addresses.clone(),
            port: board.port?,
            mac: board.mac.clone(),
            seen: seconds(now),
        })
    }

    /// Its socket addresses.
    pub fn socket_addresses(&self) -> Vec<SocketAddr> {
        self.addresses
            .iter()
            .filter_map(|text| target::address(text, self.port))
            .collect()
    }

    /// Whether it goes by this name: its own, or its host's with or without `.local`.
    pub fn is_called(&self, name: &str) -> bool {
        let name = names::label(name);
        names::label(&self.name).eq_ignore_ascii_case(name)
            || self
                .host
                .as_deref()
                .is_some_and(|host| names::label(host).eq_ignore_ascii_case(name))
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
            // The clock was set back: nobody knows.
            None => Duration::MAX,
        }
    }
}

/// The cache's file.
#[derive(Debug, Clone)]
pub struct Cache {
    path: Option<PathBuf>,
}

impl Cache {
    /// This user's cache.
    pub fn of_user() -> Self {
        let base = dirs::user_directory("XDG_CACHE_HOME", ".cache", "LOCALAPPDATA");
        Self {
            path: base.map(|base| base.join("tcpctl").join("boards.json")),
        }
    }

    /// Its file, if there is a place for one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// A cache in this file.
    pub fn at(path: PathBuf) -> Self {
        Self { path: Some(path) }
    }

    /// The boards of this name that were seen a moment ago.
    pub fn fresh(&self, name: &str, now: SystemTime) -> Vec<Remembered> {
        let mut boards = self.read();
        boards.retain(|board| board.is_called(name) && board.age(now) < FRESH);
        boards
    }

    /// The names of today's boards, in order.
    pub fn names(&self, now: SystemTime) -> Vec<String> {
        let boards = self.read().into_iter();
        let mut names: Vec<_> = boards
            .filter(|board| board.age(now) < REMEMBERED)
            .map(|board| board.name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The MAC addresses of today's boards of this name.
    pub fn macs(&self, name: &str, now: SystemTime) -> Vec<String> {
        let mut boards = self.read();
        boards.retain(|board| board.is_called(name) && board.age(now) < REMEMBERED);
        boards.into_iter().filter_map(|board| board.mac).collect()
    }

    /// Remembers boards, and forgets the oldest.
    pub fn remember(&self, seen: Vec<Remembered>, now: SystemTime) {
        self.change(|boards| {
            boards.retain(|old| {
                old.age(now) < REMEMBERED && !seen.iter().any(|new| new.is_same(old))
            });
            boards.splice(0..0, seen);
            boards.truncate(MAX_BOARDS);
        });
    }

    /// Forgets what is known of this name: it has turned out to be wrong.
    pub fn forget(&self, name: &str) {
        self.change(|boards| boards.retain(|board| !board.is_called(name)));
    }

    fn read(&self) -> Vec<Remembered> {
        let content = self.path.as_deref().map(read);
        match content {
            Some(Ok(content)) if content.version == 1 => content.boards,
            _ => Vec::new(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Remembered>)) {
        let Some(path) = &self.path else {
            return;
        };
        // Nothing is lost that the network would not tell again.
        let _ = self.try_change(path, change);
    }

    fn try_change(&self, path: &Path, change: impl FnOnce(&mut Vec<Remembered>)) -> io::Result<()> {
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

/// Leaves out, from the end, what would make the file larger than one that is read: a thousand boards
/// may have long names and sixteen addresses each.
fn keep_what_fits(boards: &mut Vec<Remembered>) {
    // What is around the boards.
    const FRAME: u64 = 64;
    let mut room = MAX_FILE - FRAME;
    boards.retain(|board| {
        // And a comma.
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
        // Who opens a pipe waits for its writer.
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

/// Creates the folder for this user alone, if it is not there.
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

/// Keeps other commands from writing until the lock is dropped. Where a folder can't be opened, as
/// on Windows, there is none, and the last one wins.
fn lock(folder: &Path) -> io::Result<Option<fs::File>> {
    let Ok(folder) = fs::File::open(folder) else {
        return Ok(None);
    };
    let begin = Instant::now();
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(Some(folder)),
            Err(fs::TryLockError::WouldBlock) if begin.elapsed() < OTHERS => {
                thread::sleep(Duration::from_millis(2));
            }
            Err(fs::TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            // A file system without locks.
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
