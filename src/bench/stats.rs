//! From what the engine has counted to the numbers of the report.

use std::collections::BTreeMap;
use std::time::Duration;

use super::hdr_log::Packed;
use super::limits::{LimitsFinding, PerClient, SearchEnd};
use super::report::{
    Bound, Distribution, Errors, Evidence, EvidenceKind, Histograms, Interval, Latency, Limits,
    Overflow, Timestamp,
};
use tcpctl_engine::measurement::{ConnectionTotals, Measurement, Second};
use tcpctl_engine::times::Times;

/// Under so many samples the 99.9th percentile is the maximum by another name.
pub const SAMPLES_FOR_P99_9: u64 = 1_000;

/// Kernels count CPU time in ticks of up to 10 ms: in less than ten of them a share is chance.
const SHORTEST_FOR_CPU_SHARE: Duration = Duration::from_millis(100);

/// The report's part on latency.
pub(super) fn latency(measurement: &Measurement, cpus: u64) -> Latency {
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
        rate_per_s: rate(measurement.completed, measurement.elapsed),
        target_rate_per_s: measurement.target_rate,
        connections: measurement.connections as u64,
        keep_alive: measurement.keep_alive,
        started_at: Some(Timestamp(measurement.started_at)),
        duration_us: microseconds(measurement.elapsed),
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
        receiver_limited_us: totals
            .and_then(|totals| totals.receiver_limited)
            .map(microseconds),
        send_buffer_limited_us: totals
            .and_then(|totals| totals.send_buffer_limited)
            .map(microseconds),
        client_cpu_us: measurement.client_cpu.map(microseconds),
        client_cpu_us_per_request: measurement
            .client_cpu
            .and_then(|cpu| a_request(microseconds(cpu), requests)),
        client_cpu_share: measurement
            .client_cpu
            .filter(|_| measurement.elapsed >= SHORTEST_FOR_CPU_SHARE)
            .map(|cpu| {
                let available = measurement.elapsed.as_secs_f64() * cores as f64;
                thousandths(cpu.as_secs_f64() / available)
            }),
        threads,
        seconds: measurement.seconds.iter().map(interval).collect(),
    }
}

/// The whole distributions.
pub(super) fn histograms(measurement: &Measurement) -> Histograms {
    let totals = measurement.totals.as_ref();
    let packed = |times: &Times| Packed(times.clone());
    Histograms {
        connect: packed(&measurement.connect),
        first_byte: packed(&measurement.first_byte),
        complete: packed(&measurement.complete),
        schedule_error: measurement.schedule_error.as_ref().map(packed),
        smoothed_rtt: totals.and_then(|totals| totals.smoothed_rtt.as_ref().map(packed)),
        min_rtt: totals.and_then(|totals| totals.min_rtt.as_ref().map(packed)),
    }
}

/// Times in nanoseconds as percentiles in microseconds.
pub fn distribution(times: &Times) -> Distribution {
    let samples = times.len();
    let known = |enough: bool, value: u64| enough.then(|| value as f64 / 1e3);
    let at = |quantile| known(samples > 0, times.value_at_quantile(quantile));
    Distribution {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p99_9: known(samples >= SAMPLES_FOR_P99_9, times.value_at_quantile(0.999)),
        max: known(samples > 0, times.max()),
        mean: (samples > 0).then(|| thousandths(times.mean() / 1e3)),
        samples,
    }
}

/// So many in that time, a second; 0 in no time at all.
pub(super) fn rate(count: u64, time: Duration) -> f64 {
    if time.is_zero() {
        return 0.0;
    }
    thousandths(count as f64 / time.as_secs_f64())
}

/// A total, for each of so many requests.
pub(super) fn a_request(total: f64, requests: u64) -> Option<f64> {
    (requests > 0).then(|| thousandths(total / requests as f64))
}

/// To three decimals: no measurement here knows more.
pub(super) fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn microseconds(time: Duration) -> f64 {
    thousandths(time.as_nanos() as f64 / 1e3)
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

/// The report's part on limits.
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
                "no address was turned away earlier than the first",
            ),
            _ => observed("the last address was turned away earlier than the first"),
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

/// A recovery this slow is the server's policy, and no delay of a scheduler.
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
                format!("; up to {slowest:.0?}: the server accepts again only after a pause")
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
    let nanoseconds = |time: &Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    (!times.is_empty()).then(|| distribution(&times.iter().map(nanoseconds).collect()))
}

fn median_us(times: &[Duration]) -> Option<f64> {
    few(times)?.p50
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
    fn too_few_samples_have_no_p99_9_and_none_have_nothing() {
        let of = |samples| distribution(&(0..samples).map(|_| 1_000).collect());
        assert_eq!(of(0), Distribution::default());
        assert_eq!(of(SAMPLES_FOR_P99_9 - 1).p99_9, None);
        assert!(of(SAMPLES_FOR_P99_9).p99_9.is_some());
    }

    #[test]
    fn what_failed_is_a_request_but_no_completed_one() {
        let mut measurement = example::measurement();
        measurement.completed = 90;
        measurement.errors = [(ErrorClass::Refused, 10)].into();
        measurement.elapsed = Duration::from_secs(2);
        measurement.client_cpu = Some(Duration::from_millis(500));
        measurement.threads = 4;
        let latency = latency(&measurement, 1);
        assert_eq!((latency.requests, latency.completed), (100, 90));
        assert!((latency.rate_per_s - 45.0).abs() < 1e-9);
        assert_eq!(latency.client_cpu_us_per_request, Some(5_000.0));
        // Four threads on one processor have one processor.
        assert_eq!(latency.client_cpu_share, Some(0.25));
    }

    #[test]
    fn in_a_few_ticks_no_share_of_the_cpu_is_known() {
        let mut measurement = example::measurement();
        measurement.client_cpu = Some(Duration::from_millis(4));
        measurement.elapsed = Duration::from_millis(3);
        let latency = latency(&measurement, 1);
        assert_eq!(latency.client_cpu_share, None);
        assert_eq!(latency.client_cpu_us, Some(4_000.0));
    }

    #[test]
    fn a_second_in_which_nothing_was_completed_has_no_latency() {
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
