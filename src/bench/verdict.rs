//! How good is this server: the first lines, and what must be known before believing them.
//!
//! A load test lies most easily by leaving out: that nothing was answered, that the rate asked
//! for was never reached, that the client was the bottleneck, that a number was not measured at
//! all. Each of these is a [`Caveat`].

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::measurement::ErrorClass;
use super::ramp::FLAT;
use super::report::{
    Bound, Cause, CauseKind, Flow, Latency, Limits, Overflow, RampEnd, Report, Step, Throughput,
    Trial, Via,
};
use super::stats::SAMPLES_FOR_P99_9;
use crate::failure::{Failure, Kind};
use crate::output::human;
use crate::sanitize;
use crate::sys::limits::OpenFiles;

/// Above this share of its cores, a client measures itself.
const SATURATED: f64 = 0.9;

/// Below this share, a rate was not reached.
const REACHED: f64 = 0.98;

/// A lateness of the schedule that is more than this share of the times is much of them,
const MUCH_OF_IT: f64 = 0.25;

/// and one of less than this, microseconds, is the schedule's own.
const NO_LATENESS_US: f64 = 100.0;

/// How evidence begins that a number can't be had.
const NOT_KNOWABLE: &str = "not knowable from outside: ";

/// Something that changes what a number means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caveat {
    /// Which one, for programs.
    pub code: Code,
    /// One sentence, for people.
    pub text: String,
}

/// The kinds of caveat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Not one request was completed.
    AllFailed,
    /// The open loop's rate was not reached.
    RateNotReached,
    /// The client's CPU was the limit, or near it.
    ClientSaturated,
    /// Requests of an open loop were started later than their times can be told without.
    StartedLate,
    /// This computer's own limits made requests fail.
    LocalLimits,
    /// The run was cut short.
    Interrupted,
    /// The board is a virtual one.
    Virtual,
    /// There are too few samples for the 99.9th percentile.
    FewSamples,
    /// Rows that this platform can't measure.
    Missing,
    /// Parts of merged runs that can't be joined.
    NotJoined,
    /// Something else that was noticed during the run.
    Noticed,
}

impl Code {
    /// Whether it was told by who made the report, and can't be found in its numbers.
    pub(super) const fn is_given(self) -> bool {
        matches!(self, Self::NotJoined | Self::Noticed)
    }

    /// Whether it belongs in the verdict, and not only below the table that it is about.
    const fn is_grave(self) -> bool {
        !matches!(self, Self::FewSamples | Self::Missing | Self::AllFailed)
    }
}

/// The caveats that a report's numbers show.
pub(super) fn caveats(report: &Report) -> Vec<Caveat> {
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
pub(super) fn too_few_files(latency: &Latency, files: OpenFiles) -> Option<Caveat> {
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

/// Whether not one request was completed: a failure, by what most of them died of.
pub fn failure(report: &Report) -> Option<Failure> {
    let latency = report.latency.as_ref()?;
    if latency.completed > 0 || latency.requests == 0 {
        return None;
    }
    let (class, _) = *latency.errors.by_frequency().first()?;
    let (kind, hint) = match class {
        ErrorClass::Refused => (
            Kind::Connect,
            "is the server running, and is the port right?",
        ),
        ErrorClass::ConnectTimeout | ErrorClass::Unreachable => {
            (Kind::Connect, "is the board on, and in the same network?")
        }
        ErrorClass::ReplyTimeout => (
            Kind::Timeout,
            "it may wait for a line end, or answer only when its other clients are gone",
        ),
        ErrorClass::ResetBeforeReply | ErrorClass::ResetInReply => {
            (Kind::Broken, "try one request with tcpctl send")
        }
        ErrorClass::ClosedEarly | ErrorClass::WrongReply => {
            (Kind::Negative, "try one request with tcpctl send")
        }
        ErrorClass::LocalPorts => (Kind::Internal, "use --keep-alive, a lower rate or --source"),
        ErrorClass::LocalFiles => (Kind::Internal, "use fewer connections, or raise ulimit -n"),
    };
    let target = sanitize::one_line(&report.target);
    let message = format!("{target}: {}", all_failed(latency));
    Some(Failure::new(kind, message).hint(hint).about(target))
}

/// The verdict: what was found, the most important first, then what changes its meaning.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let mut lines: Vec<_> = [
        report.limits.as_ref().map(of_limits),
        report.latency.as_ref().map(of_latency),
        of_ramp(report),
    ]
    .into_iter()
    .flatten()
    .collect();
    // Next to the line that it is about.
    let drift = report
        .limits
        .as_ref()
        .and_then(|it| it.evidence.get("drift"));
    if let Some(drift) = drift {
        let drift = sanitize::one_line(drift);
        lines.insert(1, format!("its limits changed between the rounds: {drift}"));
    }
    lines.extend(causes(&report.ramp));
    lines.extend(report.throughput.as_ref().map(of_throughput));
    if lines.is_empty() {
        lines.push("nothing was measured".to_owned());
    }
    let grave = report
        .caveats
        .iter()
        .filter(|caveat| caveat.code.is_grave());
    lines.extend(grave.map(|caveat| caveat.text.clone()));
    lines
}

