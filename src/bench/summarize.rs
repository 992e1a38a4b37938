//! Computes the report from the load engine's counts and the limits found.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::limits::{LimitsFinding, PerClient, SearchEnd};
use super::report::{
    Bound, Distribution, Environment, Errors, Evidence, EvidenceKind, Histograms, Interval,
    Latency, Limits, Overflow, PackedHistogram, Report, Schema, Timestamp,
};
use tcpctl_engine::measurement::{ConnectionTotals, Measurement, Second};
use tcpctl_engine::times::Times;

/// Percentiles, and the minimum number of samples for each: 100 / (100 - p). With fewer, it would
/// be the maximum.
pub const SAMPLES_NEEDED: [(&str, f64, u64); 4] = [
    ("p50", 0.5, 2),
    ("p90", 0.9, 10),
    ("p99", 0.99, 100),
    ("p99.9", 0.999, 1_000),
];

/// Minimum duration for a CPU share. Kernels count CPU time in ticks of up to 10 ms, so in a
/// shorter run it is noise.
const MIN_TIME_FOR_CPU_SHARE: Duration = Duration::from_millis(100);

/// A report with the latency of `measurement`, if there was a load. The command fills in the other
/// parts; then [`super::verdict::conclude`] adds verdict and warnings.
pub fn report(
    target: &str,
    started_at: SystemTime,
    environment: Environment,
    measurement: Option<&Measurement>,
) -> Report {
    let cpus = environment.cpus;
    Report {
        schema: Schema,
        target: target.to_owned(),
        label: None,
        command: None,
        options: None,
        started_at: Timestamp(started_at),
        environment,
        runs: 1,
        merged: Vec::new(),
        machines: None,
        limits: None,
        latency: measurement.map(|measurement| latency(measurement, cpus)),
        ramp: Vec::new(),
        ramp_ended: None,
        throughput: None,
        comparison: None,
        conditions: Vec::new(),
        warnings: Vec::new(),
        verdict: Vec::new(),
        histograms: measurement.map(histograms),
    }
}

/// The latency part of the report.
fn latency(measurement: &Measurement, cpus: u64) -> Latency {
    let errors = Errors::from(&measurement.errors);
    let requests = measurement.completed + errors.sum();
    let totals = measurement.totals.as_ref();
    let of_totals =
        |times: fn(&ConnectionTotals) -> Option<&Times>| totals.and_then(times).map(distribution);
    let threads = measurement.threads as u64;
    let cores = threads.min(cpus).max(1);
    Latency {
        requests,
        completed: measurement.completed,
        completed_in_window: measurement.completed_in_window,
        rate_per_s: per_second(measurement.completed_in_window, measurement.window),
        target_rate_per_s: measurement.target_rate,
        connections: measurement.connections as u64,
        keep_alive: measurement.keep_alive,
        reply_rule: measurement.reply_rule.kind,
        reply_rule_learned: measurement.reply_rule.learned.is_some(),
        reply_rule_mismatches: measurement.reply_rule.mismatches,
        started_at: Some(Timestamp(measurement.started_at)),
        duration_us: microseconds(measurement.elapsed),
        window_us: microseconds(measurement.window),
        interrupted: measurement.interrupted,
        errors,
        connect_us: distribution(&measurement.connect),
        first_byte_us: distribution(&measurement.first_byte),
        complete_us: distribution(&measurement.complete),
        schedule_error_us: measurement.schedule_error.as_ref().map(distribution),
        syn_retransmissions: totals.map(|totals| totals.syn_retransmissions),
        retransmissions: totals.map(|totals| totals.retransmissions),
        smoothed_rtt_us: of_totals(|totals| totals.smoothed_rtt.as_ref()),
        min_rtt_us: of_totals(|totals| totals.min_rtt.as_ref()),
        client_delay_us: measurement.client_delay.as_ref().map(distribution),
        client_run_delay_us: measurement.run_delay.map(microseconds),
        receiver_limited_us: totals
            .and_then(|totals| totals.receiver_limited)
            .map(microseconds),
        send_buffer_limited_us: totals
            .and_then(|totals| totals.send_buffer_limited)
            .map(microseconds),
        client_cpu_us: measurement.client_cpu.map(microseconds),
        client_cpu_us_per_request: measurement
            .client_cpu
            .and_then(|cpu| per_request(microseconds(cpu), requests)),
        client_cpu_share: measurement
            .client_cpu
            .filter(|_| measurement.elapsed >= MIN_TIME_FOR_CPU_SHARE)
            .map(|cpu| {
                let available = measurement.elapsed.as_secs_f64() * cores as f64;
                round_to_thousandths(cpu.as_secs_f64() / available)
            }),
        threads,
        seconds: measurement.seconds.iter().map(interval).collect(),
    }
}

