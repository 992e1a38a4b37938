//! Closed loops: a number of connections with one request at a time each.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tcpctl_engine::engine;
use tcpctl_engine::engine::{Observer, Progress};
use tcpctl_engine::load::{Extent, Load};
use tcpctl_engine::measurement::ErrorClass;
use tcpctl_engine::readiness::{ConnectFailure, ConnectionInfo, Release};

use super::scripted::{Act, Handshake, Scripted, Server, greet};
use super::support::{MS, closed, complete_ms, errors, is_within, requests, seconds};

const TARGET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);

fn network<S: Server>(server: S, load: &Load) -> Scripted<S> {
    Scripted::new(server, &load.message)
}

#[test]
fn percentiles_match_the_servers_delays() {
    let load = requests(TARGET, 10, 10_000);
    // Replies after each of 1 to 1,000 ms ten times, shuffled.
    let mut network = network(|request| greet(request as u64 * 617 % 1000 + 1), &load);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 10_000);
    assert!(measurement.errors.is_empty());
    for (quantile, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (1.0, 1000.0)] {
        let found = complete_ms(&measurement, quantile);
        assert!(is_within(2.0, found, expected), "{quantile}: {found} ms");
    }
    assert_eq!(measurement.connect.max(), 0);
    assert_eq!(measurement.connect.len(), 10_000);
    assert_eq!(measurement.connections, 10);
    assert!(measurement.schedule_error.is_none());
    assert!(!measurement.interrupted);
}

#[test]
fn connect_first_byte_and_complete_are_separate() {
    struct Slow;
    impl Server for Slow {
        fn handshake(&mut self, _: usize, _: u64) -> Handshake {
            Handshake::Accept(20)
        }
        fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            vec![
                (30, Act::Send(b"Hello ".to_vec())),
                (40, Act::Send(b"World".to_vec())),
                (50, Act::Fin),
            ]
        }
    }
    let load = requests(TARGET, 1, 7);
    let measurement = engine::run(&mut network(Slow, &load), &load, &mut ());
    for (times, expected) in [
        (&measurement.connect, 20),
        (&measurement.first_byte, 50),
        (&measurement.complete, 70),
    ] {
        assert_eq!(times.len(), 7);
        assert_eq!(
            times.count_between(expected * MS, expected * MS),
            7,
            "{expected}"
        );
    }
    let totals = measurement.totals.expect("known to the script");
    assert_eq!(totals.syn_retransmissions, 7);
    assert_eq!(totals.retransmissions, 14);
    assert_eq!(totals.smoothed_rtt.expect("known").len(), 7);
    assert!(totals.min_rtt.is_none() && totals.receiver_limited.is_none());
}

#[test]
fn number_of_requests_is_exact() {
    for connections in [1, 3, 64, 100, 1000] {
        let load = requests(TARGET, connections, 100);
        let mut network = network(|_| greet(5), &load);
        let measurement = engine::run(&mut network, &load, &mut ());
        assert_eq!(measurement.completed, 100, "{connections} connections");
        assert_eq!(network.log.borrow().syns.len(), 100);
        assert!(network.log.borrow().max_open <= connections);
        assert_eq!(network.log.borrow().open, 0);
    }
}

#[test]
fn no_more_connections_than_requests() {
    for (connections, count) in [(100, 5), (5, 100)] {
        let load = requests(TARGET, connections, count);
        let measurement = engine::run(&mut network(|_| greet(10), &load), &load, &mut ());
        assert_eq!(measurement.completed, count);
        assert_eq!(measurement.connections, 5);
    }
}

#[test]
fn duration_ends_with_the_last_replies() {
    let load = Load {
        extent: seconds(2),
        ..requests(TARGET, 2, 1)
    };
    let mut network = network(|_| greet(300), &load);
    let measurement = engine::run(&mut network, &load, &mut ());
    // Each connection starts a request at 0, 300, ... 1800 ms; the last replies arrive at 2,100.
    assert_eq!(measurement.completed, 14);
    assert_eq!(measurement.elapsed, Duration::from_millis(2100));
    assert!(!measurement.interrupted);
}

#[test]
fn stall_delays_one_request_of_a_closed_loop() {
    let load = Load {
        extent: seconds(10),
        ..requests(TARGET, 1, 1)
    };
    let measurement = engine::run(&mut network(Stalls, &load), &load, &mut ());
    let late = measurement.complete.len() - measurement.complete.count_between(0, 50 * MS);
    assert_eq!(late, 1);
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 1000.0));
}

/// Replies after 10 ms, except between 5 and 6 s.
pub(crate) struct Stalls;

impl Server for Stalls {
    fn request(&mut self, _: usize, _: usize, now: u64) -> Vec<(u64, Act)> {
        greet(match now {
            5000..6000 => 6000 - now,
            _ => 10,
        })
    }
}

