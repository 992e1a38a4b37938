//! The end of a reply: given, or learned from servers that keep connections open.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use regex::bytes::Regex;
use tcpctl_engine::engine;
use tcpctl_engine::load::{Expectation, Load, ReplyRule, Reuse, RuleKind};
use tcpctl_engine::measurement::{ErrorClass, Measurement};

use super::scripted::{Act, Scripted, Server};
use super::support::{complete_ms, errors, is_within, open, requests, seconds};

const TARGET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);

/// A load without a given rule, on kept connections.
fn kept(connections: usize, count: u64) -> Load {
    Load {
        reuse: Reuse::KeepAlive,
        ..fresh(connections, count)
    }
}

/// A load without a given rule, with one request per connection.
fn fresh(connections: usize, count: u64) -> Load {
    Load {
        expect: Expectation::Learn,
        ..requests(TARGET, connections, count)
    }
}

fn send(text: &str) -> Act {
    Act::Send(text.as_bytes().to_vec())
}

fn run(load: &Load, server: impl Server) -> Measurement {
    let mut network = Scripted::new(server, &load.message);
    network.fin_after = Some(1);
    engine::run(&mut network, load, &mut ())
}

fn assert_rule(measurement: &Measurement, kind: RuleKind, mismatches: u64) {
    let rule = measurement.reply_rule;
    assert_eq!((rule.kind, rule.mismatches), (Some(kind), mismatches));
    assert!(measurement.errors.is_empty(), "{:?}", measurement.errors);
}

#[test]
fn kept_connection_carries_many_requests() {
    let load = kept(5, 1000);
    let mut network = Scripted::new(|_| vec![(4, send("pong"))], &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 1000);
    assert_rule(&measurement, RuleKind::Bytes, 0);
    assert!(measurement.keep_alive);
    assert_eq!(network.log.borrow().syns.len(), 5);
    assert_eq!(measurement.connect.len(), 5);
    assert_eq!(measurement.first_byte.len(), 1000);
    let totals = measurement.totals.as_ref().expect("known");
    assert_eq!(totals.syn_retransmissions, 5);
    // The silence after the first replies is not part of their time.
    assert!(is_within(1.0, complete_ms(&measurement, 0.0), 4.0));
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 4.0));
}

#[test]
fn keep_open_server_works_with_new_connections() {
    let load = fresh(4, 400);
    let mut network = Scripted::new(|_| vec![(4, send("pong\n"))], &load.message);
    network.fin_after = Some(2);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 400);
    assert_rule(&measurement, RuleKind::Bytes, 0);
    assert_eq!(network.log.borrow().syns.len(), 400);
    assert!(network.log.borrow().max_open <= 4);
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 4.0));
}

#[test]
fn next_connection_waits_for_the_servers_fin() {
    let load = Load {
        expect: Expectation::Given(ReplyRule::Bytes(4.try_into().expect("not zero"))),
        ..fresh(1, 100)
    };
    let mut network = Scripted::new(|_| vec![(4, send("pong"))], &load.message);
    network.fin_after = Some(6);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 100);
    // 4 ms for the reply and 6 ms for the FIN. The last FIN is not waited for.
    assert_eq!(measurement.elapsed, Duration::from_millis(994));
}

#[test]
fn server_without_a_fin_is_waited_for_only_twice() {
    let load = Load {
        expect: Expectation::Given(ReplyRule::Bytes(4.try_into().expect("not zero"))),
        ..fresh(1, 100)
    };
    let mut network = Scripted::new(|_| vec![(4, send("pong"))], &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 100);
    assert_eq!(measurement.elapsed, Duration::from_millis(400 + 2 * 250));
}

#[test]
fn learning_stops_the_loads_clock() {
    for reuse in [Reuse::PerRequest, Reuse::KeepAlive] {
        let load = Load {
            extent: seconds(1),
            reuse,
            ..kept(1, 1)
        };
        let mut network = Scripted::new(|_| vec![(10, send("pong"))], &load.message);
        network.fin_after = Some(0);
        let measurement = engine::run(&mut network, &load, &mut ());
        assert_eq!(measurement.window, Duration::from_secs(1));
        let completed = measurement.completed_in_window;
        assert!((99..=101).contains(&completed), "{reuse:?}: {completed}");
    }
}

#[test]
fn single_learned_reply_has_a_rate() {
    let measurement = run(&kept(1, 1), |_| vec![(10, send("pong"))]);
    assert_eq!(measurement.completed_in_window, 1);
    assert_eq!(measurement.window, Duration::from_millis(10));
}

#[test]
fn learning_does_not_delay_the_schedule() {
    let load = Load {
        pace: open(100.0, 1000),
        extent: seconds(10),
        ..kept(1, 1)
    };
    // Replies take 35 ms at 100 per second, so four are in flight at a time.
    let mut network = Scripted::new(|_| vec![(35, send("pong"))], &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 1000);
    let opened = network.log.borrow().syns.len();
    assert!((4..=5).contains(&opened), "{opened} connections");
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 35.0));
    assert_eq!(measurement.schedule_error.expect("open loop").max(), 0);
}

