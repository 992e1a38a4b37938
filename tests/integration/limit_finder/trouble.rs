//! Servers that behave badly, computers that lack something, searches that are cut short.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tcpctl::bench::limits::{self, FailureReason, LimitsPlan, LimitsProgress, SearchEnd};
use tcpctl::bench::report::{Bound, EvidenceKind, Overflow};

use super::matrix::{Truth, brief, check, find, plan};
use super::network::{Obstacle, Simulated};
use super::server::{App, Beyond, Death, Leaver, Server, Speaks, Stack};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_server_that_keeps_connections_open_after_its_reply() {
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
        let finding = found.as_ref().expect("it lives");
        assert!(Truth::of(&server).is_told_by(finding), "{}", brief(&found));
        assert_eq!(finding.closes_after_reply, Some(false));
    }
}

#[test]
fn a_server_that_greets_and_waits_shows_whom_it_serves() {
    let server = Server {
        speaks: Speaks::Banner,
        ..Server::linux(5, 4)
    };
    let found = find(server, &plan());
    let finding = found.as_ref().expect("it lives");
    assert!(Truth::of(&server).is_told_by(finding), "{}", brief(&found));
}

#[test]
fn answers_that_come_late_and_irregularly() {
    let mut misses = 0;
    for seed in 1..=20 {
        for server in [
            Server::linux(5, 4),
            Server::greeter(4, 4),
            Server::linux(16, 1),
        ] {
            let server = Server {
                service: 30 * MS,
                late: 4,
                seed,
                ..server
            };
            let found = find(server, &plan());
            let hit = found
                .as_ref()
                .is_ok_and(|finding| Truth::of(&server).is_told_by(finding));
            if !hit {
                println!("{server:?}\n  {}", brief(&found));
                misses += 1;
            }
        }
    }
    assert!(misses <= 3, "{misses} of 60");
}

#[test]
fn answers_later_than_the_reply_timeout_are_waited_for_the_second_time() {
    let server = Server {
        service: 1_500 * MS,
        ..Server::linux(5, 2)
    };
    let found = find(server, &plan());
    let finding = found.as_ref().expect("it lives");
    assert!(Truth::of(&server).is_told_by(finding), "{}", brief(&found));
}

/// The times that are told are the server's own.
#[test]
fn the_times_are_those_of_the_server() {
    for (server, overflow) in [
        (Server::linux(5, 2), Overflow::Dropped),
        (Server::greeter(2, 2), Overflow::Refused),
        (Server::cap(3, Beyond::Fin), Overflow::Closed),
    ] {
        let server = Server {
            service: 30 * MS,
            latency: 2 * MS,
            ..server
        };
        let finding = find(server, &plan()).expect("it lives");
        assert_eq!(finding.overflow, Some(overflow));
        // A round trip and the service.
        let reply = 34 * MS..37 * MS;
        for time in &finding.served_first_byte {
            // Requests that are asked together may have to take turns.
            assert!(*time >= reply.start, "{finding:#?}");
        }
        let mut times = finding.served_first_byte.clone();
        times.sort();
        assert!(reply.contains(&times[times.len() / 2]), "{finding:#?}");
        // Who waited is asked for in the moment a place is freed: the FIN has to get there.
        let queues = matches!(overflow, Overflow::Dropped | Overflow::Refused);
        assert_eq!(!finding.queued_first_byte.is_empty(), queues);
        assert!(
            finding
                .queued_first_byte
                .iter()
                .all(|it| reply.contains(it)),
            "{finding:#?}"
        );
        // The FIN's way, and a handshake; a slot takes its own time to listen again.
        let refused_meanwhile = 20 * MS;
        assert!(!finding.recovery.is_empty(), "{finding:#?}");
        for time in &finding.recovery {
            let whole = 4 * MS..4 * MS + refused_meanwhile;
            assert!(whole.contains(time), "{time:?}: {finding:#?}");
        }
    }
}

/// A newcomer may be turned away in a place that is free already: that is no end of the hold.
#[test]
fn a_cap_that_notices_late_that_a_place_is_free() {
    for beyond in [Beyond::Fin, Beyond::Reset] {
        for (most, after) in [(4, 1), (4, 10), (8, 30), (3, 40)] {
            let server = Server {
                notices_after: MS * after,
                ..Server::cap(most, beyond)
            };
            let found = find(server, &plan());
            let finding = found.as_ref().expect("it lives");
            let told = format!("{server:?} {}", brief(&found));
            assert!(Truth::of(&server).is_told_by(finding), "{told}");
            assert!(finding.opened < 100, "{}", finding.opened);
        }
    }
}

