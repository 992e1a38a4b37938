use core::net::{Ipv4Addr, SocketAddrV4};
use std::collections::HashMap;
use std::vec::Vec;

use proptest::prelude::*;
use smoltcp::wire::DhcpPacket;

use super::*;

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const EVERYBODY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::BROADCAST, 68);
const ANN: Mac = [2, 0, 0, 0, 0, 1];
const BOB: Mac = [2, 0, 0, 0, 0, 2];
const CAT: Mac = [2, 0, 0, 0, 0, 3];
const DAN: Mac = [2, 0, 0, 0, 0, 4];

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const ACK: u8 = 5;
const NAK: u8 = 6;
const RELEASE: u8 = 7;
const INFORM: u8 = 8;

fn host(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 1, last)
}

/// A pool of three addresses, .2 to .4, in a table of four places; leases of 1000 s.
fn server() -> Server<4> {
    let config = Config::new(SERVER, 24, host(2), host(4)).unwrap();
    Server::new(config.with_lease_seconds(1000).unwrap()).unwrap()
}

/// A client's message, written by hand: what is tested must not also write the test's input.
#[derive(Clone, Debug)]
struct Client {
    bytes: Vec<u8>,
}

impl Client {
    fn new(mac: Mac, kind: u8) -> Self {
        let mut bytes = std::vec![0; 240];
        bytes[..3].copy_from_slice(&[1, 1, 6]);
        bytes[4..8].copy_from_slice(&[0xCA, 0xFE, 0, mac[5]]);
        bytes[28..34].copy_from_slice(&mac);
        bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
        Self { bytes }.option(53, &[kind])
    }

    fn option(mut self, code: u8, data: &[u8]) -> Self {
        self.bytes.push(code);
        self.bytes.push(u8::try_from(data.len()).unwrap());
        self.bytes.extend_from_slice(data);
        self
    }

    fn wants(self, address: Ipv4Addr) -> Self {
        self.option(50, &address.octets())
    }

    fn to(self, server: Ipv4Addr) -> Self {
        self.option(54, &server.octets())
    }

    fn has(self, address: Ipv4Addr) -> Self {
        self.patch(12, &address.octets())
    }

    fn patch(mut self, at: usize, data: &[u8]) -> Self {
        self.bytes[at..at + data.len()].copy_from_slice(data);
        self
    }

    /// Hands the message to `server` at the second `now`.
    fn ask<const N: usize>(mut self, server: &mut Server<N>, now: u64) -> Outcome {
        self.bytes.push(255);
        let mut out = [0xAA; MAX_REPLY];
        let answer = server.answer(now, &self.bytes, &mut out);
        let reply = answer.and_then(|answer| answer.reply);
        Outcome {
            event: answer.and_then(|answer| answer.event),
            to: reply.map(|reply| reply.to),
            bytes: out[..reply.map_or(0, |reply| reply.len)].to_vec(),
        }
    }
}

struct Outcome {
    event: Option<LeaseEvent>,
    to: Option<SocketAddrV4>,
    bytes: Vec<u8>,
}

impl Outcome {
    fn is_silence(&self) -> bool {
        self.to.is_none()
    }

    fn option(&self, code: u8) -> Option<Vec<u8>> {
        let packet = DhcpPacket::new_checked(&self.bytes[..]).ok()?;
        let found = packet.options().find(|option| option.kind == code)?;
        Some(found.data.to_vec())
    }

    fn kind(&self) -> u8 {
        self.option(53).map_or(0, |data| data[0])
    }

    fn address(&self) -> Ipv4Addr {
        Ipv4Addr::from(<[u8; 4]>::try_from(&self.bytes[16..20]).unwrap())
    }

    fn change(&self) -> Option<Change> {
        self.event.map(|event| event.change)
    }
}

