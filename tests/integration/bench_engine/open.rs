//! Open loops: a schedule that a slow server does not delay.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::iterators::IterationValue;
use hdrhistogram::serialization::Deserializer;
use tcpctl_engine::engine;
use tcpctl_engine::load::{Detail, Load};
use tcpctl_engine::measurement::{ErrorClass, SecondHistograms, Timed};
use tcpctl_engine::readiness::ConnectFailure;

use super::closed::Stalls;
use super::scripted::{Act, Handshake, Scripted, Server, greet};
use super::support::{MS, closed, complete_ms, count, errors, is_within, open, requests, seconds};

const TARGET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);

fn load(per_second: f64, max_in_flight: usize) -> Load {
    Load {
        pace: open(per_second, max_in_flight),
        extent: seconds(10),
        ..requests(TARGET, 1, 1)
    }
}

#[test]
fn slow_server_does_not_delay_the_schedule() {
    let load = load(50.0, 1000);
    let mut network = Scripted::new(|_| greet(3000), &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 500);
    assert_eq!(measurement.target_rate, Some(50.0));
    let expected: Vec<u64> = (0..500).map(|n| n * 20).collect();
    let starts: Vec<u64> = network
        .log
        .borrow()
        .syns
        .iter()
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(starts, expected);
    assert_eq!(measurement.connections, 150, "3 s at 50 per second");
    assert_eq!(
        measurement.elapsed,
        Duration::from_secs(13) - Duration::from_millis(20)
    );
    let lateness = measurement.schedule_error.expect("an open loop");
    assert_eq!((lateness.len(), lateness.max()), (500, 0));
}

#[test]
fn stall_delays_every_request_of_an_open_loop() {
    // Coordinated omission would show one late request and never send the others.
    let load = load(100.0, 1000);
    let mut network = Scripted::new(Stalls, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 1000);
    let slower =
        |ms: u64| measurement.complete.len() - measurement.complete.count_between(0, ms * MS);
    // 1,000 ms, 990, 980, ...: a hundred requests start during the stall.
    for ms in [900, 500, 100, 50] {
        let expected = (1000 - ms) / 10;
        assert!(
            slower(ms).abs_diff(expected) <= 1,
            "{} over {ms}",
            slower(ms)
        );
    }
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 1000.0));
}

#[test]
fn latency_counts_from_the_intended_start() {
    // With 100 ms per request and 5 in flight, the rate is 50 per second of the requested 100.
    let load = load(100.0, 5);
    let mut network = Scripted::new(|_| greet(100), &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 1000);
    assert_eq!(measurement.connections, 5);
    assert_eq!(network.log.borrow().max_open, 5);
    assert_eq!(measurement.elapsed, Duration::from_millis(20_040));
    // The last request was due at 9.99 s and completes at 20.04 s.
    assert!(is_within(1.0, complete_ms(&measurement, 1.0), 10_050.0));
    let lateness = measurement.schedule_error.expect("an open loop");
    assert!(is_within(1.0, lateness.max() as f64 / MS as f64, 9_950.0));
}

#[test]
fn server_that_never_catches_up_interrupts_the_run() {
    let load = Load {
        connect_timeout: Duration::from_secs(1),
        reply_timeout: Duration::from_secs(4),
        ..load(100.0, 5)
    };
    let mut network = Scripted::new(|_| greet(1000), &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert!(measurement.interrupted);
    let elapsed = measurement.elapsed.as_secs_f64();
    assert!(is_within(1.0, elapsed, 15.0), "{elapsed} s");
    assert!((70..=75).contains(&measurement.completed));
}

#[test]
fn number_of_requests_excludes_the_warm_up() {
    let load = Load {
        extent: count(123),
        warm_up: Duration::from_secs(1),
        ..load(100.0, 10)
    };
    let mut network = Scripted::new(|_| greet(5), &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.completed, 123);
    assert_eq!(network.log.borrow().syns.len(), 223);
    assert_eq!(measurement.schedule_error.expect("open").len(), 123);
}

#[test]
fn refusals_keep_the_schedule() {
    struct Full;
    impl Server for Full {
        fn handshake(&mut self, _: usize, _: u64) -> Handshake {
            Handshake::Fail(1, ConnectFailure::Refused)
        }
        fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            unreachable!("every connection is refused")
        }
    }
    let load = load(20.0, 10);
    let mut network = Scripted::new(Full, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.errors, errors([(ErrorClass::Refused, 200)]));
    assert_eq!(network.log.borrow().syns.len(), 200);
    let failed: Vec<u64> = measurement.seconds.iter().map(|s| s.failed).collect();
    assert_eq!(failed, [20; 10]);
}