fn histograms(measurement: &Measurement) -> Histograms {
    let totals = measurement.totals.as_ref();
    let packed = |times: &Times| PackedHistogram(times.clone());
    Histograms {
        connect: packed(&measurement.connect),
        first_byte: packed(&measurement.first_byte),
        complete: packed(&measurement.complete),
        schedule_error: measurement.schedule_error.as_ref().map(packed),
        smoothed_rtt: totals.and_then(|totals| totals.smoothed_rtt.as_ref().map(packed)),
        min_rtt: totals.and_then(|totals| totals.min_rtt.as_ref().map(packed)),
        client_delay: measurement.client_delay.as_ref().map(packed),
    }
}

/// The distribution of times in nanoseconds. Percentiles without enough samples are `None`.
pub fn distribution(times: &Times) -> Distribution {
    let samples = times.len();
    let [p50, p90, p99, p99_9] = SAMPLES_NEEDED.map(|(_, quantile, needed)| {
        (samples >= needed).then(|| times.value_at_quantile(quantile) as f64 / 1e3)
    });
    Distribution {
        p50,
        p90,
        p99,
        p99_9,
        max: (samples > 0).then(|| times.max() as f64 / 1e3),
        mean: (samples > 0).then(|| round_to_thousandths(times.mean() / 1e3)),
        samples,
    }
}

/// A rate per second; 0 for a duration of zero.
pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() {
        return 0.0;
    }
    round_to_thousandths(count as f64 / time.as_secs_f64())
}

pub(super) fn per_request(total: f64, requests: u64) -> Option<f64> {
    (requests > 0).then(|| round_to_thousandths(total / requests as f64))
}

/// Rounds to three decimals, more than any measurement here is accurate to.
pub(super) fn round_to_thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

pub(super) fn microseconds(time: Duration) -> f64 {
    round_to_thousandths(time.as_nanos() as f64 / 1e3)
}

fn interval(second: &Second) -> Interval {
    let known = |nanoseconds: u64| (second.completed > 0).then(|| nanoseconds as f64 / 1e3);
    Interval {
        completed: second.completed,
        failed: second.failed,
        p50_us: known(second.p50),
        p99_us: known(second.p99),
    }
}

/// The limits part of the report.
pub(super) fn limits(finding: &LimitsFinding) -> Limits {
    let observed = |detail: &str| Evidence::new(EvidenceKind::Observed, detail);
    let mut evidence: BTreeMap<String, Evidence> = [
        ("served_at_once", finding.served_at_once.evidence.clone()),
        ("queued", finding.queued.evidence.clone()),
        ("held", finding.held.evidence.clone()),
        ("burst", finding.burst.evidence.clone()),
        ("overflow", finding.overflow_evidence.clone()),
        ("recovery_us", recovery_evidence(finding)),
    ]
    .into_iter()
    .map(|(field, evidence)| (field.to_owned(), evidence))
    .collect();
    if let Some(PerClient { is_each, in_all }) = finding.per_client {
        let detail = if is_each {
            "another address was accepted when the first was not"
        } else {
            "another address was not accepted either"
        };
        evidence.insert("per_client".to_owned(), observed(detail));
        let total = match in_all {
            Bound::AtLeast { .. } => Evidence::new(
                EvidenceKind::LowerBound,
                "no address was rejected earlier than the first",
            ),
            _ => observed("the last address was rejected earlier than the first"),
        };
        evidence.insert("held_from_all_sources".to_owned(), total);
    }
    Limits {
        served_at_once: finding.served_at_once.value,
        queued: finding.queued.value,
        held: finding.held.value,
        overflow: finding.overflow,
        overflow_us: median_us(&finding.overflow_after),
        recovery_us: median_us(&finding.recovery),
        burst: finding.burst.value,
        served_first_byte_us: few(&finding.served_first_byte),
        queued_first_byte_us: few(&finding.queued_first_byte),
        closes_after_reply: finding.closes_after_reply,
        per_client: finding.per_client.map(|it| it.is_each),
        held_from_all_sources: finding.per_client.map(|it| it.in_all).unwrap_or_default(),
        drift: finding.drift.clone(),
        evidence,
    }
}

/// A longer recovery is the server's policy, not a scheduling delay.
const SLOW_RECOVERY: Duration = Duration::from_millis(100);

