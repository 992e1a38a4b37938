use std::time::Duration;

use super::limits::ordinal;
use super::ramp::of_cause;
use super::*;
use crate::bench::example;
use crate::bench::report::{Bound, CauseKind, Evidence, EvidenceKind, Overflow, RampEnd};
use tcpctl_engine::measurement::Measurement;

fn report(measurement: &Measurement) -> Report {
    let environment = example::environment(false);
    Report::new("board", example::start(), environment, Some(measurement)).conclude()
}

fn has(report: &Report, code: Code) -> bool {
    report.caveats.iter().any(|caveat| caveat.code == code)
}

#[test]
fn the_first_line_answers_for_the_limits() {
    let report = example::full();
    assert_eq!(
        report.verdict.lines().next().unwrap(),
        "serves 4 at once, queues 4, refuses the 9th (RST after 200 us); a freed place is \
         taken again in 3.00 ms; keep clients at or under 4"
    );
}

#[test]
fn the_knee_is_named_with_what_comes_after_it() {
    let line = |report: &Report| of_ramp(report).unwrap();
    let mut report = example::full();
    assert_eq!(
        line(&report),
        "knee at 4 connections: 500/s, 99% in 16.0 ms; at 8: 12 of 500 requests failed"
    );
    report.ramp[3].failed = 0;
    report.ramp[3].cause = None;
    report.ramp[3].served_per_s = 520.0;
    assert!(
        line(&report).ends_with("; more bring less than 10% more (at best 520/s with 8)"),
        "{}",
        line(&report)
    );
    report.ramp[2].knee = false;
    report.ramp_ended = Some(RampEnd::Budget);
    assert_eq!(
        line(&report),
        "no knee up to 8 connections: 520/s; the ramp ended at 8: its --budget was used up"
    );
    report.ramp.clear();
    report.ramp_ended = Some(RampEnd::Interrupted);
    assert_eq!(
        line(&report),
        "no step of the ramp was completed: it was interrupted"
    );
}