/// The usual four messages; answers the address.
fn join(server: &mut Server<4>, mac: Mac, now: u64) -> Ipv4Addr {
    let offer = Client::new(mac, DISCOVER).ask(server, now);
    assert_eq!(offer.kind(), OFFER);
    let ack = Client::new(mac, REQUEST)
        .to(SERVER)
        .wants(offer.address())
        .ask(server, now);
    assert_eq!(ack.kind(), ACK);
    assert_eq!(ack.address(), offer.address());
    assert_eq!(ack.change(), Some(Change::Granted));
    ack.address()
}

fn seconds(outcome: &Outcome, code: u8) -> u32 {
    u32::from_be_bytes(outcome.option(code).unwrap().try_into().unwrap())
}

#[test]
fn discover_offers_and_request_grants() {
    let mut server = server();
    let offer = Client::new(ANN, DISCOVER).ask(&mut server, 0);
    assert_eq!(
        (offer.kind(), offer.address(), offer.to),
        (OFFER, host(2), Some(EVERYBODY))
    );
    assert!(offer.event.is_none());
    let ack = Client::new(ANN, REQUEST)
        .to(SERVER)
        .wants(host(2))
        .ask(&mut server, 1);
    assert_eq!(
        (ack.kind(), ack.address(), ack.to),
        (ACK, host(2), Some(EVERYBODY))
    );
    let granted = LeaseEvent {
        mac: ANN,
        address: host(2),
        change: Change::Granted,
    };
    assert_eq!(ack.event, Some(granted));
}

#[test]
fn replies_carry_the_networks_parameters() {
    let mut server = server();
    let offer = Client::new(ANN, DISCOVER)
        .option(61, &[1, 2, 3])
        .ask(&mut server, 0);
    assert_eq!(&offer.bytes[..3], [2, 1, 6]);
    assert_eq!(
        &offer.bytes[4..8],
        [0xCA, 0xFE, 0, 1],
        "the transaction is the client's"
    );
    assert_eq!(&offer.bytes[28..34], ANN);
    assert_eq!(offer.option(1).unwrap(), [255, 255, 255, 0]);
    assert_eq!(offer.option(3).unwrap(), SERVER.octets());
    assert_eq!(offer.option(6), None);
    assert_eq!(offer.option(54).unwrap(), SERVER.octets());
    assert_eq!(offer.option(61).unwrap(), [1, 2, 3], "RFC 6842");
    assert_eq!(
        [51, 58, 59].map(|code| seconds(&offer, code)),
        [1000, 500, 875]
    );
    assert!(
        offer.bytes.len() >= 300,
        "RFC 1542: no BOOTP message is shorter"
    );
}

#[test]
fn router_and_dns_are_settings() {
    let config = Config::new(SERVER, 24, host(2), host(4)).unwrap();
    let config = config.with_router(None).with_dns(Some(host(9)));
    let offer = Client::new(ANN, DISCOVER).ask(&mut Server::<4>::new(config).unwrap(), 0);
    assert_eq!(offer.option(3), None);
    assert_eq!(offer.option(6).unwrap(), host(9).octets());
    assert_eq!(seconds(&offer, 51), 7200);
}

#[test]
fn the_broadcast_flag_is_echoed() {
    let offer = Client::new(ANN, DISCOVER)
        .patch(10, &[0x80, 0])
        .ask(&mut server(), 0);
    assert_eq!(&offer.bytes[10..12], [0x80, 0]);
}

#[test]
fn a_client_that_chose_another_server_frees_its_offer() {
    let mut server = server();
    Client::new(ANN, DISCOVER).ask(&mut server, 0);
    let chosen = Client::new(ANN, REQUEST)
        .to(host(200))
        .wants(host(2))
        .ask(&mut server, 1);
    assert!(chosen.is_silence());
    assert_eq!(server.leases(1).count(), 0);
}

#[test]
fn an_offer_waits_fifteen_seconds() {
    let mut server = server();
    Client::new(ANN, DISCOVER).ask(&mut server, 0);
    assert_eq!(
        server.leases(14).next().map(|lease| lease.state),
        Some(LeaseState::Offered)
    );
    assert_eq!(server.leases(15).count(), 0);
}

