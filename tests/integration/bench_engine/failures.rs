//! Each error class, from a server that causes it, counted exactly.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use regex::bytes::Regex;
use tcpctl_engine::engine;
use tcpctl_engine::load::{Expectation, Load, ReplyRule};
use tcpctl_engine::measurement::{ErrorClass, Measurement};
use tcpctl_engine::readiness::ConnectFailure;

use super::scripted::{Act, Handshake, Scripted, Server, greet};
use super::support::{errors, is_within, requests};

const TARGET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);

fn load() -> Load {
    Load {
        connect_timeout: Duration::from_secs(1),
        reply_timeout: Duration::from_secs(2),
        ..requests(TARGET, 3, 20)
    }
}

/// Treats every fifth connection differently, and greets the others.
struct EveryFifth {
    handshake: Handshake,
    acts: Vec<(u64, Act)>,
}

impl Server for EveryFifth {
    fn handshake(&mut self, connection: usize, _: u64) -> Handshake {
        match connection % 5 {
            0 => self.handshake,
            _ => Handshake::Accept(1),
        }
    }

    fn request(&mut self, connection: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
        match connection % 5 {
            0 => self.acts.clone(),
            _ => greet(1),
        }
    }
}

/// Asserts that four of twenty requests fail with this class.
fn four_fail(load: &Load, server: EveryFifth, class: ErrorClass) -> Measurement {
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, load, &mut ());
    assert_eq!(measurement.errors, errors([(class, 4)]));
    assert_eq!(measurement.completed, 16, "{class:?}");
    let failed: u64 = measurement.seconds.iter().map(|s| s.failed).sum();
    assert_eq!(failed, 4, "{class:?}");
    assert_eq!(network.log.borrow().open, 0);
    measurement
}

#[test]
fn failed_handshakes_are_classified() {
    let failures = [
        (ConnectFailure::Refused, ErrorClass::Refused),
        (ConnectFailure::Unreachable, ErrorClass::Unreachable),
        (ConnectFailure::TimedOut, ErrorClass::ConnectTimeout),
        (ConnectFailure::LocalPorts, ErrorClass::LocalPorts),
        (ConnectFailure::LocalFiles, ErrorClass::LocalFiles),
    ];
    for (failure, class) in failures {
        for handshake in [Handshake::Fail(7, failure), Handshake::FailHere(failure)] {
            let acts = Vec::new();
            let measurement = four_fail(&load(), EveryFifth { handshake, acts }, class);
            assert_eq!(measurement.connect.len(), 16);
        }
    }
    let server = EveryFifth {
        handshake: Handshake::Drop,
        acts: Vec::new(),
    };
    let measurement = four_fail(&load(), server, ErrorClass::ConnectTimeout);
    let elapsed = measurement.elapsed.as_secs_f64();
    assert!((1.0..4.1).contains(&elapsed), "{elapsed} s");
}

#[test]
fn failed_replies_are_classified() {
    let hello = || Act::Send(b"Hello".to_vec());
    let cases = [
        (vec![(1, Act::Reset)], ErrorClass::ResetBeforeReply),
        (
            vec![(1, hello()), (1, Act::Reset)],
            ErrorClass::ResetInReply,
        ),
        (
            vec![(1, hello()), (9, Act::Reset)],
            ErrorClass::ResetInReply,
        ),
        (vec![(1, Act::Fin)], ErrorClass::ClosedEarly),
        (vec![], ErrorClass::ReplyTimeout),
        // The reply has a byte, but no end.
        (vec![(1, hello())], ErrorClass::ReplyTimeout),
        // The reply comes after the timeout.
        (greet(2001), ErrorClass::ReplyTimeout),
    ];
    for (acts, class) in cases {
        let handshake = Handshake::Accept(1);
        four_fail(&load(), EveryFifth { handshake, acts }, class);
    }
}

#[test]
fn reply_timeout_starts_at_the_connection() {
    let server = EveryFifth {
        handshake: Handshake::Accept(900),
        acts: Vec::new(),
    };
    let load = Load {
        ..requests(TARGET, 1, 1)
    };
    let load = Load {
        connect_timeout: Duration::from_secs(1),
        reply_timeout: Duration::from_secs(2),
        ..load
    };
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.elapsed, Duration::from_millis(2900));
}

#[test]
fn pattern_decides_whether_a_reply_is_valid() {
    let load = Load {
        expect: Expectation::Given(ReplyRule::Expect(Regex::new("World$").expect("valid"))),
        ..load()
    };
    let send = |text: &str| Act::Send(text.as_bytes().to_vec());
    let cases = [
        (
            vec![(1, send("Hello Moon")), (1, Act::Fin)],
            ErrorClass::WrongReply,
        ),
        (vec![(1, Act::Fin)], ErrorClass::ClosedEarly),
        (vec![(1, send("Hello Moon"))], ErrorClass::ReplyTimeout),
        (
            vec![(1, send("Hel")), (2, Act::Reset)],
            ErrorClass::ResetInReply,
        ),
    ];
    for (acts, class) in cases {
        let handshake = Handshake::Accept(1);
        four_fail(&load, EveryFifth { handshake, acts }, class);
    }
    // The reply comes in two pieces, from a server that stays open.
    let acts = vec![(1, send("Hello Wor")), (2, send("ld"))];
    let mut network = Scripted::new(move |_| acts.clone(), &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 20);
    let longest = measurement.complete.max() as f64;
    assert!(is_within(1.0, longest, 2e6), "{longest} ns");
}

#[test]
fn length_decides_whether_a_reply_is_valid() {
    let load = Load {
        expect: Expectation::Given(ReplyRule::Bytes(11.try_into().expect("not zero"))),
        ..load()
    };
    let send = |text: &str| Act::Send(text.as_bytes().to_vec());
    let cases = [
        (vec![(1, send("Hello World!"))], ErrorClass::WrongReply),
        (
            vec![(1, send("Hello")), (1, Act::Fin)],
            ErrorClass::ClosedEarly,
        ),
        (vec![(1, send("Hello"))], ErrorClass::ReplyTimeout),
    ];
    for (acts, class) in cases {
        let handshake = Handshake::Accept(1);
        four_fail(&load, EveryFifth { handshake, acts }, class);
    }
}
