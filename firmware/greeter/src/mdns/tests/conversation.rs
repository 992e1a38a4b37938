//! Questions and replies.

use super::wire::{Peer, name, srv, txt};
use super::*;

/// The only multicast that replies to `query` within 120 ms.
fn multicast(board: &mut Board, query: &Peer) -> Sent {
    assert!(board.receive_from(PEER, &query.bytes()).is_none());
    let mut sent = board.hears_within(120);
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.remove(0)
}

#[test]
fn browsing_gets_instance_and_additional_records() {
    let mut board = Board::established();
    let answer = multicast(&mut board, &Peer::query().asks(SERVICE, PTR));
    assert_eq!((answer.to, answer.id, answer.flags), (EVERYBODY, 0, 0x8400));
    assert_eq!(answer.answered(), [(SERVICE, PTR)]);
    assert_eq!(answer.answers[0].data, name(INSTANCE));
    assert_eq!((answer.answers[0].ttl, answer.answers[0].class), (4500, 1));
    assert_eq!(
        answer.added(),
        [(HOST, A), (INSTANCE, SRV), (INSTANCE, TXT), (HOST, NSEC)]
    );
    assert!(answer.len <= 512);
}

#[test]
fn service_text_and_address_are_answered() {
    let mut board = Board::established();
    let query = Peer::query()
        .asks(INSTANCE, SRV)
        .asks(INSTANCE, TXT)
        .asks(HOST, A);
    let answer = multicast(&mut board, &query);
    assert_eq!(
        answer.answered(),
        [(HOST, A), (INSTANCE, SRV), (INSTANCE, TXT)]
    );
    assert_eq!(answer.answer(A).data, BOARD.octets());
    assert_eq!(answer.answer(SRV).data, srv(3000, HOST));
    let pairs = [
        "txtvers=1",
        "chip=esp32c3",
        "mode=sta",
        "fw=0.1.0",
        "mac=02:ab:00:00:00:01",
        "mgmt=3001",
    ];
    assert_eq!(answer.answer(TXT).data, txt(&pairs));
    assert_eq!(
        [A, SRV, TXT].map(|rtype| answer.answer(rtype).ttl),
        [120, 120, 4500]
    );
}

#[test]
fn names_are_matched_in_any_case() {
    let mut board = Board::established();
    let answer = multicast(&mut board, &Peer::query().asks("GREETER.Local", A));
    assert_eq!(answer.answered(), [(HOST, A)]);
}

#[test]
fn types_and_reverse_lookups_are_answered() {
    let mut board = Board::established();
    let types = multicast(&mut board, &Peer::query().asks(TYPES, PTR));
    assert_eq!(types.answers[0].data, name(SERVICE));
    let reverse = multicast(&mut board, &Peer::query().asks(REVERSE, PTR));
    assert_eq!(reverse.answers[0].data, name(HOST));
}

#[test]
fn missing_type_gets_nsec() {
    let mut board = Board::established();
    let answer = multicast(&mut board, &Peer::query().asks(HOST, AAAA));
    assert_eq!(
        (answer.answered(), answer.added()),
        ([(HOST, NSEC)].into(), [(HOST, A)].into())
    );
    let mut proof = name(HOST);
    proof.extend([0, 1, 0x40]);
    assert_eq!(answer.answers[0].data, proof);
    let answer = multicast(&mut board, &Peer::query().asks(INSTANCE, A));
    assert_eq!(answer.answered(), [(INSTANCE, NSEC)]);
}

#[test]
fn other_names_types_and_classes_are_ignored() {
    let mut board = Board::established();
    let strange = [
        Peer::query().asks("other.local", A),
        Peer::query().asks("_http._tcp.local", PTR),
        Peer::query().asks(SERVICE, TXT),
        Peer::query(),
    ];
    for query in strange {
        assert!(board.receive_from(PEER, &query.bytes()).is_none());
    }
    let mut chaos = Peer::query().asks(HOST, A).bytes();
    *chaos.last_mut().unwrap() = 3;
    board.receive_from(PEER, &chaos);
    assert!(board.hears_within(5000).is_empty());
}

