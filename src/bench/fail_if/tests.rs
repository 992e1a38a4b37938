use proptest::prelude::*;

use std::sync::LazyLock;

use super::*;
use crate::bench::example;
use crate::bench::report::{Bound, Errors, Report};
use tcpctl_engine::measurement::ErrorClass;

fn check(text: &str, report: &Report) -> CheckedCondition {
    let report = serde_json::to_value(report).unwrap();
    Condition::parse(text).unwrap().check(&report)
}

fn fails(text: &str, report: &Report) -> bool {
    !check(text, report).passed
}

#[test]
fn aliases_and_paths_are_compared() {
    // 100 of 2,600 failed; the median is 8 ms, the rate 500/s, 4 served and 4 queued.
    let report = example::full();
    for met in [
        "p50 > 5ms",
        "p50>=7.9ms",
        "p99 > p50".replace("p50", "10ms").as_str(),
        "max >= 10ms",
        "rate < 1000",
        "rate < 600/s",
        "errors > 0",
        "errors == 100",
        "served == 4",
        "queued != 5",
        "held <= 8",
        "latency.errors.refused == 80",
        "latency.complete_us.p50 > 5000",
        "latency.complete_us.p50 > 5ms",
        "latency.complete_us.samples >= 2500",
        "latency.client_cpu_us_per_request < 1ms",
        "latency.client_cpu_share < 5%",
        "limits.overflow == refused",
        "limits.overflow != 'dropped'",
        "environment.virtual == true",
        "ramp.3.refused > 0",
        "throughput.download.bytes_per_s < 3M",
        "throughput.upload.single.bytes_per_s < 8Mbit",
        "throughput.upload.limited_by == receiver_window",
    ] {
        assert!(fails(met, &report), "{met}");
    }
    for unmet in [
        "p50 > 1s",
        "rate < 400",
        "errors > 100",
        "served < 4",
        "held != 8",
        "latency.errors.closed_early > 0",
        "limits.overflow != refused",
        "ramp.0.refused > 0",
        "environment.virtual == false",
    ] {
        assert!(!fails(unmet, &report), "{unmet}");
    }
}

#[test]
fn objects_and_unknown_words_are_usage_errors() {
    for (text, message, hint) in [
        (
            "latency > 1",
            "'latency' is not a single value",
            "complete_us.p50",
        ),
        (
            "limits.overflow == refusd",
            "not a value of this field: 'refusd'",
            "refused, dropped",
        ),
        ("verdict.x == 1", "no such field: 'verdict.x'", "verdict"),
    ] {
        let failure = Condition::parse(text).unwrap_err();
        assert!(failure.message.contains(message), "{failure}");
        assert!(failure.hint.as_ref().unwrap().contains(hint), "{failure}");
    }
}

#[test]
fn unknown_value_fails() {
    let mut report = example::report();
    for text in [
        "served < 4",
        "served >= 0",
        "ramp.9.refused > 0",
        "limits.overflow == dropped",
        "throughput.echo.bytes_per_s < 1k",
        "comparison.rate_per_s.difference < 0",
    ] {
        assert!(fails(text, &report), "{text}");
    }
    assert_eq!(check("held < 4", &report).value, None);
    // A lower bound is compared as its number.
    report.limits = Some(example::limits());
    report.limits.as_mut().unwrap().held = Bound::at_least(256);
    assert!(!fails("held < 256", &report));
    assert!(fails("held < 257", &report));
}

#[test]
fn failure_names_the_value() {
    let checked = check("p50 > 5ms", &example::report());
    assert_eq!(checked.value.as_deref(), Some("8.00 ms"));
    let failure = require(&[checked], "board").unwrap_err();
    assert_eq!(failure.exit().code(), 1);
    assert_eq!(failure.message, "--fail-if 'p50 > 5ms' (value: 8.00 ms)");
}

#[test]
fn invalid_condition_is_refused_with_a_hint() {
    for (text, message, hint) in [
        ("p98 > 1ms", "no such field: 'p98'", "'p9"),
        (
            "latency.complete.p99 > 1ms",
            "no such field",
            "'latency.complete_us.p99'",
        ),
        (
            "latency.complete_us > 1ms",
            "not a single value",
            "its fields: max, mean, p50",
        ),
        (
            "served_at_once < 4",
            "no such field",
            "'limits.served_at_once'",
        ),
        ("xyzzy < 1", "no such field", "tcpctl schema bench"),
        ("p99 > 10", "no unit", "10ms"),
        ("p99 >", "missing value", "p99 > 10ms"),
        ("p99", "not a condition", "FIELD OP VALUE"),
        ("p99 = 10ms", "not a condition", "=="),
        ("> 10ms", "not a condition", "FIELD"),
        ("rate < fast", "not a valid", "200/s"),
        ("rate < NaN", "not a valid", "200/s"),
        ("limits.overflow < refused", "needs a number", "=="),
        ("environment.virtual == yes", "not true or false", "true"),
        ("\x1b[2J > 1", "\\x1b[2J", "schema"),
    ] {
        let failure = Condition::parse(text).unwrap_err();
        assert_eq!(failure.exit().code(), 2);
        assert!(failure.message.contains(message), "{failure}");
        assert!(failure.hint.as_ref().unwrap().contains(hint), "{failure}");
    }
}

#[test]
fn unmeasured_part_is_refused() {
    let all = Parts {
        limits: true,
        latency: true,
        ramp: true,
        throughput: true,
    };
    let check = |text, parts| {
        Condition::parse(text)
            .unwrap()
            .require_measured(parts, false)
    };
    for (text, parts) in [
        (
            "served < 4",
            Parts {
                limits: false,
                ..all
            },
        ),
        (
            "p99 > 10ms",
            Parts {
                latency: false,
                ..all
            },
        ),
        ("ramp.0.failed > 0", Parts { ramp: false, ..all }),
    ] {
        assert!(check(text, all).is_ok(), "{text}");
        let failure = check(text, parts).unwrap_err();
        assert_eq!(failure.exit().code(), 2);
    }
    assert!(check("comparison.rate_per_s.difference < 0", all).is_err());
}

#[test]
fn errors_leave_out_those_of_this_computer() {
    let mut report = example::report();
    let errors = [(ErrorClass::LocalPorts, 3), (ErrorClass::Refused, 2)];
    report.latency.as_mut().unwrap().errors = Errors::from(&errors.into());
    assert!(fails("errors == 2", &report));
}

static FULL: LazyLock<serde_json::Value> =
    LazyLock::new(|| serde_json::to_value(example::full()).unwrap());

proptest! {
    #[test]
    fn any_text_is_a_condition_or_an_error(text: String) {
        let _ = Condition::parse(&text);
    }

    #[test]
    fn similar_text_is_a_condition_or_an_error(
        field in "[a-z_.0-9]{0,20}|p99|rate|errors|limits.overflow",
        operator in "[<>=!]{0,3}",
        value in "[0-9a-z.%/-]{0,8}",
    ) {
        if let Ok(condition) = Condition::parse(&format!("{field} {operator} {value}")) {
            let _ = condition.check(&FULL);
        }
    }
}
