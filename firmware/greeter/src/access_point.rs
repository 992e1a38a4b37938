//! A board that is its own access point: its address, the addresses that it gives, and who is there.

use core::net::Ipv4Addr;

use crate::console::Mac;
use crate::dhcp;

/// The board's address, the tutorial's.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
/// The network's prefix.
pub const PREFIX: u8 = 24;
/// What the DHCP server gives; below is room for hosts with addresses of their own.
const POOL: (Ipv4Addr, Ipv4Addr) = (
    Ipv4Addr::new(192, 168, 1, 100),
    Ipv4Addr::new(192, 168, 1, 115),
);
/// How many those are: more than the stations that any of the radios takes.
pub const POOL_SIZE: usize = 16;

/// The DHCP server of an access point.
pub fn dhcp_server() -> dhcp::Server<POOL_SIZE> {
    dhcp::Config::new(ADDRESS, PREFIX, POOL.0, POOL.1)
        .and_then(dhcp::Server::new)
        .unwrap_or_else(|error| unreachable!("the constants above are a pool: {error}"))
}

/// The stations that are associated, at most `N`.
///
/// A radio repeats itself and forgets: a station that joins twice is one station, and one that was
/// never seen to join can leave.
#[derive(Debug, Clone)]
pub struct Stations<const N: usize>(heapless::Vec<Mac, N>);

impl<const N: usize> Stations<N> {
    /// Nobody.
    pub const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// A station has joined; whether that is news.
    pub fn joined(&mut self, mac: Mac) -> bool {
        !self.0.contains(&mac) && self.0.push(mac).is_ok()
    }

    /// A station has left; whether that is news.
    pub fn left(&mut self, mac: Mac) -> bool {
        let place = self.0.iter().position(|known| *known == mac);
        place.map(|place| self.0.swap_remove(place)).is_some()
    }

    /// How many are there.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl<const N: usize> Default for Stations<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_one() {
        let _ = dhcp_server();
    }

    #[test]
    fn stations_are_counted_once() {
        let [a, b, c] = [1, 2, 3].map(|last| Mac([2, 0, 0, 0, 0, last]));
        let mut stations = Stations::<2>::new();
        assert!(stations.joined(a));
        assert!(!stations.joined(a), "no news");
        assert!(stations.joined(b));
        assert!(!stations.joined(c), "there is no room, and no panic");
        assert_eq!(stations.count(), 2);
        assert!(stations.left(a));
        assert!(!stations.left(a));
        assert!(!stations.left(c));
        assert_eq!(stations.count(), 1);
    }
}
