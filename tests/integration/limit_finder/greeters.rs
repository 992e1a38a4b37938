//! Servers that greet first and close. Their connections cannot be held, but their burst is
//! measured.

use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;
use tcpctl::bench::limits::{
    self, FailureReason, LimitsFinding, LimitsPlan, LimitsProgress, SearchEnd,
};
use tcpctl::bench::report::{Bound, Overflow};

use super::matrix::{brief, check, find, plan};
use super::network::Simulated;
use super::server::{App, Beyond, Crash, Greeting, Server, Stack};

const MS: Duration = Duration::from_millis(1);

fn greeting(stack: Stack, workers: usize, service: u64) -> Server {
    Server {
        greeting: Greeting::ThenCloses,
        service: MS * u32::try_from(service).expect("a few"),
        ..Server::new(stack, App::Workers(workers))
    }
}

/// The burst that the server accepts, and the result of the next connection.
fn truth(server: &Server) -> (RangeInclusive<usize>, Overflow) {
    let (App::Workers(workers) | App::Cap(workers, _)) = server.app;
    match (server.stack, server.app) {
        (_, App::Cap(most, Beyond::Fin)) => (most..=most, Overflow::Closed),
        (_, App::Cap(most, _)) => (most..=most, Overflow::Reset),
        (Stack::Slots { n }, _) => (n..=n, Overflow::Refused),
        (Stack::Lwip { k }, _) => (k + workers..=k + workers, Overflow::Dropped),
        (Stack::Linux { k }, _) => (k + 1 + workers..=k + 1 + workers, Overflow::Dropped),
    }
}

fn expect(server: Server) -> LimitsFinding {
    let found = find(server, &plan());
    let text = format!("{server:?}\n{}", brief(&found));
    let finding = found.expect("limits");
    let (burst, overflow) = truth(&server);
    assert_eq!(finding.ended, SearchEnd::Complete, "{text}");
    assert_eq!(finding.served_at_once.value, Bound::Unknown, "{text}");
    assert_eq!(finding.held.value, Bound::Unknown, "{text}");
    assert_eq!(finding.queued.value, Bound::Unknown, "{text}");
    let why = &finding.served_at_once.evidence.detail;
    assert!(why.contains("greets first"), "{why}: {text}");
    // In a burst no worker has accepted a connection before the last arrives.
    let at_once = finding.burst.evidence.detail.contains("next larger burst");
    let (App::Workers(workers) | App::Cap(workers, _)) = server.app;
    let burst = burst.start() - if at_once { workers } else { 0 }..=*burst.end();
    assert!(
        matches!(finding.burst.value, Bound::Exact(it) if burst.contains(&it)),
        "{:?} is not {burst:?}: {text}",
        finding.burst
    );
    assert_eq!(finding.overflow, Some(overflow), "{text}");
    assert_eq!(finding.closes_after_reply, Some(true), "{text}");
    finding
}

fn stacks() -> Vec<Stack> {
    let mut stacks = Vec::new();
    stacks.extend([0, 1, 2, 5, 8, 16, 30].map(|k| Stack::Linux { k }));
    stacks.extend([1, 2, 5, 16].map(|k| Stack::Lwip { k }));
    stacks.extend([2, 3, 4, 12, 32].map(|n| Stack::Slots { n }));
    stacks
}

/// The server has room for up to 32 connections, and the time does not grow with it.
#[test]
fn slow_greeters_are_kept_full() {
    for stack in stacks() {
        for service in [0, 1, 3, 5, 7, 10, 14, 20, 50, 90, 100, 120, 200, 300, 400] {
            for workers in [1, 2, 4] {
                if matches!(stack, Stack::Slots { n } if n < workers) {
                    continue;
                }
                let server = greeting(stack, workers, service);
                let took = expect(server).took;
                println!("{took:.2?}: {server:?}");
                assert!(took < MS * 2_500, "{took:?}: {server:?}");
            }
        }
    }
}

/// At each greeting, a pending SYN took the slot that the greeting freed. The search found nothing,
/// and emptying the queue took 4.4 s.
#[test]
fn greeter_in_step_with_the_attempts_is_exact() {
    for micros in (480..=510).chain((20..1_000).step_by(7)) {
        for service in 10..=16 {
            let server = Server {
                delay: Duration::from_micros(micros),
                ..greeting(Stack::Linux { k: 14 }, 1, service)
            };
            let took = expect(server).took;
            assert!(took < MS * 1_000, "{took:?}: {server:?}");
        }
    }
}