#[test]
fn results_per_second_are_recorded() {
    // Replies to 100 requests per second, then 10, then 2. A request counts in the second of its
    // reply.
    struct Slows;
    impl Server for Slows {
        fn request(&mut self, _: usize, _: usize, now: u64) -> Vec<(u64, Act)> {
            greet([10, 100, 500][(now / 1000).min(2) as usize])
        }
    }
    let load = Load {
        extent: seconds(3),
        ..requests(TARGET, 1, 1)
    };
    let measurement = engine::run(&mut network(Slows, &load), &load, &mut ());
    let completed: Vec<u64> = measurement.seconds.iter().map(|s| s.completed).collect();
    assert_eq!(completed, [99, 10, 2, 1]);
    let medians: Vec<u64> = measurement.seconds.iter().map(|s| s.p50 / MS).collect();
    assert_eq!(medians, [10, 100, 100, 500]);
    assert!(measurement.seconds.iter().all(|second| second.failed == 0));
}

#[test]
fn warm_up_requests_are_not_measured() {
    // A server that is slow at first and refuses some connections.
    struct SlowAtFirst;
    impl Server for SlowAtFirst {
        fn handshake(&mut self, connection: usize, now: u64) -> Handshake {
            if connection.is_multiple_of(2) && now < 2000 {
                return Handshake::Fail(1, ConnectFailure::Refused);
            }
            Handshake::Accept(0)
        }
        fn request(&mut self, _: usize, _: usize, now: u64) -> Vec<(u64, Act)> {
            greet(if now < 2000 { 100 } else { 1 })
        }
    }
    let load = Load {
        warm_up: Duration::from_secs(2),
        ..requests(TARGET, 1, 50)
    };
    let mut network = network(SlowAtFirst, &load);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 50);
    assert!(measurement.errors.is_empty());
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 1.0));
    assert!(
        network.log.borrow().syns.len() > 60,
        "requests were made during the warm-up"
    );
    assert!(measurement.elapsed < Duration::from_millis(200));
}

#[test]
fn refusals_back_off_and_are_all_counted() {
    struct Full;
    impl Server for Full {
        fn handshake(&mut self, _: usize, _: u64) -> Handshake {
            Handshake::Fail(0, ConnectFailure::Refused)
        }
        fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            unreachable!("every connection is refused")
        }
    }
    let load = Load {
        extent: seconds(20),
        ..requests(TARGET, 4, 1)
    };
    let mut network = network(Full, &load);
    let measurement = engine::run(&mut network, &load, &mut ());
    let attempts = network.log.borrow().syns.len() as u64;
    assert_eq!(
        measurement.errors,
        errors([(ErrorClass::Refused, attempts)])
    );
    // Waits of 10 ms, doubled up to 1,280, 25% more or less: 8 waits in 2.5 s, then 14 in 17.5 s.
    assert!((4 * 17..=4 * 29).contains(&attempts), "{attempts} attempts");
    assert_eq!(measurement.completed, 0);
    assert_eq!(measurement.connections, 4);
}

#[test]
fn success_resets_the_back_off() {
    struct Alternates;
    impl Server for Alternates {
        fn handshake(&mut self, connection: usize, _: u64) -> Handshake {
            match connection % 2 {
                0 => Handshake::Fail(0, ConnectFailure::Refused),
                _ => Handshake::Accept(0),
            }
        }
        fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            greet(0)
        }
    }
    let load = requests(TARGET, 1, 200);
    let measurement = engine::run(&mut network(Alternates, &load), &load, &mut ());
    assert_eq!(measurement.completed, 100);
    assert_eq!(measurement.errors, errors([(ErrorClass::Refused, 100)]));
    // A hundred first waits of 10 ms.
    let elapsed = measurement.elapsed.as_millis();
    assert!((800..1200).contains(&elapsed), "{elapsed} ms");
}

/// A server that is reachable for three seconds.
struct ReachableForThreeSeconds;

impl Server for ReachableForThreeSeconds {
    fn handshake(&mut self, _: usize, now: u64) -> Handshake {
        match now {
            ..3000 => Handshake::Accept(1),
            _ => Handshake::Fail(1, ConnectFailure::Unreachable),
        }
    }

    fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
        greet(9)
    }
}

#[test]
fn vanished_target_ends_the_run() {
    let load = Load {
        extent: Extent::Duration(Duration::from_mins(10)),
        gone_after: Some(Duration::from_secs(2)),
        ..requests(TARGET, 5, 1)
    };
    let measurement = engine::run(
        &mut network(ReachableForThreeSeconds, &load),
        &load,
        &mut (),
    );
    assert!(measurement.interrupted);
    assert_eq!(measurement.completed, 1500);
    assert!(measurement.errors[&ErrorClass::Unreachable] > 5);
    let elapsed = measurement.elapsed;
    assert!(elapsed >= Duration::from_secs(5) && elapsed < Duration::from_secs(8));
}

