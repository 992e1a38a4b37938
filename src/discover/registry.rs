//! Which sightings are of one board, and what is told of it.
//!
//! A board may be seen by several sources and on several interfaces. It is one board where the MAC
//! address and the port are the same, or where it is reached at the same address. What has no MAC
//! address is told apart by its full name and its interface. Two names are never one board, whatever
//! they say of their addresses: else anybody could hide a board behind a name of their own.

use std::net::SocketAddr;
use std::time::Duration;

use super::mdns::Origin;
use super::mdns::message::DnsName;
use super::report::{BoardReport, DiscoverReport, Event, Source, Status, UsbReport};

/// Boards that are kept; what comes on top is not told of.
const MAX_BOARDS: usize = 8192;

/// What has seen a board: the same key again is news of the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A service on a link.
    Mdns(Origin),
    /// A serial port.
    Serial(String),
    /// An address that was probed.
    Probe(SocketAddr),
    /// The address of boards in AP mode.
    Gateway(SocketAddr),
}

impl Key {
    const fn source(&self) -> Source {
        match self {
            Self::Mdns(_) => Source::Mdns,
            Self::Serial(_) => Source::Serial,
            Self::Probe(_) => Source::Probe,
            Self::Gateway(_) => Source::Gateway,
        }
    }
}

/// What one source knows of a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Who has seen it.
    pub key: Key,
    /// What the board calls itself.
    pub name: Option<String>,
    /// Its host name.
    pub host: Option<String>,
    /// Where it can be connected to.
    pub addresses: Vec<SocketAddr>,
    /// Its chip.
    pub chip: Option<String>,
    /// `ap` or `sta`.
    pub mode: Option<String>,
    /// Its firmware's version.
    pub firmware: Option<String>,
    /// Its MAC address, in lower case and with colons.
    pub mac: Option<String>,
    /// The interface that it is behind.
    pub interface: Option<String>,
    /// The USB device of its serial port.
    pub usb: Option<UsbReport>,
    /// The first line that it said.
    pub greeting: Option<String>,
}

impl Sighting {
    /// A sighting of which nothing is known but who has seen it.
    pub const fn new(key: Key) -> Self {
        Self {
            key,
            name: None,
            host: None,
            addresses: Vec::new(),
            chip: None,
            mode: None,
            firmware: None,
            mac: None,
            interface: None,
            usb: None,
            greeting: None,
        }
    }

    /// The full name of the service that it is, if it is one.
    const fn instance(&self) -> Option<&DnsName> {
        match &self.key {
            Key::Mdns(origin) => Some(&origin.instance),
            _ => None,
        }
    }
}

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
mod tests {
    use super::*;

    fn announced(interface: u32, name: &str, mac: Option<&str>, address: &str) -> Sighting {
        let origin = Origin {
            interface,
            instance: DnsName::of_text(&format!("{name}._tcpctl._tcp.local")).unwrap(),
        };
        Sighting {
            name: Some(name.to_owned()),
            mac: mac.map(str::to_owned),
            addresses: vec![address.parse().unwrap()],
            ..Sighting::new(Key::Mdns(origin))
        }
    }

    fn on_cable(mac: Option<&str>) -> Sighting {
        Sighting {
            mac: mac.map(str::to_owned),
            ..Sighting::new(Key::Serial("/dev/ttyACM0".into()))
        }
    }

    fn nobody(_: &SocketAddr) -> bool {
        false
    }

    const MAC: Option<&str> = Some("02:74:63:70:00:01");

    fn online(registry: &mut Registry, id: Id, address: &str) {
        let address = address.parse().unwrap();
        let rtt = Duration::from_micros(321);
        registry.reached(id, Reached::Yes { address, rtt }, Status::Online);
    }

    fn events(registry: &mut Registry) -> Vec<(Event, Option<String>, Vec<Source>)> {
        let news = registry.news(false).into_iter();
        news.map(|it| (it.event, it.board.name, it.board.sources))
            .collect()
    }

