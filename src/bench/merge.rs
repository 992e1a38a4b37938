//! `tcpctl merge`: merges several runs into one report.
//!
//! Histograms are added, so percentiles are those of all samples together. What cannot be merged
//! (limits and throughput of several runs, a second's median of two runs) is left out with a
//! warning.

mod loads;
mod machines;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use sha2::{Digest, Sha256};

use self::loads::{Load, covered, has_gap, max_connections, target_rate};
use super::report::{
    Histograms, Interval, Latency, PackedHistogram, Report, Timestamp, Warning, WarningKind,
};
use super::summarize;
use super::verdict::conclude;
use crate::failure::{Failure, reason};
use crate::sanitize;

/// Maximum length of a merged series of seconds: runs more than a day apart have no series.
const MAX_SECONDS: usize = 86_400;

/// How to treat runs that look unrelated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrelated {
    /// Refuse them.
    Refuse,
    /// Merge them with a warning (`--force`).
    Warn,
}

/// Merges runs in the order of their start.
///
/// # Errors
/// A usage error: no runs, a run that is given twice (also as part of a merged run), unrelated runs,
/// or damaged histograms.
pub fn merge(mut runs: Vec<Report>, unrelated: Unrelated) -> Result<Report, Failure> {
    runs.sort_by_key(Report::load_started_at);
    refuse_identical(&runs)?;
    let mut warnings = unrelated_warnings(&runs);
    if let (Unrelated::Refuse, Some(warning)) = (unrelated, warnings.first()) {
        let text = sanitize::one_line(&warning.text);
        return Err(Failure::usage(text).hint("--force merges them anyway"));
    }
    warnings.extend(leave_out(&mut runs));
    warnings.extend(machines::limits_under_load(&runs));
    let machines = machines::machines(&runs);
    // Runs that were made at different times on purpose need no details.
    if warnings.iter().all(|it| it.kind != WarningKind::NoOverlap) {
        warnings.extend(machines.iter().flat_map(machines::timing_warnings));
    }
    if runs.len() > 1 {
        machines::name_warnings(&mut runs);
    }
    let loads: Vec<_> = runs.iter().filter_map(Load::of).collect();
    let mut runs = runs.into_iter();
    let first = runs
        .next()
        .ok_or_else(|| Failure::usage("no run to merge").hint("write tcpctl merge A B ..."))?;
    let mut merged = runs.try_fold(first, join).map_err(Failure::usage)?;
    merged.warnings.extend(warnings);
    if machines.is_some() {
        merged.machines = machines;
    }
    if let Some(latency) = &mut merged.latency {
        let covered = covered(&loads);
        latency.duration_us = summarize::microseconds(covered);
        latency.window_us = latency.duration_us;
        latency.rate_per_s = summarize::per_second(latency.completed_in_window, covered);
        latency.connections = max_connections(&loads);
        latency.target_rate_per_s = target_rate(&loads, covered);
    }
    Ok(conclude(merged))
}

/// A run that counts twice would falsify every number.
fn refuse_identical(runs: &[Report]) -> Result<(), Failure> {
    let mut known = BTreeSet::new();
    if runs
        .iter()
        .flat_map(single_runs)
        .all(|run| known.insert(run))
    {
        return Ok(());
    }
    let text = if runs.iter().all(|run| run.merged.is_empty()) {
        "the same run is given twice"
    } else {
        "the same run is given twice, once as part of a merged run"
    };
    Err(Failure::usage(text).hint("give each run once"))
}

/// What identifies the single runs of a report.
fn single_runs(run: &Report) -> Vec<String> {
    if run.merged.is_empty() {
        vec![identity(run)]
    } else {
        run.merged.clone()
    }
}

/// SHA-256 of the parts that differ between any two runs and stay the same in every version of the
/// schema.
fn identity(run: &Report) -> String {
    let complete = run.histograms.as_ref().map(|all| &all.complete);
    let parts = (
        (&run.target, &run.environment.hostname),
        (run.started_at, Timestamp(run.load_started_at())),
        complete,
    );
    // Cannot fail: it writes to memory, and there are no maps.
    let json = serde_json::to_vec(&parts).unwrap_or_default();
    let hex = Sha256::digest(&json)
        .into_iter()
        .map(|byte| format!("{byte:02x}"));
    hex.collect()
}

/// The signs that runs do not belong together. The runs are in the order of their start.
fn unrelated_warnings(runs: &[Report]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut targets: Vec<_> = runs.iter().map(|run| run.target.as_str()).collect();
    targets.sort_unstable();
    targets.dedup();
    if targets.len() > 1 {
        let text = format!("the runs have different targets: {}", targets.join(", "));
        warnings.push(Warning::new(WarningKind::DifferentTargets, text));
    }
    let loads: Vec<_> = runs.iter().filter_map(Load::of).collect();
    if has_gap(&loads) {
        let text = "the runs did not send load at the same time";
        warnings.push(Warning::new(WarningKind::NoOverlap, text));
    }
    warnings
}

fn join(one: Report, other: Report) -> Result<Report, String> {
    let (start, later) = (one.load_started_at(), other.load_started_at());
    let mut merged = one.clone();
    merged.merged = [single_runs(&one), single_runs(&other)].concat();
    // The same server may have another name on another computer.
    merged.target = list(&one.target, &other.target);
    merged.label = list_known(one.label.as_ref(), other.label.as_ref());
    merged.command = None;
    merged.options = one.options.filter(|it| other.options.as_ref() == Some(it));
    merged.runs += other.runs;
    let (here, there) = (&one.environment, &other.environment);
    merged.environment.is_virtual |= there.is_virtual;
    merged.environment.os = list(&here.os, &there.os);
    merged.environment.kernel = list_known(here.kernel.as_ref(), there.kernel.as_ref());
    merged.environment.tcpctl = list(&here.tcpctl, &there.tcpctl);
    // Runs of one computer share its processors.
    if here.hostname.is_none() || here.hostname != there.hostname {
        merged.environment.cpus += there.cpus;
    }
    merged.environment.hostname = list_known(here.hostname.as_ref(), there.hostname.as_ref());
    merged.comparison = None;
    merged.conditions = Vec::new();
    merged.warnings.extend(other.warnings);
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
                return Err("a run without histograms cannot be merged".to_owned());
            };
            let histograms = add_histograms(&a, &b)?;
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