#[test]
fn renewing_and_rebinding_extend_by_unicast() {
    let mut server = server();
    join(&mut server, ANN, 0);
    let ack = Client::new(ANN, REQUEST).has(host(2)).ask(&mut server, 600);
    assert_eq!((ack.kind(), ack.address()), (ACK, host(2)));
    assert_eq!(&ack.bytes[12..16], host(2).octets());
    assert_eq!(ack.to, Some(SocketAddrV4::new(host(2), 68)));
    assert_eq!(ack.change(), Some(Change::Renewed));
    assert_eq!(
        server
            .leases(600)
            .next()
            .map(|lease| lease.remaining_seconds),
        Some(1000)
    );
}

#[test]
fn a_rebooting_client_gets_its_address_confirmed() {
    let mut server = server();
    join(&mut server, ANN, 0);
    let ack = Client::new(ANN, REQUEST).wants(host(2)).ask(&mut server, 5);
    assert_eq!((ack.kind(), ack.to), (ACK, Some(EVERYBODY)));
}

#[test]
fn a_board_that_rebooted_confirms_what_its_clients_still_use() {
    let mut server = server();
    let ack = Client::new(ANN, REQUEST).has(host(3)).ask(&mut server, 5);
    assert_eq!((ack.kind(), ack.address()), (ACK, host(3)));
    assert_eq!(ack.change(), Some(Change::Granted));
}

#[test]
fn addresses_outside_the_pool_or_held_by_another_are_refused() {
    let mut server = server();
    join(&mut server, ANN, 0);
    let other_network = Ipv4Addr::new(10, 0, 0, 5);
    for address in [host(2), host(1), host(5), host(255), other_network] {
        let nak = Client::new(BOB, REQUEST).wants(address).ask(&mut server, 1);
        assert_eq!((nak.kind(), nak.to), (NAK, Some(EVERYBODY)), "{address}");
        assert_eq!(nak.address(), Ipv4Addr::UNSPECIFIED);
        assert_eq!(
            nak.option(51),
            None,
            "RFC 2131 table 3: no lease time in a NAK"
        );
        assert!(nak.event.is_none());
    }
    let renewing = Client::new(BOB, REQUEST).has(host(2)).ask(&mut server, 1);
    assert_eq!((renewing.kind(), renewing.to), (NAK, Some(EVERYBODY)));
    assert_eq!(&renewing.bytes[12..16], [0; 4]);
}

#[test]
fn a_client_cannot_collect_addresses() {
    let mut server = server();
    join(&mut server, ANN, 0);
    let nak = Client::new(ANN, REQUEST).wants(host(3)).ask(&mut server, 1);
    assert_eq!(nak.kind(), NAK);
    assert_eq!(server.leases(1).count(), 1);
}

#[test]
fn the_same_client_gets_the_same_address_again() {
    let mut server = server();
    assert_eq!(join(&mut server, ANN, 0), host(2));
    assert_eq!(
        Client::new(ANN, DISCOVER).ask(&mut server, 1).address(),
        host(2)
    );
    assert_eq!(join(&mut server, BOB, 1), host(3));
    // Long after both leases ended, and in another order.
    assert_eq!(join(&mut server, BOB, 9000), host(3));
    assert_eq!(join(&mut server, ANN, 9000), host(2));
}

#[test]
fn a_wish_is_granted_where_it_can_be() {
    let mut server = server();
    assert_eq!(
        Client::new(ANN, DISCOVER)
            .wants(host(4))
            .ask(&mut server, 0)
            .address(),
        host(4)
    );
    let offer = Client::new(BOB, DISCOVER)
        .wants(host(4))
        .ask(&mut server, 0);
    assert_eq!(offer.address(), host(2), "taken: another one");
}

#[test]
fn a_full_pool_is_silent_until_a_lease_ends() {
    let mut server = server();
    for mac in [ANN, BOB, CAT] {
        join(&mut server, mac, 0);
    }
    assert!(
        Client::new(DAN, DISCOVER)
            .ask(&mut server, 999)
            .is_silence()
    );
    let offer = Client::new(DAN, DISCOVER).ask(&mut server, 1000);
    assert_eq!(offer.kind(), OFFER);
}

