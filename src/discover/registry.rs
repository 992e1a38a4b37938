//! Merges observations into boards.
//!
//! Several sources may see a board on several interfaces. Observations with the same MAC address and
//! port, or with a common address, are one board. Without a MAC address, the full name and the
//! interface identify it. Two names are never one board, whatever addresses they claim: otherwise
//! anyone could hide a board behind a name of their own.

mod observation;

use std::net::SocketAddr;
use std::time::Duration;

pub use self::observation::{Observation, SourceKey};
use super::report::{BoardReport, DiscoverReport, Event, Status};
use crate::mdns::Origin;

/// Maximum number of boards. Further ones are not reported.
const MAX_BOARDS: usize = 8192;

/// Number of a board, constant as long as the board is known.
pub type BoardId = u64;

/// The result of connecting to a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachability {
    /// Connected.
    Reachable {
        /// Address that was connected to.
        address: SocketAddr,
        /// Round-trip time of the handshake.
        rtt: Duration,
    },
    /// There was no reply, or a refusal.
    Unreachable,
}

/// All boards.
#[derive(Debug, Default)]
pub struct Registry {
    boards: Vec<Board>,
    next: BoardId,
    /// Reported boards that were merged into another reported one.
    merged: Vec<BoardReport>,
}

/// A board.
#[derive(Debug)]
pub struct Board {
    /// Number of the board.
    pub id: BoardId,
    /// Number of the board in reports: that of the first reported board that was merged into it.
    reported_id: BoardId,
    observations: Vec<Observation>,
    status: Option<Status>,
    /// Address that was connected to, and the round-trip time of the handshake.
    connected: Option<(SocketAddr, Duration)>,
    reported: Option<BoardReport>,
    /// Whether the board may have changed since the last report.
    has_changed: bool,
}

impl Registry {
    /// Adds an observation. Returns the board's number, and whether its addresses changed so that
    /// it must be connected to again. `is_ours` is true for addresses of this computer.
    pub fn observe(
        &mut self,
        observation: Observation,
        is_ours: impl Fn(&SocketAddr) -> bool,
    ) -> Option<(BoardId, bool)> {
        let mut instance = observation.instance();
        let mut same = Vec::new();
        for (at, board) in self.boards.iter().enumerate() {
            let other = board.origins().next().map(|origin| &origin.instance);
            let is_another = instance.zip(other).is_some_and(|(a, b)| a != b);
            if !is_another && board.is_observed_by(&observation, &is_ours) {
                instance = instance.or(other);
                same.push(at);
            }
        }
        let Some(first) = (!same.is_empty()).then(|| same.remove(0)) else {
            if self.boards.len() >= MAX_BOARDS {
                return None;
            }
            self.next += 1;
            let needs_connection = !observation.addresses.is_empty();
            self.boards.push(Board {
                id: self.next,
                reported_id: self.next,
                observations: vec![observation],
                status: None,
                connected: None,
                reported: None,
                has_changed: true,
            });
            return Some((self.next, needs_connection));
        };
        for other in same.into_iter().rev() {
            let absorbed = self.boards.remove(other);
            let board = &mut self.boards[first];
            board.observations.extend(absorbed.observations);
            if board.connected.is_none() {
                board.connected = absorbed.connected;
                board.status = absorbed.status.or(board.status);
            }
            match (&board.reported, absorbed.reported) {
                (None, report) => {
                    if report.is_some() {
                        board.reported_id = absorbed.reported_id;
                    }
                    board.reported = report;
                }
                (Some(_), Some(report)) => self.merged.push(report),
                (Some(_), None) => {}
            }
        }
        let board = &mut self.boards[first];
        board.update(observation);
        board.has_changed = true;
        let addresses = board.addresses();
        let connected = board.connected.map(|(address, _)| address);
        // Do not connect to a board again at the same address.
        let is_known = connected.is_some_and(|address| addresses.contains(&address));
        if !is_known && !addresses.is_empty() {
            board.connected = None;
        }
        Some((board.id, !is_known && !addresses.is_empty()))
    }

    /// Records the result of connecting to a board.
    pub fn set_reachability(&mut self, id: BoardId, reachability: Reachability, status: Status) {
        if let Some(board) = self.boards.iter_mut().find(|board| board.id == id) {
            board.status = Some(status);
            board.has_changed = true;
            board.connected = match reachability {
                Reachability::Reachable { address, rtt } => Some((address, rtt)),
                Reachability::Unreachable => None,
            };
        }
    }

    /// A board.
    pub fn board(&self, id: BoardId) -> Option<&Board> {
        self.boards.iter().find(|board| board.id == id)
    }

    /// All boards.
    pub fn boards(&self) -> impl Iterator<Item = &Board> {
        self.boards.iter()
    }

    /// The board with an observation from this source.
    pub fn board_with(&self, key: &SourceKey) -> Option<&Board> {
        self.boards
            .iter()
            .find(|board| board.observations.iter().any(|it| it.key == *key))
    }

    /// Whether a board is known at this address.
    pub fn is_known_at(&self, address: SocketAddr) -> bool {
        self.boards
            .iter()
            .any(|board| board.addresses().contains(&address))
    }

