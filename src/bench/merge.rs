//! `tcpctl merge`: several runs as one, without loss.
//!
//! Distributions are joined as histograms, so that the percentiles are those of all samples
//! together. What can't be joined (limits and throughput of several runs, a second's median of
//! two runs) is left out, and said so.

mod loads;

use std::time::{Duration, SystemTime};

use self::loads::{Load, covered, most_connections, target_rate};
use super::hdr_log::{self, Packed};
use super::report::{Histograms, Interval, Latency, Report, Timestamp};
use super::stats;
use super::verdict::{Caveat, Code};
use crate::failure::Failure;

/// Seconds of a merged run: more than a day apart, runs are not laid side by side.
const MOST_SECONDS: usize = 86_400;

/// Joins runs, in the order of their start.
///
/// # Errors
/// A usage error: there is nothing to merge, or histograms do not fit together.
pub fn merge(mut runs: Vec<Report>) -> Result<Report, Failure> {
    runs.sort_by_key(Report::load_started_at);
    let left_out = leave_out(&mut runs);
    let mut runs = runs.into_iter();
    let first = runs
        .next()
        .ok_or_else(|| Failure::usage("no run to merge").hint("write tcpctl merge A B ..."))?;
    let mut loads: Vec<_> = Load::of(&first).into_iter().collect();
    let mut merged = first;
    for run in runs {
        loads.extend(Load::of(&run));
        merged = join(merged, run).map_err(Failure::usage)?;
    }
    merged.caveats.extend(left_out);
    if let Some(latency) = &mut merged.latency {
        let covered = covered(&loads);
        latency.duration_us = stats::thousandths(covered.as_nanos() as f64 / 1e3);
        latency.rate_per_s = stats::rate(latency.completed, covered);
        latency.connections = most_connections(&loads);
        latency.target_rate_per_s = target_rate(&loads, covered);
    }
    Ok(merged.conclude())
}

fn join(one: Report, other: Report) -> Result<Report, String> {
    let (start, later) = (one.load_started_at(), other.load_started_at());
    let mut merged = one.clone();
    if one.target != other.target {
        // The same server may have another name from another machine.
        merged.target = listed(&one.target, &other.target);
    }
    merged.runs += other.runs;
    let (here, there) = (&one.environment, &other.environment);
    merged.environment.is_virtual |= there.is_virtual;
    merged.environment.os = listed(&here.os, &there.os);
    merged.environment.kernel = match (&here.kernel, &there.kernel) {
        (Some(here), Some(there)) => Some(listed(here, there)),
        (one, other) => one.clone().or_else(|| other.clone()),
    };
    merged.environment.tcpctl = listed(&here.tcpctl, &there.tcpctl);
    merged.environment.cpus += there.cpus;
    merged.comparison = None;
    merged.caveats.extend(other.caveats.clone());
    merged.limits = one.limits.or(other.limits);
    merged.throughput = one.throughput.or(other.throughput);
    if merged.ramp.is_empty() {
        merged.ramp = other.ramp;
        merged.ramp_ended = other.ramp_ended;
    }
    merged.started_at = one.started_at.min(other.started_at);
    match (one.latency, other.latency) {
        (Some(here), Some(there)) => {
            let (Some(a), Some(b)) = (one.histograms, other.histograms) else {
                return Err("a run without its histograms can't be merged".to_owned());
            };
            let histograms = histograms(&a, &b)?;
            merged.latency = Some(latency((&here, start), (&there, later), &histograms));
            merged.histograms = Some(histograms);
        }
        (None, Some(there)) => {
            merged.latency = Some(Latency {
                started_at: Some(Timestamp(later)),
                ..there
            });
            merged.histograms = other.histograms;
        }
        (Some(here), None) => {
            merged.latency = Some(Latency {
                started_at: Some(Timestamp(start)),
                ..here
            });
        }
        (None, None) => {}
    }
    Ok(merged)
}