#[test]
fn the_address_free_the_longest_goes_first() {
    let mut server = server();
    for (mac, now) in [(ANN, 20), (BOB, 10), (CAT, 30)] {
        join(&mut server, mac, now);
    }
    assert_eq!(
        Client::new(DAN, DISCOVER).ask(&mut server, 5000).address(),
        host(3)
    );
}

#[test]
fn release_frees_and_only_the_owner_can() {
    let mut server = server();
    join(&mut server, ANN, 0);
    let by_another = Client::new(BOB, RELEASE)
        .to(SERVER)
        .has(host(2))
        .ask(&mut server, 1);
    assert!(by_another.event.is_none());
    let elsewhere = Client::new(ANN, RELEASE)
        .to(host(200))
        .has(host(2))
        .ask(&mut server, 1);
    assert!(elsewhere.event.is_none());
    assert_eq!(server.leases(1).count(), 1);
    let released = Client::new(ANN, RELEASE)
        .to(SERVER)
        .has(host(2))
        .ask(&mut server, 2);
    assert!(released.is_silence());
    assert_eq!(released.change(), Some(Change::Released));
    assert_eq!(server.leases(2).count(), 0);
}

#[test]
fn a_declined_address_is_quarantined() {
    let mut server = server();
    join(&mut server, ANN, 0);
    let by_another = Client::new(BOB, DECLINE)
        .to(SERVER)
        .wants(host(2))
        .ask(&mut server, 1);
    assert!(by_another.event.is_none());
    let declined = Client::new(ANN, DECLINE)
        .to(SERVER)
        .wants(host(2))
        .ask(&mut server, 1);
    assert!(declined.is_silence());
    assert_eq!(declined.change(), Some(Change::Declined));
    let row = server.leases(1).next().unwrap();
    assert_eq!(
        (row.mac, row.state, row.remaining_seconds),
        (None, LeaseState::Quarantined, 300)
    );
    let wish = Client::new(ANN, DISCOVER)
        .wants(host(2))
        .ask(&mut server, 2);
    assert_eq!(wish.address(), host(3));
    assert_eq!(
        Client::new(BOB, REQUEST)
            .wants(host(2))
            .ask(&mut server, 3)
            .kind(),
        NAK
    );
    assert_eq!(
        Client::new(BOB, REQUEST)
            .wants(host(2))
            .ask(&mut server, 301)
            .kind(),
        ACK
    );
}

#[test]
fn inform_gets_parameters_without_a_lease() {
    let mut server = server();
    let ack = Client::new(ANN, INFORM).has(host(77)).ask(&mut server, 0);
    assert_eq!(
        (ack.kind(), ack.to),
        (ACK, Some(SocketAddrV4::new(host(77), 68)))
    );
    assert_eq!(ack.address(), Ipv4Addr::UNSPECIFIED);
    assert_eq!(ack.option(51), None);
    assert_eq!(ack.option(1).unwrap(), [255, 255, 255, 0]);
    assert_eq!(server.leases(0).count(), 0);
    for elsewhere in [Ipv4Addr::new(8, 8, 8, 8), host(255), host(0), SERVER] {
        assert!(
            Client::new(ANN, INFORM)
                .has(elsewhere)
                .ask(&mut server, 0)
                .is_silence()
        );
    }
}

