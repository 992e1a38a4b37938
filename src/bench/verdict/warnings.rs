//! The warnings that are derived from a report's numbers.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::bench::ramp::{BUSY, is_client_busy};
use crate::bench::report::{Flow, Latency, Report, Throughput, Warning, WarningKind};
use crate::bench::summarize::SAMPLES_NEEDED;
use crate::output::human;
use crate::sys::limits::OpenFiles;
use tcpctl_engine::load::RuleKind;
use tcpctl_engine::measurement::ErrorClass;

/// Share of its cores above which the client counts as saturated.
const SATURATED: f64 = 0.9;

/// Share of the target rate at which an open loop counts as having reached it.
const REACHED: f64 = 0.98;

/// Late starts matter above this share of the median time.
const LATE_SHARE: f64 = 0.25;

/// Client delays below this do not matter, microseconds.
const MIN_DELAY_US: f64 = 500.0;

/// Client delays matter above this share of a percentile.
const DELAY_SHARE: f64 = 0.1;

/// Late starts below this are the timer's resolution, microseconds.
const TIMER_RESOLUTION_US: f64 = 100.0;

/// Minimum jump of the system's clock that makes times of day wrong. Slewing moves it by at most
/// 0.05%.
const MIN_CLOCK_JUMP: Duration = Duration::from_secs(1);

/// The warnings that follow from the numbers.
pub(super) fn derived(report: &Report) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if report.environment.is_virtual {
        let text = "virtual board: limits are the firmware's; latency and throughput come from the \
                    link model";
        warnings.push(Warning::new(WarningKind::Virtual, text));
    }
    let drift = report.limits.as_ref().and_then(|it| it.drift.as_ref());
    if let Some(drift) = drift {
        let text = format!("the limits differ between trials: {drift}");
        warnings.push(Warning::new(WarningKind::LimitsChanged, text));
    }
    if let Some(latency) = &report.latency {
        warnings.extend(latency_warnings(latency, report.environment.is_virtual));
    }
    warnings.extend(busy_ramp(report));
    if let Some(throughput) = &report.throughput {
        warnings.extend(throughput_warnings(throughput));
    }
    warnings
}

/// The warning that other processes delayed the client in some steps of the ramp.
fn busy_ramp(report: &Report) -> Option<Warning> {
    let busy = report.ramp.iter().filter(|step| is_client_busy(step));
    let busy = busy.count();
    let steps = human::count(report.ramp.len() as u64, "step");
    let percent = BUSY * 100.0;
    let text = format!(
        "this computer was busy: in {busy} of {steps} of the ramp the client could not run for at \
         least {percent:.0}% of the time"
    );
    (busy > 0).then(|| Warning::new(WarningKind::ClientLate, text))
}