/// Takes out of the runs what more than one of them has and can't be joined, and says so.
fn leave_out(runs: &mut [Report]) -> Option<Caveat> {
    let several = |has: fn(&Report) -> bool| runs.iter().filter(|run| has(run)).count() > 1;
    let limits = several(|run| run.limits.is_some());
    let throughput = several(|run| run.throughput.is_some());
    let ramp = several(|run| !run.ramp.is_empty());
    for run in runs {
        run.limits.take_if(|_| limits);
        run.throughput.take_if(|_| throughput);
        if ramp {
            run.ramp.clear();
            run.ramp_ended = None;
        }
    }
    let parts = [
        (limits, "limits"),
        (throughput, "throughput"),
        (ramp, "the ramp"),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter_map(|(left_out, part)| left_out.then_some(part))
        .collect();
    (!parts.is_empty()).then(|| Caveat {
        code: Code::NotJoined,
        text: format!(
            "left out, for it can't be joined from several runs: {}",
            parts.join(", ")
        ),
    })
}

/// Both texts, each once.
fn listed(one: &str, other: &str) -> String {
    if one.split(", ").any(|known| known == other) {
        return one.to_owned();
    }
    format!("{one}, {other}")
}

fn histograms(one: &Histograms, other: &Histograms) -> Result<Histograms, String> {
    let sum = |one: &Packed, other: &Packed| hdr_log::sum(&one.0, &other.0).map(Packed);
    let optional = |one: &Option<Packed>, other: &Option<Packed>| match (one, other) {
        (Some(one), Some(other)) => sum(one, other).map(Some),
        (one, other) => Ok(one.clone().or_else(|| other.clone())),
    };
    Ok(Histograms {
        connect: sum(&one.connect, &other.connect)?,
        first_byte: sum(&one.first_byte, &other.first_byte)?,
        complete: sum(&one.complete, &other.complete)?,
        schedule_error: optional(&one.schedule_error, &other.schedule_error)?,
        smoothed_rtt: optional(&one.smoothed_rtt, &other.smoothed_rtt)?,
        min_rtt: optional(&one.min_rtt, &other.min_rtt)?,
    })
}

/// Two runs' latency, each with the time at which its load began, the earlier one first.
fn latency(
    (one, start): (&Latency, SystemTime),
    (other, later): (&Latency, SystemTime),
    all: &Histograms,
) -> Latency {
    let mut errors = one.errors.clone();
    errors.add(&other.errors);
    let distribution = |packed: &Packed| stats::distribution(&packed.0);
    let requests = one.requests + other.requests;
    let client_cpu_us = both(one.client_cpu_us, other.client_cpu_us);
    Latency {
        requests,
        completed: one.completed + other.completed,
        started_at: Some(Timestamp(start)),
        // Of the time that all runs cover, which is known at the end.
        rate_per_s: 0.0,
        duration_us: 0.0,
        target_rate_per_s: None,
        connections: 0,
        keep_alive: one.keep_alive && other.keep_alive,
        interrupted: one.interrupted || other.interrupted,
        errors,
        connect_us: distribution(&all.connect),
        first_byte_us: distribution(&all.first_byte),
        complete_us: distribution(&all.complete),
        schedule_error_us: all.schedule_error.as_ref().map(distribution),
        syn_retransmissions: both(one.syn_retransmissions, other.syn_retransmissions),
        retransmissions: both(one.retransmissions, other.retransmissions),
        smoothed_rtt_us: all.smoothed_rtt.as_ref().map(distribution),
        min_rtt_us: all.min_rtt.as_ref().map(distribution),
        receiver_limited_us: both(one.receiver_limited_us, other.receiver_limited_us),
        send_buffer_limited_us: both(one.send_buffer_limited_us, other.send_buffer_limited_us),
        client_cpu_us,
        client_cpu_us_per_request: client_cpu_us.and_then(|cpu| stats::a_request(cpu, requests)),
        // One saturated client spoils the numbers of all.
        client_cpu_share: match (one.client_cpu_share, other.client_cpu_share) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        },
        threads: one.threads + other.threads,
        seconds: seconds(&one.seconds, &other.seconds, whole_seconds(start, later)),
    }
}

/// The sum, where both are known: a sum of known and unknown is not known.
fn both<T: std::ops::Add<Output = T>>(one: Option<T>, other: Option<T>) -> Option<T> {
    Some(one? + other?)
}

fn whole_seconds(start: SystemTime, later: SystemTime) -> usize {
    let seconds = later.duration_since(start).unwrap_or_default();
    let rounded = (seconds + Duration::from_millis(500)).as_secs();
    usize::try_from(rounded).unwrap_or(usize::MAX)
}

