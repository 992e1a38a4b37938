use proptest::prelude::*;

use super::*;
use crate::bench::example;

fn with(completed: u64, p50: u64) -> Report {
    let mut measurement = example::measurement();
    measurement.seconds = example::seconds(completed, p50);
    let environment = example::environment(false);
    Report::new("board", example::start(), environment, Some(&measurement))
}

#[test]
fn a_run_compared_with_itself_finds_nothing() {
    for report in [example::report(), example::full()] {
        let comparison = compare(&report, &report);
        assert!(!comparison.finds_something(), "{comparison:?}");
        assert_eq!(comparison.rate_per_s.difference, Some(0.0));
        assert_eq!(comparison.rate_per_s.finding, Finding::None);
    }
}

#[test]
fn a_difference_beyond_chance_is_found_with_its_sign() {
    let comparison = compare(&with(500, 8_000_000), &with(450, 9_000_000));
    let rate = comparison.rate_per_s;
    assert_eq!(rate.finding, Finding::Lower);
    assert_eq!(rate.difference, Some(-50.0));
    assert!(
        rate.low.unwrap() < -50.0 && rate.high.unwrap() < -40.0,
        "{rate:?}"
    );
    assert_eq!(comparison.p50_us.finding, Finding::Higher);
    assert_eq!(comparison.p50_us.difference, Some(1_000.0));
    assert_eq!(comparison.failed_share.finding, Finding::None);
}

#[test]
fn a_difference_within_the_noise_is_none() {
    let comparison = compare(&with(500, 8_000_000), &with(501, 8_010_000));
    assert!(!comparison.finds_something(), "{comparison:?}");
}

#[test]
fn four_seconds_are_too_few_and_a_part_of_one_does_not_count() {
    let mut short = with(500, 8_000_000);
    let latency = short.latency.as_mut().unwrap();
    // Five entries, but the last is half a second.
    latency.duration_us = 4.5e6;
    let comparison = compare(&short, &with(100, 8_000_000));
    assert_eq!(comparison.rate_per_s.finding, Finding::TooFew);
    assert_eq!(comparison.rate_per_s.low, None);
}

#[test]
fn other_limits_and_another_load_are_named() {
    let before = example::full();
    let mut now = example::full();
    now.limits.as_mut().unwrap().served_at_once = crate::bench::report::Bound::Exact(2);
    now.latency.as_mut().unwrap().connections = 8;
    now.ramp[2].knee = false;
    now.ramp[1].knee = true;
    assert_eq!(
        compare(&before, &now).changes,
        [
            "served at once: 4 before, 2 now",
            "the knee: 4 before, 2 now",
            "connections: 4 before, 8 now"
        ]
    );
}

#[test]
fn critical_values_are_the_table_s() {
    // Two-sided 5% (Mann and Whitney's table): U <= 2 for 5 and 5, 23 for 10 and 10,
    // 127 for 20 and 20; the count of values from 0 is one more.
    assert_eq!(exact(5, 5, 0.025), 3);
    assert_eq!(exact(10, 10, 0.025), 24);
    assert_eq!(exact(20, 20, 0.025), 128);
    assert_eq!(exact(4, 4, 0.00625), 0);
    assert!((upper_quantile(0.025) - 1.959_964).abs() < 1e-5);
    // Where exact ends and the normal begins, they agree.
    assert!(exact(50, 50, 0.006_25).abs_diff(approximate(50, 50, 0.006_25)) <= 8);
}

#[test]
fn a_slower_upload_is_found_in_a_run_without_latency() {
    let of = |bytes: u64, streams| {
        let environment = example::environment(false);
        let mut report = Report::new("board", example::start(), environment, None);
        report.throughput = Some(Throughput {
            upload: Some(Flow {
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
    assert_eq!(found.upload_bytes.unwrap().finding, Finding::Lower);
    assert_eq!(found.download_bytes, None, "neither run has it");
    assert_eq!(found.changes, ["streams of the upload: 4 before, 2 now"]);
    let itself = compare(&of(2_000, 4), &of(2_000, 4));
    assert!(!itself.finds_something(), "{itself:?}");
}

proptest! {
    #[test]
    fn swapping_the_runs_turns_the_sign(
        one in proptest::collection::vec(0_u32..1_000, 5..12),
        other in proptest::collection::vec(0_u32..1_000, 5..12),
    ) {
        let values = |values: &[u32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
        let there = difference(values(&one), values(&other), LATENCY_ROWS);
        let back = difference(values(&other), values(&one), LATENCY_ROWS);
        prop_assert_eq!(there.low.map(|low| -low), back.high);
        prop_assert_eq!(there.difference.map(|d| -d), back.difference);
        let itself = difference(values(&one), values(&one), LATENCY_ROWS);
        prop_assert_eq!(itself.finding, Finding::None);
    }
}