fn of_limits(limits: &Limits) -> String {
    let why = |field: &str| match limits.evidence.get(field) {
        Some(why) => {
            let why = why.strip_prefix(NOT_KNOWABLE).unwrap_or(why);
            format!(" ({})", sanitize::one_line(why))
        }
        None => String::new(),
    };
    let mut parts = Vec::new();
    match limits.served_at_once {
        Some(served) => parts.push(match (limits.per_client, limits.held_from_all_sources) {
            (Some(true), Some(in_all)) => {
                format!("serves {served} of each client address at once, {in_all} in all")
            }
            _ => format!("serves {served} at once"),
        }),
        None => parts.push(format!(
            "how many it serves at once can't be known{}",
            why("served_at_once")
        )),
    }
    if let Some(queued) = limits.queued {
        parts.push(match queued {
            Bound::Exactly(0) => "queues none".to_owned(),
            queued => format!("queues {queued}"),
        });
    }
    if let Some(burst) = limits.burst {
        parts.push(format!("takes a burst of {burst}"));
    }
    if let Some(overflow) = limits.overflow {
        parts.push(of_overflow(limits, overflow));
    }
    let mut line = parts.join(", ");
    if let Some(recovery) = limits.recovery_us {
        let recovery = human::microseconds(recovery);
        let _ = write!(line, "; a freed place is taken again in {recovery}");
    }
    if let (Some(served), Some(overflow)) = (limits.served_at_once, limits.overflow)
        && overflow != Overflow::NotReached
    {
        let _ = write!(line, "; keep clients at or under {}", served.number());
    }
    line
}

fn of_overflow(limits: &Limits, overflow: Overflow) -> String {
    let next = match limits.held {
        Some(Bound::Exactly(held)) => format!("the {}", ordinal(held + 1)),
        _ => "one more".to_owned(),
    };
    let after = |what: &str| match limits.overflow_us {
        Some(time) => format!("{what} after {}", human::microseconds(time)),
        None => what.to_owned(),
    };
    match overflow {
        Overflow::Refused => format!("refuses {next} ({})", after("RST")),
        Overflow::Dropped => format!("does not answer {next} (its SYN is dropped)"),
        Overflow::Closed => format!("accepts {next} and closes it ({})", after("FIN")),
        Overflow::Reset => format!("accepts {next} and resets it ({})", after("RST")),
        Overflow::Silent => format!("accepts {next} and never serves it"),
        Overflow::Evicted => format!("ends an older connection for {next}"),
        Overflow::NotReached => "was not full with all that --max-connections allows".to_owned(),
    }
}

fn of_latency(latency: &Latency) -> String {
    if latency.requests == 0 {
        return "no request was sent".to_owned();
    }
    if latency.completed == 0 {
        return all_failed(latency);
    }
    let loop_ = match latency.target_rate_per_s {
        Some(rate) => format!("{}/s asked for", human::number(rate)),
        None => human::count(latency.connections, "connection"),
    };
    let mut line = format!("answers {}/s ({loop_})", human::number(latency.rate_per_s));
    let times = &latency.complete_us;
    if let (Some(p50), Some(p99), Some(max)) = (times.p50, times.p99, times.max) {
        let [p50, p99, max] = [p50, p99, max].map(human::microseconds);
        let _ = write!(line, ": half in {p50}, 99% in {p99}, the slowest in {max}");
    }
    let failed = latency.errors.sum();
    let requests = human::grouped(latency.requests);
    let _ = match failed {
        0 if latency.requests == 1 => write!(line, "; it did not fail"),
        0 => write!(line, "; none of {requests} failed"),
        _ => write!(
            line,
            "; {} of {requests} failed: {}",
            human::grouped(failed),
            classes(latency)
        ),
    };
    line
}

