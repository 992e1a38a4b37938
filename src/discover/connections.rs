//! The queue of connections: one at a time to each board and each address.
//!
//! Anyone on the network can announce any number of names at addresses of others. So boards that
//! announce their own address go first, the others get half of the connections, and names with the
//! same route share one. A flood of names delays no board, and floods none.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::registry::BoardId;

/// Maximum connections at the same time.
const MAX_CONNECTIONS: usize = 64;
/// Maximum of these to addresses that other hosts announced.
const MAX_THIRD_PARTY: usize = 32;

/// A route to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Addresses of the server.
    pub addresses: Vec<SocketAddr>,
    /// Interface to connect through, if an address is on the links of several.
    pub interface: Option<String>,
}

/// The source of a board's announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The board itself.
    Direct,
    /// Another host, or unknown.
    ThirdParty,
}

/// Running and queued connections.
#[derive(Debug, Default)]
pub struct Connections {
    waiting: Vec<(BoardId, Route, Claim)>,
    running: HashMap<BoardId, (Route, Claim)>,
    busy: HashSet<SocketAddr>,
}

impl Connections {
    /// Queues a connection to a board. Replaces one that is queued for it.
    pub fn enqueue(&mut self, id: BoardId, route: Route, claim: Claim) {
        self.waiting.retain(|(other, ..)| *other != id);
        self.waiting.push((id, route, claim));
    }

    /// Starts the next connection that may start now.
    pub fn start_next(&mut self) -> Option<(BoardId, Route)> {
        if self.running.len() >= MAX_CONNECTIONS {
            return None;
        }
        let third_party = self.running.values();
        let third_party = third_party
            .filter(|(_, claim)| *claim == Claim::ThirdParty)
            .count();
        let allowed: &[Claim] = if third_party < MAX_THIRD_PARTY {
            &[Claim::Direct, Claim::ThirdParty]
        } else {
            &[Claim::Direct]
        };
        let at = allowed.iter().find_map(|allowed| {
            self.waiting.iter().position(|(id, route, claim)| {
                let is_busy = || route.addresses.iter().any(|it| self.busy.contains(it));
                claim == allowed && !self.running.contains_key(id) && !is_busy()
            })
        })?;
        let (id, route, claim) = self.waiting.remove(at);
        self.start(id, route.clone(), claim);
        Some((id, route))
    }

    /// Starts a connection without queueing. Returns whether it may start. A board may have a
    /// single worker, so it gets one connection at a time.
    pub fn start(&mut self, id: BoardId, route: Route, claim: Claim) -> bool {
        if self.running.contains_key(&id) {
            return false;
        }
        self.busy.extend(&route.addresses);
        self.running.insert(id, (route, claim));
        true
    }

    /// Ends a connection. Returns the boards that wait for the same route, to which its result
    /// applies as well.
    pub fn finish(&mut self, id: BoardId) -> Vec<BoardId> {
        let Some((route, _)) = self.running.remove(&id) else {
            return Vec::new();
        };
        for address in &route.addresses {
            self.busy.remove(address);
        }
        let mut same = Vec::new();
        self.waiting.retain(|(id, other, _)| {
            let is_same = *other == route;
            if is_same {
                same.push(*id);
            }
            !is_same
        });
        same
    }

    /// Whether no connection is running or queued.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(address: &str) -> Route {
        Route {
            addresses: vec![address.parse().unwrap()],
            interface: None,
        }
    }

    fn started(connections: &mut Connections) -> Vec<BoardId> {
        std::iter::from_fn(|| connections.start_next().map(|(id, _)| id)).collect()
    }

    #[test]
    fn names_with_one_route_share_a_connection() {
        let mut connections = Connections::default();
        for id in 1..=3 {
            connections.enqueue(id, route("10.0.0.1:3000"), Claim::ThirdParty);
        }
        connections.enqueue(4, route("10.0.0.2:3000"), Claim::ThirdParty);
        let elsewhere = Route {
            interface: Some("eth1".into()),
            ..route("10.0.0.1:3000")
        };
        connections.enqueue(5, elsewhere, Claim::ThirdParty);
        assert_eq!(started(&mut connections), [1, 4]);
        assert_eq!(connections.finish(1), [2, 3]);
        // The same address on another link is a different route.
        assert_eq!(started(&mut connections), [5]);
        assert!(connections.finish(4).is_empty());
        assert!(connections.finish(5).is_empty());
        assert!(connections.is_idle());
    }

    #[test]
    fn third_party_claims_delay_no_board() {
        let mut connections = Connections::default();
        for id in 0..1000 {
            let address = format!("10.0.{}.{}:3000", id / 250, id % 250);
            connections.enqueue(id, route(&address), Claim::ThirdParty);
        }
        assert_eq!(started(&mut connections).len(), MAX_THIRD_PARTY);
        connections.enqueue(5000, route("10.9.0.1:3000"), Claim::Direct);
        assert_eq!(started(&mut connections), [5000]);
        for id in 6000..6100 {
            let address = format!("10.8.0.{}:3000", id - 6000);
            connections.enqueue(id, route(&address), Claim::Direct);
        }
        let own = started(&mut connections);
        assert_eq!(own.len(), MAX_CONNECTIONS - MAX_THIRD_PARTY - 1);
        assert!(own.iter().all(|id| *id >= 6000));
    }

    #[test]
    fn a_board_gets_one_connection_at_its_last_address() {
        let mut connections = Connections::default();
        connections.enqueue(1, route("10.0.0.1:3000"), Claim::Direct);
        connections.enqueue(1, route("10.0.0.2:3000"), Claim::Direct);
        assert_eq!(connections.start_next(), Some((1, route("10.0.0.2:3000"))));
        connections.enqueue(1, route("10.0.0.3:3000"), Claim::Direct);
        assert_eq!(connections.start_next(), None);
        assert!(!connections.start(1, route("10.0.0.4:3000"), Claim::Direct));
        assert!(connections.finish(1).is_empty());
        assert_eq!(connections.start_next(), Some((1, route("10.0.0.3:3000"))));
    }
}
