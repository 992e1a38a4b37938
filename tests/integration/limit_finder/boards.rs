//! The firmware's own server on virtual boards in simulated time.

use std::time::Duration;

use tcpctl::bench::limits::{self, LimitsFinding, LimitsPlan, SearchEnd};
use tcpctl::bench::report::{Bound, Overflow};
use tcpctl::sim::session;
use tcpctl::sim::spec::{Profile, Spec};

fn find(profile: Profile, changes: &[(&str, &str)]) -> LimitsFinding {
    let spec = Spec::with(profile, changes.iter().copied()).expect("a valid spec");
    let (board, mut network) = session::simulated(&spec).expect("a board");
    let plan = LimitsPlan::new(session::address(&spec));
    let finding = limits::find(&mut network, &plan, &mut |_| {}).expect("the board lives");
    drop(network);
    let counters = board.stop().counters;
    assert_eq!(
        (counters.in_use, counters.waiting),
        (0, 0),
        "the board still has connections"
    );
    println!("{profile} {changes:?}: {:?}", finding.took);
    finding
}

fn expect(finding: &LimitsFinding, workers: usize, backlog: usize) {
    assert_eq!(
        (
            finding.served_at_once.value,
            finding.queued.value,
            finding.held.value,
            finding.overflow,
            finding.ended
        ),
        (
            Bound::Exact(workers),
            Bound::Exact(backlog),
            Bound::Exact(workers + backlog),
            Some(Overflow::Refused),
            SearchEnd::Complete
        ),
        "{finding:#?}"
    );
}

#[test]
fn workers_and_backlog_are_exact_on_an_ideal_link() {
    for workers in [1, 2, 4, 8] {
        for backlog in [0, 1, 4, 8] {
            let finding = find(
                Profile::Ideal,
                &[
                    ("workers", &workers.to_string()),
                    ("backlog", &backlog.to_string()),
                ],
            );
            expect(&finding, workers, backlog);
            assert_eq!(finding.closes_after_reply, Some(true));
            assert!(!finding.recovery.is_empty());
            assert_eq!(finding.drift, None);
        }
    }
}

#[test]
fn wifi_and_tutorial_profiles_are_exact() {
    for (workers, backlog) in [(4, 4), (1, 0), (8, 8)] {
        let finding = find(
            Profile::Esp32,
            &[
                ("workers", &workers.to_string()),
                ("backlog", &backlog.to_string()),
            ],
        );
        expect(&finding, workers, backlog);
    }
    expect(&find(Profile::Tutorial, &[]), 1, 2);
}

#[test]
fn slow_service_and_short_request_timeout_are_exact() {
    expect(&find(Profile::Ideal, &[("service-time", "100ms")]), 4, 4);
    let finding = find(Profile::Esp32, &[("request-timeout", "2s")]);
    expect(&finding, 4, 4);
}

#[test]
fn delay_and_loss_are_exact() {
    let finding = find(
        Profile::Ideal,
        &[("delay", "20ms"), ("loss", "1%"), ("seed", "11")],
    );
    expect(&finding, 4, 4);
    assert!(finding.took < Duration::from_secs(30));
}

#[test]
fn board_that_greets_at_once_cannot_be_held() {
    let finding = find(
        Profile::Ideal,
        &[("request-timeout", "0"), ("workers", "1"), ("backlog", "2")],
    );
    assert_eq!(finding.served_at_once.value, Bound::Unknown, "{finding:#?}");
    assert!(
        finding
            .served_at_once
            .evidence
            .detail
            .contains("greets first")
    );
    assert_eq!(finding.burst.value, Bound::Exact(3), "{finding:#?}");
    assert_eq!(finding.overflow, Some(Overflow::Refused));
}
