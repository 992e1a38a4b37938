use std::time::{Duration, UNIX_EPOCH};

use super::limits::ordinal;
use super::ramp::describe_cause;
use super::*;
use crate::bench::report::{
    Bound, CauseKind, Evidence, EvidenceKind, Limits, Overflow, RampEnd, WarningKind,
};
use crate::bench::{example, summarize};
use tcpctl_engine::measurement::Measurement;

fn report(measurement: &Measurement) -> Report {
    let environment = example::environment(false);
    let report = summarize::report("board", example::start(), environment, Some(measurement));
    conclude(report)
}

fn warning(report: &Report, kind: WarningKind) -> Option<&str> {
    let warning = report.warnings.iter().find(|warning| warning.kind == kind);
    warning.map(|warning| warning.text.as_str())
}

#[test]
fn limits_come_first() {
    let report = example::full();
    assert_eq!(
        report.verdict[0],
        line(
            Level::Good,
            "serves 4 clients at once, queues 4 more, refuses the 9th (RST after 200 us); slot \
             reuse 3.00 ms; recommended: at most 4 clients"
        )
    );
}

#[test]
fn without_a_queue_one_fewer_client_is_recommended() {
    let text = |served, queued| {
        let limits = Limits {
            served_at_once: Bound::Exact(served),
            queued,
            ..example::limits()
        };
        super::limits::line(&limits).text
    };
    let none = Bound::Exact(0);
    assert!(text(4, none).ends_with("recommended: at most 3 clients"));
    assert!(text(1, none).ends_with("recommended: at most 1 client"));
    assert!(text(1, Bound::Exact(2)).starts_with("serves 1 client at once, queues 2 more"));
    let limits = Limits {
        served_at_once: Bound::at_least(1),
        ..example::limits()
    };
    let text = super::limits::line(&limits).text;
    assert!(
        text.starts_with("serves at least 1 client at once"),
        "{text}"
    );
}

#[test]
fn unknown_limit_names_the_reason() {
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
        super::limits::line(&limits),
        line(
            Level::Note,
            "clients served at once: unknown (it greets first\\x1b[2J), takes a burst of at least \
             64, not full at --max-connections"
        )
    );
}

#[test]
fn knee_is_reported_with_the_next_step() {
    let text = |report: &Report| ramp::line(report).unwrap().text;
    let mut report = example::full();
    assert_eq!(
        text(&report),
        "knee at 4 connections: 500 req/s, p99 16.0 ms; at 8 connections: 12 of 500 requests \
         failed"
    );
    report.ramp[3].failed = 0;
    report.ramp[3].cause = None;
    report.ramp[3].served_per_s = 520.0;
    let end = "; more connections bring less than 10% more (at most 520 req/s with 8)";
    assert!(text(&report).ends_with(end), "{}", text(&report));
    report.ramp[3].client_wait_share = Some(0.2);
    let end = "; this computer was busy, so the server may be faster";
    assert!(text(&report).ends_with(end), "{}", text(&report));
    report.ramp[2].knee = false;
    report.ramp_ended = Some(RampEnd::Budget);
    assert_eq!(
        text(&report),
        "no knee up to 8 connections: 520 req/s; the ramp ended at 8 connections (--budget used \
         up)"
    );
    report.ramp.clear();
    report.ramp_ended = Some(RampEnd::Interrupted);
    assert_eq!(text(&report), "ramp: no step was completed (interrupted)");
}

#[test]
fn cause_shows_the_outcome_of_each_trial() {
    let step = example::full().ramp[3];
    let mut cause = example::reconnect_race();
    assert_eq!(
        describe_cause(&step, &cause),
        "8 connections: reconnect race, not the server's capacity (failed: 12/500 on immediate \
         reconnects, 0/40 in bursts of 8, 0/425 at a constant 425 req/s)"
    );
    cause.bursts.late = 8;
    let text = describe_cause(&step, &cause);
    let end = "0/425 at a constant 425 req/s; without 8 requests that this computer delayed)";
    assert!(text.ends_with(end), "{text}");
    cause.kind = CauseKind::TooManyAtOnce;
    cause.bursts.troubled = 20;
    let text = describe_cause(&step, &cause);
    assert!(text.contains("more connections than") && text.contains("20/40"));
}

#[test]
fn good_run_is_one_line_without_warnings() {
    let report = example::report();
    let [only] = &report.verdict[..] else {
        panic!("{:?}", report.verdict);
    };
    assert_eq!(only.level, Level::Good);
    let start = "500 req/s over 4 connections: p50 8.00 ms, p99 ";
    assert!(only.text.starts_with(start), "{}", only.text);
    assert!(only.text.ends_with("; 0 of 2,500 failed"), "{}", only.text);
    assert_eq!(report.warnings, []);
}

#[test]
fn failures_decide_the_level() {
    let level = |failed| {
        let mut measurement = example::measurement();
        measurement.errors = [(ErrorClass::Refused, failed)].into();
        report(&measurement).verdict[0].level
    };
    assert_eq!(level(1), Level::Note);
    assert_eq!(level(100), Level::Bad);
}

#[test]
fn run_without_replies_fails_by_its_most_frequent_error() {
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
                .starts_with("board: all 8 requests failed: 7 ")
        );
        assert_eq!(report.verdict[0].level, Level::Bad);
    }
    assert_eq!(failure(&example::report()), None);
}