/// Two series side by side, the other beginning `offset` seconds later. A second's percentiles
/// can't be had from those of its two halves, and are left out.
fn seconds(one: &[Interval], other: &[Interval], offset: usize) -> Vec<Interval> {
    let length = one.len().max(offset.saturating_add(other.len()));
    if length > MOST_SECONDS {
        return Vec::new();
    }
    let mut seconds = one.to_vec();
    seconds.resize(length, Interval::default());
    for (into, from) in seconds[offset..].iter_mut().zip(other) {
        let alone = match (into.completed, from.completed) {
            (0, _) => Some(*from),
            (_, 0) => Some(*into),
            _ => None,
        };
        *into = Interval {
            completed: into.completed + from.completed,
            failed: into.failed + from.failed,
            p50_us: alone.and_then(|second| second.p50_us),
            p99_us: alone.and_then(|second| second.p99_us),
        };
    }
    seconds
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bench::example;
    use crate::bench::report::Errors;
    use tcpctl_engine::measurement::{ErrorClass, Measurement};

    fn of(samples: &[u64], start: u64, seconds: u64) -> Report {
        let measurement = Measurement {
            completed: samples.len() as u64,
            complete: samples.iter().copied().collect(),
            elapsed: Duration::from_secs(seconds),
            started_at: example::start() + Duration::from_secs(start),
            ..example::measurement()
        };
        let started_at = measurement.started_at;
        let environment = example::environment(false);
        let report = Report::new("board", started_at, environment, Some(&measurement)).conclude();
        // As it comes out of its file.
        serde_json::from_value(serde_json::to_value(report).unwrap()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_merge_of_two_runs_has_the_distribution_of_both(
            one in proptest::collection::vec(1_u64..10_000_000_000, 1..60),
            other in proptest::collection::vec(1_u64..10_000_000_000, 1..60),
        ) {
            let merged = merge(vec![of(&one, 0, 5), of(&other, 0, 5)]).unwrap();
            let both = of(&[one.as_slice(), &other].concat(), 0, 5);
            let (merged, both) = (merged.latency.unwrap(), both.latency.unwrap());
            prop_assert_eq!(merged.complete_us, both.complete_us);
            prop_assert_eq!(merged.completed, both.completed);
        }
    }

    #[test]
    fn the_order_does_not_matter_and_one_alone_is_itself() {
        let runs = [
            of(&[1_000; 10], 0, 5),
            of(&[2_000; 20], 2, 5),
            of(&[5; 30], 9, 5),
        ];
        let [a, b, c] = runs.clone();
        assert_eq!(
            merge(vec![a, b, c]),
            merge(runs.iter().rev().cloned().collect())
        );
        assert_eq!(merge(vec![runs[0].clone()]).unwrap(), runs[0]);
        assert_eq!(merge(Vec::new()).unwrap_err().exit().code(), 2);
    }

    #[test]
    fn the_rate_is_of_the_time_in_which_load_was_sent() {
        let rate = |start| {
            let merged = merge(vec![of(&[1_000; 100], 0, 5), of(&[1_000; 100], start, 5)]);
            merged.unwrap().latency.unwrap().rate_per_s.round()
        };
        assert!((rate(0) - 40.0).abs() < 0.1, "at the same time");
        assert!((rate(100) - 20.0).abs() < 0.1, "one after the other");
    }

    #[test]
    fn connections_and_the_rate_asked_for_are_of_the_same_time() {
        let asked = |start| {
            let mut runs = [of(&[1_000; 100], 0, 5), of(&[1_000; 100], start, 5)];
            for run in &mut runs {
                run.latency.as_mut().unwrap().target_rate_per_s = Some(20.0);
            }
            let merged = merge(runs.to_vec()).unwrap();
            let latency = merged.latency.unwrap();
            (latency.target_rate_per_s, latency.connections)
        };
        assert_eq!(asked(0), (Some(40.0), 8), "at the same time");
        assert_eq!(asked(100), (Some(20.0), 4), "one after the other");
        // A closed loop asks for no rate.
        let mixed = merge(vec![of(&[1], 0, 5), of(&[1], 9, 5)]).unwrap();
        assert_eq!(mixed.latency.unwrap().target_rate_per_s, None);
    }

    #[test]
    fn runs_lie_side_by_side_by_the_start_of_their_load() {
        // Limits took 7 s before the load of one, which began first.
        let mut slow = of(&[1_000; 100], 8, 5);
        slow.started_at = Timestamp(example::start());
        let quick = of(&[1_000; 100], 3, 5);
        let merged = merge(vec![slow, quick]).unwrap();
        assert_eq!(merged.started_at.0, example::start());
        let began = example::start() + Duration::from_secs(3);
        assert_eq!(merged.load_started_at(), began);
        let latency = merged.latency.unwrap();
        assert!((latency.duration_us - 10e6).abs() < 1.0);
        assert_eq!((latency.connections, latency.seconds.len()), (4, 10));
    }

    #[test]
    fn counts_and_seconds_are_summed_where_they_were() {
        let mut later = of(&[1_000; 10], 3, 5);
        let errors = std::collections::BTreeMap::from([(ErrorClass::Refused, 7)]);
        later.latency.as_mut().unwrap().errors = Errors::from(&errors);
        let merged = merge(vec![of(&[1_000; 10], 0, 5), later]).unwrap();
        assert_eq!(merged.runs, 2);
        let latency = merged.latency.unwrap();
        assert_eq!(latency.errors.of(ErrorClass::Refused), 7);
        assert_eq!(latency.connections, 8);
        assert_eq!(latency.seconds.len(), 8);
        assert_eq!(latency.seconds[0].completed, 501);
        // The fourth second of one and the first of the other.
        assert_eq!(latency.seconds[3].completed, 499 + 501);
        assert_eq!(latency.seconds[3].p50_us, None);
        assert!(latency.seconds[0].p50_us.is_some() && latency.seconds[7].p50_us.is_some());
    }

    #[test]
    fn what_cannot_be_joined_is_left_out_and_said() {
        let merged = merge(vec![example::full(), example::full(), example::full()]).unwrap();
        assert_eq!(merged.limits, None);
        assert!(merged.ramp.is_empty());
        let said: Vec<_> = merged
            .caveats
            .iter()
            .filter(|caveat| caveat.code == Code::NotJoined)
            .collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].text.ends_with(": limits, throughput, the ramp"),
            "{said:?}"
        );
        // Of runs that measured different things, each has its own.
        let mut other = example::report();
        other.environment.is_virtual = true;
        let merged = merge(vec![example::full(), other]).unwrap();
        assert!(merged.limits.is_some() && merged.throughput.is_some());
    }
}
