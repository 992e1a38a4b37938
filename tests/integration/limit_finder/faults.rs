//! Unusual servers, missing resources, and searches that are cut short.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tcpctl::bench::limits::{self, FailureReason, LimitsPlan, LimitsProgress, SearchEnd};
use tcpctl::bench::report::{Bound, EvidenceKind, Overflow};

use super::matrix::{Truth, brief, check, find, plan};
use super::network::{Obstacle, Simulated};
use super::server::{App, Beyond, Crash, Greeting, OnFin, Server, Stack};

const MS: Duration = Duration::from_millis(1);

#[test]
fn keep_open_servers_are_exact() {
    for server in [
        Server::linux(5, 4),
        Server::greeter(2, 4),
        Server::cap(8, Beyond::Fin),
    ] {
        let server = Server {
            closes: false,
            ..server
        };
        let found = find(server, &plan());
        let finding = found.as_ref().expect("limits");
        assert!(Truth::of(&server).matches(finding), "{}", brief(&found));
        assert_eq!(finding.closes_after_reply, Some(false));
    }
}

#[test]
fn servers_that_greet_and_wait_are_exact() {
    for server in [Server::linux(5, 4), Server::cap(4, Beyond::Fin)] {
        let server = Server {
            greeting: Greeting::ThenWaits,
            ..server
        };
        let found = find(server, &plan());
        let finding = found.as_ref().expect("limits");
        assert!(Truth::of(&server).matches(finding), "{}", brief(&found));
    }
}

#[test]
fn irregular_service_times_are_mostly_exact() {
    let mut misses = 0;
    for seed in 1..=20 {
        for server in [
            Server::linux(5, 4),
            Server::greeter(4, 4),
            Server::linux(16, 1),
        ] {
            let server = Server {
                service: 30 * MS,
                max_slowdown: 4,
                seed,
                ..server
            };
            let found = find(server, &plan());
            let hit = found
                .as_ref()
                .is_ok_and(|finding| Truth::of(&server).matches(finding));
            if !hit {
                println!("{server:?}\n  {}", brief(&found));
                misses += 1;
            }
        }
    }
    assert!(misses <= 3, "{misses} of 60");
}

#[test]
fn replies_later_than_the_timeout_extend_it() {
    let server = Server {
        service: 1_500 * MS,
        ..Server::linux(5, 2)
    };
    let found = find(server, &plan());
    let finding = found.as_ref().expect("limits");
    assert!(Truth::of(&server).matches(finding), "{}", brief(&found));
}

#[test]
fn reported_times_are_those_of_the_server() {
    for (server, overflow) in [
        (Server::linux(5, 2), Overflow::Dropped),
        (Server::greeter(2, 2), Overflow::Refused),
        (Server::cap(3, Beyond::Fin), Overflow::Closed),
    ] {
        let server = Server {
            service: 30 * MS,
            delay: 2 * MS,
            ..server
        };
        let finding = find(server, &plan()).expect("limits");
        assert_eq!(finding.overflow, Some(overflow));
        // A round trip plus the service time.
        let reply = 34 * MS..37 * MS;
        for time in &finding.served_first_byte {
            // Simultaneous requests may have to wait for each other.
            assert!(*time >= reply.start, "{finding:#?}");
        }
        let mut times = finding.served_first_byte.clone();
        times.sort();
        assert!(reply.contains(&times[times.len() / 2]), "{finding:#?}");
        // A waiting request is served once the FIN that frees a slot arrives.
        let queues = matches!(overflow, Overflow::Dropped | Overflow::Refused);
        assert_eq!(!finding.queued_first_byte.is_empty(), queues);
        assert!(
            finding
                .queued_first_byte
                .iter()
                .all(|it| reply.contains(it)),
            "{finding:#?}"
        );
        // Time for the FIN, a handshake, and the wait until a slot listens again.
        let refused_meanwhile = 20 * MS;
        assert!(!finding.recovery.is_empty(), "{finding:#?}");
        for time in &finding.recovery {
            let whole = 4 * MS..4 * MS + refused_meanwhile;
            assert!(whole.contains(time), "{time:?}: {finding:#?}");
        }
    }
}

/// A connection may be rejected although a slot is already free.
#[test]
fn cap_that_frees_slots_late_is_exact() {
    for beyond in [Beyond::Fin, Beyond::Reset] {
        for (most, after) in [(4, 1), (4, 10), (8, 30), (3, 40)] {
            let server = Server {
                notices_after: MS * after,
                ..Server::cap(most, beyond)
            };
            let found = find(server, &plan());
            let finding = found.as_ref().expect("limits");
            let text = format!("{server:?} {}", brief(&found));
            assert!(Truth::of(&server).matches(finding), "{text}");
            assert!(finding.opened < 100, "{}", finding.opened);
        }
    }
}