#[test]
fn changed_limits_are_a_warning() {
    let mut report = example::full();
    report.limits.as_mut().unwrap().drift = Some("held 6, 8, 8".to_owned());
    let report = conclude(report);
    let text = warning(&report, WarningKind::LimitsChanged);
    assert_eq!(text, Some("the limits differ between trials: held 6, 8, 8"));
}

#[test]
fn rate_below_target_is_a_warning() {
    let kind = WarningKind::RateNotReached;
    let mut measurement = example::measurement();
    measurement.target_rate = Some(500.0);
    assert_eq!(warning(&report(&measurement), kind), None);
    // One request can fall on the edge of the schedule.
    measurement.completed = 2_499;
    measurement.completed_in_window = 2_499;
    assert_eq!(warning(&report(&measurement), kind), None);
    measurement.target_rate = Some(1_000.0);
    assert_eq!(
        warning(&report(&measurement), kind),
        Some("target rate not reached: 500 of 1,000 req/s; only 500 req/s ended in time")
    );
    measurement.errors = [(ErrorClass::Refused, 2_501)].into();
    assert_eq!(
        warning(&report(&measurement), kind),
        Some("target rate not reached: 500 of 1,000 req/s; the other requests failed")
    );
}

#[test]
fn late_client_is_a_warning() {
    let kind = WarningKind::ClientLate;
    let mut measurement = example::measurement();
    // Of 8 ms, 1.9 are less than a quarter.
    measurement.schedule_error = Some(example::spread(1_900_000, 2_500));
    assert_eq!(warning(&report(&measurement), kind), None);
    measurement.schedule_error = Some(example::spread(2_100_000, 2_500));
    let late = report(&measurement);
    assert!(
        warning(&late, kind)
            .unwrap()
            .contains("started 2.10 ms late")
    );
    // Below the timer's resolution it does not matter, however fast the server is.
    measurement.schedule_error = Some(example::spread(60_000, 2_500));
    measurement.complete = example::spread(90_000, 2_500);
    assert_eq!(warning(&report(&measurement), kind), None);
}

#[test]
fn saturated_client_is_a_warning() {
    let kind = WarningKind::ClientSaturated;
    let mut measurement = example::measurement();
    measurement.client_cpu = Some(Duration::from_millis(4_450));
    assert_eq!(warning(&report(&measurement), kind), None);
    measurement.client_cpu = Some(Duration::from_millis(4_550));
    let saturated = report(&measurement);
    assert!(
        warning(&saturated, kind)
            .unwrap()
            .contains("91% of the CPU of its 1 thread")
    );
}

#[test]
fn virtual_board_local_limits_and_interruption_are_warnings() {
    assert!(warning(&example::full(), WarningKind::Virtual).is_some());
    let mut measurement = example::measurement();
    measurement.errors = [(ErrorClass::LocalPorts, 1)].into();
    measurement.interrupted = true;
    let report = report(&measurement);
    assert!(warning(&report, WarningKind::LocalLimit).is_some());
    assert!(warning(&report, WarningKind::Interrupted).is_some());
}

#[test]
fn omitted_percentiles_are_a_footnote() {
    let omitted = |samples| {
        let mut measurement = example::measurement();
        measurement.complete = example::spread(8_000_000, samples);
        let report = report(&measurement);
        warning(&report, WarningKind::FewSamples).map(str::to_owned)
    };
    assert_eq!(
        omitted(789).unwrap(),
        "p99.9 omitted: needs 1,000 samples, have 789"
    );
    assert_eq!(
        omitted(20).unwrap(),
        "p99, p99.9 omitted: need 100, 1,000 samples, have 20"
    );
    assert_eq!(omitted(1_000), None);
}

#[test]
fn missing_measurements_are_a_footnote() {
    let mut measurement = example::measurement();
    measurement.totals = None;
    let report = report(&measurement);
    let text = warning(&report, WarningKind::NotSupported).unwrap();
    let missing = "retransmissions, round-trip times";
    let start = format!("not available on this platform: {missing}");
    assert!(text.starts_with(&start), "{text}");
    let environment = example::environment(true);
    let of_virtual = summarize::report("sim", example::start(), environment, Some(&measurement));
    let of_virtual = conclude(of_virtual);
    let text = warning(&of_virtual, WarningKind::NotSupported).unwrap();
    let start = format!("not available with a virtual board: {missing}");
    assert!(text.starts_with(&start), "{text}");
}

#[test]
fn clock_change_is_reported() {
    let expected = UNIX_EPOCH + Duration::from_secs(1_000);
    let text = |now| clock_set(expected, now).map(|warning| warning.text);
    assert_eq!(text(expected + Duration::from_millis(900)), None);
    let forward = text(expected + Duration::from_secs(3)).unwrap();
    assert!(forward.contains("forward by 3.00 s"), "{forward}");
    let back = text(expected - Duration::from_secs(3)).unwrap();
    assert!(back.contains("back by 3.00 s"), "{back}");
}

#[test]
fn ordinals_are_english() {
    let text = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal);
    let expected = [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th",
    ];
    assert_eq!(text, expected);
}