/// The knee of the ramp, and how far the ramp went.
fn of_ramp(report: &Report) -> Option<String> {
    let steps = &report.ramp;
    let Some(last) = steps.last() else {
        let ended = report.ramp_ended?;
        return Some(format!(
            "no step of the ramp was completed: {}",
            of_end(ended)
        ));
    };
    let best = steps
        .iter()
        .max_by(|one, other| one.served_per_s.total_cmp(&other.served_per_s))?;
    let connections = |step: &Step| human::count(step.connections, "connection");
    let rate = |step: &Step| format!("{}/s", human::number(step.served_per_s));
    let mut line = match steps.iter().position(|step| step.knee) {
        Some(at) => {
            let knee = &steps[at];
            let mut line = format!("knee at {}: {}", connections(knee), rate(knee));
            if let Some(p99) = knee.p99_us {
                let _ = write!(line, ", 99% in {}", human::microseconds(p99));
            }
            let next = steps.get(at + 1).filter(|step| step.is_troubled());
            let _ = match next {
                _ if at == 0 && knee.is_troubled() => {
                    write!(line, "; {} already", troubled(knee))
                }
                Some(next) => write!(line, "; at {}: {}", next.connections, troubled(next)),
                None if best.connections > knee.connections => write!(
                    line,
                    "; more bring less than {:.0}% more (at best {} with {})",
                    FLAT * 100.0,
                    rate(best),
                    best.connections
                ),
                None => write!(line, "; more bring nothing"),
            };
            line
        }
        None => format!("no knee up to {}: {}", connections(last), rate(last)),
    };
    if let Some(ended) = report.ramp_ended
        && !matches!(ended, RampEnd::LastStep | RampEnd::PastTheKnee)
    {
        let _ = write!(
            line,
            "; the ramp ended at {}: {}",
            last.connections,
            of_end(ended)
        );
    }
    Some(line)
}

/// Why there are no more steps.
const fn of_end(ended: RampEnd) -> &'static str {
    match ended {
        RampEnd::LastStep => "it had no more",
        RampEnd::PastTheKnee => "the knee is clear",
        RampEnd::MostlyFailing => "most requests of its last step failed",
        RampEnd::Budget => "its --budget was used up",
        RampEnd::LocalLimits => {
            "this computer has no more ports or file descriptors, which says nothing about the \
             server"
        }
        RampEnd::TargetGone => "the server stopped answering",
        RampEnd::Interrupted => "it was interrupted",
    }
}

/// What went wrong in a step: `30 of 400 requests failed, 2 SYNs had to be sent again`.
fn troubled(step: &Step) -> String {
    let failed = format!(
        "{} of {} failed",
        human::grouped(step.failed),
        human::count(step.requests, "request"),
    );
    let repeated = |count: u64| match count {
        1 => "1 SYN had to be sent again".to_owned(),
        count => format!("{} SYNs had to be sent again", human::grouped(count)),
    };
    match (step.failed, step.syn_retransmissions) {
        (_, None | Some(0)) => failed,
        (0, Some(syns)) => format!(
            "{} of {}",
            repeated(syns),
            human::count(step.requests, "request")
        ),
        (_, Some(syns)) => format!("{failed} and {}", repeated(syns)),
    }
}

/// Why requests failed in the steps of a ramp, a sentence for each step of which that is known.
fn causes(steps: &[Step]) -> Vec<String> {
    let known = steps.iter().filter_map(|step| Some((step, step.cause?)));
    known.map(|(step, cause)| of_cause(step, &cause)).collect()
}