/// How the recovery time was measured, or why it was not.
fn recovery_evidence(finding: &LimitsFinding) -> Evidence {
    const INTERVAL: &str = "from the end of a connection to the handshake of the next";
    let not = |kind, detail| Evidence::new(kind, detail);
    match (finding.recovery.len(), finding.overflow) {
        (0, Some(Overflow::NotReached)) => {
            not(EvidenceKind::NotApplicable, "the server was never full")
        }
        (0, Some(Overflow::Evicted)) => not(
            EvidenceKind::NotApplicable,
            "a new connection is always accepted",
        ),
        (0, _) if !finding.held.value.is_known() => {
            not(EvidenceKind::NotMeasured, "no connection could be held")
        }
        (0, _) if finding.served_at_once.value == Bound::Exact(0) => not(
            EvidenceKind::NotMeasured,
            "no connection is served, so no slot can be freed",
        ),
        (0, _) if finding.ended == SearchEnd::Stopped => {
            not(EvidenceKind::NotMeasured, "stopped before the end")
        }
        (0, _) if finding.ended == SearchEnd::OutOfTime => not(
            EvidenceKind::NotMeasured,
            "the budget was used up before the end",
        ),
        (0, _) => not(
            EvidenceKind::NotMeasured,
            "no new connection was accepted in time",
        ),
        (1, _) => Evidence::new(EvidenceKind::Observed, format!("once, {INTERVAL}")),
        (times, _) => {
            let slowest = finding.recovery.iter().max().copied().unwrap_or_default();
            let timer = if slowest >= SLOW_RECOVERY {
                let slowest = crate::output::human::time(slowest);
                format!("; up to {slowest}: the server accepts again only after a pause")
            } else {
                String::new()
            };
            Evidence::new(
                EvidenceKind::Observed,
                format!("median of {times}, {INTERVAL}{timer}"),
            )
        }
    }
}

/// The distribution of a few times, if there are any.
fn few(times: &[Duration]) -> Option<Distribution> {
    (!times.is_empty()).then(|| distribution(&nanoseconds(times)))
}

/// The median of a few times; `None` without any.
fn median_us(times: &[Duration]) -> Option<f64> {
    let median = || nanoseconds(times).value_at_quantile(0.5) as f64 / 1e3;
    (!times.is_empty()).then(median)
}

fn nanoseconds(times: &[Duration]) -> Times {
    let nanoseconds = |time: &Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    times.iter().map(nanoseconds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::example;
    use tcpctl_engine::measurement::ErrorClass;

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let found = distribution(&(1..=10_000).map(|us| us * 1_000).collect());
        for (value, exact) in [
            (found.p50, 5_000.0),
            (found.p90, 9_000.0),
            (found.p99, 9_900.0),
            (found.p99_9, 9_990.0),
            (found.max, 10_000.0),
            (found.mean, 5_000.5),
        ] {
            let off = (value.unwrap() - exact).abs() / exact;
            assert!(off <= 0.001, "{value:?} is not {exact}");
        }
        assert_eq!(found.samples, 10_000);
    }

    #[test]
    fn percentiles_need_enough_samples() {
        let of = |samples| distribution(&(0..samples).map(|_| 1_000).collect());
        assert_eq!(of(0), Distribution::default());
        let known = |found: Distribution| {
            [found.p50, found.p90, found.p99, found.p99_9].map(|percentile| percentile.is_some())
        };
        for (samples, expected) in [
            (1, [false; 4]),
            (2, [true, false, false, false]),
            (9, [true, false, false, false]),
            (10, [true, true, false, false]),
            (99, [true, true, false, false]),
            (100, [true, true, true, false]),
            (999, [true, true, true, false]),
            (1_000, [true; 4]),
        ] {
            assert_eq!(known(of(samples)), expected, "{samples}");
            assert!(of(samples).max.is_some());
        }
        let one = median_us(&[Duration::from_micros(7)]).unwrap();
        assert!((one - 7.0).abs() < 0.01, "{one}");
    }

    #[test]
    fn failed_requests_count_as_requests() {
        let mut measurement = example::measurement();
        measurement.completed = 90;
        measurement.errors = [(ErrorClass::Refused, 10)].into();
        measurement.completed_in_window = 80;
        measurement.window = Duration::from_secs(1);
        measurement.elapsed = Duration::from_secs(2);
        measurement.client_cpu = Some(Duration::from_millis(500));
        measurement.threads = 4;
        let latency = latency(&measurement, 1);
        assert_eq!((latency.requests, latency.completed), (100, 90));
        // The rate does not include the drain.
        assert!((latency.rate_per_s - 80.0).abs() < 1e-9);
        assert_eq!(latency.client_cpu_us_per_request, Some(5_000.0));
        // Four threads share one processor.
        assert_eq!(latency.client_cpu_share, Some(0.25));
    }

    #[test]
    fn short_run_has_no_cpu_share() {
        let mut measurement = example::measurement();
        measurement.client_cpu = Some(Duration::from_millis(4));
        measurement.elapsed = Duration::from_millis(3);
        let latency = latency(&measurement, 1);
        assert_eq!(latency.client_cpu_share, None);
        assert_eq!(latency.client_cpu_us, Some(4_000.0));
    }

    #[test]
    fn second_without_replies_has_no_latency() {
        let mut measurement = example::measurement();
        measurement.seconds = vec![Second {
            failed: 3,
            ..Second::default()
        }];
        let latency = latency(&measurement, 1);
        assert_eq!(latency.seconds[0].p50_us, None);
        assert_eq!(latency.seconds[0].failed, 3);
    }
}