/// For example, caps of 10 that close the 7 oldest idle connections.
#[test]
fn evictions_of_several_are_exact() {
    for (most, count) in [(4, 2), (8, 3), (10, 7), (40, 4), (100, 30)] {
        for accepts_in in [0, 500] {
            for service in [0, 20] {
                for closes in [true, false] {
                    let server = Server {
                        accepts_in: Duration::from_micros(accepts_in),
                        service: MS * service,
                        closes,
                        ..Server::cap(most, Beyond::Evict(count))
                    };
                    let found = find(server, &plan());
                    let finding = found.as_ref().expect("limits");
                    let text = format!("{server:?} {}", brief(&found));
                    assert!(Truth::of(&server).matches(finding), "{text}");
                }
            }
        }
    }
}

/// For example, a server that stops accepting when it is full and checks for free workers once a
/// second.
#[test]
fn servers_that_accept_on_a_timer_are_exact() {
    for interval in [100, 250, 1_000] {
        for (k, workers) in [(2, 8), (5, 1), (16, 4)] {
            for service in [0, 20] {
                for delay in [100, 3_330] {
                    let server = Server {
                        accept_timer: Some(MS * interval),
                        service: MS * service,
                        delay: Duration::from_micros(delay),
                        ..Server::linux(k, workers)
                    };
                    let found = find(server, &plan());
                    let finding = found.as_ref().expect("limits");
                    let text = format!("{server:?} {}", brief(&found));
                    assert!(Truth::of(&server).matches(finding), "{text}");
                    assert_eq!(finding.drift, None, "{text}");
                    assert!(finding.took < MS * 20_000, "{text}");
                }
            }
        }
    }
}

/// On a busy computer many more connections are open before the first eviction is seen.
#[test]
fn late_evictions_are_exact() {
    for most in [3, 8] {
        for microseconds in [500, 1_000, 2_000, 3_000] {
            let server = Server {
                accepts_in: Duration::from_micros(microseconds),
                ..Server::cap(most, Beyond::Evict(1))
            };
            let found = find(server, &plan());
            let finding = found.as_ref().expect("limits");
            let text = format!("{server:?} {}", brief(&found));
            assert!(Truth::of(&server).matches(finding), "{text}");
        }
    }
}

/// A slow server is probed by FIN, and some servers close connections that they do not serve.
#[test]
fn requests_confirm_the_limit_that_fins_show() {
    for on_fin in [OnFin::Closes, OnFin::RuntimeCloses, OnFin::Serves] {
        for server in [
            Server::linux(0, 4),
            Server::linux(5, 1),
            Server::linux(16, 4),
            Server::greeter(4, 4),
            Server::greeter(1, 1),
            Server::cap(8, Beyond::Fin),
            Server::cap(3, Beyond::Stall),
        ] {
            for service in [120, 200, 400] {
                let server = Server {
                    on_fin,
                    service: MS * service,
                    ..server
                };
                let found = find(server, &plan());
                let finding = found.as_ref().expect("limits");
                let text = format!("{server:?} {}", brief(&found));
                assert!(Truth::of(&server).matches(finding), "{text}");
            }
        }
    }
}

#[test]
fn server_with_a_short_request_timeout_is_filled_in_time() {
    let server = Server {
        request_timeout: Some(500 * MS),
        ..Server::greeter(4, 4)
    };
    let found = find(server, &plan());
    let finding = found.as_ref().expect("limits");
    assert!(Truth::of(&server).matches(finding), "{}", brief(&found));
}

/// The board closes silent connections after 5 s, before a slow server has been tested completely.
/// The results of one hold are used in the next.
#[test]
fn slow_servers_with_a_request_timeout_are_exact() {
    for service in [300, 600, 900] {
        for on_fin in [OnFin::Closes, OnFin::RuntimeCloses, OnFin::Serves] {
            for (workers, backlog) in [(7, 15), (16, 19), (19, 3)] {
                for (closes, delay) in [(true, 50), (false, 3_000)] {
                    let server = Server {
                        service: MS * service,
                        on_fin,
                        closes,
                        delay: Duration::from_micros(delay),
                        ..Server::greeter(workers, backlog)
                    };
                    let found = find(server, &plan());
                    let finding = found.as_ref().expect("limits");
                    let text = format!("{server:?} {}", brief(&found));
                    assert!(Truth::of(&server).matches(finding), "{text}");
                    // A server that serves a FIN frees the slot only then.
                    let reuse = if on_fin == OnFin::Serves { service } else { 0 };
                    for took in &finding.recovery {
                        assert!(*took >= MS * reuse, "{took:?}: {text}");
                        assert!(*took < MS * (reuse + 100), "{took:?}: {text}");
                    }
                }
            }
        }
    }
}