    /// Removes the observation of a source.
    pub fn forget(&mut self, key: &SourceKey) {
        for board in &mut self.boards {
            let before = board.observations.len();
            board.observations.retain(|it| it.key != *key);
            board.has_changed |= board.observations.len() != before;
            if board.addresses().is_empty() {
                board.connected = None;
                board.status = None;
            }
        }
    }

    /// The events since the last call. Boards with a pending connection are left for later.
    pub fn take_events(&mut self) -> Vec<DiscoverReport> {
        self.events(|board| board.status.is_some() || board.addresses().is_empty())
    }

    /// The events since the last call, including boards with a pending connection.
    pub fn take_all_events(&mut self) -> Vec<DiscoverReport> {
        self.events(|_| true)
    }

    fn events(&mut self, is_ready: impl Fn(&Board) -> bool) -> Vec<DiscoverReport> {
        let merged = self.merged.drain(..);
        let mut events: Vec<_> = merged
            .map(|board| DiscoverReport::new(Event::Lost, board))
            .collect();
        self.boards.retain(|board| {
            if board.observations.is_empty() {
                let reported = board.reported.clone();
                events.extend(reported.map(|board| DiscoverReport::new(Event::Lost, board)));
            }
            !board.observations.is_empty()
        });
        let changed = self.boards.iter_mut().filter(|board| board.has_changed);
        for board in changed.filter(|board| is_ready(board)) {
            board.has_changed = false;
            let report = board.report();
            match &board.reported {
                Some(reported) if *reported == report => continue,
                Some(_) => events.push(DiscoverReport::new(Event::Updated, report.clone())),
                None => events.push(DiscoverReport::new(Event::Found, report.clone())),
            }
            board.reported = Some(report);
        }
        events
    }

    /// The number of reported boards that count as found.
    pub fn count(&self) -> usize {
        let reported = self
            .boards
            .iter()
            .filter_map(|board| board.reported.as_ref());
        reported.filter(|board| board.counts()).count()
    }
}

impl Board {
    /// Whether an observation belongs to this board. Another name rules it out.
    fn is_observed_by(
        &self,
        observation: &Observation,
        is_ours: impl Fn(&SocketAddr) -> bool,
    ) -> bool {
        self.observations.iter().any(|known| {
            if known.key == observation.key {
                return true;
            }
            if let (Some(a), Some(b)) = (&known.mac, &observation.mac) {
                // A serial port has no TCP port.
                let port = |it: &Observation| it.addresses.first().map(SocketAddr::port);
                return a == b
                    && port(known)
                        .zip(port(observation))
                        .is_none_or(|(a, b)| a == b);
            }
            let mut addresses = known.addresses.iter();
            if addresses.any(|it| observation.addresses.contains(it)) {
                return true;
            }
            // A service of this computer is announced on all its interfaces.
            known.instance().is_some()
                && observation.instance().is_some()
                && known.mac == observation.mac
                && known.addresses.iter().all(&is_ours)
                && observation.addresses.iter().all(&is_ours)
        })
    }

    fn update(&mut self, observation: Observation) {
        match self
            .observations
            .iter_mut()
            .find(|known| known.key == observation.key)
        {
            Some(known) => *known = observation,
            None => self.observations.push(observation),
        }
    }

    /// Addresses of the board, with the one that was connected to first.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<SocketAddr> = Vec::new();
        let first = self.connected.map(|(address, _)| address);
        let seen = || self.observations.iter().flat_map(|it| it.addresses.iter());
        let first = first.filter(|address| seen().any(|it| it == address));
        for address in first.iter().chain(seen()) {
            if !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        addresses
    }

    /// mDNS services of the board.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.observations.iter().filter_map(|it| match &it.key {
            SourceKey::Mdns(origin) => Some(origin),
            _ => None,
        })
    }

    /// Address that was connected to, and the round-trip time of the handshake.
    pub const fn connected(&self) -> Option<(SocketAddr, Duration)> {
        self.connected
    }

    /// Sources that observed the board on the network.
    pub fn network_keys(&self) -> impl Iterator<Item = &SourceKey> {
        self.observations
            .iter()
            .map(|it| &it.key)
            .filter(|key| !matches!(key, SourceKey::Serial(_)))
    }

    /// Whether a connection succeeded.
    pub const fn is_online(&self) -> bool {
        matches!(self.status, Some(Status::Online))
    }

    /// Whether the board can be connected to, if known.
    pub const fn status(&self) -> Option<Status> {
        self.status
    }

    /// Whether the board was reported.
    pub const fn is_reported(&self) -> bool {
        self.reported.is_some()
    }

    /// Report of the board.
    pub fn report(&self) -> BoardReport {
        let addresses = self.addresses();
        let mut sources: Vec<_> = self.observations.iter().map(|it| it.key.source()).collect();
        sources.sort_unstable();
        sources.dedup();
        let text = |of: fn(&Observation) -> &Option<String>| {
            self.observations.iter().find_map(|it| of(it).clone())
        };
        let serial_port = self.observations.iter().find_map(|it| match &it.key {
            SourceKey::Serial(path) => Some(path.clone()),
            _ => None,
        });
        let rtt = self.connected.map(|(_, rtt)| rtt);
        BoardReport {
            id: self.reported_id,
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
            usb: self.observations.iter().find_map(|it| it.usb.clone()),
            rtt_us: rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            greeting: text(|it| &it.greeting),
        }
    }
}

/// An address without its port, as in a TARGET: the zone is the interface's name.
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