#[test]
fn reply_in_two_segments_is_learned_whole() {
    for gap in [20, 200] {
        for load in [kept(2, 50), fresh(2, 50)] {
            let acts = vec![(2, send("po")), (2 + gap, send("ng"))];
            let measurement = run(&load, move |_| acts.clone());
            assert_eq!(measurement.completed, 50);
            assert_rule(&measurement, RuleKind::Bytes, 0);
            let expected = (2 + gap) as f64;
            assert!(is_within(1.0, complete_ms(&measurement, 0.0), expected));
            assert!(is_within(1.0, complete_ms(&measurement, 1.0), expected));
        }
    }
}

#[test]
fn line_echo_and_binary_replies_are_learned() {
    let binary = b"\0\0\0\x05hello".to_vec();
    for bytes in [b"Hello TCP world!\r\n".to_vec(), binary] {
        for load in [kept(4, 200), fresh(4, 200)] {
            let reply = bytes.clone();
            let measurement = run(&load, move |_| vec![(3, Act::Send(reply.clone()))]);
            assert_eq!(measurement.completed, 200);
            assert_rule(&measurement, RuleKind::Bytes, 0);
        }
    }
}

/// A greeting on each new connection, then one reply per command.
struct GreetsFirst {
    greeted: Vec<usize>,
}

impl Server for GreetsFirst {
    fn request(&mut self, connection: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
        if self.greeted.contains(&connection) {
            return vec![(5, send("250 ok\r\n"))];
        }
        self.greeted.push(connection);
        vec![(1, send("220 ready\r\n")), (5, send("250 ok\r\n"))]
    }
}

#[test]
fn greeting_belongs_to_the_first_reply_only() {
    for load in [kept(3, 200), fresh(3, 200)] {
        let greeted = Vec::new();
        let measurement = run(&load, GreetsFirst { greeted });
        assert_eq!(measurement.completed, 200);
        assert_rule(&measurement, RuleKind::Bytes, 0);
        assert!(is_within(1.0, complete_ms(&measurement, 1.0), 5.0));
    }
}

#[test]
fn length_that_changes_becomes_a_number_of_lines() {
    for load in [kept(1, 300), fresh(1, 300)] {
        let count = |request| vec![(3, send(&format!("count={request}\n")))];
        let measurement = run(&load, count);
        assert_eq!(measurement.completed, 300);
        assert_rule(&measurement, RuleKind::Lines, 2);
        assert!(is_within(1.0, complete_ms(&measurement, 1.0), 3.0));
    }
}

#[test]
fn shorter_reply_is_noticed() {
    let countdown = |request: usize| vec![(3, send(&format!("left={}\n", 120 - request)))];
    let measurement = run(&kept(1, 100), countdown);
    assert_eq!(measurement.completed, 100);
    assert_rule(&measurement, RuleKind::Lines, 1);
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 3.0));
}

#[test]
fn replies_without_any_pattern_end_by_silence() {
    let varying = |request: usize| vec![(3, Act::Send(vec![0; 10 + request % 3]))];
    let measurement = run(&kept(1, 20), varying);
    assert_eq!(measurement.completed, 20);
    assert_rule(&measurement, RuleKind::Idle, 0);
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 3.0));
}

#[test]
fn single_reply_of_another_length_is_no_failure() {
    let server = |request| match request {
        10 => vec![(1, send("pong!"))],
        20 => vec![(1, send("pon")), (1, Act::Fin)],
        _ => vec![(1, send("pong"))],
    };
    let load = kept(1, 30);
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 30);
    assert_rule(&measurement, RuleKind::Bytes, 2);
    assert_eq!(network.log.borrow().syns.len(), 3);
}

#[test]
fn bytes_between_replies_close_the_connection() {
    let server = |request| match request {
        10 => vec![(1, send("pong")), (1, send("?"))],
        _ => vec![(1, send("pong"))],
    };
    let load = kept(1, 30);
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 30);
    assert_rule(&measurement, RuleKind::Bytes, 1);
}

/// Replies, then sends a byte every `interval` milliseconds.
fn heartbeat(interval: u64) -> impl FnMut(usize) -> Vec<(u64, Act)> {
    move |_| {
        let beats = (1..100).map(|beat| (2 + beat * interval, send(".")));
        std::iter::once((2, send("pong"))).chain(beats).collect()
    }
}

#[test]
fn heartbeat_after_the_reply_is_not_part_of_it() {
    for interval in [100, 300, 1000] {
        let measurement = run(&fresh(2, 100), heartbeat(interval));
        assert_eq!(measurement.completed, 100);
        assert_rule(&measurement, RuleKind::Bytes, 0);
        assert!(is_within(1.0, complete_ms(&measurement, 1.0), 2.0));
    }
}

