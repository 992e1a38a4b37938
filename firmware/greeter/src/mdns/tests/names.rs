//! Probing, defending and releasing a name.

use super::super::{Event, Identity, InvalidIdentity, Responder};
use super::wire::{Peer, srv};
use super::*;

const OTHER: [u8; 4] = [192, 168, 1, 20];

#[test]
fn three_probes_250_ms_apart_then_announcements() {
    let mut board = Board::new();
    let sent = board.run(20_000);
    let start = sent[0].0;
    assert!(start < 250, "the first probe waits up to 250 ms");
    let times: Vec<_> = sent.iter().map(|(at, _)| at - start).collect();
    assert_eq!(times, [0, 250, 500, 750, 1750, 3750]);
    for (_, probe) in &sent[..3] {
        assert_eq!((probe.to, probe.flags), (EVERYBODY, 0));
        let asked = |owner: &str| (String::from(owner), ANY, 0x8001);
        assert_eq!(probe.questions, [asked(HOST), asked(INSTANCE)]);
        let proposed: Vec<_> = probe
            .authority
            .iter()
            .map(|it| (&*it.owner, it.rtype, it.class))
            .collect();
        assert_eq!(
            proposed,
            [(HOST, A, 1), (INSTANCE, SRV, 1), (INSTANCE, TXT, 1)]
        );
    }
    for (_, announcement) in &sent[3..] {
        assert_eq!((announcement.to, announcement.flags), (EVERYBODY, 0x8400));
        assert!(announcement.questions.is_empty());
        assert_eq!(
            announcement.answered(),
            [
                (HOST, A),
                (INSTANCE, SRV),
                (INSTANCE, TXT),
                (SERVICE, PTR),
                (TYPES, PTR),
                (REVERSE, PTR),
                (HOST, NSEC),
                (INSTANCE, NSEC)
            ]
        );
    }
    assert_eq!(board.responder.take_event(), Some(Event::Announced));
}

#[test]
fn only_unique_records_have_cache_flush() {
    let announcement = Board::new().run(2000).pop().unwrap().1;
    for record in announcement.answers {
        let shared = record.owner == SERVICE || record.owner == TYPES;
        assert_eq!(record.class, if shared { 1 } else { 0x8001 }, "{record:?}");
    }
}

#[test]
fn queries_are_ignored_while_probing() {
    let mut board = Board::new();
    board.run(300);
    let query = Peer::query()
        .asks(HOST, A)
        .asks_unicast(SERVICE, PTR)
        .bytes();
    assert!(board.receive_from(PEER, &query).is_none());
    let legacy = SocketAddrV4::new(*PEER.ip(), 40_000);
    assert!(
        board
            .receive_from(legacy, &Peer::query().asks(HOST, A).bytes())
            .is_none()
    );
    let sent = board.hears_within(100);
    assert!(
        sent.iter().all(|sent| sent.flags == 0),
        "probes and nothing else"
    );
}

#[test]
fn conflicting_name_gets_a_number() {
    let mut board = Board::new();
    board.run(300);
    board.receive_from(
        PEER,
        &Peer::response().answers(HOST, A, 120, &OTHER).bytes(),
    );
    assert_eq!(board.responder.take_event(), Some(Event::Renamed));
    assert_eq!(board.name(), "greeter-2");
    let taken = srv(80, "other.local");
    let other = "greeter-2._tcpctl._tcp.local";
    board.receive_from(
        PEER,
        &Peer::response().answers(other, SRV, 120, &taken).bytes(),
    );
    assert_eq!(board.name(), "greeter-3");
    let sent = board.hears_within(10_000);
    assert_eq!(sent[0].questions[0].0, "greeter-3.local");
    let announcement = &sent[3];
    assert_eq!(announcement.answer(A).owner, "greeter-3.local");
    assert_eq!(announcement.answer(SRV).data, srv(3000, "greeter-3.local"));
    assert_eq!(
        announcement.answer(PTR).data,
        wire::name("greeter-3._tcpctl._tcp.local")
    );
}

#[test]
fn any_record_type_is_a_conflict() {
    let mut board = Board::new();
    board.receive_from(
        PEER,
        &Peer::response()
            .answers(HOST, AAAA, 120, &[0xFE; 16])
            .bytes(),
    );
    assert_eq!(board.name(), "greeter-2");
}

#[test]
fn longest_name_gets_a_number() {
    let long = "a".repeat(63);
    let identity = Identity {
        hostname: &long,
        ..IDENTITY
    };
    let mut responder = Responder::new(&identity, 0).unwrap();
    responder.set_network(0, Some((BOARD, 24)));
    let mut out = [0; 1024];
    let taken = std::format!("{long}.local");
    let conflict = Peer::response().answers(&taken, A, 120, &OTHER).bytes();
    responder.on_packet(0, PEER, IpAddr::V4(GROUP), &conflict, &mut out);
    assert_eq!(responder.hostname(), std::format!("{}-2", "a".repeat(61)));
    let mut now = 0;
    while !responder.is_announced() {
        now = responder.next_timer().unwrap();
        assert!(
            responder.on_timer(now, &mut out).is_some(),
            "everything fits into 1024 bytes"
        );
    }
    assert!(now < 1500);
}

