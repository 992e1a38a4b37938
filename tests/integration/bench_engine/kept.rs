//! Kept connections: ping-pong, and how long a reply is that nothing ends.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use regex::bytes::Regex;
use tcpctl_engine::engine;
use tcpctl_engine::load::{Expectation, Load, Reuse};
use tcpctl_engine::measurement::ErrorClass;

use super::scripted::{Act, Scripted, Server};
use super::support::{complete_ms, errors, is_within, open, requests, seconds};

const TARGET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);

fn load(connections: usize, count: u64) -> Load {
    Load {
        reuse: Reuse::KeepAlive,
        expect: Expectation::Learn,
        ..requests(TARGET, connections, count)
    }
}

fn say(text: &str) -> Act {
    Act::Send(text.as_bytes().to_vec())
}

#[test]
fn a_connection_carries_many_requests() {
    let load = load(5, 1000);
    let mut network = Scripted::new(|_| vec![(4, say("pong"))], &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 1000);
    assert!(measurement.errors.is_empty());
    assert!(measurement.keep_alive);
    assert_eq!(network.log.borrow().syns.len(), 5);
    assert_eq!(measurement.connect.len(), 5);
    assert_eq!(measurement.first_byte.len(), 1000);
    let totals = measurement.totals.as_ref().expect("known");
    assert_eq!(totals.syn_retransmissions, 5);
    // The first replies, too: they were complete with their last byte, not with the silence.
    assert!(is_within(1.0, complete_ms(&measurement, 0.0), 4.0));
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 4.0));
}

#[test]
fn a_first_reply_in_two_pieces_is_learned_whole() {
    let load = load(1, 50);
    let acts = vec![(2, say("po")), (202, say("ng"))];
    let mut network = Scripted::new(move |_| acts.clone(), &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 50);
    assert!(is_within(1.0, complete_ms(&measurement, 0.0), 202.0));
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 202.0));
}

#[test]
fn a_reply_of_another_length_is_a_wrong_one() {
    // The 10th says more, the 20th less, and goes.
    let server = |request| match request {
        10 => vec![(1, say("pong!"))],
        20 => vec![(1, say("pon")), (1, Act::Fin)],
        _ => vec![(1, say("pong"))],
    };
    let load = load(1, 30);
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    let expected = [(ErrorClass::WrongReply, 1), (ErrorClass::ClosedEarly, 1)];
    assert_eq!(measurement.errors, errors(expected));
    assert_eq!(measurement.completed, 28);
    assert_eq!(network.log.borrow().syns.len(), 3);
}

#[test]
fn bytes_between_two_replies_spoil_the_next() {
    let server = |request| match request {
        10 => vec![(1, say("pong")), (1, say("?"))],
        _ => vec![(1, say("pong"))],
    };
    let load = load(1, 30);
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.errors, errors([(ErrorClass::WrongReply, 1)]));
    assert_eq!(measurement.completed, 29);
}

#[test]
fn a_server_that_keeps_no_connections_gets_a_new_one_each_time() {
    let server = |_| vec![(1, say("pong")), (2, Act::Fin)];
    let load = load(3, 30);
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 30);
    assert!(measurement.errors.is_empty());
    assert_eq!(measurement.connect.len(), 30);
}

#[test]
fn a_server_that_turns_some_away_keeps_the_others() {
    /// Has room for two, and closes what comes beyond without a word.
    struct Small;
    impl Server for Small {
        fn request(&mut self, connection: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            match connection {
                0 | 1 => vec![(5, say("pong"))],
                _ => vec![(1, Act::Fin)],
            }
        }
    }
    let load = load(4, 100);
    let mut network = Scripted::new(Small, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    let turned_away = 100 - measurement.completed;
    let expected = errors([(ErrorClass::ClosedEarly, turned_away)]);
    assert_eq!(measurement.errors, expected);
    assert!(measurement.completed > 50, "{}", measurement.completed);
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 5.0));
}

#[test]
fn a_server_that_closes_now_and_then_is_connected_to_again() {
    // Every tenth reply is its connection's last: nobody has failed.
    let server = |request| match request % 10 {
        9 => vec![(1, say("pong")), (1, Act::Fin)],
        _ => vec![(1, say("pong"))],
    };
    let load = load(1, 100);
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 100);
    assert!(measurement.errors.is_empty());
    assert_eq!(network.log.borrow().syns.len(), 10);
}

#[test]
fn a_pattern_ends_a_reply_whose_rest_is_dropped() {
    let server = |_| vec![(1, say("temp=2")), (2, say("3.5\r\n>"))];
    let load = Load {
        expect: Expectation::Match(Regex::new(r"temp=\d+\.\d\r\n").expect("valid")),
        ..load(2, 40)
    };
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 40);
    assert_eq!(network.log.borrow().syns.len(), 2);
}

#[test]
fn an_echo_of_more_than_fits_is_read_while_it_is_sent() {
    struct Echo;
    impl Server for Echo {
        fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            vec![(1, Act::Send(vec![b'x'; 200_000]))]
        }
    }
    let load = Load {
        message: vec![b'x'; 200_000],
        expect: Expectation::Length(200_000.try_into().expect("not zero")),
        ..load(1, 5)
    };
    let mut network = Scripted::new(Echo, &load.message);
    network.write_at_a_time = 50_000;
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 5);
}

#[test]
fn an_open_loop_takes_idle_connections_before_new_ones() {
    let load = Load {
        pace: open(100.0, 1000),
        extent: seconds(10),
        ..load(1, 1)
    };
    // 35 ms at 100 a second: four on their way at a time.
    let mut network = Scripted::new(|_| vec![(35, say("pong"))], &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 1000);
    let opened = network.log.borrow().syns.len();
    // Until the first reply is known to be one, each request needs a connection of its own.
    assert!((4..=40).contains(&opened), "{opened} connections");
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 35.0));
}

#[test]
fn idle_connections_that_the_server_closes_are_not_used() {
    // It closes 5 ms after each reply, and the next request comes after 10.
    let server = |_| vec![(1, say("pong")), (6, Act::Fin)];
    let load = Load {
        pace: open(100.0, 10),
        expect: Expectation::Length(4.try_into().expect("not zero")),
        extent: seconds(1),
        ..load(1, 1)
    };
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 100);
    assert!(measurement.errors.is_empty(), "{:?}", measurement.errors);
    assert_eq!(network.log.borrow().syns.len(), 100);
}
