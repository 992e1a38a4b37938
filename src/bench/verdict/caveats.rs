//! What must be known before believing a number, as far as the numbers themselves show it.

use super::{Caveat, Code, all_failed};
use crate::bench::report::{Flow, Latency, Report, Throughput};
use crate::bench::stats::SAMPLES_FOR_P99_9;
use crate::output::human;
use crate::sys::limits::OpenFiles;
use tcpctl_engine::measurement::ErrorClass;

/// Above this share of its cores, a client measures itself.
const SATURATED: f64 = 0.9;

/// Below this share, a rate was not reached.
const REACHED: f64 = 0.98;

/// A lateness of the schedule that is more than this share of the times is much of them,
const MUCH_OF_IT: f64 = 0.25;

/// and one of less than this, microseconds, is the schedule's own.
const NO_LATENESS_US: f64 = 100.0;

/// The caveats that a report's numbers show.
pub(in crate::bench) fn caveats(report: &Report) -> Vec<Caveat> {
    let mut caveats = Vec::new();
    let mut caveat = |code, text| caveats.push(Caveat { code, text });
    if report.environment.is_virtual {
        let text = "virtual board: limits and refusals are the firmware's own, \
                    latency and throughput are the cable model's";
        caveat(Code::Virtual, text.to_owned());
    }
    if let Some(latency) = &report.latency {
        latency_caveats(latency, &mut caveat);
    }
    if let Some(throughput) = &report.throughput {
        throughput_caveats(throughput, &mut caveat);
    }
    caveats
}

/// What the numbers of the throughput show.
fn throughput_caveats(throughput: &Throughput, caveat: &mut impl FnMut(Code, String)) {
    let flows = [
        ("upload", &throughput.upload),
        ("download", &throughput.download),
        ("echo", &throughput.echo),
    ];
    let named = |has: fn(&Flow) -> bool| {
        let is_one = |(name, flow): &(&'static str, &Option<Flow>)| {
            let flow = flow.as_ref()?;
            let single = flow.single.as_deref().is_some_and(has);
            (has(flow) || single).then_some(*name)
        };
        let names: Vec<_> = flows.iter().filter_map(is_one).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = named(|flow| flow.client_cpu_share.is_some_and(|it| it > SATURATED)) {
        let text = format!(
            "this computer was the limit of {names}: one thread moved the bytes, and had no more \
             CPU to give"
        );
        caveat(Code::ClientSaturated, text);
    }
    if let Some(names) = named(|flow| flow.interrupted) {
        let text = format!("{names} cut short: this is what was measured until then");
        caveat(Code::Interrupted, text);
    }
}

/// What the numbers of the latency show.
fn latency_caveats(latency: &Latency, caveat: &mut impl FnMut(Code, String)) {
    if latency.requests > 0 && latency.completed == 0 {
        caveat(Code::AllFailed, all_failed(latency));
    }
    if let Some(text) = rate_not_reached(latency) {
        caveat(Code::RateNotReached, text);
    }
    if let Some(text) = started_late(latency) {
        caveat(Code::StartedLate, text);
    }
    if let Some(share) = latency.client_cpu_share.filter(|share| *share > SATURATED) {
        let text = format!(
            "this computer was the limit: the client used {:.0}% of the CPU that its {} could use, \
             so it measured itself; use more --threads or a faster client",
            share * 100.0,
            human::count(latency.threads, "thread"),
        );
        caveat(Code::ClientSaturated, text);
    }
    let ports = latency.errors.of(ErrorClass::LocalPorts);
    let files = latency.errors.of(ErrorClass::LocalFiles);
    if ports + files > 0 {
        let text = format!(
            "{} failed for want of ports or file descriptors on this computer, \
             which says nothing about the server",
            human::count(ports + files, "request"),
        );
        caveat(Code::LocalLimits, text);
    }
    if latency.interrupted {
        let text = format!(
            "cut short after {}: this is what was measured until then",
            human::microseconds(latency.duration_us)
        );
        caveat(Code::Interrupted, text);
    }
    let samples = latency.complete_us.samples;
    if (1..SAMPLES_FOR_P99_9).contains(&samples) {
        let text = format!("no p99.9: {samples} samples can't tell it, 1,000 can");
        caveat(Code::FewSamples, text);
    }
    if let Some(rows) = missing(latency) {
        caveat(Code::Missing, format!("not measured here: {rows}"));
    }
}

/// That this computer's limit of open files, raised as far as it goes, was too low for the load.
pub(in crate::bench) fn too_few_files(latency: &Latency, files: OpenFiles) -> Option<Caveat> {
    if latency.errors.of(ErrorClass::LocalFiles) == 0 {
        return None;
    }
    let OpenFiles { before, now } = files;
    let limit = human::grouped(now);
    let was = if now > before {
        format!(", raised from {}", human::grouped(before))
    } else {
        String::new()
    };
    Some(Caveat {
        code: Code::Noticed,
        text: format!(
            "at most {limit} files may be open here{was}: use fewer connections, or raise the hard \
             limit (ulimit -Hn)"
        ),
    })
}

fn rate_not_reached(latency: &Latency) -> Option<String> {
    let target = latency.target_rate_per_s?;
    let seconds = latency.duration_us / 1e6;
    // One request more or less is the schedule's edge, and no lack.
    let reached = |requests: u64| (requests as f64 + 1.0) >= REACHED * target * seconds;
    if latency.completed == 0 || reached(latency.completed) {
        return None;
    }
    let target = human::number(target);
    let rate = human::number(latency.rate_per_s);
    let why = if reached(latency.requests) {
        "the others failed".to_owned()
    } else {
        format!(
            "only {}/s ended in time",
            human::number(latency.requests as f64 / seconds)
        )
    };
    Some(format!(
        "the rate was not reached: {target}/s asked for, {rate}/s completed; {why}"
    ))
}

/// That a part of the times that counts is not the server's: half of the requests were started late
/// by more than a quarter of what they took.
fn started_late(latency: &Latency) -> Option<String> {
    let late = latency.schedule_error_us?.p50?;
    let whole = latency.complete_us.p50?;
    (late > whole * MUCH_OF_IT && late > NO_LATENESS_US).then(|| {
        format!(
            "half of the requests were started late by {} or more, and times count from when they \
             should have been: this computer was busy, or as many were under way as --connections \
             lets be",
            human::microseconds(late)
        )
    })
}

/// The rows that are not there because the platform can't tell.
fn missing(latency: &Latency) -> Option<String> {
    let rows = [
        (latency.retransmissions.is_none(), "retransmissions"),
        (latency.min_rtt_us.is_none(), "round-trip times"),
        (
            latency.receiver_limited_us.is_none(),
            "what limited the sender",
        ),
        (latency.client_cpu_us.is_none(), "the client's CPU time"),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .filter_map(|(missing, row)| missing.then_some(row))
        .collect();
    (!rows.is_empty()).then(|| rows.join(", "))
}