/// On a busy computer: many have come before it is seen that the first are ended for them.
#[test]
fn a_server_that_evicts_late_and_goes_on_with_it() {
    for most in [3, 8] {
        for microseconds in [500, 1_000, 2_000, 3_000] {
            let server = Server {
                accepts_in: Duration::from_micros(microseconds),
                ..Server::cap(most, Beyond::Evict)
            };
            let found = find(server, &plan());
            let finding = found.as_ref().expect("it lives");
            let told = format!("{server:?} {}", brief(&found));
            assert!(Truth::of(&server).is_told_by(finding), "{told}");
        }
    }
}

/// A slow server is asked by leaving first, and some lie about that.
#[test]
fn whoever_lets_go_of_those_who_leave_requests_prove_the_number() {
    for leaver in [Leaver::LetGo, Leaver::LetGoByTheRuntime, Leaver::Served] {
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
                    leaver,
                    service: MS * service,
                    ..server
                };
                let found = find(server, &plan());
                let finding = found.as_ref().expect("it lives");
                let told = format!("{server:?} {}", brief(&found));
                assert!(Truth::of(&server).is_told_by(finding), "{told}");
            }
        }
    }
}

#[test]
fn a_server_that_soon_answers_silence_is_filled_in_time() {
    let server = Server {
        request_timeout: Some(500 * MS),
        ..Server::greeter(4, 4)
    };
    let found = find(server, &plan());
    let finding = found.as_ref().expect("it lives");
    assert!(Truth::of(&server).is_told_by(finding), "{}", brief(&found));
}

#[test]
fn silence_that_is_answered_before_the_server_is_full_is_said() {
    let server = Server {
        request_timeout: Some(50 * MS),
        latency: 5 * MS,
        ..Server::greeter(8, 24)
    };
    let found = find(server, &plan());
    let finding = found.as_ref().expect("it lives");
    assert_eq!(finding.held.value, Bound::Unknown, "{}", brief(&found));
    assert!(finding.silence_ends_after.is_some());
    assert!(finding.burst.value.count().is_some());
}

#[test]
fn other_clients_are_reported_and_never_make_the_server_look_larger() {
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
            // One who stays as long as the search does can't be told from a smaller server.
            println!("agreed on less: {}", brief(&found));
            misled += 1;
        }
    }
    println!("reported {reported}, misled {misled} of 40");
    assert!(reported >= 20, "{reported} of 40");
    assert!(misled <= 8, "{misled} of 40");
}

#[test]
fn a_server_that_dies_is_not_given_a_limit() {
    for (at, death) in [(5, Death::Silence), (5, Death::Resets), (2, Death::Silence)] {
        for server in [Server::linux(16, 4), Server::greeter(4, 8)] {
            let server = Server {
                dies_at: Some((at, death)),
                ..server
            };
            let error = find(server, &plan()).expect_err("it died");
            assert!(
                matches!(error.reason, FailureReason::Died { .. }),
                "{error:?}"
            );
            assert!(!matches!(error.so_far.held.value, Bound::Exact(_)));
        }
    }
}

