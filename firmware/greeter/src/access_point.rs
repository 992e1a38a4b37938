//! A board that is its own access point: its address, the addresses that it gives, and who is there.

use core::net::Ipv4Addr;

use crate::console::{Mac, Station};
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

    /// The radio says that a station has joined: the console's line, if that is news.
    pub fn joined(&mut self, mac: [u8; 6]) -> Option<Station> {
        let mac = Mac(mac);
        let news = !self.0.contains(&mac) && self.0.push(mac).is_ok();
        news.then_some(Station::Joined(mac))
    }

    /// The radio says that a station has left: the console's line, if that is news.
    pub fn left(&mut self, mac: [u8; 6]) -> Option<Station> {
        let mac = Mac(mac);
        let place = self.0.iter().position(|known| *known == mac)?;
        self.0.swap_remove(place);
        Some(Station::Left(mac))
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
    extern crate std;
    use std::borrow::ToOwned;
    use std::string::ToString;

    use super::*;

    #[test]
    fn the_pool_is_one() {
        let _ = dhcp_server();
    }

    #[test]
    fn who_comes_and_goes_is_said_once_and_counted() {
        let [a, b, c] = [1, 2, 3].map(|last| [2, 0, 0, 0, 0, last]);
        let mut stations = Stations::<2>::new();
        let said = |station: Option<Station>| station.map(|station| station.to_string());
        let line = |text: &str| Some(text.to_owned());
        assert_eq!(
            said(stations.joined(a)),
            line("station joined mac=02:00:00:00:00:01")
        );
        assert_eq!(said(stations.joined(a)), None, "no news");
        assert_eq!(
            said(stations.joined(b)),
            line("station joined mac=02:00:00:00:00:02")
        );
        assert_eq!(said(stations.joined(c)), None, "no room, and no panic");
        assert_eq!(stations.count(), 2);
        assert_eq!(
            said(stations.left(a)),
            line("station left mac=02:00:00:00:00:01")
        );
        assert_eq!(said(stations.left(a)), None, "no news");
        assert_eq!(said(stations.left(c)), None, "never seen to join");
        assert_eq!(stations.count(), 1);
        assert!(stations.joined(a).is_some(), "it is back");
    }
}
