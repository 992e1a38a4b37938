//! DHCP requests, as a board in AP mode gets them.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use tcpctl_greeter::dhcp::{Config, MAX_REPLY, Server};

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
const LAST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 5);

/// No client gets an address that is leased to another one or outside the pool.
pub fn holds(data: &[u8]) {
    let config = Config::new(SERVER, 24, FIRST, LAST).expect("a pool");
    let mut server = Server::<4>::new(config).expect("four places");
    let mut reply = [0; MAX_REPLY];
    for (number, request) in super::messages(data).enumerate() {
        let now = number as u64;
        if let Some(reply) = server
            .answer(now, request, &mut reply)
            .and_then(|it| it.reply)
        {
            assert!(reply.len <= MAX_REPLY);
        }
        let leases: Vec<_> = server.leases(now).collect();
        let addresses: HashSet<_> = leases.iter().map(|lease| lease.address).collect();
        assert_eq!(addresses.len(), leases.len(), "{leases:?}");
        assert!(
            addresses
                .iter()
                .all(|address| (FIRST..=LAST).contains(address))
        );
    }
}