#[test]
fn target_is_not_gone_because_the_client_was_stopped() {
    // Refuses for 100 ms after the client has been stopped for 5 s.
    struct BusyAfterTheStop;
    impl Server for BusyAfterTheStop {
        fn handshake(&mut self, _: usize, now: u64) -> Handshake {
            match now {
                6_000..6_100 => Handshake::Fail(0, ConnectFailure::Refused),
                _ => Handshake::Accept(0),
            }
        }
        fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            vec![(500, Act::Reset)]
        }
    }
    let load = Load {
        extent: Extent::Duration(Duration::from_secs(10)),
        gone_after: Some(Duration::from_secs(2)),
        ..requests(TARGET, 1, 1)
    };
    let mut network = network(BusyAfterTheStop, &load);
    network.stop = Some((1_000, 5_000));
    let measurement = engine::run(&mut network, &load, &mut ());
    assert!(measurement.errors.contains_key(&ErrorClass::Refused));
    assert!(!measurement.target_gone, "{:?}", measurement.errors);
    assert!(measurement.late_wake_ups >= Duration::from_millis(4_800));
}

#[test]
fn stopped_run_keeps_its_results() {
    struct StopAfter {
        seen: Vec<Progress>,
    }
    impl Observer for StopAfter {
        fn progress(&mut self, progress: &Progress) {
            self.seen.push(progress.clone());
        }
        fn should_stop(&self) -> bool {
            let last = self.seen.last();
            last.is_some_and(|progress| progress.elapsed >= Duration::from_millis(2500))
        }
    }
    let load = requests(TARGET, 3, 1_000_000);
    let mut network = network(|_| greet(100), &load);
    let mut observer = StopAfter { seen: Vec::new() };
    let measurement = engine::run(&mut network, &load, &mut observer);
    assert!(measurement.interrupted);
    assert_eq!(measurement.elapsed, Duration::from_millis(2500));
    assert!((72..=75).contains(&measurement.completed));
    assert_eq!(network.log.borrow().open, 0, "all connections are closed");
    let last = observer.seen.last().expect("progress every 100 ms");
    assert!((24..=26).contains(&observer.seen.len()));
    assert_eq!(last.in_flight, 3);
    assert_eq!(last.p50 / MS, 100);
    assert_eq!(last.seconds.len(), 2);
    assert!((27..=30).contains(&last.seconds[1].completed));
}

#[test]
fn sources_rotate_and_close_mode_is_used() {
    let sources: Vec<IpAddr> = (1..=3)
        .map(|n| Ipv4Addr::new(127, 0, 0, n).into())
        .collect();
    for close in [Release::Fin, Release::Reset] {
        let load = Load {
            sources: sources.clone(),
            close,
            ..requests(TARGET, 2, 30)
        };
        let mut network = network(|_| greet(1), &load);
        engine::run(&mut network, &load, &mut ());
        let log = Rc::clone(&network.log);
        for &source in &sources {
            let used = log
                .borrow()
                .syns
                .iter()
                .filter(|(_, s)| *s == Some(source))
                .count();
            assert_eq!(used, 10, "{source}");
        }
        assert_eq!(log.borrow().released, [close; 30]);
    }
}

#[test]
fn long_message_is_sent_in_parts() {
    let load = Load {
        message: vec![b'x'; 1000],
        ..requests(TARGET, 1, 3)
    };
    let mut network = network(|_| greet(1), &load);
    network.write_at_a_time = 300;
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 3);
    // Three waits of 1 ms for buffer space, and 1 ms for the reply.
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 4.0));
}

#[test]
fn empty_message_waits_for_the_server() {
    let load = Load {
        message: Vec::new(),
        ..requests(TARGET, 2, 10)
    };
    let measurement = engine::run(&mut network(|_| greet(3), &load), &load, &mut ());
    assert_eq!(measurement.completed, 10);
    assert!(is_within(1.0, complete_ms(&measurement, 0.5), 3.0));
}

#[test]
fn many_connections_do_not_start_in_one_burst() {
    let load = Load {
        pace: closed(1000),
        ..requests(TARGET, 1000, 1000)
    };
    let mut network = network(|_| greet(5), &load);
    engine::run(&mut network, &load, &mut ());
    assert_eq!(network.log.borrow().max_open, 1000);
    assert!(network.log.borrow().longest_burst <= 64);
}

#[test]
fn long_reply_does_not_block_others() {
    let server = |request| match request {
        0 => vec![(1, Act::Send(vec![b'x'; 10_000_000])), (1, Act::Fin)],
        _ => greet(1),
    };
    let load = requests(TARGET, 2, 10);
    let measurement = engine::run(&mut network(server, &load), &load, &mut ());
    assert_eq!(measurement.completed, 10);
    assert!(measurement.errors.is_empty());
}

#[test]
fn late_client_does_not_lengthen_handshakes() {
    struct Slow;
    impl Server for Slow {
        fn handshake(&mut self, _: usize, _: u64) -> Handshake {
            Handshake::Accept(20)
        }
        fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            greet(10)
        }
    }
    let load = requests(TARGET, 1, 20);
    let mut network = network(Slow, &load);
    network.info = ConnectionInfo {
        smoothed_rtt: Some(Duration::from_millis(20)),
        ..ConnectionInfo::default()
    };
    // Stop in the middle of the fourth handshake.
    network.stop = Some((95, 500));
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 20);
    assert!(measurement.elapsed >= Duration::from_secs(1));
    assert_eq!(measurement.connect.max() / MS, 20);
}
