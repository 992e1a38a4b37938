//! Properties for any datagram and any clients.

use core::net::Ipv4Addr;
use std::collections::HashMap;

use proptest::prelude::*;

use super::client::{ACK, Client, DISCOVER};
use super::{ANN, SERVER, host, server};
use crate::dhcp::{Change, MAX_REPLY, Mac};

/// A message of a client, with random content.
fn any_message() -> impl Strategy<Value = (Client, Mac)> {
    (1_u8..=9, 1_u8..=6, 0_u8..8, 0_u8..8, 0_u8..3).prop_map(|(kind, who, wish, has, server)| {
        let mac = [2, 0, 0, 0, 0, who];
        let mut message = Client::new(mac, kind);
        if wish > 0 {
            message = message.wants(host(wish));
        }
        if has > 0 {
            message = message.has(host(has));
        }
        message = match server {
            0 => message,
            1 => message.to(SERVER),
            _ => message.to(host(200)),
        };
        (message, mac)
    })
}

proptest! {
    #[test]
    fn no_datagram_panics(
        head in prop::collection::vec(any::<u8>(), 0..300),
        tail in prop::collection::vec(any::<u8>(), 0..300),
        now in any::<u64>(),
    ) {
        let mut server = server();
        let mut out = [0; MAX_REPLY];
        server.answer(now, &head, &mut out);
        // Random bytes are also parsed as options.
        let mut message = Client::new(ANN, DISCOVER).bytes;
        message.extend_from_slice(&tail);
        server.answer(now, &message, &mut out);
        server.answer(now, &message[..message.len().min(head.len())], &mut out);
    }

    #[test]
    fn no_address_has_two_clients(
        messages in prop::collection::vec((any_message(), 0_u64..400), 1..200),
    ) {
        let mut server = server();
        let mut now = 0;
        // The leases of the clients: address, client, and end of the lease.
        let mut leases: HashMap<Ipv4Addr, (Mac, u64)> = HashMap::new();
        for ((message, mac), wait) in messages {
            now += wait;
            let outcome = message.ask(&mut server, now);
            if let Some(Change::Released | Change::Declined) = outcome.change() {
                leases.remove(&outcome.event.unwrap().address);
            }
            if outcome.kind() == ACK && outcome.option(51).is_some() {
                let address = outcome.address();
                prop_assert!((host(2)..=host(4)).contains(&address));
                if let Some((owner, until)) = leases.get(&address) {
                    prop_assert!(*owner == mac || *until <= now, "{address} is {owner:?}'s");
                }
                leases.insert(address, (mac, now + 1000));
            }
        }
    }
}
