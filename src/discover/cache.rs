//! The boards that were seen last: names for completion, and for the next command's target.
//!
//! The file is a help and never a condition: where it can't be read, written or understood, the
//! network is asked.

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::report::BoardReport;
use crate::target;

/// How long an address is used without asking again: as long as mDNS gives a host's records
/// (RFC 6762 §10).
const FRESH: Duration = Duration::from_mins(2);
/// How long a name is offered for completion.
const REMEMBERED: Duration = Duration::from_hours(24);
/// The largest file that is read, bytes.
const MAX_FILE: u64 = 1 << 20;
/// Boards that are kept, the latest first.
const MAX_BOARDS: usize = 1000;

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
        let plain = |text: &str| {
            let text = text.trim_end_matches('.').to_ascii_lowercase();
            text.strip_suffix(".local")
                .map(str::to_owned)
                .unwrap_or(text)
        };
        let name = plain(name);
        plain(&self.name) == name || self.host.as_deref().is_some_and(|host| plain(host) == name)
    }

    fn is_same(&self, other: &Self) -> bool {
        match (&self.mac, &other.mac) {
            (Some(a), Some(b)) => a == b && self.port == other.port,
            _ => self.name == other.name && self.addresses == other.addresses,
        }
    }

    fn age(&self, now: SystemTime) -> Duration {
        // A clock that was set back makes it new.
        Duration::from_secs(seconds(now).saturating_sub(self.seen))
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
        let directory = |name| env::var_os(name).map(PathBuf::from);
        // The XDG base directory specification: a relative path is to be ignored.
        let base = directory("XDG_CACHE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| directory("HOME").map(|home| home.join(".cache")))
            .or_else(|| directory("LOCALAPPDATA"));
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
        let read = |path: &Path| -> io::Result<Content> {
            let mut text = String::new();
            fs::File::open(path)?
                .take(MAX_FILE)
                .read_to_string(&mut text)?;
            serde_json::from_str(&text).map_err(io::Error::from)
        };
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
        let mut boards = self.read();
        change(&mut boards);
        let content = Content { version: 1, boards };
        // Nothing is lost that the network would not tell again.
        let _ = replace(path, &content);
    }
}

/// Writes the file anew, so that no other command ever reads a part of it.
fn replace(path: &Path, content: &Content) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let text = serde_json::to_vec(content)?;
    let temporary = folder.join(format!(".boards.{}", std::process::id()));
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache in a folder of its own, which is removed when this is dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> (Self, Cache) {
            let folder =
                env::temp_dir().join(format!("tcpctl-cache-{}-{name}", std::process::id()));
            let cache = Cache::at(folder.join("tcpctl").join("boards.json"));
            (Self(folder), cache)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn board(name: &str, mac: Option<&str>, address: &str, seen: SystemTime) -> Remembered {
        Remembered {
            name: name.to_owned(),
            host: Some(format!("{name}-host.local")),
            addresses: vec![address.to_owned()],
            port: 3000,
            mac: mac.map(str::to_owned),
            seen: seconds(seen),
        }
    }

    #[test]
    fn a_board_is_found_by_each_of_its_names_while_it_is_fresh() {
        let (_scratch, cache) = Scratch::new("fresh");
        let now = SystemTime::now();
        cache.remember(vec![board("greeter", None, "10.0.0.1", now)], now);
        for name in [
            "greeter",
            "GREETER.local",
            "greeter.local.",
            "greeter-host.local",
            "greeter-host",
        ] {
            assert_eq!(cache.fresh(name, now).len(), 1, "{name}");
        }
        assert!(cache.fresh("greet", now).is_empty());
        let later = now + FRESH;
        assert!(cache.fresh("greeter", later).is_empty());
        assert_eq!(cache.names(later), ["greeter"]);
        assert!(cache.names(now + REMEMBERED).is_empty());
        cache.forget("greeter.local");
        assert!(cache.names(now).is_empty());
    }

    #[test]
    fn two_boards_of_one_name_stay_two_and_a_moved_one_stays_one() {
        let (_scratch, cache) = Scratch::new("two");
        let now = SystemTime::now();
        let both = vec![
            board("a", Some("02:00:00:00:00:01"), "10.0.0.1", now),
            board("a", Some("02:00:00:00:00:02"), "10.0.0.2", now),
        ];
        cache.remember(both, now);
        cache.remember(
            vec![board("a", Some("02:00:00:00:00:02"), "10.0.0.3", now)],
            now,
        );
        let addresses: Vec<_> = cache
            .fresh("a", now)
            .into_iter()
            .flat_map(|board| board.addresses)
            .collect();
        assert_eq!(addresses, ["10.0.0.3", "10.0.0.1"]);
    }

    #[test]
    fn a_corrupt_file_is_no_file_and_is_replaced() {
        let (scratch, cache) = Scratch::new("corrupt");
        let now = SystemTime::now();
        let path = scratch.0.join("tcpctl").join("boards.json");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        for text in ["", "{", "\0\0", "[]", r#"{"version":9,"boards":[]}"#] {
            fs::write(&path, text).unwrap();
            assert!(cache.names(now).is_empty(), "{text}");
        }
        cache.remember(vec![board("a", None, "10.0.0.1", now)], now);
        assert_eq!(cache.names(now), ["a"]);
        let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "nothing is left behind");
    }

    #[test]
    fn where_nothing_can_be_written_nothing_is_remembered() {
        let now = SystemTime::now();
        let cache = Cache::at("/proc/nowhere/boards.json".into());
        cache.remember(vec![board("a", None, "10.0.0.1", now)], now);
        assert!(cache.names(now).is_empty());
    }
}
