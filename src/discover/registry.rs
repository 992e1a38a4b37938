//! Which sightings are of one board, and what is told of it.
//!
//! A board may be seen by several sources and on several interfaces. It is one board where the MAC
//! address and the port are the same, or where it is reached at the same address. What has no MAC
//! address is told apart by its full name and its interface. Two names are never one board, whatever
//! they say of their addresses: else anybody could hide a board behind a name of their own.

mod sighting;

use std::net::SocketAddr;
use std::time::Duration;

pub use self::sighting::{Key, Sighting};
use super::report::{BoardReport, DiscoverReport, Event, Status};
use crate::mdns::Origin;

/// Boards that are kept; what comes on top is not told of.
const MAX_BOARDS: usize = 8192;

/// A board's number, for as long as it is known.
pub type Id = u64;

/// What came of a connection to a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// It was made.
    Yes {
        /// To this address.
        address: SocketAddr,
        /// The handshake took this long.
        rtt: Duration,
    },
    /// Nothing answers, or it refuses.
    No,
}

/// All boards.
#[derive(Debug, Default)]
pub struct Registry {
    boards: Vec<Board>,
    next: Id,
    /// Boards that were told of, and have turned out to be another one.
    gone: Vec<BoardReport>,
}

/// A board.
#[derive(Debug)]
pub struct Board {
    /// Its number.
    pub id: Id,
    /// The number under which it is told of: its own, or that of one which has turned out to be it.
    told_as: Id,
    sightings: Vec<Sighting>,
    status: Option<Status>,
    reached: Option<(SocketAddr, Duration)>,
    told: Option<BoardReport>,
    /// Whether something has happened to it since it was told of.
    is_new: bool,
}

impl Registry {
    /// Takes in a sighting; returns the board's number, and whether its addresses are others now,
    /// so that it has to be connected to.
    ///
    /// `is_ours` says which addresses are this computer's.
    pub fn see(
        &mut self,
        sighting: Sighting,
        is_ours: impl Fn(&SocketAddr) -> bool,
    ) -> Option<(Id, bool)> {
        let mut instance = sighting.instance();
        let mut same = Vec::new();
        for (at, board) in self.boards.iter().enumerate() {
            let other = board.origins().next().map(|origin| &origin.instance);
            let is_another = instance.zip(other).is_some_and(|(a, b)| a != b);
            if !is_another && board.is_seen_by(&sighting, &is_ours) {
                instance = instance.or(other);
                same.push(at);
            }
        }
        let Some(first) = (!same.is_empty()).then(|| same.remove(0)) else {
            if self.boards.len() >= MAX_BOARDS {
                return None;
            }
            self.next += 1;
            let needs_connection = !sighting.addresses.is_empty();
            self.boards.push(Board {
                id: self.next,
                told_as: self.next,
                sightings: vec![sighting],
                status: None,
                reached: None,
                told: None,
                is_new: true,
            });
            return Some((self.next, needs_connection));
        };
        for other in same.into_iter().rev() {
            let absorbed = self.boards.remove(other);
            let board = &mut self.boards[first];
            board.sightings.extend(absorbed.sightings);
            if board.reached.is_none() {
                board.reached = absorbed.reached;
                board.status = absorbed.status.or(board.status);
            }
            match (&board.told, absorbed.told) {
                (None, told) => {
                    if told.is_some() {
                        board.told_as = absorbed.told_as;
                    }
                    board.told = told;
                }
                (Some(_), Some(told)) => self.gone.push(told),
                (Some(_), None) => {}
            }
        }
        let board = &mut self.boards[first];
        board.update(sighting);
        board.is_new = true;
        let addresses = board.addresses();
        let reached = board.reached.map(|(address, _)| address);
        // Where it has answered already, it is left in peace.
        let is_known = reached.is_some_and(|address| addresses.contains(&address));
        if !is_known && !addresses.is_empty() {
            board.reached = None;
        }
        Some((board.id, !is_known && !addresses.is_empty()))
    }

    /// Notes what came of a connection to a board, and what that says of it.
    pub fn reached(&mut self, id: Id, reached: Reached, status: Status) {
        if let Some(board) = self.boards.iter_mut().find(|board| board.id == id) {
            board.status = Some(status);
            board.is_new = true;
            board.reached = match reached {
                Reached::Yes { address, rtt } => Some((address, rtt)),
                Reached::No => None,
            };
        }
    }

    /// A board.
    pub fn board(&self, id: Id) -> Option<&Board> {
        self.boards.iter().find(|board| board.id == id)
    }

    /// All boards.
    pub fn boards(&self) -> impl Iterator<Item = &Board> {
        self.boards.iter()
    }

    /// The board that this has seen.
    pub fn seen_by(&self, key: &Key) -> Option<&Board> {
        self.boards
            .iter()
            .find(|board| board.sightings.iter().any(|it| it.key == *key))
    }

    /// Whether a board is known at this address.
    pub fn is_known_at(&self, address: SocketAddr) -> bool {
        self.boards
            .iter()
            .any(|board| board.addresses().contains(&address))
    }

    /// This has no more of a board to tell.
    pub fn forget(&mut self, key: &Key) {
        for board in &mut self.boards {
            let before = board.sightings.len();
            board.sightings.retain(|it| it.key != *key);
            board.is_new |= board.sightings.len() != before;
            if board.addresses().is_empty() {
                board.reached = None;
                board.status = None;
            }
        }
    }