#[test]
fn shared_records_wait_20_to_120_ms() {
    for seed in 0..50 {
        let mut board = Board::established();
        board.responder.random_state(seed);
        let asked = board.now;
        board.receive_from(PEER, &Peer::query().asks(SERVICE, PTR).bytes());
        let at = board.responder.next_timer().unwrap();
        assert!((asked + 20..asked + 120).contains(&at), "{}", at - asked);
    }
    let mut board = Board::established();
    board.receive_from(PEER, &Peer::query().asks(HOST, A).bytes());
    assert_eq!(
        board.responder.next_timer(),
        Some(board.now),
        "only we can: at once"
    );
}

#[test]
fn qu_question_gets_unicast_after_recent_multicast() {
    let mut board = Board::established();
    let query = Peer::query().asks_unicast(SERVICE, PTR).bytes();
    let answer = board.receive_from(PEER, &query).unwrap();
    assert_eq!((answer.to, answer.id, answer.flags), (PEER, 0, 0x8400));
    assert_eq!(answer.answered(), [(SERVICE, PTR)]);
    assert_eq!(answer.added().len(), 4);
    assert!(board.hears_within(5000).is_empty());

    board.now += 4500 * 1000 / 4;
    assert!(board.receive_from(PEER, &query).is_none());
    assert_eq!(
        board.hears_within(120)[0].to,
        EVERYBODY,
        "RFC 6762 §5.4: once a quarter TTL"
    );
}

#[test]
fn unicast_query_gets_unicast_answer() {
    let mut board = Board::established();
    let query = Peer::query().asks(HOST, A).bytes();
    let answer = board.receive(PEER, IpAddr::V4(BOARD), &query).unwrap();
    assert_eq!((answer.to, answer.answered()), (PEER, [(HOST, A)].into()));
    let stranger = SocketAddrV4::new(Ipv4Addr::new(8, 8, 8, 8), PORT);
    assert!(
        board.receive(stranger, IpAddr::V4(BOARD), &query).is_none(),
        "RFC 6762 §11"
    );
    assert!(board.hears_within(5000).is_empty());
}

#[test]
fn legacy_resolver_gets_legacy_answer() {
    let mut board = Board::established();
    let resolver = SocketAddrV4::new(*PEER.ip(), 40_000);
    let query = Peer::query().id(0xBEEF).asks(SERVICE, PTR).bytes();
    let answer = board.receive_from(resolver, &query).unwrap();
    assert_eq!(
        (answer.to, answer.id, answer.flags),
        (resolver, 0xBEEF, 0x8400)
    );
    assert_eq!(answer.questions, [(String::from(SERVICE), PTR, 1)]);
    assert_eq!(answer.answered(), [(SERVICE, PTR)]);
    assert!(answer.len <= 512);
    for record in answer.answers.iter().chain(&answer.additional) {
        assert!(
            record.ttl <= 10 && record.class == 1,
            "RFC 6762 §6.7: {record:?}"
        );
    }
    let stranger = SocketAddrV4::new(Ipv4Addr::new(8, 8, 8, 8), 40_000);
    assert!(board.receive_from(stranger, &query).is_none());
    assert!(board.hears_within(5000).is_empty());
}

#[test]
fn known_answers_are_suppressed_while_fresh() {
    let mut board = Board::established();
    let knowing = |ttl| {
        Peer::query()
            .asks(SERVICE, PTR)
            .answers(SERVICE, PTR, ttl, &name(INSTANCE))
    };
    board.receive_from(PEER, &knowing(2250).bytes());
    assert!(board.hears_within(5000).is_empty());
    let answer = multicast(&mut board, &knowing(2249));
    assert_eq!(
        answer.answered(),
        [(SERVICE, PTR)],
        "less than half of its life is left"
    );

    let other = name("other._tcpctl._tcp.local");
    let query = Peer::query()
        .asks(SERVICE, PTR)
        .answers(SERVICE, PTR, 4500, &other);
    board.now += 2000;
    assert_eq!(
        multicast(&mut board, &query).answered(),
        [(SERVICE, PTR)],
        "another's is not ours"
    );
}