#[test]
fn responses_without_conflict_change_nothing() {
    let mut board = Board::new();
    board.run(300);
    let same = Peer::response()
        .answers(HOST, A, 120, &BOARD.octets())
        .bytes();
    let gone = Peer::response().answers(HOST, A, 0, &OTHER).bytes();
    let other = Peer::response()
        .answers("other.local", A, 120, &OTHER)
        .bytes();
    let taken = Peer::response().answers(HOST, A, 120, &OTHER).bytes();
    for packet in [same, gone, other] {
        board.receive_from(PEER, &packet);
    }
    // Our own frame sent back, a response from a port other than 5353, and one from another
    // network.
    board.receive_from(SocketAddrV4::new(BOARD, PORT), &taken);
    board.receive_from(SocketAddrV4::new(*PEER.ip(), 5354), &taken);
    let stranger = SocketAddrV4::new(Ipv4Addr::new(8, 8, 8, 8), PORT);
    board.receive(stranger, IpAddr::V4(BOARD), &taken);
    assert_eq!(
        (board.name().as_str(), board.responder.take_event()),
        ("greeter", None)
    );
}

/// Another board with the same name probes at the same time. Returns when this one probes next.
fn simultaneous_probe(address: [u8; 4], port: u16) -> u64 {
    let mut board = Board::new();
    board.run(300);
    let text = wire::txt(&[
        "txtvers=1",
        "chip=esp32c3",
        "mode=sta",
        "fw=0.1.0",
        "mac=02:ab:00:00:00:01",
        "mgmt=3001",
    ]);
    let probe = Peer::query()
        .asks_unicast(HOST, ANY)
        .asks_unicast(INSTANCE, ANY)
        .proposes(HOST, A, &address)
        .proposes(INSTANCE, SRV, &srv(port, HOST))
        .proposes(INSTANCE, TXT, &text);
    let started = board.now;
    board.receive_from(PEER, &probe.bytes());
    assert_eq!(board.name(), "greeter", "a lost tie is no conflict yet");
    board
        .run(started + 5000)
        .first()
        .map_or(0, |(at, _)| at - started)
}

#[test]
fn later_records_win_a_simultaneous_probe() {
    let [a, b, c, d] = BOARD.octets();
    let deferred = 1000;
    assert_eq!(
        simultaneous_probe([a, b, c, d + 1], 3000),
        deferred,
        "theirs is greater"
    );
    assert!(
        simultaneous_probe([a, b, c, d - 1], 3000) < deferred,
        "ours is greater"
    );
    assert!(
        simultaneous_probe([a, b, c, d], 3000) < deferred,
        "the same: no conflict"
    );
    assert_eq!(
        simultaneous_probe([a, b, c, d], 3001),
        deferred,
        "SRV decides after A and TXT"
    );
    assert!(simultaneous_probe([a, b, c, d], 2999) < deferred);
}

#[test]
fn longer_record_list_wins() {
    let mut board = Board::new();
    board.run(300);
    let probe = Peer::query()
        .asks_unicast(HOST, ANY)
        .proposes(HOST, AAAA, &[0; 16])
        .proposes(HOST, A, &BOARD.octets());
    let started = board.now;
    board.receive_from(PEER, &probe.bytes());
    assert_eq!(board.run(started + 5000)[0].0, started + 1000);
}

#[test]
fn conflict_with_established_name_probes_again() {
    let mut board = Board::established();
    board.receive_from(
        PEER,
        &Peer::response().answers(HOST, A, 120, &OTHER).bytes(),
    );
    assert!(!board.responder.is_announced());
    assert_eq!(
        board.name(),
        "greeter",
        "RFC 6762 §9: first ask, the other may be gone"
    );
    let sent = board.hears_within(2000);
    assert_eq!((sent[0].flags, sent[0].questions.len()), (0, 2));
    assert!(board.responder.is_announced());

    board.receive_from(
        PEER,
        &Peer::response().answers(HOST, A, 120, &OTHER).bytes(),
    );
    board.receive_from(
        PEER,
        &Peer::response().answers(HOST, A, 120, &OTHER).bytes(),
    );
    assert_eq!(board.name(), "greeter-2");
}