#[test]
fn endless_reply_obeys_duration_and_timeout() {
    let chatter = |_| (0..900).map(|at| (at * 20, send("x"))).collect::<Vec<_>>();
    for reuse in [Reuse::KeepAlive, Reuse::PerRequest] {
        let load = Load {
            extent: seconds(1),
            reuse,
            reply_timeout: Duration::from_secs(10),
            ..kept(1, 1)
        };
        let measurement = run(&load, chatter);
        assert!(measurement.elapsed < Duration::from_secs(4));
        assert_eq!(measurement.errors, errors([(ErrorClass::ReplyTimeout, 1)]));
        let load = Load {
            reply_timeout: Duration::from_secs(3),
            ..kept(1, 1)
        };
        let measurement = run(&load, chatter);
        assert!(is_within(1.0, measurement.elapsed.as_secs_f64(), 3.0));
    }
}

#[test]
fn server_that_closes_gets_new_connections() {
    let server = |_| vec![(1, send("pong")), (2, Act::Fin)];
    for load in [kept(3, 30), fresh(3, 30)] {
        let measurement = run(&load, server);
        assert_eq!(measurement.completed, 30);
        assert_rule(&measurement, RuleKind::Close, 0);
        assert_eq!(measurement.connect.len(), 30);
    }
}

#[test]
fn server_that_closes_late_keeps_the_learned_rule() {
    let load = Load {
        expect: Expectation::Learned(tcpctl_engine::load::LearnedRule::Close),
        ..fresh(1, 10)
    };
    let measurement = run(&load, |_| vec![(1, send("pong")), (400, Act::Fin)]);
    assert_eq!(measurement.completed, 10);
    assert_rule(&measurement, RuleKind::Close, 0);
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 400.0));
}

#[test]
fn connections_closed_without_a_reply_fail_alone() {
    /// Serves two connections, and closes the others without a reply.
    struct Small;
    impl Server for Small {
        fn request(&mut self, connection: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            match connection {
                0 | 1 => vec![(5, send("pong"))],
                _ => vec![(1, Act::Fin)],
            }
        }
    }
    let load = kept(4, 100);
    let measurement = run(&load, Small);
    let rejected = 100 - measurement.completed;
    let expected = errors([(ErrorClass::ClosedEarly, rejected)]);
    assert_eq!(measurement.errors, expected);
    assert!(measurement.completed > 50, "{}", measurement.completed);
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 5.0));
}

#[test]
fn connection_closed_now_and_then_is_reopened() {
    let server = |request| match request % 10 {
        9 => vec![(1, send("pong")), (1, Act::Fin)],
        _ => vec![(1, send("pong"))],
    };
    let load = kept(1, 100);
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 100);
    assert!(measurement.errors.is_empty());
    assert_eq!(network.log.borrow().syns.len(), 10);
}

#[test]
fn bytes_after_a_pattern_are_dropped() {
    let server = |_| vec![(1, send("temp=2")), (2, send("3.5\r\n>"))];
    let pattern = Regex::new(r"temp=\d+\.\d\r\n").expect("valid");
    let load = Load {
        expect: Expectation::Given(ReplyRule::Expect(pattern)),
        ..kept(2, 40)
    };
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 40);
    assert_eq!(network.log.borrow().syns.len(), 2);
}

#[test]
fn given_lines_and_silence_end_replies() {
    let server = |_| vec![(1, send("one\n")), (6, send("two\n"))];
    let lines = |lines: u64| ReplyRule::Lines(lines.try_into().expect("not zero"));
    for (rule, time) in [
        (lines(2), 6.0),
        (ReplyRule::Idle(Duration::from_millis(50)), 6.0),
    ] {
        let load = Load {
            expect: Expectation::Given(rule),
            ..kept(1, 20)
        };
        let measurement = run(&load, server);
        assert_eq!(measurement.completed, 20);
        assert!(is_within(1.0, complete_ms(&measurement, 1.0), time));
    }
}

#[test]
fn echo_larger_than_the_buffers_is_read_while_sending() {
    struct Echo;
    impl Server for Echo {
        fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            vec![(1, Act::Send(vec![b'x'; 200_000]))]
        }
    }
    let load = Load {
        message: vec![b'x'; 200_000],
        expect: Expectation::Given(ReplyRule::Bytes(200_000.try_into().expect("not zero"))),
        ..kept(1, 5)
    };
    let mut network = Scripted::new(Echo, &load.message);
    network.write_at_a_time = 50_000;
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 5);
}

#[test]
fn idle_connections_closed_by_the_server_are_not_used() {
    // The server closes 5 ms after each reply, and the next request starts after 10 ms.
    let server = |_| vec![(1, send("pong")), (6, Act::Fin)];
    let load = Load {
        pace: open(100.0, 10),
        expect: Expectation::Given(ReplyRule::Bytes(4.try_into().expect("not zero"))),
        extent: seconds(1),
        ..kept(1, 1)
    };
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 100);
    assert!(measurement.errors.is_empty(), "{:?}", measurement.errors);
    assert_eq!(network.log.borrow().syns.len(), 100);
}