#[test]
fn what_is_not_for_this_server_is_silence() {
    let mut server = server();
    let discover = Client::new(ANN, DISCOVER);
    let strange = [
        ("a reply", discover.clone().patch(0, &[2])),
        ("not Ethernet", discover.clone().patch(1, &[6])),
        (
            "hardware addresses of 16 bytes",
            discover.clone().patch(2, &[16]),
        ),
        ("from a relay", discover.clone().patch(24, &[10, 0, 0, 1])),
        (
            "BOOTP's magic is missing",
            discover.clone().patch(236, &[0]),
        ),
        ("a group address", discover.clone().patch(28, &[3])),
        ("no hardware address", discover.patch(28, &[0; 6])),
        ("a server's message", Client::new(ANN, OFFER)),
        ("an unknown type", Client::new(ANN, 99)),
        ("a request for nothing", Client::new(ANN, REQUEST)),
    ];
    for (what, message) in strange {
        assert!(message.ask(&mut server, 0).is_silence(), "{what}");
    }
    assert_eq!(server.leases(0).count(), 0);
}

#[test]
fn padding_between_options_and_any_host_name_are_taken() {
    let mut message = Client::new(ANN, REQUEST).option(12, b"M\xFCller");
    message.bytes.push(0);
    assert_eq!(
        message.wants(host(3)).ask(&mut server(), 0).address(),
        host(3)
    );
}

#[test]
fn a_reply_buffer_too_small_changes_nothing() {
    let mut server = server();
    let mut message = Client::new(ANN, DISCOVER).bytes;
    message.push(255);
    assert_eq!(server.answer(0, &message, &mut [0; MAX_REPLY - 1]), None);
    assert_eq!(server.leases(0).count(), 0);
}

#[test]
fn the_table_shows_who_has_what_and_for_how_long() {
    let mut server = server();
    join(&mut server, ANN, 0);
    Client::new(BOB, DISCOVER).ask(&mut server, 10);
    let rows: Vec<_> = server.leases(12).collect();
    let row = |mac, address, remaining_seconds, state| Lease {
        mac: Some(mac),
        address,
        remaining_seconds,
        state,
    };
    assert_eq!(
        rows,
        [
            row(ANN, host(2), 988, LeaseState::Leased),
            row(BOB, host(3), 13, LeaseState::Offered)
        ]
    );
}

#[test]
fn a_pool_that_cannot_be_served_is_refused() {
    let new = |prefix, first, last| Config::new(SERVER, prefix, first, last).unwrap_err();
    assert_eq!(new(0, host(2), host(4)), ConfigError::Prefix);
    assert_eq!(new(31, host(2), host(4)), ConfigError::Prefix);
    assert_eq!(new(24, host(4), host(2)), ConfigError::EmptyPool);
    assert_eq!(new(24, host(2), host(255)), ConfigError::PoolOutsideSubnet);
    assert_eq!(new(24, host(0), host(4)), ConfigError::PoolOutsideSubnet);
    assert_eq!(new(29, host(2), host(9)), ConfigError::PoolOutsideSubnet);
    assert_eq!(new(24, SERVER, host(4)), ConfigError::ServerInPool);
    let config = Config::new(host(255), 24, host(2), host(4));
    assert_eq!(config.unwrap_err(), ConfigError::ServerAddress);
    let config = Config::new(SERVER, 24, host(2), host(6)).unwrap();
    assert_eq!(
        Server::<4>::new(config).unwrap_err(),
        ConfigError::PoolTooLarge
    );
    assert_eq!(
        config.with_lease_seconds(0).unwrap_err(),
        ConfigError::LeaseTime
    );
}

/// A message of some client that may mean anything.
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
        // The same bytes where they are read as options.
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
        // What each client was told, kept as the client would: until when it may use an address.
        let mut told: HashMap<Ipv4Addr, (Mac, u64)> = HashMap::new();
        for ((message, mac), wait) in messages {
            now += wait;
            let outcome = message.ask(&mut server, now);
            if let Some(Change::Released | Change::Declined) = outcome.change() {
                told.remove(&outcome.event.unwrap().address);
            }
            if outcome.kind() == ACK && outcome.option(51).is_some() {
                let address = outcome.address();
                prop_assert!((host(2)..=host(4)).contains(&address));
                if let Some((owner, until)) = told.get(&address) {
                    prop_assert!(*owner == mac || *until <= now, "{address} is {owner:?}'s");
                }
                told.insert(address, (mac, now + 1000));
            }
        }
    }
}
