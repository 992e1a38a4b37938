//! Which boards are connected to next: each once, and no address twice at the same time.
//!
//! Anybody on the network may announce any number of names, at addresses that are not theirs. So
//! what is announced by the address that it is at goes first, the rest has a part of the places
//! only, and names that lead to the same place share one connection: a flood of names keeps no
//! board waiting, and floods none.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::registry::Id;

/// Connections at the same time.
const MAX_CONNECTIONS: usize = 64;
/// Of these, to what others have announced.
const MAX_HEARSAY: usize = 32;

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The addresses of one server.
    pub addresses: Vec<SocketAddr>,
    /// The interface to connect through, where an address is on the links of several.
    pub interface: Option<String>,
}

/// Who says that a board is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Itself.
    Own,
    /// Another address.
    Hearsay,
}

/// The connections that are made, and those that wait.
#[derive(Debug, Default)]
pub struct Connections {
    waiting: Vec<(Id, Way, Word)>,
    running: HashMap<Id, (Way, Word)>,
    busy: HashSet<SocketAddr>,
}

impl Connections {
    /// A board is to be connected to; what waits for it already is superseded.
    pub fn want(&mut self, id: Id, way: Way, word: Word) {
        self.waiting.retain(|(other, ..)| *other != id);
        self.waiting.push((id, way, word));
    }

    /// The next connection to make, if there is one that may be made now.
    pub fn start(&mut self) -> Option<(Id, Way)> {
        if self.running.len() >= MAX_CONNECTIONS {
            return None;
        }
        let hearsay = self.running.values();
        let hearsay = hearsay.filter(|(_, word)| *word == Word::Hearsay).count();
        let allowed: &[Word] = if hearsay < MAX_HEARSAY {
            &[Word::Own, Word::Hearsay]
        } else {
            &[Word::Own]
        };
        let at = allowed.iter().find_map(|allowed| {
            self.waiting.iter().position(|(id, way, word)| {
                let is_busy = || way.addresses.iter().any(|it| self.busy.contains(it));
                word == allowed && !self.running.contains_key(id) && !is_busy()
            })
        })?;
        let (id, way, word) = self.waiting.remove(at);
        self.begin(id, way.clone(), word);
        Some((id, way))
    }

    /// Notes a connection that is made at once; says whether it may be: one at a time to a board,
    /// which may have one worker.
    pub fn begin(&mut self, id: Id, way: Way, word: Word) -> bool {
        if self.running.contains_key(&id) {
            return false;
        }
        self.busy.extend(&way.addresses);
        self.running.insert(id, (way, word));
        true
    }

    /// A connection has ended; returns the boards that have waited for one that goes the same way:
    /// what came of it is true of them, too.
    pub fn end(&mut self, id: Id) -> Vec<Id> {
        let Some((way, _)) = self.running.remove(&id) else {
            return Vec::new();
        };
        for address in &way.addresses {
            self.busy.remove(address);
        }
        let mut same = Vec::new();
        self.waiting.retain(|(id, other, _)| {
            let is_same = *other == way;
            if is_same {
                same.push(*id);
            }
            !is_same
        });
        same
    }

    /// Whether nothing is undecided.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(address: &str) -> Way {
        Way {
            addresses: vec![address.parse().unwrap()],
            interface: None,
        }
    }

    fn started(connections: &mut Connections) -> Vec<Id> {
        std::iter::from_fn(|| connections.start().map(|(id, _)| id)).collect()
    }

    #[test]
    fn names_for_one_place_share_one_connection() {
        let mut connections = Connections::default();
        for id in 1..=3 {
            connections.want(id, way("10.0.0.1:3000"), Word::Hearsay);
        }
        connections.want(4, way("10.0.0.2:3000"), Word::Hearsay);
        let elsewhere = Way {
            interface: Some("eth1".into()),
            ..way("10.0.0.1:3000")
        };
        connections.want(5, elsewhere, Word::Hearsay);
        assert_eq!(started(&mut connections), [1, 4]);
        assert_eq!(connections.end(1), [2, 3]);
        // The same address on another link is another place.
        assert_eq!(started(&mut connections), [5]);
        assert!(connections.end(4).is_empty());
        assert!(connections.end(5).is_empty());
        assert!(connections.is_idle());
    }

    #[test]
    fn a_flood_of_hearsay_keeps_no_board_waiting() {
        let mut connections = Connections::default();
        for id in 0..1000 {
            let address = format!("10.0.{}.{}:3000", id / 250, id % 250);
            connections.want(id, way(&address), Word::Hearsay);
        }
        assert_eq!(started(&mut connections).len(), MAX_HEARSAY);
        connections.want(5000, way("10.9.0.1:3000"), Word::Own);
        assert_eq!(started(&mut connections), [5000]);
        for id in 6000..6100 {
            let address = format!("10.8.0.{}:3000", id - 6000);
            connections.want(id, way(&address), Word::Own);
        }
        let own = started(&mut connections);
        assert_eq!(own.len(), MAX_CONNECTIONS - MAX_HEARSAY - 1);
        assert!(own.iter().all(|id| *id >= 6000));
    }

    #[test]
    fn a_board_is_connected_to_once_at_a_time_and_where_it_is_last() {
        let mut connections = Connections::default();
        connections.want(1, way("10.0.0.1:3000"), Word::Own);
        connections.want(1, way("10.0.0.2:3000"), Word::Own);
        assert_eq!(connections.start(), Some((1, way("10.0.0.2:3000"))));
        connections.want(1, way("10.0.0.3:3000"), Word::Own);
        assert_eq!(connections.start(), None);
        assert!(!connections.begin(1, way("10.0.0.4:3000"), Word::Own));
        assert!(connections.end(1).is_empty());
        assert_eq!(connections.start(), Some((1, way("10.0.0.3:3000"))));
    }
}