#[test]
fn known_answers_may_have_compressed_names() {
    let mut board = Board::established();
    // The data is the label and a pointer to the question's name, at byte 12.
    let data = [&[7][..], b"greeter", &[0xC0, 12]].concat();
    let query = Peer::query()
        .asks(SERVICE, PTR)
        .answers(SERVICE, PTR, 4500, &data);
    board.receive_from(PEER, &query.bytes());
    assert!(board.hears_within(5000).is_empty());
}

#[test]
fn truncated_known_answers_delay_the_answer() {
    let mut board = Board::established();
    let query = Peer::query()
        .truncated()
        .asks(SERVICE, PTR)
        .asks(HOST, A)
        .bytes();
    board.receive_from(PEER, &query);
    assert!(
        board.hears_within(399).is_empty(),
        "RFC 6762 §7.2: 400 to 500 ms"
    );
    let rest = Peer::query()
        .answers(SERVICE, PTR, 4500, &name(INSTANCE))
        .bytes();
    board.receive_from(PEER, &rest);
    let sent = board.hears_within(300);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].answered(), [(HOST, A)]);
}

#[test]
fn records_are_multicast_at_most_once_per_second() {
    let mut board = Board::established();
    let mut heard: Vec<(u64, Sent)> = Vec::new();
    let end = board.now + 20_000;
    let questions = [
        (SERVICE, PTR),
        (HOST, A),
        (INSTANCE, ANY),
        (HOST, AAAA),
        (TYPES, PTR),
    ];
    for (owner, rtype) in questions.into_iter().cycle() {
        board.receive_from(PEER, &Peer::query().asks(owner, rtype).bytes());
        heard.extend(board.run(board.now + 37));
        if board.now > end {
            break;
        }
    }
    let mut last = std::collections::HashMap::new();
    for (at, sent) in &heard {
        for record in sent.answers.iter().chain(&sent.additional) {
            let key = (record.owner.clone(), record.rtype);
            if let Some(before) = last.insert(key, *at) {
                assert!(at - before >= 1000, "{record:?} at {before} and {at}");
            }
        }
    }
    assert!(heard.len() >= 20, "and yet every second has its answers");
}

#[test]
fn goodbye_by_a_peer_is_corrected() {
    let mut board = Board::established();
    board.receive_from(
        PEER,
        &Peer::response()
            .answers(TYPES, PTR, 0, &name(SERVICE))
            .bytes(),
    );
    assert_eq!(board.hears_within(100)[0].answered(), [(TYPES, PTR)]);
    let short = Peer::response()
        .answers(HOST, A, 59, &BOARD.octets())
        .bytes();
    board.receive_from(PEER, &short);
    assert_eq!(
        board.hears_within(100)[0].answered(),
        [(HOST, A)],
        "RFC 6762 §6.6"
    );
}

#[test]
fn duplicate_answer_is_suppressed() {
    let mut board = Board::established();
    board.receive_from(PEER, &Peer::query().asks(TYPES, PTR).bytes());
    board.receive_from(
        PEER,
        &Peer::response()
            .answers(TYPES, PTR, 4500, &name(SERVICE))
            .bytes(),
    );
    assert!(board.hears_within(5000).is_empty(), "RFC 6762 §7.4");
}

#[test]
fn duplicate_answer_with_shorter_ttl_is_not_suppressed() {
    let mut board = Board::established();
    board.receive_from(PEER, &Peer::query().asks(TYPES, PTR).bytes());
    let shorter = Peer::response().answers(TYPES, PTR, 4499, &name(SERVICE));
    board.receive_from(PEER, &shorter.bytes());
    let sent = board.hears_within(5000);
    assert_eq!(sent[0].answered(), [(TYPES, PTR)], "RFC 6762 §7.4");
    assert_eq!(sent[0].answers[0].ttl, 4500);
}