    /// What is new since the last call. A board that waits for a connection to it is told of when
    /// that is decided, or, with `everything`, now.
    pub fn news(&mut self, everything: bool) -> Vec<DiscoverReport> {
        let gone = self.gone.drain(..);
        let mut news: Vec<_> = gone
            .map(|board| DiscoverReport::new(Event::Lost, board))
            .collect();
        self.boards.retain(|board| {
            if board.sightings.is_empty() {
                let told = board.told.clone();
                news.extend(told.map(|board| DiscoverReport::new(Event::Lost, board)));
            }
            !board.sightings.is_empty()
        });
        for board in self.boards.iter_mut().filter(|board| board.is_new) {
            let decided = board.status.is_some() || board.addresses().is_empty();
            if !decided && !everything {
                continue;
            }
            board.is_new = false;
            let report = board.report();
            match &board.told {
                Some(told) if *told == report => continue,
                Some(_) => news.push(DiscoverReport::new(Event::Updated, report.clone())),
                None => news.push(DiscoverReport::new(Event::Found, report.clone())),
            }
            board.told = Some(report);
        }
        news
    }

    /// How many boards have been told of that count as found.
    pub fn count(&self) -> usize {
        let told = self.boards.iter().filter_map(|board| board.told.as_ref());
        told.filter(|board| board.counts()).count()
    }
}

impl Board {
    /// Whether what was seen is this board, if it has no other name.
    fn is_seen_by(&self, sighting: &Sighting, is_ours: impl Fn(&SocketAddr) -> bool) -> bool {
        self.sightings.iter().any(|known| {
            if known.key == sighting.key {
                return true;
            }
            if let (Some(a), Some(b)) = (&known.mac, &sighting.mac) {
                // A serial port says nothing of ports.
                let port = |it: &Sighting| it.addresses.first().map(SocketAddr::port);
                return a == b && port(known).zip(port(sighting)).is_none_or(|(a, b)| a == b);
            }
            let mut addresses = known.addresses.iter();
            if addresses.any(|it| sighting.addresses.contains(it)) {
                return true;
            }
            // A service of this computer is announced on each of its interfaces.
            known.instance().is_some()
                && sighting.instance().is_some()
                && known.mac == sighting.mac
                && known.addresses.iter().all(&is_ours)
                && sighting.addresses.iter().all(&is_ours)
        })
    }

    fn update(&mut self, sighting: Sighting) {
        match self
            .sightings
            .iter_mut()
            .find(|known| known.key == sighting.key)
        {
            Some(known) => *known = sighting,
            None => self.sightings.push(sighting),
        }
    }

    /// Where it can be connected to.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<SocketAddr> = Vec::new();
        let first = self.reached.map(|(address, _)| address);
        let seen = || self.sightings.iter().flat_map(|it| it.addresses.iter());
        let first = first.filter(|address| seen().any(|it| it == address));
        for address in first.iter().chain(seen()) {
            if !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        addresses
    }

    /// The services by which it has told of itself.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.sightings.iter().filter_map(|it| match &it.key {
            Key::Mdns(origin) => Some(origin),
            _ => None,
        })
    }

    /// Where it has answered, and how soon.
    pub const fn answered(&self) -> Option<(SocketAddr, Duration)> {
        self.reached
    }

    /// Who has seen it over the network.
    pub fn network_keys(&self) -> impl Iterator<Item = &Key> {
        self.sightings
            .iter()
            .map(|it| &it.key)
            .filter(|key| !matches!(key, Key::Serial(_)))
    }

    /// Whether it was connected to.
    pub const fn is_online(&self) -> bool {
        matches!(self.status, Some(Status::Online))
    }

    /// Whether it can be connected to, where that is known.
    pub const fn status(&self) -> Option<Status> {
        self.status
    }

    /// Whether it has been told of.
    pub const fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// The board as it is told of.
    pub fn report(&self) -> BoardReport {
        let addresses = self.addresses();
        let mut sources: Vec<_> = self.sightings.iter().map(|it| it.key.source()).collect();
        sources.sort_unstable();
        sources.dedup();
        let text = |of: fn(&Sighting) -> &Option<String>| {
            self.sightings.iter().find_map(|it| of(it).clone())
        };
        let serial_port = self.sightings.iter().find_map(|it| match &it.key {
            Key::Serial(path) => Some(path.clone()),
            _ => None,
        });
        let reached = self.reached.map(|(_, rtt)| rtt);
        BoardReport {
            id: self.told_as,
            name: text(|it| &it.name),
            host: text(|it| &it.host),
            port: addresses.first().map(SocketAddr::port),
            addresses: addresses.iter().map(address_text).collect(),
            chip: text(|it| &it.chip),
            mode: text(|it| &it.mode),
            firmware: text(|it| &it.firmware),
            mac: text(|it| &it.mac),
            sources,
            status: self.status.unwrap_or(Status::Unconfirmed),
            interface: text(|it| &it.interface),
            serial_port,
            usb: self.sightings.iter().find_map(|it| it.usb.clone()),
            rtt_us: reached.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            greeting: text(|it| &it.greeting),
        }
    }
}

/// An address without its port, as a target can have it: with the interface's name as its zone.
fn address_text(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => {
            let zone = crate::sys::interface_name(v6.scope_id());
            let zone = zone.unwrap_or_else(|| v6.scope_id().to_string());
            format!("{}%{zone}", v6.ip())
        }
        address => address.ip().to_string(),
    }
}

#[cfg(test)]
mod tests;