/// The server retransmits the SYN-ACK of handshakes that do not fit after a second. While it greets
/// others for longer than that, these are accepted, and were counted.
#[test]
fn retransmitted_handshakes_are_not_counted() {
    for delay in [5, 6, 15, 20, 40] {
        for (k, workers, service) in [(22, 2, 49), (27, 1, 40), (30, 1, 35), (30, 4, 99)] {
            let server = Server {
                delay: MS * delay,
                ..greeting(Stack::Linux { k }, workers, service)
            };
            let took = expect(server).took;
            println!("{took:.2?}: {server:?}");
        }
    }
}

/// A queue of 32 at 400 ms each takes 12.8 s to process. The search waits for it only before
/// another measurement.
#[test]
fn queue_is_worked_off_before_another_measurement() {
    let server = greeting(Stack::Linux { k: 5 }, 1, 200);
    for leaves_idle in [false, true] {
        let plan = LimitsPlan {
            leaves_idle,
            ..plan()
        };
        let mut network = Simulated::new(server);
        let finding = limits::find(&mut network, &plan, &mut |_| {}).expect("limits");
        assert_eq!(finding.burst.value, Bound::Exact(7));
        assert_eq!(network.inside() == 0, leaves_idle, "{}", network.inside());
        assert_eq!(finding.took > MS * 7 * 200, leaves_idle, "{finding:?}");
        check(&mut network, server, &plan);
    }
}

/// A server with a cap accepts all connections and closes those beyond it without a greeting.
#[test]
fn greeter_with_a_cap_is_exact() {
    for beyond in [Beyond::Fin, Beyond::Reset] {
        for most in [1, 3, 8, 32] {
            for service in [20, 100, 200, 400] {
                let server = Server {
                    greeting: Greeting::ThenCloses,
                    service: MS * service,
                    ..Server::cap(most, beyond)
                };
                let took = expect(server).took;
                println!("{took:.2?}: {server:?}");
                assert!(took < MS * 2_500, "{took:?}: {server:?}");
            }
        }
    }
}

#[test]
fn greeter_that_is_never_full_has_a_lower_bound() {
    for (most, service) in [
        (256, 0),
        (256, 20),
        (256, 200),
        (10, 200),
        (2, 200),
        (1, 200),
        (1, 20),
    ] {
        let plan = LimitsPlan {
            max_connections: most,
            ..plan()
        };
        let server = greeting(Stack::Linux { k: 128 }, 1_000, service);
        let finding = find(server, &plan).expect("limits");
        assert_eq!(finding.burst.value, Bound::at_least(most), "{finding:#?}");
        assert_eq!(finding.overflow, Some(Overflow::NotReached));
        assert!(finding.took < MS * 6_000, "{:?}", finding.took);
    }
}

#[test]
fn irregular_greeters_are_mostly_exact() {
    let (mut exact, mut runs) = (0, 0);
    for seed in 1..=10 {
        for stack in [Stack::Linux { k: 5 }, Stack::Slots { n: 8 }] {
            for (workers, service, max_slowdown) in
                [(1, 20, 3), (1, 100, 2), (2, 150, 2), (4, 200, 2)]
            {
                let server = Server {
                    max_slowdown,
                    seed,
                    ..greeting(stack, workers, service)
                };
                let found = find(server, &plan());
                let (burst, _) = truth(&server);
                let text = format!("{server:?}\n{}", brief(&found));
                let finding = found.expect("limits");
                let number = finding.burst.value.count();
                let number = number.unwrap_or_else(|| panic!("no burst: {text}"));
                assert!(
                    number <= *burst.end(),
                    "{number} is more than {burst:?}: {text}"
                );
                runs += 1;
                if finding.burst.value == Bound::Exact(*burst.end()) {
                    exact += 1;
                } else {
                    println!("{:?} is not {burst:?}: {text}", finding.burst.value);
                }
            }
        }
    }
    assert!(exact * 100 >= runs * 95, "{exact} of {runs}");
}

#[test]
fn other_clients_never_make_a_greeter_look_larger() {
    for seed in 1..=40 {
        let server = Server {
            others: Some(MS * 300),
            seed,
            ..greeting(Stack::Slots { n: 8 }, 1, 150)
        };
        let found = find(server, &plan());
        let Ok(finding) = &found else { continue };
        let burst = finding.burst.value;
        assert!(burst.count() <= Some(8), "{burst:?}: {}", brief(&found));
        assert!(finding.held.value.count() <= Some(8), "{}", brief(&found));
    }
}