#[test]
fn distributions_per_second_add_up() {
    let load = Load {
        detail: Detail::Seconds,
        ..load(50.0, 1000)
    };
    let stalls = |request| {
        greet(if (100..150).contains(&request) {
            900
        } else {
            20
        })
    };
    let mut network = Scripted::new(stalls, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(
        measurement.second_histograms.len(),
        measurement.seconds.len()
    );
    let wholes = [
        &measurement.connect,
        &measurement.first_byte,
        &measurement.complete,
        measurement.schedule_error.as_ref().expect("an open loop"),
    ];
    for (timed, whole) in Timed::ALL.into_iter().zip(wholes) {
        let mut sum = Histogram::<u64>::new(3).expect("three digits");
        for SecondHistograms(second) in &measurement.second_histograms {
            if second[timed as usize].is_empty() {
                continue;
            }
            let part: Histogram<u64> = Deserializer::new()
                .deserialize(&mut second[timed as usize].as_slice())
                .expect("a V2 histogram");
            sum.add(part).expect("it grows");
        }
        let samples = |times: &Histogram<u64>| {
            let recorded = times.iter_recorded();
            let sample = |at: IterationValue<u64>| (at.value_iterated_to(), at.count_at_value());
            recorded.map(sample).collect::<Vec<_>>()
        };
        assert_eq!(whole.len(), 500, "{timed:?}");
        assert_eq!(samples(&sum), samples(&whole.histogram()), "{timed:?}");
    }
    let longest: Vec<u64> = measurement
        .second_histograms
        .iter()
        .map(|SecondHistograms(second)| {
            let complete = &mut second[Timed::Complete as usize].as_slice();
            let times: Histogram<u64> = Deserializer::new().deserialize(complete).expect("filled");
            times.max() / MS
        })
        .collect();
    // Delayed requests start in the third second, and most end in the fourth. The last request ends
    // with the tenth, when the eleventh begins.
    assert_eq!(longest, [20, 20, 900, 900, 20, 20, 20, 20, 20, 20, 20]);
}

#[test]
fn starts_missed_by_a_stopped_client_are_not_made_up_for() {
    let load = load(100.0, 1000);
    let mut network = Scripted::new(|_| greet(5), &load.message);
    network.stop = Some((3_000, 2_000));
    let measurement = engine::run(&mut network, &load, &mut ());
    let late = measurement.errors.get(&ErrorClass::LocalLate).copied();
    assert_eq!(late, Some(195), "2 s at 100/s, less the last 50 ms");
    assert_eq!(measurement.errors.len(), 1);
    assert_eq!(measurement.completed, 805);
    assert!(network.log.borrow().longest_burst <= 6);
    let late = measurement.late_starts;
    // The missed requests, those of the last 50 ms of the stop, and the one after them.
    assert_eq!((late.requests, late.failed), (201, 195), "{late:?}");
    // It would have woken up for a request of the schedule.
    let overslept = measurement.late_wake_ups;
    assert_eq!(overslept.as_millis() / 10, 200, "{overslept:?}");
}

/// Accepts one connection per millisecond.
struct OneAtATime {
    last: Option<u64>,
}

impl Server for OneAtATime {
    fn handshake(&mut self, _: usize, now: u64) -> Handshake {
        if self.last.replace(now) == Some(now) {
            return Handshake::Fail(0, ConnectFailure::Refused);
        }
        Handshake::Accept(0)
    }

    fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
        greet(5)
    }
}

#[test]
fn failures_after_late_starts_are_counted_separately() {
    let load = load(100.0, 1000);
    let mut network = Scripted::new(OneAtATime { last: None }, &load.message);
    network.stop = Some((3_000, 35));
    let measurement = engine::run(&mut network, &load, &mut ());
    // Three or four start at the end of the stop. The first is accepted.
    let late = measurement.late_starts;
    let refused = measurement.errors[&ErrorClass::Refused];
    assert!((2..=3).contains(&refused), "{refused}");
    assert_eq!(late.failed, refused);
    // Includes the requests that started soon after the late ones.
    assert!(
        late.requests > refused && late.requests <= refused + 3,
        "{late:?}"
    );
    // One SYN retransmission for each connection that was closed.
    assert_eq!(late.syn_retransmissions, late.requests, "{late:?}");
    assert_eq!(measurement.errors.len(), 1);
}

#[test]
fn rate_excludes_the_drain() {
    // 199 of 200 requests are answered, and the drain waits 10 s for the other one.
    let load = Load {
        extent: seconds(2),
        ..load(100.0, 1000)
    };
    let server = |request| if request == 7 { Vec::new() } else { greet(5) };
    let mut network = Scripted::new(server, &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.window, Duration::from_secs(2));
    assert_eq!(measurement.completed_in_window, 199);
    assert!(measurement.elapsed > Duration::from_secs(10));
    for pace in [load.pace, closed(1)] {
        let load = Load {
            extent: count(200),
            pace,
            ..load.clone()
        };
        let mut network = Scripted::new(server, &load.message);
        let measurement = engine::run(&mut network, &load, &mut ());
        assert_eq!(measurement.completed_in_window, 199);
    }
    // The schedule lasts a period longer than the start of its last request.
    let load = Load {
        extent: count(10),
        ..load
    };
    let mut network = Scripted::new(|_| greet(5), &load.message);
    let measurement = engine::run(&mut network, &load, &mut ());
    assert_eq!(measurement.window, Duration::from_millis(100));
}