#[test]
fn late_conflict_does_not_delay_the_next_name() {
    let mut board = Board::new();
    while !board.responder.is_announced() {
        let next = board.responder.next_timer().unwrap();
        board.run(next);
    }
    let taken = Peer::response().answers(HOST, A, 120, &OTHER).bytes();
    board.receive_from(PEER, &taken);
    board.receive_from(PEER, &taken);
    let sent = board.hears_within(1000);
    assert_eq!(
        sent[3].answers.len(),
        8,
        "no rate limit from the old name's records"
    );
    assert_eq!(sent[3].answer(A).owner, "greeter-2.local");
}

#[test]
fn established_name_is_defended_in_time() {
    let mut board = Board::established();
    let probe = Peer::query()
        .asks_unicast(HOST, ANY)
        .proposes(HOST, A, &OTHER)
        .bytes();
    let reply = board
        .receive_from(PEER, &probe)
        .expect("a probe asks for unicast");
    assert_eq!((reply.to, reply.answered()[0]), (PEER, (HOST, A)));

    board.now += 200_000;
    board.receive_from(PEER, &Peer::query().asks(HOST, A).bytes());
    board.hears_within(1);
    let probe = Peer::query()
        .asks(HOST, ANY)
        .proposes(HOST, A, &OTHER)
        .bytes();
    board.receive_from(PEER, &probe);
    let defence = board.hears_within(250);
    assert_eq!(
        defence[0].answered(),
        [(HOST, A)],
        "RFC 6762 §6: 250 ms after the last is enough"
    );
}

#[test]
fn repeated_conflicts_slow_down_probing() {
    let mut board = Board::new();
    let mut names = 0;
    while board.now < 60_000 {
        let taken = std::format!("{}.local", board.name());
        board.receive_from(
            PEER,
            &Peer::response().answers(&taken, A, 120, &OTHER).bytes(),
        );
        let next = board.responder.next_timer().unwrap();
        board.run(next);
        names += 1;
    }
    assert!(
        (15..30).contains(&names),
        "15 at once, then one in five seconds: {names}"
    );
}

#[test]
fn goodbye_has_every_unique_record() {
    let mut board = Board::established();
    let mut out = [0; 1024];
    let Datagram { len, to } = board.responder.goodbye(&mut out).unwrap();
    let goodbye = parse(&out[..len], to);
    assert_eq!((goodbye.to, goodbye.flags), (EVERYBODY, 0x8400));
    assert!(goodbye.answers.iter().all(|record| record.ttl == 0));
    assert_eq!(
        goodbye.answered(),
        [
            (HOST, A),
            (INSTANCE, SRV),
            (INSTANCE, TXT),
            (SERVICE, PTR),
            (REVERSE, PTR)
        ],
        "the service type is not taken back: other boards have it too"
    );
    assert_eq!(board.responder.next_timer(), None);
    assert!(
        board
            .receive_from(PEER, &Peer::query().asks_unicast(HOST, A).bytes())
            .is_none()
    );
    assert!(board.responder.goodbye(&mut out).is_none());
}

#[test]
fn goodbye_needs_an_announcement() {
    let mut board = Board::new();
    board.run(300);
    assert!(board.responder.goodbye(&mut [0; 1024]).is_none());
}

#[test]
fn new_address_is_probed_and_announced() {
    let mut board = Board::established();
    board.responder.set_network(board.now, Some((BOARD, 24)));
    assert!(board.hears_within(5000).is_empty(), "nothing has changed");

    let moved = Ipv4Addr::new(10, 0, 0, 7);
    board.responder.set_network(board.now, Some((moved, 8)));
    let sent = board.hears_within(2000);
    assert_eq!(sent[3].answer(A).data, moved.octets());
    assert!(sent[3].answered().contains(&("7.0.0.10.in-addr.arpa", PTR)));
}

#[test]
fn lost_link_is_silent_until_it_returns() {
    let mut board = Board::established();
    board.responder.set_network(board.now, None);
    assert_eq!(board.responder.next_timer(), None);
    assert!(
        board
            .receive_from(PEER, &Peer::query().asks_unicast(HOST, A).bytes())
            .is_none()
    );
    board.responder.set_network(board.now, Some((BOARD, 24)));
    assert_eq!(board.hears_within(10_000).len(), 6);
}

#[test]
fn invalid_identities_are_refused() {
    let refusal = |identity: Identity<'_>| Responder::new(&identity, 0).err();
    let long = "a".repeat(64);
    for hostname in ["", "-a", "a-", "a.b", "a b", "gr\u{fc}n", &long] {
        let identity = Identity {
            hostname,
            ..IDENTITY
        };
        assert_eq!(
            refusal(identity),
            Some(InvalidIdentity::Hostname),
            "{hostname:?}"
        );
    }
    let firmware = "1".repeat(200);
    let identity = Identity {
        firmware: &firmware,
        ..IDENTITY
    };
    assert_eq!(refusal(identity), Some(InvalidIdentity::Text));
}