#[test]
fn sleeping_radio_is_no_limit_of_a_greeter() {
    for service in [20, 60, 200] {
        for stack in [Stack::Linux { k: 5 }, Stack::Slots { n: 8 }] {
            for at in [2, 4, 6] {
                for time in [100, 200, 350] {
                    let server = greeting(stack, 1, service);
                    let mut network = Simulated::new(server);
                    network.sleeps = Some((at, MS * time));
                    let found = limits::find(&mut network, &plan(), &mut |_| {});
                    check(&mut network, server, &plan());
                    let text = format!("{at} {time} {server:?}\n{}", brief(&found));
                    let finding = found.expect("limits");
                    let (burst, _) = truth(&server);
                    assert_eq!(finding.burst.value, Bound::Exact(*burst.end()), "{text}");
                }
            }
        }
    }
}

#[test]
fn crashed_greeter_has_no_limit() {
    for crash in [Crash::Silent, Crash::Resets] {
        for at in [2, 5, 8] {
            for service in [20, 200] {
                let server = Server {
                    crashes_at: Some((at, crash)),
                    ..greeting(Stack::Linux { k: 6 }, 1, service)
                };
                let found = find(server, &plan());
                let text = format!("{server:?}\n{}", brief(&found));
                let error = found.expect_err(&text);
                let is_named = matches!(error.reason, FailureReason::Died { .. });
                assert!(is_named, "{:?} {text}", error.reason);
                let burst = error.so_far.burst.value;
                assert!(!matches!(burst, Bound::Exact(_)), "{burst:?} {text}");
            }
        }
    }
}

#[test]
fn stopped_search_of_a_greeter_has_lower_bounds() {
    let server = greeting(Stack::Linux { k: 5 }, 1, 200);
    for budget in [100, 450, 600, 800, 1_000] {
        let plan = LimitsPlan {
            budget: MS * budget,
            ..plan()
        };
        let finding = find(server, &plan).expect("no error");
        assert_eq!(finding.ended, SearchEnd::OutOfTime, "{budget}");
        assert!(finding.took <= MS * (budget + 1));
        let burst = finding.burst.value;
        assert!(!matches!(burst, Bound::Exact(_)), "{burst:?}");
        assert!(burst.count() <= Some(7), "{burst:?}");
    }
    for stop_at in 1.. {
        let plan = plan();
        let mut network = Simulated::new(server);
        let mut steps = 0;
        let finding = limits::find(&mut network, &plan, &mut |_: LimitsProgress| {
            steps += 1;
            if steps == stop_at {
                plan.stop.store(true, Ordering::Relaxed);
            }
        });
        let finding = finding.expect("no error");
        check(&mut network, server, &plan);
        if finding.ended == SearchEnd::Complete {
            break;
        }
        assert_eq!(finding.ended, SearchEnd::Stopped);
        assert!(!matches!(finding.burst.value, Bound::Exact(_)));
    }
}

/// Servers with room for up to 32 connections, on a LAN with a round trip of at most 2 ms.
fn greeters() -> impl Strategy<Value = Server> {
    let kind = (1..5_usize).prop_flat_map(|workers| {
        let stack = prop_oneof![
            (0..32 - workers).prop_map(|k| Stack::Linux { k }),
            (1..33 - workers).prop_map(|k| Stack::Lwip { k }),
            (workers..33).prop_map(|n| Stack::Slots { n }),
        ];
        (stack, Just(workers))
    });
    // Service time in microseconds. Round numbers are in step with other times.
    let service = prop_oneof![
        0..10_000_u64,
        10_000..20_000_u64,
        20_000..100_000_u64,
        100_000..400_000_u64,
        (0..400_u64).prop_map(|it| it * 1_000),
    ];
    let delay = prop_oneof![20..1_000_u64, (1..11_u64).prop_map(|it| it * 100)];
    (kind, service, delay, any::<u64>()).prop_map(|((stack, workers), service, delay, seed)| {
        Server {
            service: Duration::from_micros(service),
            delay: Duration::from_micros(delay),
            seed,
            ..greeting(stack, workers, 0)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn burst_of_any_greeter_is_exact_and_quick(server in greeters()) {
        let took = expect(server).took;
        prop_assert!(took < MS * 2_500, "{took:?}");
    }

    #[test]
    fn any_path_leaves_no_connection_of_a_greeter_open(
        server in greeters(),
        delay in 0..60_u32,
        loss in 0.0..0.2,
        max_slowdown in 1..5_u32,
        others in proptest::option::of(5..500_u32),
    ) {
        let server = Server {
            delay: MS * delay,
            loss,
            max_slowdown,
            others: others.map(|it| MS * it),
            ..server
        };
        let _ = find(server, &plan());
    }
}
