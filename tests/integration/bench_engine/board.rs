//! On a virtual board in simulated time: the firmware's own server.

use std::num::NonZeroUsize;

use tcpctl::sim::session;
use tcpctl::sim::spec::{Profile, Spec};
use tcpctl_engine::engine;
use tcpctl_engine::load::{Load, Pace, Rate};
use tcpctl_engine::measurement::ErrorClass;

use super::support::{complete_ms, requests};

fn spec(changes: &[(&str, &str)]) -> Spec {
    Spec::with(Profile::Ideal, changes.iter().copied()).expect("a valid spec")
}

#[test]
fn virtual_board_is_measured_like_any_server() {
    let spec = spec(&[("workers", "8"), ("backlog", "8"), ("delay", "5ms")]);
    let (board, mut network) = session::simulated(&spec).expect("a board");
    let load = requests(session::address(&spec), 4, 200);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 200);
    assert!(measurement.errors.is_empty(), "{:?}", measurement.errors);
    // 5 ms each way: one round trip for the handshake, one for the reply.
    assert!(measurement.connect.min() >= 10_000_000 * 999 / 1000);
    assert!(complete_ms(&measurement, 0.0) >= 19.9);
    let totals = measurement.totals.expect("known on the link");
    assert_eq!(totals.syn_retransmissions, 0);
    assert!(totals.smoothed_rtt.is_none());
    drop(network);
    assert_eq!(board.stop().counters.served, 200);
}

#[test]
fn refusals_match_the_boards_counters() {
    let spec = spec(&[("workers", "1"), ("backlog", "0"), ("service-time", "20ms")]);
    let (board, mut network) = session::simulated(&spec).expect("a board");
    let load = requests(session::address(&spec), 4, 40);
    let measurement = engine::run(&mut network, &load, &mut ());
    let refused = measurement.errors.get(&ErrorClass::Refused).copied();
    let failed: u64 = measurement.errors.values().sum();
    assert!(refused > Some(0), "{:?}", measurement.errors);
    assert_eq!(measurement.completed + failed, 40);
    drop(network);
    let counters = board.stop().counters;
    assert_eq!(counters.refused.map(u64::from), refused);
    assert_eq!(u64::from(counters.served), measurement.completed);
}

#[test]
fn virtual_board_serves_a_schedule() {
    let spec = spec(&[("workers", "8"), ("backlog", "8")]);
    let (board, mut network) = session::simulated(&spec).expect("a board");
    let load = Load {
        pace: Pace::Open {
            rate: Rate::new(500.0).expect("a rate"),
            max_in_flight: NonZeroUsize::new(8).expect("not zero"),
        },
        ..requests(session::address(&spec), 1, 100)
    };
    let measurement = engine::run(&mut network, &load, &mut ());
    let failed: u64 = measurement.errors.values().sum();
    assert_eq!(measurement.completed + failed, 100);
    assert!(measurement.elapsed.as_millis() >= 198);
    assert_eq!(measurement.schedule_error.expect("open").len(), 100);
    drop(network);
    drop(board);
}