/// Removes the parts that several runs have and that cannot be merged.
fn leave_out(runs: &mut [Report]) -> Option<Warning> {
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
        (ramp, "ramp"),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter_map(|(is_left_out, part)| is_left_out.then_some(part))
        .collect();
    (!parts.is_empty()).then(|| {
        let text = format!(
            "left out, because several runs have it: {}",
            parts.join(", ")
        );
        Warning::new(WarningKind::NotMerged, text)
    })
}

/// Both texts as a list, without duplicates.
fn list(one: &str, other: &str) -> String {
    if one.split(", ").any(|known| known == other) {
        return one.to_owned();
    }
    format!("{one}, {other}")
}

fn list_known(one: Option<&String>, other: Option<&String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) => Some(list(one, other)),
        (one, other) => one.or(other).cloned(),
    }
}

fn add_histograms(one: &Histograms, other: &Histograms) -> Result<Histograms, String> {
    let optional =
        |one: &Option<PackedHistogram>, other: &Option<PackedHistogram>| match (one, other) {
            (Some(one), Some(other)) => add(one, other).map(Some),
            (one, other) => Ok(one.clone().or_else(|| other.clone())),
        };
    Ok(Histograms {
        connect: add(&one.connect, &other.connect)?,
        first_byte: add(&one.first_byte, &other.first_byte)?,
        complete: add(&one.complete, &other.complete)?,
        schedule_error: optional(&one.schedule_error, &other.schedule_error)?,
        smoothed_rtt: optional(&one.smoothed_rtt, &other.smoothed_rtt)?,
        min_rtt: optional(&one.min_rtt, &other.min_rtt)?,
        client_delay: optional(&one.client_delay, &other.client_delay)?,
    })
}

/// The histogram of all samples of both.
fn add(one: &PackedHistogram, other: &PackedHistogram) -> Result<PackedHistogram, String> {
    let cannot =
        |error: &dyn std::fmt::Display| format!("cannot add histograms: {}", reason(error));
    let mut sum = Histogram::<u64>::new(3).map_err(|error| cannot(&error))?;
    for part in [one, other] {
        sum.add(part.0.histogram().as_ref())
            .map_err(|error| cannot(&error))?;
    }
    Ok(PackedHistogram(sum.into()))
}

/// The latency of two runs, each with the start of its load. The earlier run comes first.
fn latency(
    (one, start): (&Latency, SystemTime),
    (other, later): (&Latency, SystemTime),
    all: &Histograms,
) -> Latency {
    let mut errors = one.errors.clone();
    errors.add(&other.errors);
    let distribution = |packed: &PackedHistogram| summarize::distribution(&packed.0);
    let requests = one.requests + other.requests;
    let client_cpu_us = both(one.client_cpu_us, other.client_cpu_us);
    Latency {
        requests,
        completed: one.completed + other.completed,
        completed_in_window: one.completed_in_window + other.completed_in_window,
        started_at: Some(Timestamp(start)),
        // These are computed once all runs are merged.
        rate_per_s: 0.0,
        duration_us: 0.0,
        window_us: 0.0,
        target_rate_per_s: None,
        connections: 0,
        keep_alive: one.keep_alive && other.keep_alive,
        // The least exact one describes both.
        reply_rule: one.reply_rule.max(other.reply_rule),
        reply_rule_learned: one.reply_rule_learned || other.reply_rule_learned,
        reply_rule_mismatches: one.reply_rule_mismatches + other.reply_rule_mismatches,
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
        client_delay_us: all.client_delay.as_ref().map(distribution),
        client_run_delay_us: both(one.client_run_delay_us, other.client_run_delay_us),
        receiver_limited_us: both(one.receiver_limited_us, other.receiver_limited_us),
        send_buffer_limited_us: both(one.send_buffer_limited_us, other.send_buffer_limited_us),
        client_cpu_us,
        client_cpu_us_per_request: client_cpu_us
            .and_then(|cpu| summarize::per_request(cpu, requests)),
        // One saturated client falsifies the numbers of all.
        client_cpu_share: match (one.client_cpu_share, other.client_cpu_share) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        },
        threads: one.threads + other.threads,
        seconds: seconds(&one.seconds, &other.seconds, seconds_between(start, later)),
    }
}

/// The sum, if both values are known.
fn both<T: std::ops::Add<Output = T>>(one: Option<T>, other: Option<T>) -> Option<T> {
    Some(one? + other?)
}

fn seconds_between(start: SystemTime, later: SystemTime) -> usize {
    let seconds = later.duration_since(start).unwrap_or_default();
    let rounded = (seconds + Duration::from_millis(500)).as_secs();
    usize::try_from(rounded).unwrap_or(usize::MAX)
}

/// The sum of two series, the second of which starts `offset` seconds later. A second with replies
/// of both has no percentiles.
fn seconds(one: &[Interval], other: &[Interval], offset: usize) -> Vec<Interval> {
    let length = one.len().max(offset.saturating_add(other.len()));
    if length > MAX_SECONDS {
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
mod tests;
