use proptest::prelude::*;

use std::sync::LazyLock;

use super::*;
use crate::bench::example;
use crate::bench::report::Bound;

fn check(text: &str, report: &Report) -> Outcome {
    Condition::parse(text).unwrap().check(report)
}

fn fails(text: &str, report: &Report) -> bool {
    matches!(check(text, report), Outcome::Failed(_))
}

#[test]
fn aliases_and_paths_of_the_contract() {
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
        assert_eq!(check(unmet, &report), Outcome::Passed, "{unmet}");
    }
}

#[test]
fn a_part_and_a_word_that_can_never_be_are_usage_errors() {
    for (text, message, hint) in [
        (
            "latency > 1",
            "'latency' is not one value",
            "complete_us.p50",
        ),
        (
            "limits.overflow == refusd",
            "never 'refusd'",
            "refused, dropped",
        ),
        ("verdict.x == 1", "no field 'verdict.x'", "verdict"),
    ] {
        let failure = Condition::parse(text).unwrap_err();
        assert!(failure.message.contains(message), "{failure}");
        assert!(failure.hint.as_ref().unwrap().contains(hint), "{failure}");
    }
}

#[test]
fn what_is_not_known_has_not_passed() {
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
    let outcome = check("held < 4", &report);
    assert_eq!(
        outcome,
        Outcome::Failed("held < 4: limits.held is not known".to_owned())
    );
    // A lower bound is compared as its number.
    report.limits = Some(example::limits());
    report.limits.as_mut().unwrap().held = Bound::at_least(256);
    assert_eq!(check("held < 256", &report), Outcome::Passed);
    assert!(fails("held < 257", &report));
}

#[test]
fn what_failed_is_said_with_its_value() {
    let outcome = check("p50 > 5ms", &example::report());
    assert_eq!(
        outcome,
        Outcome::Failed("p50 > 5ms: it is 8.00 ms".to_owned())
    );
}

#[test]
fn what_can_never_be_checked_is_refused_with_what_to_write() {
    for (text, message, hint) in [
        ("p98 > 1ms", "no field 'p98'", "'p9"),
        (
            "latency.complete.p99 > 1ms",
            "no field",
            "'latency.complete_us.p99'",
        ),
        (
            "latency.complete_us > 1ms",
            "not one value",
            "it has max, mean, p50",
        ),
        ("served_at_once < 4", "no field", "'limits.served_at_once'"),
        ("xyzzy < 1", "no field", "tcpctl schema bench"),
        ("p99 > 10", "no unit", "10ms"),
        ("p99 >", "value is missing", "p99 > 10ms"),
        ("p99", "no condition", "FIELD OP VALUE"),
        ("p99 = 10ms", "no condition", "=="),
        ("> 10ms", "no condition", "FIELD"),
        ("rate < fast", "not what", "200/s"),
        ("rate < NaN", "not what", "200/s"),
        ("limits.overflow < refused", "compares numbers", "=="),
        ("environment.virtual == yes", "neither", "true"),
        ("\x1b[2J > 1", "\\x1b[2J", "schema"),
    ] {
        let failure = Condition::parse(text).unwrap_err();
        assert_eq!(failure.exit().code(), 2);
        assert!(failure.message.contains(message), "{failure}");
        assert!(failure.hint.as_ref().unwrap().contains(hint), "{failure}");
    }
}

static FULL: LazyLock<Report> = LazyLock::new(example::full);

proptest! {
    #[test]
    fn any_text_is_a_condition_or_a_usage_error(text: String) {
        let _ = Condition::parse(&text);
    }

    #[test]
    fn so_is_what_looks_like_one(
        field in "[a-z_.0-9]{0,20}|p99|rate|errors|limits.overflow",
        operator in "[<>=!]{0,3}",
        value in "[0-9a-z.%/-]{0,8}",
    ) {
        if let Ok(condition) = Condition::parse(&format!("{field} {operator} {value}")) {
            let _ = condition.check(&FULL);
        }
    }
}