#[test]
fn what_is_not_the_server_s_is_an_error() {
    let reason = |change: fn(&mut Simulated)| {
        let server = Server::greeter(4, 4);
        let mut network = Simulated::new(server);
        change(&mut network);
        let error = limits::find(&mut network, &plan(), &mut |_| {}).expect_err("no server");
        check(&mut network, server, &plan());
        error.reason
    };
    assert!(matches!(
        reason(|it| it.obstacle = Some(Obstacle::NobodyListens)),
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
fn no_more_than_the_maximum_is_opened_and_more_is_not_known() {
    let plan = LimitsPlan {
        max_connections: 10,
        ..plan()
    };
    let finding = find(Server::linux(128, 4), &plan).expect("it lives");
    assert_eq!(finding.held.value, Bound::at_least(10));
    assert_eq!(finding.served_at_once.value, Bound::Exact(4));
    assert_eq!(finding.queued.value, Bound::at_least(6));
    assert_eq!(finding.overflow, Some(Overflow::NotReached));
    assert_eq!(finding.most_open, 10);

    let finding = find(Server::cap(100, Beyond::Fin), &plan).expect("it lives");
    assert_eq!(finding.held.value, Bound::at_least(10));
    assert_eq!(finding.served_at_once.value, Bound::at_least(10));
    assert_eq!(finding.queued.value, Bound::Unknown);
}

#[test]
fn a_refused_syn_is_not_hammered_with_more() {
    let server = Server::greeter(4, 4);
    let finding = find(server, &plan()).expect("it lives");
    assert!(finding.opened < 80, "{}", finding.opened);
}

#[test]
fn stopped_at_any_moment_it_leaves_nothing_behind_and_says_what_it_has() {
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
            .expect("to be stopped is no error");
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
fn a_budget_that_is_used_up_leaves_lower_bounds() {
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
fn an_application_that_never_accepts_serves_nobody() {
    let server = Server::new(Stack::Linux { k: 7 }, App::Workers(0));
    let finding = find(server, &plan()).expect("it lives");
    assert_eq!(finding.served_at_once.value, Bound::Exact(0));
    assert_eq!(finding.queued.value, Bound::Exact(8));
}

#[test]
fn a_second_address_tells_a_limit_for_each_client_from_one_for_all() {
    for per_client in [false, true] {
        let server = Server {
            per_client,
            ..Server::greeter(4, 4)
        };
        let plan = LimitsPlan {
            sources: vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()],
            ..plan()
        };
        let finding = find(server, &plan).expect("it lives");
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

/// With a second more the first handshake looked like a long way, silence was listened to for longer
/// than this server bears it, and it seemed to greet first.
#[test]
fn a_first_syn_that_is_lost_is_no_long_way() {
    for loses in 1..=2 {
        for service in [0, 20, 200] {
            let server = Server {
                service: MS * service,
                latency: MS * 20,
                ..Server::greeter(2, 3)
            };
            let mut network = Simulated::new(server);
            network.loses_syns = loses;
            let found = limits::find(&mut network, &plan(), &mut |_| {});
            check(&mut network, server, &plan());
            let told = format!("{loses} lost, {server:?}\n{}", brief(&found));
            let finding = found.expect("it lives");
            assert!(Truth::of(&server).is_told_by(&finding), "{told}");
        }
    }
}

/// lwIP does, after up to 250 ms: it is no loss, and costs no time.
#[test]
fn a_server_that_acknowledges_a_request_late_loses_nothing() {
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
        let told = format!("{server:?}\n{}", brief(&found));
        let finding = found.expect("it lives");
        assert!(Truth::of(&server).is_told_by(&finding), "{told}");
        assert!(finding.took < MS * 3_000, "{told}");
    }
}

#[test]
fn a_stack_that_can_not_be_asked_costs_time_and_nothing_else() {
    for server in [Server::linux(5, 4), Server::greeter(4, 4)] {
        let mut network = Simulated::new(server);
        network.tells_nothing = true;
        let found = limits::find(&mut network, &plan(), &mut |_| {});
        check(&mut network, server, &plan());
        let finding = found.as_ref().expect("it lives");
        assert!(Truth::of(&server).is_told_by(finding), "{}", brief(&found));
    }
}

#[test]
fn a_cap_that_turns_out_to_have_sent_everybody_away_is_held_again() {
    for seed in 1..=400 {
        for beyond in [Beyond::Fin, Beyond::Reset] {
            let server = Server {
                loss: 0.25,
                latency: 20 * MS,
                others: Some(40 * MS),
                seed,
                ..Server::cap(2, beyond)
            };
            if let Ok(finding) = find(server, &plan()) {
                let nobody = |round: &limits::Trial| round.held == 0;
                assert!(!finding.trials.iter().any(nobody), "{finding:#?}");
            }
        }
    }
}

/// On a path that loses segments a search may outlast its budget: what it says then is to be true.
#[test]
fn a_budget_that_is_used_up_on_a_lossy_path_leaves_bounds_that_are_right() {
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
                    latency: 20 * MS,
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
                let told = format!("{server:?} {}", brief(&found));
                for (figure, most) in [
                    (&finding.held, served + queued),
                    (&finding.served_at_once, served),
                ] {
                    assert!(!matches!(figure.value, Bound::Exact(_)), "{told}");
                    assert!(figure.value.count() <= Some(most), "{told}");
                    if figure.value != Bound::Unknown {
                        assert_eq!(figure.evidence.kind, EvidenceKind::LowerBound, "{told}");
                    }
                }
            }
        }
    }
    assert!(cut_short >= 50, "{cut_short}");
}

#[test]
fn a_radio_that_sleeps_is_no_limit() {
    for server in [
        Server::linux(5, 4),
        Server::linux(16, 1),
        Server::greeter(4, 4),
    ] {
        for at in [2, 3, 5] {
            for time in [100, 200, 350] {
                let mut network = Simulated::new(server);
                network.dozes = Some((at, MS * time));
                let found = limits::find(&mut network, &plan(), &mut |_| {});
                check(&mut network, server, &plan());
                let told = brief(&found);
                let finding = found.expect("it lives");
                assert!(
                    Truth::of(&server).is_told_by(&finding),
                    "{at} {time}: {told}"
                );
            }
        }
    }
}