#[test]
fn a_race_is_told_from_a_limit_with_the_numbers_of_both() {
    let step = example::full().ramp[3];
    let mut cause = example::reconnect_race();
    let text = of_cause(&step, &cause);
    for part in [
        "reconnect race",
        "12 of 500",
        "0 of 40",
        "0 of 425 on a schedule of 425/s",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    cause.kind = CauseKind::TooManyAtOnce;
    cause.bursts.troubled = 20;
    let text = of_cause(&step, &cause);
    assert!(
        text.contains("capacity") && text.contains("20 of 40"),
        "{text}"
    );
    assert!(!text.contains("race"), "{text}");
    cause.kind = CauseKind::AnyPace;
    let text = of_cause(&step, &cause);
    assert!(text.contains("not that clients come back"), "{text}");
}

#[test]
fn a_good_server_is_one_line() {
    let report = example::report();
    assert_eq!(report.verdict.lines().count(), 1, "{}", report.verdict);
    let start = "answers 500/s (4 connections): half in 8.00 ms, 99% in ";
    assert!(report.verdict.starts_with(start), "{}", report.verdict);
    assert!(
        report.verdict.ends_with("; none of 2,500 failed"),
        "{}",
        report.verdict
    );
    assert!(report.caveats.is_empty(), "{:?}", report.caveats);
}

#[test]
fn limits_that_change_are_said_right_after_them() {
    let mut report = example::full();
    let limits = report.limits.as_mut().unwrap();
    let drift = "held 6, 8, 8 (other clients are on the server)".to_owned();
    limits.drift = Some(drift);
    assert_eq!(
        lines(&report)[1],
        "its limits changed between the rounds: held 6, 8, 8 (other clients are on the server)"
    );
    report.limits = None;
    assert!(!lines(&report).iter().any(|line| line.contains("rounds")));
}

#[test]
fn what_cannot_be_known_is_said_with_the_reason() {
    let mut limits = example::limits();
    limits.served_at_once = Bound::Unknown;
    limits.queued = Bound::Unknown;
    limits.held = Bound::Unknown;
    limits.recovery_us = None;
    limits.burst = Bound::at_least(64);
    limits.overflow = Some(Overflow::NotReached);
    let reason = Evidence::new(EvidenceKind::Unknowable, "it greets first\u{1b}[2J");
    limits.evidence.insert("served_at_once".to_owned(), reason);
    assert_eq!(
        of_limits(&limits),
        "how many it serves at once can't be known (it greets first\\x1b[2J), \
         takes a burst of at least 64, was not full with all that --max-connections allows"
    );
}

#[test]
fn all_failed_is_a_failure_by_what_they_died_of() {
    for (class, exit) in [
        (ErrorClass::Refused, 7),
        (ErrorClass::ConnectTimeout, 7),
        (ErrorClass::ReplyTimeout, 28),
        (ErrorClass::ResetInReply, 56),
        (ErrorClass::ClosedEarly, 1),
        (ErrorClass::LocalFiles, 70),
    ] {
        let mut measurement = example::measurement();
        measurement.completed = 0;
        measurement.errors = [(class, 7), (ErrorClass::Unreachable, 1)].into();
        let report = report(&measurement);
        let failure = failure(&report).unwrap();
        assert_eq!(failure.exit().code(), exit, "{failure}");
        assert!(
            failure
                .message
                .starts_with("board: all 8 requests failed: 7 "),
            "{failure}"
        );
        assert!(has(&report, Code::AllFailed));
        assert!(report.verdict.starts_with("all 8 requests failed"));
    }
    assert_eq!(failure(&example::report()), None);
}

#[test]
fn a_rate_that_was_not_reached_is_said() {
    let mut measurement = example::measurement();
    measurement.target_rate = Some(500.0);
    assert!(!has(&report(&measurement), Code::RateNotReached));
    // The edge of the schedule is no lack.
    measurement.completed = 2_499;
    assert!(!has(&report(&measurement), Code::RateNotReached));
    measurement.target_rate = Some(1_000.0);
    let late = report(&measurement);
    assert!(
        late.verdict
            .contains("1,000/s asked for, 500/s completed; only 500/s ended in time"),
        "{}",
        late.verdict
    );
    measurement.errors = [(ErrorClass::Refused, 2_501)].into();
    let failing = report(&measurement);
    assert!(
        failing
            .verdict
            .contains("500/s completed; the others failed"),
        "{}",
        failing.verdict
    );
}

#[test]
fn a_schedule_that_was_late_here_is_said() {
    let mut measurement = example::measurement();
    // Of 8 ms, 1.9 are less than a quarter.
    measurement.schedule_error = Some(example::spread(1_900_000, 2_500));
    assert!(!has(&report(&measurement), Code::StartedLate));
    measurement.schedule_error = Some(example::spread(2_100_000, 2_500));
    let late = report(&measurement);
    assert!(
        late.verdict.contains("started late by 2.10 ms or more"),
        "{}",
        late.verdict
    );
    // The schedule's own lateness is none, however fast the server is.
    measurement.schedule_error = Some(example::spread(60_000, 2_500));
    measurement.complete = example::spread(90_000, 2_500);
    assert!(!has(&report(&measurement), Code::StartedLate));
}

#[test]
fn a_saturated_client_measured_itself() {
    let mut measurement = example::measurement();
    measurement.client_cpu = Some(Duration::from_millis(4_450));
    assert!(!has(&report(&measurement), Code::ClientSaturated));
    measurement.client_cpu = Some(Duration::from_millis(4_550));
    let saturated = report(&measurement);
    assert!(
        saturated
            .verdict
            .contains("91% of the CPU that its 1 thread could use"),
        "{}",
        saturated.verdict
    );
}

#[test]
fn a_virtual_board_and_our_own_limits_are_said() {
    let report_of = example::full();
    assert!(
        report_of.verdict.contains("virtual board"),
        "{}",
        report_of.verdict
    );
    let mut measurement = example::measurement();
    measurement.errors = [(ErrorClass::LocalPorts, 1)].into();
    measurement.interrupted = true;
    let report = report(&measurement);
    assert!(
        report.verdict.contains("\n1 request failed for want of"),
        "{}",
        report.verdict
    );
    assert!(
        report.verdict.contains("\ncut short after 5.00 s"),
        "{}",
        report.verdict
    );
}

#[test]
fn missing_rows_are_named() {
    let mut measurement = example::measurement();
    measurement.totals = None;
    let report = report(&measurement);
    let missing = report
        .caveats
        .iter()
        .find(|caveat| caveat.code == Code::Missing);
    let text = &missing.unwrap().text;
    assert!(text.contains("retransmissions, round-trip times"), "{text}");
}

#[test]
fn ordinals_are_english() {
    let text = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal);
    assert_eq!(
        text,
        [
            "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"
        ]
    );
}