    #[test]
    fn a_board_is_told_of_once_it_was_connected_to() {
        let mut registry = Registry::default();
        let seen = announced(2, "a", MAC, "10.0.0.1:3000");
        let (id, connect) = registry.see(seen.clone(), nobody).unwrap();
        assert!(connect);
        assert!(registry.news(false).is_empty());
        online(&mut registry, id, "10.0.0.1:3000");
        let news = registry.news(false);
        let [found] = &news[..] else {
            panic!("{news:?}")
        };
        assert_eq!(found.event, Event::Found);
        assert_eq!(found.board.status, Status::Online);
        assert_eq!(found.board.rtt_us, Some(321));
        assert_eq!(registry.see(seen, nobody), Some((id, false)));
        assert!(registry.news(false).is_empty());
        assert_eq!(registry.count(), 1);
    }

    #[test]
    fn the_cable_and_the_network_are_one_board_by_its_mac() {
        let mut registry = Registry::default();
        let (first, connect) = registry.see(on_cable(MAC), nobody).unwrap();
        assert!(!connect);
        assert_eq!(
            events(&mut registry),
            [(Event::Found, None, vec![Source::Serial])]
        );
        let seen = announced(2, "a", MAC, "10.0.0.1:3000");
        let (second, _) = registry.see(seen, nobody).unwrap();
        assert_eq!(first, second);
        online(&mut registry, second, "10.0.0.1:3000");
        let both = vec![Source::Mdns, Source::Serial];
        assert_eq!(
            events(&mut registry),
            [(Event::Updated, Some("a".into()), both)]
        );
    }

    #[test]
    fn a_bridge_without_a_mac_stays_a_board_of_its_own() {
        let mut registry = Registry::default();
        registry.see(on_cable(None), nobody);
        registry.see(announced(2, "a", MAC, "10.0.0.1:3000"), nobody);
        assert_eq!(registry.boards().count(), 2);
    }

    #[test]
    fn two_interfaces_to_one_board_are_one_board() {
        let mut registry = Registry::default();
        registry.see(announced(2, "a", MAC, "10.0.0.1:3000"), nobody);
        registry.see(announced(3, "a", MAC, "10.1.0.1:3000"), nobody);
        registry.see(announced(2, "b", None, "10.0.0.2:3000"), nobody);
        registry.see(announced(3, "b", None, "10.0.0.2:3000"), nobody);
        assert_eq!(registry.boards().count(), 2);
    }

    #[test]
    fn one_name_on_two_networks_is_two_boards() {
        let mut registry = Registry::default();
        let other = Some("02:74:63:70:00:02");
        registry.see(announced(2, "a", MAC, "192.168.1.1:3000"), nobody);
        registry.see(announced(3, "a", other, "192.168.1.1:3000"), nobody);
        registry.see(announced(2, "b", None, "10.0.0.2:3000"), nobody);
        registry.see(announced(3, "b", None, "10.1.0.2:3000"), nobody);
        assert_eq!(registry.boards().count(), 4);
        // Unless both are this computer.
        registry.see(announced(2, "c", None, "10.0.0.3:3000"), |_| true);
        registry.see(announced(3, "c", None, "10.1.0.3:3000"), |_| true);
        assert_eq!(registry.boards().count(), 5);
    }

    #[test]
    fn no_name_hides_another_whatever_it_says_of_its_address() {
        for (a, b) in [(None, None), (MAC, MAC), (MAC, None), (None, MAC)] {
            let mut registry = Registry::default();
            let address = "10.0.0.1:3000";
            registry.see(announced(2, "evil", a, address), nobody);
            registry.see(announced(2, "good", b, address), nobody);
            assert_eq!(registry.boards().count(), 2, "{a:?} {b:?}");
            // What is found at that address, or on the cable, makes them no more one.
            let at = address.parse().unwrap();
            let probed = Sighting {
                addresses: vec![at],
                ..Sighting::new(Key::Probe(at))
            };
            registry.see(probed, nobody);
            registry.see(on_cable(MAC), nobody);
            let names = registry.boards().filter_map(|it| it.report().name);
            assert_eq!(names.collect::<Vec<_>>(), ["evil", "good"], "{a:?} {b:?}");
        }
    }

