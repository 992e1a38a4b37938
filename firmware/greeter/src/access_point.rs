//! A board in access point mode: its address, its DHCP pool, its stations.

use core::fmt::Display;
use core::net::{Ipv4Addr, SocketAddrV4};

use embassy_net::{Ipv4Cidr, Stack, StaticConfigV4};

use crate::console::{Mac, Ready, Station};
use crate::dhcp;
use crate::presence::Presence;

/// Address of the board.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
/// Prefix length of the network.
pub const PREFIX: u8 = 24;
/// The DHCP pool. Lower addresses are left for static hosts.
const POOL: (Ipv4Addr, Ipv4Addr) = (
    Ipv4Addr::new(192, 168, 1, 100),
    Ipv4Addr::new(192, 168, 1, 115),
);
/// Size of the pool: more than any radio accepts stations.
pub const POOL_SIZE: usize = 16;

/// IP configuration of the stack.
pub fn network() -> StaticConfigV4 {
    StaticConfigV4 {
        address: Ipv4Cidr::new(ADDRESS, PREFIX),
        gateway: None,
        dns_servers: heapless::Vec::new(),
    }
}

/// Tracks whether the access point is up, for the servers on `port`, and emits console lines.
pub async fn track_link<const N: usize>(
    stack: Stack<'_>,
    port: u16,
    presence: &Presence<N>,
    mut emit: impl FnMut(&dyn Display),
) -> ! {
    let address = SocketAddrV4::new(ADDRESS, port);
    loop {
        stack.wait_link_up().await;
        presence.set(true);
        emit(&Ready { address });
        stack.wait_link_down().await;
        presence.set(false);
        emit(&"network lost reason=\"the access point is down\"");
    }
}

/// The DHCP server of an access point.
pub fn dhcp_server() -> dhcp::Server<POOL_SIZE> {
    dhcp::Config::new(ADDRESS, PREFIX, POOL.0, POOL.1)
        .and_then(dhcp::Server::new)
        .unwrap_or_else(|error| unreachable!("the pool is valid: {error}"))
}

/// The associated stations, at most `N`.
///
/// Radios repeat events and lose some: a repeated join counts once, and a station can leave without
/// a join.
#[derive(Debug, Clone)]
pub struct Stations<const N: usize>(heapless::Vec<Mac, N>);

impl<const N: usize> Stations<N> {
    /// No stations.
    pub const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// Records a join. Returns the console line if the station is new.
    pub fn joined(&mut self, mac: [u8; 6]) -> Option<Station> {
        let mac = Mac(mac);
        let is_new = !self.0.contains(&mac) && self.0.push(mac).is_ok();
        is_new.then_some(Station::Joined(mac))
    }

    /// Records a leave. Returns the console line if the station was known.
    pub fn left(&mut self, mac: [u8; 6]) -> Option<Station> {
        let mac = Mac(mac);
        let place = self.0.iter().position(|known| *known == mac)?;
        self.0.swap_remove(place);
        Some(Station::Left(mac))
    }

    /// Number of stations.
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
    use core::cell::{Cell, RefCell};
    use core::future::pending;
    use core::pin::pin;
    use core::task::{Context, Waker};
    use std::borrow::ToOwned;
    use std::string::{String, ToString};
    use std::vec::Vec;

    use embassy_net::{Config, StackResources};
    use embassy_time::Duration;

    use super::*;
    use crate::link_tests::Link;
    use crate::test_clock::advance;

    #[test]
    fn pool_is_within_the_network() {
        let _ = dhcp_server();
        let network = network();
        assert_eq!(network.address.to_string(), "192.168.1.1/24");
        for address in [POOL.0, POOL.1] {
            assert!(network.address.contains_addr(&address), "{address}");
        }
        assert_eq!(POOL.1.to_bits() - POOL.0.to_bits() + 1, 16);
    }

    #[test]
    fn servers_run_while_the_access_point_is_up() {
        let link = Link::default();
        link.unplug(true);
        let mut resources = StackResources::<2>::new();
        let config = Config::ipv4_static(network());
        let (stack, mut runner) = embassy_net::new(link.board(), config, &mut resources, 1);
        let presence = Presence::<1>::new();
        let lines = RefCell::new(Vec::<String>::new());
        let serving = Cell::new(0);

        let mut network = pin!(runner.run());
        let mut access_point = pin!(track_link(stack, 3000, &presence, |line| {
            lines.borrow_mut().push(line.to_string());
        }));
        let mut server = pin!(presence.serve_online(async || {
            serving.set(serving.get() + 1);
            pending::<()>().await;
        }));
        let mut run = || {
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..10 {
                assert!(network.as_mut().poll(&mut context).is_pending());
                assert!(access_point.as_mut().poll(&mut context).is_pending());
                assert!(server.as_mut().poll(&mut context).is_pending());
                advance(Duration::from_millis(100));
            }
            (presence.is_online(), serving.get())
        };
        assert_eq!(run(), (false, 0), "the radio is not up yet");
        link.unplug(false);
        assert_eq!(run(), (true, 1));
        link.unplug(true);
        assert_eq!(run(), (false, 1));
        link.unplug(false);
        assert_eq!(run(), (true, 2), "served again");
        let ready = "ready addr=192.168.1.1:3000";
        let lost = "network lost reason=\"the access point is down\"";
        assert_eq!(*lines.borrow(), [ready, lost, ready]);
    }

    #[test]
    fn joins_and_leaves_are_reported_once() {
        let [a, b, c] = [1, 2, 3].map(|last| [2, 0, 0, 0, 0, last]);
        let mut stations = Stations::<2>::new();
        let printed = |station: Option<Station>| station.map(|station| station.to_string());
        let line = |text: &str| Some(text.to_owned());
        assert_eq!(
            printed(stations.joined(a)),
            line("station joined mac=02:00:00:00:00:01")
        );
        assert_eq!(printed(stations.joined(a)), None, "repeated");
        assert_eq!(
            printed(stations.joined(b)),
            line("station joined mac=02:00:00:00:00:02")
        );
        assert_eq!(printed(stations.joined(c)), None, "no room");
        assert_eq!(stations.count(), 2);
        assert_eq!(
            printed(stations.left(a)),
            line("station left mac=02:00:00:00:00:01")
        );
        assert_eq!(printed(stations.left(a)), None, "repeated");
        assert_eq!(printed(stations.left(c)), None, "unknown station");
        assert_eq!(stations.count(), 1);
        assert!(stations.joined(a).is_some(), "joined again");
    }
}
