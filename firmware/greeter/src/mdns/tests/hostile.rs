//! Hostile packets.

use proptest::prelude::*;

use super::wire::{Peer, name};
use super::*;

/// Passes a packet from every kind of sender to a board in every state.
fn throw(packet: &[u8]) {
    for mut board in [Board::new(), Board::established()] {
        for port in [PORT, 40_000] {
            for to in [IpAddr::V4(GROUP), IpAddr::V4(BOARD)] {
                board.receive(SocketAddrV4::new(*PEER.ip(), port), to, packet);
            }
        }
        board.hears_within(2000);
    }
}

#[test]
fn pointer_loops_are_refused() {
    let header = [0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];
    for loops in [
        &[0xC0, 12][..],
        &[0xC0, 14, 0xC0, 12],
        &[1, b'a', 0xC0, 12],
        &[0xFF, 0xFF],
    ] {
        throw(&[&header[..], loops, &[0, 12, 0, 1]].concat());
    }
    // The pointers as data of a record.
    for data in [&[0xC0, 12][..], &[0xC0, 43], &[0xC0]] {
        throw(
            &Peer::query()
                .asks(SERVICE, PTR)
                .answers(SERVICE, PTR, 4500, data)
                .bytes(),
        );
        throw(&Peer::response().answers(SERVICE, PTR, 4500, data).bytes());
    }
}

#[test]
fn truncated_messages_are_refused() {
    let whole = Peer::query()
        .asks(SERVICE, PTR)
        .asks_unicast(HOST, ANY)
        .answers(SERVICE, PTR, 4500, &name(INSTANCE))
        .proposes(HOST, A, &[1, 2, 3, 4])
        .bytes();
    for end in 0..whole.len() {
        throw(&whole[..end]);
    }
}

#[test]
fn false_counts_do_not_panic() {
    let mut packet = Peer::query().asks(HOST, A).bytes();
    packet[4..12].fill(0xFF);
    throw(&packet);
    packet[2] = 0x84;
    throw(&packet);
}

#[test]
fn questions_and_large_records_are_bounded() {
    for count in [600, 5000] {
        let ask = |query: Peer, _| query.asks("a.local", A);
        throw(&(0..count).fold(Peer::query(), ask).bytes());
    }
    let huge = std::vec![0xFF; usize::from(u16::MAX)];
    throw(&Peer::response().answers(INSTANCE, TXT, 120, &huge).bytes());
    throw(
        &Peer::query()
            .asks(INSTANCE, TXT)
            .answers(INSTANCE, TXT, 4500, &huge[..8000])
            .bytes(),
    );
    let mut query = Peer::query().asks_unicast(HOST, ANY);
    for _ in 0..100 {
        query = query.proposes(HOST, TXT, &huge[..50]);
    }
    throw(&query.bytes());
}

#[test]
fn only_the_first_questions_are_answered() {
    let mut board = Board::established();
    let mut query = Peer::query();
    for _ in 0..40 {
        query = query.asks("other.local", A);
    }
    board.receive_from(PEER, &query.asks(HOST, A).bytes());
    assert!(board.hears_within(5000).is_empty());
}

#[test]
fn query_flood_is_answered_once_per_second() {
    let mut board = Board::established();
    let query = Peer::query()
        .asks(SERVICE, PTR)
        .asks(HOST, ANY)
        .asks(INSTANCE, ANY)
        .bytes();
    let mut sent = 0;
    for _ in 0..10_000 {
        board.receive_from(PEER, &query);
        sent += board.run(board.now + 1).len();
    }
    assert!(sent <= 2 * 11, "{sent} multicasts in ten seconds");
}

#[test]
fn short_buffer_sends_nothing() {
    let mut board = Board::new();
    for _ in 0..100 {
        let Some(at) = board.responder.next_timer() else {
            return;
        };
        assert_eq!(board.responder.on_timer(at, &mut [0; 20]), None);
    }
    panic!("the timer never stops");
}

/// Bytes with a valid header.
fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let flags = prop::sample::select(std::vec![[0, 0], [2, 0], [0x84, 0]]);
    let piece =
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            prop::sample::select(std::vec![HOST, INSTANCE, SERVICE, TYPES, REVERSE]).prop_map(name),
            Just(std::vec![0xC0, 12]),
            prop::sample::select(std::vec![A, PTR, TXT, SRV, NSEC, ANY])
                .prop_map(|rtype| std::vec![0, rtype.to_be_bytes()[1], 0x80, 1]),
            Just(std::vec![0, 0, 0, 120, 0, 4]),
        ];
    let body = prop::collection::vec(piece, 0..12);
    (flags, prop::array::uniform4(0_u8..4), body).prop_map(|(flags, counts, body)| {
        let mut packet = std::vec![0, 0];
        packet.extend(flags);
        packet.extend(counts.into_iter().flat_map(|count| [0, count]));
        packet.extend(body.concat());
        packet
    })
}

proptest! {
    #[test]
    fn no_packet_panics(packet in any_packet()) {
        throw(&packet);
    }

    #[test]
    fn no_bytes_panic(packet in prop::collection::vec(any::<u8>(), 0..600)) {
        throw(&packet);
    }
}