fn of_cause(step: &Step, cause: &Cause) -> String {
    let n = step.connections;
    let of = |trial: Trial| {
        let (troubled, requests) = (
            human::grouped(trial.troubled),
            human::grouped(trial.requests),
        );
        format!("{troubled} of {requests}")
    };
    let (closed, bursts) = (of(cause.closed), of(cause.bursts));
    let schedule = cause.schedule.map_or(String::new(), |schedule| {
        let rate = human::number(schedule.rate_per_s);
        format!("{} on a schedule of {rate}/s", of(schedule.trial))
    });
    let but = |what: &str| match cause.schedule {
        Some(_) => format!("; {what}: {schedule}"),
        None => String::new(),
    };
    match cause.kind {
        CauseKind::ReconnectRace => format!(
            "at {n} it is the reconnect race and not the server's capacity: {closed} were refused or \
             had to repeat their SYN where each client comes back at once, {bursts} where {n} at a \
             time come after a pause, and {schedule}"
        ),
        CauseKind::TooManyAtOnce => format!(
            "at {n} it is the server's capacity: {closed} failed or had to repeat their SYN where each \
             client comes back at once, and {bursts} where {n} at a time come after a pause{}",
            but("fewer at a time would do")
        ),
        CauseKind::BurstTooLarge => format!(
            "at {n} it is that they come in the same moment, for it holds as many one by one: {closed} \
             failed or had to repeat their SYN where each client comes back at once, and {bursts} where \
             {n} at a time come after a pause{}",
            but("apart they would do")
        ),
        CauseKind::AnyPace => format!(
            "at {n} it is not that clients come back at once: {closed} failed or had to repeat \
             their SYN where they do, but also {schedule}, below the rate that was served"
        ),
    }
}

fn of_throughput(throughput: &Throughput) -> String {
    let flows = [
        ("takes", "as one request", &throughput.upload),
        ("gives", "in replies", &throughput.download),
        ("echoes", "", &throughput.echo),
    ];
    let known = |(verb, instead, flow): (&str, &str, &Option<Flow>)| {
        let flow = flow.as_ref()?;
        let mut text = format!("{verb} {}", human::bytes_per_second(flow.bytes_per_s));
        if flow.via == Via::OwnPort {
            let _ = write!(text, " {instead}");
        }
        if let Some(limit) = flow.limited_by {
            let _ = write!(text, " (limited by {})", limit.text());
        }
        Some(text)
    };
    let flows: Vec<_> = flows.into_iter().filter_map(known).collect();
    if flows.is_empty() {
        return "no throughput could be measured".to_owned();
    }
    flows.join(", ")
}

fn all_failed(latency: &Latency) -> String {
    match latency.requests {
        1 => format!("the only request failed: {}", classes(latency)),
        requests => format!(
            "all {} requests failed: {}",
            human::grouped(requests),
            classes(latency)
        ),
    }
}

/// What failed, by class: `80 refused, 20 timed out`.
fn classes(latency: &Latency) -> String {
    let classes = latency.errors.by_frequency();
    let text: Vec<_> = classes
        .into_iter()
        .map(|(class, count)| format!("{} {}", human::grouped(count), describe(class)))
        .collect();
    text.join(", ")
}

/// An error class in words.
pub fn describe(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Refused => "refused",
        ErrorClass::ConnectTimeout => "timed out connecting",
        ErrorClass::ResetBeforeReply => "reset before the reply",
        ErrorClass::ResetInReply => "reset in the reply",
        ErrorClass::ReplyTimeout => "timed out waiting for the reply",
        ErrorClass::ClosedEarly => "closed early",
        ErrorClass::WrongReply => "answered wrongly",
        ErrorClass::Unreachable => "unreachable",
        ErrorClass::LocalPorts => "without a free port here",
        ErrorClass::LocalFiles => "without a file descriptor here",
    }
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

/// The CPU that the client used, for people; `None` where the platform can't tell.
pub(crate) fn client_cpu(latency: &Latency) -> Option<String> {
    let mut text = human::microseconds(latency.client_cpu_us_per_request?) + " a request";
    if let Some(share) = latency.client_cpu_share {
        let threads = human::count(latency.threads, "thread");
        let _ = write!(text, ", {:.0}% of {threads}", share * 100.0);
    }
    Some(text)
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

fn ordinal(n: u64) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

#[cfg(test)]
mod tests;