#[test]
fn server_that_answers_silence_cannot_be_held() {
    let server = Server {
        request_timeout: Some(50 * MS),
        delay: 5 * MS,
        ..Server::greeter(8, 24)
    };
    let found = find(server, &plan());
    let finding = found.as_ref().expect("limits");
    assert_eq!(finding.held.value, Bound::Unknown, "{}", brief(&found));
    assert!(finding.silence_ends_after.is_some());
    assert!(finding.burst.value.count().is_some());
}

#[test]
fn other_clients_never_make_a_server_look_larger() {
    let mut reported = 0;
    let mut misled = 0;
    for seed in 1..=40 {
        let server = Server {
            others: Some(60 * MS),
            seed,
            ..Server::greeter(4, 4)
        };
        let found = find(server, &plan());
        let Ok(finding) = &found else { continue };
        assert!(finding.held.value.count() <= Some(8), "{}", brief(&found));
        if finding.drift.is_some() {
            reported += 1;
        }
        if let Bound::Exact(held) = finding.held.value
            && held < 8
        {
            // A client that stays for the whole search looks like a smaller server.
            println!("agreed on fewer: {}", brief(&found));
            misled += 1;
        }
    }
    println!("reported {reported}, misled {misled} of 40");
    assert!(reported >= 20, "{reported} of 40");
    assert!(misled <= 8, "{misled} of 40");
}

#[test]
fn crashed_server_has_no_limit() {
    for (at, crash) in [(5, Crash::Silent), (5, Crash::Resets), (2, Crash::Silent)] {
        for server in [Server::linux(16, 4), Server::greeter(4, 8)] {
            let server = Server {
                crashes_at: Some((at, crash)),
                ..server
            };
            let error = find(server, &plan()).expect_err("it crashed");
            assert!(
                matches!(error.reason, FailureReason::Died { .. }),
                "{error:?}"
            );
            assert!(!matches!(error.so_far.held.value, Bound::Exact(_)));
        }
    }
}

#[test]
fn failures_outside_the_server_are_errors() {
    let reason = |change: fn(&mut Simulated)| {
        let server = Server::greeter(4, 4);
        let mut network = Simulated::new(server);
        change(&mut network);
        let error = limits::find(&mut network, &plan(), &mut |_| {}).expect_err("no server");
        check(&mut network, server, &plan());
        error.reason
    };
    assert!(matches!(
        reason(|it| it.obstacle = Some(Obstacle::NoListener)),
        FailureReason::NothingListens
    ));
    assert!(matches!(
        reason(|it| it.obstacle = Some(Obstacle::Firewall)),
        FailureReason::NoAnswer
    ));
    assert!(matches!(
        reason(|it| it.obstacle = Some(Obstacle::NoRoute)),
        FailureReason::Unreachable
    ));
    assert!(matches!(
        reason(|it| it.files = 5),
        FailureReason::LocalFiles
    ));
}

#[test]
fn maximum_gives_lower_bounds() {
    let plan = LimitsPlan {
        max_connections: 10,
        ..plan()
    };
    let finding = find(Server::linux(128, 4), &plan).expect("limits");
    assert_eq!(finding.held.value, Bound::at_least(10));
    assert_eq!(finding.served_at_once.value, Bound::Exact(4));
    assert_eq!(finding.queued.value, Bound::at_least(6));
    assert_eq!(finding.overflow, Some(Overflow::NotReached));
    assert_eq!(finding.max_open, 10);

    let finding = find(Server::cap(100, Beyond::Fin), &plan).expect("limits");
    assert_eq!(finding.held.value, Bound::at_least(10));
    assert_eq!(finding.served_at_once.value, Bound::at_least(10));
    assert_eq!(finding.queued.value, Bound::Unknown);
}

#[test]
fn refused_syns_back_off() {
    let server = Server::greeter(4, 4);
    let finding = find(server, &plan()).expect("limits");
    assert!(finding.opened < 80, "{}", finding.opened);
}