    #[test]
    fn two_servers_behind_one_mac_are_two_boards() {
        let mut registry = Registry::default();
        registry.see(announced(1, "a", MAC, "127.0.0.1:3000"), |_| true);
        registry.see(announced(1, "a-2", MAC, "127.0.0.1:3001"), |_| true);
        assert_eq!(registry.boards().count(), 2);
    }

    #[test]
    fn a_new_address_has_to_be_connected_to_and_the_old_one_is_gone() {
        let mut registry = Registry::default();
        let (id, _) = registry
            .see(announced(2, "a", MAC, "10.0.0.1:3000"), nobody)
            .unwrap();
        online(&mut registry, id, "10.0.0.1:3000");
        registry.news(false);
        let moved = announced(2, "a", MAC, "10.0.0.2:3000");
        assert_eq!(registry.see(moved, nobody), Some((id, true)));
        online(&mut registry, id, "10.0.0.2:3000");
        let news = registry.news(false);
        assert_eq!(news[0].event, Event::Updated);
        assert_eq!(news[0].board.addresses, ["10.0.0.2"]);
    }

    #[test]
    fn what_the_gateway_was_is_known_when_it_tells_of_itself() {
        let mut registry = Registry::default();
        let address = "192.168.1.1:3000".parse().unwrap();
        let gateway = Sighting {
            addresses: vec![address],
            ..Sighting::new(Key::Gateway(address))
        };
        let (id, _) = registry.see(gateway, nobody).unwrap();
        online(&mut registry, id, "192.168.1.1:3000");
        registry.news(false);
        let seen = announced(2, "a", MAC, "192.168.1.1:3000");
        assert_eq!(registry.see(seen, nobody), Some((id, false)));
        let both = vec![Source::Mdns, Source::Gateway];
        assert_eq!(
            events(&mut registry),
            [(Event::Updated, Some("a".into()), both)]
        );
    }

    #[test]
    fn what_turns_out_to_be_one_board_goes_on_under_the_number_that_was_told() {
        let mut registry = Registry::default();
        // Announced and not connected to yet; on the cable, and told of.
        registry.see(announced(2, "a", None, "10.0.0.1:3000"), nobody);
        registry.see(on_cable(MAC), nobody);
        let told = registry.news(false).remove(0).board;
        let (id, _) = registry
            .see(announced(2, "a", MAC, "10.0.0.1:3000"), nobody)
            .unwrap();
        online(&mut registry, id, "10.0.0.1:3000");
        let [now] = &registry.news(false)[..] else {
            panic!("one board")
        };
        assert_eq!((now.event, now.board.id), (Event::Updated, told.id));
    }

    #[test]
    fn the_last_source_to_forget_it_loses_it() {
        let mut registry = Registry::default();
        let seen = announced(2, "a", MAC, "10.0.0.1:3000");
        let (id, _) = registry.see(seen.clone(), nobody).unwrap();
        registry.see(on_cable(MAC), nobody);
        online(&mut registry, id, "10.0.0.1:3000");
        registry.news(false);
        registry.forget(&seen.key);
        assert_eq!(
            events(&mut registry),
            [(Event::Updated, None, vec![Source::Serial])]
        );
        registry.forget(&Key::Serial("/dev/ttyACM0".into()));
        assert_eq!(
            events(&mut registry),
            [(Event::Lost, None, vec![Source::Serial])]
        );
    }

    #[test]
    fn at_the_end_what_waits_for_a_connection_is_told_as_that() {
        let mut registry = Registry::default();
        registry.see(announced(2, "a", MAC, "10.0.0.1:3000"), nobody);
        let news = registry.news(true);
        assert_eq!(news[0].board.status, Status::Unconfirmed);
        assert_eq!(registry.count(), 0);
    }
}
