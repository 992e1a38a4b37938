use proptest::prelude::*;

use super::*;
use crate::bench::report::Bound;
use crate::bench::{example, summarize};

/// A run of 5 s with a rate per second and a median in nanoseconds.
fn run(rate: u64, p50: u64) -> Report {
    let mut measurement = example::measurement();
    measurement.completed = rate * 5;
    measurement.completed_in_window = rate * 5;
    measurement.complete = example::spread(p50, rate * 5);
    measurement.seconds = example::seconds(rate, p50);
    let environment = example::environment(false);
    summarize::report("board", example::start(), environment, Some(&measurement))
}

fn changed(comparison: &Comparison) -> Vec<(ChangeKind, String)> {
    let changes = comparison.changes.iter();
    changes
        .map(|it| (it.kind, format!("{}: {} {}", it.what, it.before, it.now)))
        .collect()
}

#[test]
fn run_compared_with_itself_has_no_difference() {
    for report in [example::report(), example::full()] {
        let comparison = compare(&report, &report);
        assert!(!comparison.has_difference(), "{comparison:?}");
        assert_eq!(comparison.rate_per_s.difference, Some(0.0));
        assert_eq!(comparison.rate_per_s.finding, Finding::None);
        assert_eq!(comparison.changes, []);
    }
}

#[test]
fn significant_difference_has_overall_values_and_interval() {
    let (before, now) = (run(500, 8_000_000), run(450, 9_000_000));
    let comparison = compare(&before, &now);
    let rate = comparison.rate_per_s;
    assert_eq!(rate.finding, Finding::Lower);
    assert_eq!((rate.before, rate.now), (Some(500.0), Some(450.0)));
    assert_eq!(rate.difference, Some(-50.0));
    assert!(
        rate.low.unwrap() < -50.0 && rate.high.unwrap() < -40.0,
        "{rate:?}"
    );
    let p50 = |report: &Report| report.latency.as_ref().unwrap().complete_us.p50;
    assert_eq!(comparison.p50_us.finding, Finding::Higher);
    assert_eq!(comparison.p50_us.before, p50(&before));
    assert_eq!(comparison.p50_us.now, p50(&now));
    assert_eq!(comparison.failed_share.finding, Finding::None);
    assert_eq!(comparison.too_short, None);
}

#[test]
fn difference_within_noise_is_not_significant() {
    let comparison = compare(&run(500, 8_000_000), &run(501, 8_010_000));
    assert!(!comparison.has_difference(), "{comparison:?}");
}

#[test]
fn short_run_reports_the_needed_length() {
    let mut short = run(500, 8_000_000);
    // Five entries, but the last is half a second.
    short.latency.as_mut().unwrap().duration_us = 4.5e6;
    let comparison = compare(&short, &run(100, 8_000_000));
    assert_eq!(comparison.rate_per_s.finding, Finding::TooFew);
    assert_eq!(comparison.rate_per_s.low, None);
    assert_eq!(comparison.rate_per_s.difference, Some(-400.0));
    let expected = TooShort {
        needs_s: 5,
        has_s: 4,
    };
    assert_eq!(comparison.too_short, Some(expected));
}

#[test]
fn changed_limits_and_setup_are_listed() {
    let before = example::full();
    let mut now = example::full();
    now.limits.as_mut().unwrap().served_at_once = Bound::Exact(2);
    now.latency.as_mut().unwrap().connections = 8;
    now.ramp[2].knee = false;
    now.ramp[1].knee = true;
    now.target = "other".to_owned();
    now.environment.hostname = Some("laptop".to_owned());
    now.options.as_mut().unwrap().message = "hi".to_owned();
    let (result, setup) = (ChangeKind::Result, ChangeKind::Setup);
    assert_eq!(
        changed(&compare(&before, &now)),
        [
            (result, "served at once: 4 2"),
            (result, "knee: 4 2"),
            (setup, "target: sim:esp32,workers=4 other"),
            (setup, "computer: desk laptop"),
            (setup, "message: Hello TCP world! hi"),
            (setup, "connections: 4 8"),
        ]
        .map(|(kind, text)| (kind, text.to_owned()))
    );
}

#[test]
fn critical_values_match_the_published_table() {
    // Two-sided 5% (Mann and Whitney's table): U <= 2 for 5 and 5, 23 for 10 and 10,
    // 127 for 20 and 20; the count of values from 0 is one more.
    assert_eq!(exact(5, 5, 0.025), 3);
    assert_eq!(exact(10, 10, 0.025), 24);
    assert_eq!(exact(20, 20, 0.025), 128);
    assert_eq!(exact(4, 4, 0.00625), 0);
    assert!((upper_quantile(0.025) - 1.959_964).abs() < 1e-5);
    // At the switch to the approximation the two agree.
    assert!(exact(50, 50, 0.006_25).abs_diff(approximate(50, 50, 0.006_25)) <= 8);
}

#[test]
fn upload_is_compared_without_latency() {
    let of = |bytes: u64, streams| {
        let environment = example::environment(false);
        let mut report = summarize::report("board", example::start(), environment, None);
        report.throughput = Some(Throughput {
            upload: Some(Flow {
                bytes_per_s: bytes as f64,
                streams,
                seconds: (0..5).map(|second| bytes + second).collect(),
                duration_us: 5e6,
                ..Flow::default()
            }),
            ..Throughput::default()
        });
        report
    };
    let found = compare(&of(2_000, 4), &of(1_000, 2));
    let upload = found.upload_bytes.unwrap();
    assert_eq!(upload.finding, Finding::Lower);
    assert_eq!(upload.difference, Some(-1_000.0));
    assert_eq!(found.download_bytes, None);
    assert_eq!(
        changed(&found),
        [(ChangeKind::Setup, "upload streams: 4 2".to_owned())]
    );
}

proptest! {
    #[test]
    fn swapping_the_runs_changes_the_sign(
        one in proptest::collection::vec(0_u32..1_000, 5..12),
        other in proptest::collection::vec(0_u32..1_000, 5..12),
    ) {
        let values = |values: &[u32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
        let compare = |before: &[u32], now: &[u32]| {
            difference([Some(1.0), Some(2.0)], values(before), values(now), 0.0125)
        };
        let (there, back) = (compare(&one, &other), compare(&other, &one));
        prop_assert_eq!(there.low.map(|low| -low), back.high);
        prop_assert_eq!(compare(&one, &one).finding, Finding::None);
    }
}
