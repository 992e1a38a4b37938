mod any;
mod client;

use core::net::{Ipv4Addr, SocketAddrV4};
use std::vec::Vec;

use self::client::{ACK, Client, DECLINE, DISCOVER, INFORM, NAK, OFFER, Outcome, RELEASE, REQUEST};
use super::*;

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const EVERYBODY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::BROADCAST, 68);
const ANN: Mac = [2, 0, 0, 0, 0, 1];
const BOB: Mac = [2, 0, 0, 0, 0, 2];
const CAT: Mac = [2, 0, 0, 0, 0, 3];
const DAN: Mac = [2, 0, 0, 0, 0, 4];

fn host(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 1, last)
}

/// A pool of three addresses, .2 to .4, in a table of four places; leases of 1000 s.
fn server() -> Server<4> {
    let config = Config::new(SERVER, 24, host(2), host(4)).unwrap();
    let lease_seconds = 1000;
    Server::new(Config {
        lease_seconds,
        ..config
    })
    .unwrap()
}

/// Exchanges the usual four messages. Returns the address.
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

/// RFC 2131 table 3, and RFC 6842 for the client identifier.
#[test]
fn replies_follow_table_3_of_rfc_2131() {
    const FLAGS: [u8; 2] = [0x80, 0];
    const UNSPECIFIED: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
    let talkative = |kind| {
        Client::new(ANN, kind)
            .patch(3, &[7]) // hops
            .patch(8, &[0, 9]) // secs
            .patch(10, &FLAGS)
            .patch(16, &[10, 0, 0, 1]) // yiaddr
            .patch(20, &[10, 0, 0, 2]) // siaddr
            .patch(44, b"server")
            .patch(108, b"boot.img")
            .option(12, b"ann")
            .option(51, &[0, 0, 0, 60])
            .option(55, &[1, 3, 6, 15])
            .option(57, &[2, 64])
            .option(60, b"class")
            .option(61, &[1, 2, 3])
    };
    let leases = &[1, 3, 51, 53, 54, 58, 59, 61][..];
    let discover = || talkative(DISCOVER).has(host(2)).wants(host(2));
    for (name, request, kind, ciaddr, yiaddr, options) in [
        ("offer", discover(), OFFER, UNSPECIFIED, host(2), leases),
        (
            "selecting",
            talkative(REQUEST).to(SERVER).wants(host(2)),
            ACK,
            UNSPECIFIED,
            host(2),
            leases,
        ),
        (
            "renewing",
            talkative(REQUEST).has(host(2)),
            ACK,
            host(2),
            host(2),
            leases,
        ),
        (
            "inform",
            talkative(INFORM).has(host(2)),
            ACK,
            host(2),
            UNSPECIFIED,
            &[1, 3, 53, 54, 61],
        ),
        (
            "refused",
            talkative(REQUEST).has(host(9)),
            NAK,
            UNSPECIFIED,
            UNSPECIFIED,
            &[53, 54, 56, 61],
        ),
    ] {
        let reply = request.ask(&mut server(), 0);
        assert_eq!(reply.kind(), kind, "{name}");
        let mut fixed = std::vec![2, 1, 6, 0, 0xCA, 0xFE, 0, 1, 0, 0];
        fixed.extend(FLAGS);
        for address in [ciaddr, yiaddr, UNSPECIFIED, UNSPECIFIED] {
            fixed.extend(address.octets());
        }
        fixed.extend(ANN);
        // The rest of chaddr, then sname and file.
        fixed.resize(236, 0);
        assert_eq!(reply.bytes[..236], fixed, "{name}");
        assert_eq!(reply.options(), options, "{name}");
    }
}

#[test]
fn leases_last_two_hours_by_default() {
    let config = Config::new(SERVER, 24, host(2), host(4)).unwrap();
    let offer = Client::new(ANN, DISCOVER).ask(&mut Server::<4>::new(config).unwrap(), 0);
    assert_eq!(seconds(&offer, 51), 7200);
}

#[test]
fn broadcast_flag_is_echoed() {
    let offer = Client::new(ANN, DISCOVER)
        .patch(10, &[0x80, 0])
        .ask(&mut server(), 0);
    assert_eq!(&offer.bytes[10..12], [0x80, 0]);
}

#[test]
fn choosing_another_server_frees_the_offer() {
    let mut server = server();
    Client::new(ANN, DISCOVER).ask(&mut server, 0);
    let active = Client::new(ANN, REQUEST)
        .to(host(200))
        .wants(host(2))
        .ask(&mut server, 1);
    assert!(active.is_silence());
    assert_eq!(server.leases(1).count(), 0);
}

#[test]
fn offer_is_reserved_for_15_seconds() {
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
fn rebooting_client_keeps_its_address() {
    let mut server = server();
    join(&mut server, ANN, 0);
    let ack = Client::new(ANN, REQUEST).wants(host(2)).ask(&mut server, 5);
    assert_eq!((ack.kind(), ack.to), (ACK, Some(EVERYBODY)));
}

#[test]
fn rebooted_board_confirms_addresses_in_use() {
    let mut server = server();
    let ack = Client::new(ANN, REQUEST).has(host(3)).ask(&mut server, 5);
    assert_eq!((ack.kind(), ack.address()), (ACK, host(3)));
    assert_eq!(ack.change(), Some(Change::Granted));
}

#[test]
fn foreign_addresses_are_refused() {
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
fn client_cannot_hold_several_addresses() {
    let mut server = server();
    join(&mut server, ANN, 0);
    let nak = Client::new(ANN, REQUEST).wants(host(3)).ask(&mut server, 1);
    assert_eq!(nak.kind(), NAK);
    assert_eq!(server.leases(1).count(), 1);
}

#[test]
fn client_gets_its_previous_address() {
    let mut server = server();
    assert_eq!(join(&mut server, ANN, 0), host(2));
    assert_eq!(
        Client::new(ANN, DISCOVER).ask(&mut server, 1).address(),
        host(2)
    );
    assert_eq!(join(&mut server, BOB, 1), host(3));
    // Long after both leases ended, the clients ask in another order.
    assert_eq!(join(&mut server, BOB, 9000), host(3));
    assert_eq!(join(&mut server, ANN, 9000), host(2));
}

#[test]
fn requested_address_is_offered_if_free() {
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
fn full_pool_is_silent_until_a_lease_ends() {
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
fn longest_free_address_is_offered_first() {
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
fn only_the_owner_can_release() {
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
fn declined_address_is_quarantined() {
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
fn messages_for_other_servers_are_ignored() {
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
fn padding_and_any_host_name_are_accepted() {
    let mut message = Client::new(ANN, REQUEST).option(12, b"M\xFCller");
    message.bytes.push(0);
    assert_eq!(
        message.wants(host(3)).ask(&mut server(), 0).address(),
        host(3)
    );
}

#[test]
fn short_reply_buffer_changes_nothing() {
    let mut server = server();
    let mut message = Client::new(ANN, DISCOVER).bytes;
    message.push(255);
    assert_eq!(server.answer(0, &message, &mut [0; MAX_REPLY - 1]), None);
    assert_eq!(server.leases(0).count(), 0);
}

#[test]
fn leases_list_client_and_remaining_time() {
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
fn invalid_pool_is_refused() {
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
}