fn throughput_warnings(throughput: &Throughput) -> impl Iterator<Item = Warning> {
    let flows = [
        ("upload", &throughput.upload),
        ("download", &throughput.download),
        ("echo", &throughput.echo),
    ];
    let names_where = |holds: fn(&Flow) -> bool| {
        let name = |(name, flow): &(&'static str, &Option<Flow>)| {
            let flow = flow.as_ref()?;
            let single = flow.single.as_deref().is_some_and(holds);
            (holds(flow) || single).then_some(*name)
        };
        let names: Vec<_> = flows.iter().filter_map(name).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let saturated = names_where(|flow| flow.client_cpu_share.is_some_and(|it| it > SATURATED));
    let saturated = saturated.map(|names| {
        let text = format!("{names}: limited by this computer's CPU, not by the server");
        Warning::new(WarningKind::ClientSaturated, text)
    });
    let interrupted = names_where(|flow| flow.interrupted).map(|names| {
        let text = format!("{names}: interrupted, results are partial");
        Warning::new(WarningKind::Interrupted, text)
    });
    saturated.into_iter().chain(interrupted)
}

fn latency_warnings(latency: &Latency, is_virtual: bool) -> impl Iterator<Item = Warning> {
    let texts = [
        (WarningKind::RateNotReached, rate_not_reached(latency)),
        (WarningKind::ClientLate, started_late(latency)),
        (WarningKind::ClientLate, not_started(latency)),
        (WarningKind::ClientLate, delayed(latency)),
        (WarningKind::ReplyRuleGuessed, guessed_rule(latency)),
        (WarningKind::ClientSaturated, saturated(latency)),
        (WarningKind::LocalLimit, local_limit(latency)),
        (WarningKind::Interrupted, interrupted(latency)),
        (WarningKind::FewSamples, few_samples(latency)),
        (
            WarningKind::NotSupported,
            not_supported(latency, is_virtual),
        ),
    ];
    let warning = |(kind, text): (_, Option<String>)| Some(Warning::new(kind, text?));
    texts.into_iter().filter_map(warning)
}

fn rate_not_reached(latency: &Latency) -> Option<String> {
    let target = latency.target_rate_per_s?;
    let seconds = latency.window_us / 1e6;
    // One request more or less can fall on the edge of the schedule.
    let is_reached = |requests: u64| (requests as f64 + 1.0) >= REACHED * target * seconds;
    if latency.completed == 0 || is_reached(latency.completed) {
        return None;
    }
    let why = if is_reached(latency.requests) {
        "the other requests failed".to_owned()
    } else {
        let ended = human::number(latency.requests as f64 / seconds);
        format!("only {ended} req/s ended in time")
    };
    Some(format!(
        "target rate not reached: {} of {} req/s; {why}",
        human::number(latency.rate_per_s),
        human::number(target),
    ))
}

fn started_late(latency: &Latency) -> Option<String> {
    let late = latency.schedule_error_us?.p50?;
    let whole = latency.complete_us.p50?;
    (late > whole * LATE_SHARE && late > TIMER_RESOLUTION_US).then(|| {
        format!(
            "half of the requests started {} late or later, which their times include: this \
             computer was busy, or --connections is too low for the rate",
            human::microseconds(late)
        )
    })
}

fn not_started(latency: &Latency) -> Option<String> {
    let missed = latency.errors.of(ErrorClass::LocalLate);
    (missed > 0).then(|| {
        format!(
            "{} not started: this computer did not run the client at their time",
            human::count(missed, "request"),
        )
    })
}

/// Describes late reading, which the times exclude, and late sending, which they include.
fn delayed(latency: &Latency) -> Option<String> {
    let (delay, times) = (latency.client_delay_us?, latency.complete_us);
    let share = |late: Option<f64>, whole: Option<f64>| {
        let late = late.filter(|late| *late > MIN_DELAY_US)?;
        Some(late / whole?).filter(|share| *share > DELAY_SHARE)
    };
    let (name, late, share) = [
        ("p50", delay.p50, share(delay.p50, times.p50)),
        ("p99", delay.p99, share(delay.p99, times.p99)),
    ]
    .into_iter()
    .filter_map(|(name, late, share)| Some((name, late?, share?)))
    .max_by(|(_, _, one), (_, _, other)| one.total_cmp(other))?;
    Some(format!(
        "this computer was busy: requests waited {} for it ({name}), {}",
        human::microseconds(late),
        if latency.keep_alive {
            "which their times exclude".to_owned()
        } else {
            let percent = (share * 100.0).min(100.0);
            format!("so up to {percent:.0}% of the {name} is not caused by the server")
        }
    ))
}

fn guessed_rule(latency: &Latency) -> Option<String> {
    let end = match latency.reply_rule.filter(|_| latency.reply_rule_learned)? {
        RuleKind::Bytes => "their length",
        RuleKind::Lines => "their number of lines",
        RuleKind::Idle => "250 ms of silence",
        RuleKind::Close | RuleKind::Expect => return None,
    };
    let mut text = format!(
        "the server keeps connections open; the end of replies was guessed by {end} (set it with \
         --expect, --lines or --idle)"
    );
    if latency.reply_rule_mismatches > 0 {
        let _ = match latency.reply_rule_mismatches {
            1 => write!(text, "; 1 reply was longer or shorter"),
            count => {
                let count = human::grouped(count);
                write!(text, "; {count} replies were longer or shorter")
            }
        };
    }
    Some(text)
}

fn saturated(latency: &Latency) -> Option<String> {
    let share = latency.client_cpu_share.filter(|it| *it > SATURATED)?;
    Some(format!(
        "limited by this computer: the client used {:.0}% of the CPU of its {}; use more --threads \
         or a faster computer",
        share * 100.0,
        human::count(latency.threads, "thread"),
    ))
}

fn local_limit(latency: &Latency) -> Option<String> {
    let errors = &latency.errors;
    let failed = errors.of(ErrorClass::LocalPorts) + errors.of(ErrorClass::LocalFiles);
    (failed > 0).then(|| {
        format!(
            "{} failed for lack of ports or file descriptors on this computer, not because of the \
             server",
            human::count(failed, "request"),
        )
    })
}

fn interrupted(latency: &Latency) -> Option<String> {
    latency.interrupted.then(|| {
        let after = human::microseconds(latency.duration_us);
        format!("ended early, after {after}: results are partial")
    })
}

/// `p99.9 omitted: needs 1,000 samples, have 789`.
fn few_samples(latency: &Latency) -> Option<String> {
    let samples = latency.complete_us.samples;
    let omitted: Vec<_> = SAMPLES_NEEDED
        .into_iter()
        .filter(|(_, _, needed)| samples > 0 && samples < *needed)
        .collect();
    let names: Vec<_> = omitted.iter().map(|(name, _, _)| *name).collect();
    let needed: Vec<_> = omitted
        .iter()
        .map(|(_, _, needed)| human::grouped(*needed))
        .collect();
    let verb = if names.len() == 1 { "needs" } else { "need" };
    (!names.is_empty()).then(|| {
        format!(
            "{} omitted: {verb} {} samples, have {samples}",
            names.join(", "),
            needed.join(", ")
        )
    })
}

fn not_supported(latency: &Latency, is_virtual: bool) -> Option<String> {
    let rows = [
        (latency.retransmissions.is_none(), "retransmissions"),
        (latency.min_rtt_us.is_none(), "round-trip times"),
        (
            latency.receiver_limited_us.is_none(),
            "what limited sending",
        ),
        (latency.client_cpu_us.is_none(), "client CPU"),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .filter_map(|(is_missing, row)| is_missing.then_some(row))
        .collect();
    let place = if is_virtual {
        "with a virtual board"
    } else {
        "on this platform"
    };
    (!rows.is_empty()).then(|| format!("not available {place}: {}", rows.join(", ")))
}

/// The warning that the limit of open files, already raised as far as possible, was too low for the
/// load.
pub(in crate::bench) fn too_few_files(latency: &Latency, files: OpenFiles) -> Option<Warning> {
    if latency.errors.of(ErrorClass::LocalFiles) == 0 {
        return None;
    }
    let OpenFiles { before, now } = files;
    let raised = if now > before {
        format!(", raised from {}", human::grouped(before))
    } else {
        String::new()
    };
    let text = format!(
        "this process may open {} files{raised}: use fewer connections, or raise the hard limit \
         (ulimit -Hn)",
        human::grouped(now)
    );
    Some(Warning::new(WarningKind::OpenFiles, text))
}

/// The warning that the system's clock shows `now` when a clock that is never set shows `expected`.
/// Start times are compared across computers, so a difference of a second matters.
pub(in crate::bench) fn clock_set(expected: SystemTime, now: SystemTime) -> Option<Warning> {
    let (difference, direction) = match now.duration_since(expected) {
        Ok(ahead) => (ahead, "forward"),
        Err(behind) => (behind.duration(), "back"),
    };
    let text = format!(
        "the system's clock jumped {direction} by {} during the run: it was set, or this computer \
         was suspended",
        human::time(difference)
    );
    (difference >= MIN_CLOCK_JUMP).then(|| Warning::new(WarningKind::Clock, text))
}