#[test]
fn stopped_search_reports_what_it_has() {
    let steps = Cell::new(0_u32);
    for server in [
        Server::greeter(4, 4),
        Server::linux(5, 2),
        Server::cap(3, Beyond::Reset),
    ] {
        for stop_at in 1.. {
            let plan = plan();
            let mut network = Simulated::new(server);
            steps.set(0);
            let finding = limits::find(&mut network, &plan, &mut |_: LimitsProgress| {
                steps.set(steps.get() + 1);
                if steps.get() == stop_at {
                    plan.stop.store(true, Ordering::Relaxed);
                }
            })
            .expect("no error");
            check(&mut network, server, &plan);
            if finding.ended == SearchEnd::Complete {
                assert!(steps.get() <= stop_at);
                break;
            }
            assert_eq!(finding.ended, SearchEnd::Stopped);
            assert!(!matches!(finding.held.value, Bound::Exact(_)));
        }
    }
}

#[test]
fn used_up_budget_leaves_lower_bounds() {
    for budget in [1, 10, 50, 100, 500, 1_200, 1_500] {
        let plan = LimitsPlan {
            budget: MS * budget,
            ..plan()
        };
        let server = Server::linux(16, 4);
        let finding = find(server, &plan).expect("no error");
        assert!(finding.took <= MS * (budget + 1), "{:?}", finding.took);
        assert!(limits::estimate(&plan) <= plan.budget);
        if finding.ended == SearchEnd::OutOfTime {
            assert!(!matches!(finding.held.value, Bound::Exact(_)));
            assert!(finding.held.value.count() <= Some(21));
            assert!(finding.served_at_once.value.count() <= Some(4));
        }
    }
}

#[test]
fn server_that_never_accepts_serves_none() {
    let server = Server::new(Stack::Linux { k: 7 }, App::Workers(0));
    let finding = find(server, &plan()).expect("limits");
    assert_eq!(finding.served_at_once.value, Bound::Exact(0));
    assert_eq!(finding.queued.value, Bound::Exact(8));
}

#[test]
fn second_source_shows_a_limit_per_client() {
    for per_client in [false, true] {
        let server = Server {
            per_client,
            ..Server::greeter(4, 4)
        };
        let plan = LimitsPlan {
            sources: vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()],
            ..plan()
        };
        let finding = find(server, &plan).expect("limits");
        let found = finding.per_client.expect("there are two addresses");
        assert_eq!(found.is_each, per_client);
        let in_all = if per_client {
            Bound::at_least(16)
        } else {
            Bound::Exact(8)
        };
        assert_eq!(found.in_all, in_all);
        assert_eq!(finding.held.value, Bound::Exact(8), "{finding:#?}");
    }
}

/// The lost SYN made the path look long, so that the silence outlasted the request timeout and the
/// server seemed to greet first.
#[test]
fn lost_first_syn_is_no_long_path() {
    for loses in 1..=2 {
        for service in [0, 20, 200] {
            let server = Server {
                service: MS * service,
                delay: MS * 20,
                ..Server::greeter(2, 3)
            };
            let mut network = Simulated::new(server);
            network.lost_syns = loses;
            let found = limits::find(&mut network, &plan(), &mut |_| {});
            check(&mut network, server, &plan());
            let text = format!("{loses} lost, {server:?}\n{}", brief(&found));
            let finding = found.expect("limits");
            assert!(Truth::of(&server).matches(&finding), "{text}");
        }
    }
}

/// lwIP delays its ACK by up to 250 ms. That is not a loss, and must not cost time.
#[test]
fn delayed_acks_are_no_loss() {
    for server in [
        Server::linux(5, 4),
        Server::greeter(2, 4),
        Server::new(Stack::Lwip { k: 5 }, App::Workers(1)),
    ] {
        let server = Server {
            service: MS * 230,
            ..server
        };
        let mut network = Simulated::new(server);
        network.acknowledges_late = true;
        let found = limits::find(&mut network, &plan(), &mut |_| {});
        check(&mut network, server, &plan());
        let text = format!("{server:?}\n{}", brief(&found));
        let finding = found.expect("limits");
        assert!(Truth::of(&server).matches(&finding), "{text}");
        assert!(finding.took < MS * 3_000, "{text}");
    }
}

#[test]
fn stack_without_info_is_exact() {
    for server in [Server::linux(5, 4), Server::greeter(4, 4)] {
        let mut network = Simulated::new(server);
        network.hides_info = true;
        let found = limits::find(&mut network, &plan(), &mut |_| {});
        check(&mut network, server, &plan());
        let finding = found.as_ref().expect("limits");
        assert!(Truth::of(&server).matches(finding), "{}", brief(&found));
    }
}

