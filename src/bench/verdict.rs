//! How good is this server: the first lines, and what must be known before believing them.
//!
//! A load test lies most easily by leaving out: that nothing was answered, that the rate asked
//! for was never reached, that the client was the bottleneck, that a number was not measured at
//! all. Each of these is a [`Caveat`].

mod caveats;
mod limits;
mod ramp;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use self::limits::of_limits;
use self::ramp::{causes, of_ramp};
use super::report::{Flow, Latency, Report, Throughput, Via};
use crate::failure::{Failure, Kind};
use crate::output::human;
use crate::sanitize;
use tcpctl_engine::measurement::ErrorClass;

pub(super) use self::caveats::{caveats, too_few_files};

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
        ErrorClass::LocalLate => (
            Kind::Internal,
            "this computer was too busy: close other programs",
        ),
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
    let drift = report.limits.as_ref().and_then(|it| it.drift.as_deref());
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
        ErrorClass::LocalLate => "not started in time here",
    }
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

#[cfg(test)]
mod tests;