#[test]
fn trials_without_a_held_connection_are_repeated() {
    for seed in 1..=400 {
        for beyond in [Beyond::Fin, Beyond::Reset] {
            let server = Server {
                loss: 0.25,
                delay: 20 * MS,
                others: Some(40 * MS),
                seed,
                ..Server::cap(2, beyond)
            };
            if let Ok(finding) = find(server, &plan()) {
                let is_empty = |trial: &limits::Trial| trial.held == 0;
                assert!(!finding.trials.iter().any(is_empty), "{finding:#?}");
            }
        }
    }
}

#[test]
fn lower_bounds_on_a_lossy_path_are_right() {
    let mut cut_short = 0;
    for seed in 1..=12 {
        for server in [
            Server::linux(5, 4),
            Server::linux(16, 1),
            Server::greeter(4, 4),
            Server::cap(8, Beyond::Fin),
        ] {
            for budget in [800, 2_000, 4_000, 8_000, 16_000] {
                let server = Server {
                    delay: 20 * MS,
                    loss: 0.02,
                    service: 50 * MS,
                    seed,
                    ..server
                };
                let plan = LimitsPlan {
                    budget: MS * budget,
                    ..plan()
                };
                let found = find(server, &plan);
                let finding = found.as_ref().expect("no error");
                if finding.ended != SearchEnd::OutOfTime {
                    continue;
                }
                cut_short += 1;
                let Truth { served, queued, .. } = Truth::of(&server);
                let text = format!("{server:?} {}", brief(&found));
                for (figure, most) in [
                    (&finding.held, served + queued),
                    (&finding.served_at_once, served),
                ] {
                    assert!(!matches!(figure.value, Bound::Exact(_)), "{text}");
                    assert!(figure.value.count() <= Some(most), "{text}");
                    if figure.value != Bound::Unknown {
                        assert_eq!(figure.evidence.kind, EvidenceKind::LowerBound, "{text}");
                    }
                }
            }
        }
    }
    assert!(cut_short >= 50, "{cut_short}");
}

#[test]
fn sleeping_radio_is_no_limit() {
    for server in [
        Server::linux(5, 4),
        Server::linux(16, 1),
        Server::greeter(4, 4),
    ] {
        for at in [2, 3, 5] {
            for time in [100, 200, 350] {
                let mut network = Simulated::new(server);
                network.sleeps = Some((at, MS * time));
                let found = limits::find(&mut network, &plan(), &mut |_| {});
                check(&mut network, server, &plan());
                let text = brief(&found);
                let finding = found.expect("limits");
                assert!(Truth::of(&server).matches(&finding), "{at} {time}: {text}");
            }
        }
    }
}

/// A busy computer runs this process late. Time in which it could not receive is not a silence of the
/// server, and connections that it opened with an interruption are not a burst.
#[test]
fn stops_of_the_client_do_not_change_the_limits() {
    let greets = |server| Server {
        greeting: Greeting::ThenCloses,
        ..server
    };
    let (mut runs, mut late, mut bursts) = (0, 0, 0);
    for seed in 1..=10 {
        for service in [0, 20, 120] {
            for server in [
                Server::linux(5, 4),
                Server::linux(0, 1),
                Server::greeter(4, 4),
                Server::cap(8, Beyond::Fin),
                Server::cap(3, Beyond::Evict(1)),
                greets(Server::linux(5, 1)),
                greets(Server::greeter(2, 4)),
            ] {
                let server = Server {
                    service: MS * service,
                    seed: seed + 100 * u64::from(service),
                    ..server
                };
                let mut network = Simulated::new(server);
                network.stops = Some((0.02, 300 * MS));
                let found = limits::find(&mut network, &plan(), &mut |_| {});
                check(&mut network, server, &plan());
                let text = format!("{server:?}\n{}", brief(&found));
                let finding = found.expect("limits");
                runs += 1;
                late += usize::from(!finding.late.is_zero());
                if server.greeting == Greeting::ThenCloses {
                    // The workers and the queue.
                    let most = if server.stack == (Stack::Linux { k: 5 }) {
                        7
                    } else {
                        6
                    };
                    let burst = finding.burst.value;
                    // A server that replies at once makes room within any interruption.
                    let is_right = burst.count() <= Some(most) || service == 0;
                    assert!(is_right, "{burst:?} {text}");
                    bursts += usize::from(burst == Bound::Exact(most));
                } else {
                    assert!(Truth::of(&server).matches(&finding), "{text}");
                }
            }
        }
    }
    assert!(late * 2 > runs, "{late} of {runs}");
    // 60 servers greet first.
    assert!(bursts >= 40, "{bursts}");
}
