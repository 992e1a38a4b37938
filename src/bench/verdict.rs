//! Derives a report's summary lines and warnings.

mod limits;
mod ramp;
mod warnings;

use std::fmt::Write as _;

use super::report::{Flow, Latency, Level, Report, Throughput, VerdictLine, Via, Warning};
use crate::failure::{Failure, Kind};
use crate::output::human;
use crate::sanitize;
use tcpctl_engine::measurement::ErrorClass;

pub(super) use self::ramp::causes;
pub(super) use self::warnings::{clock_set, too_few_files};

/// Share of failed requests above which a result is bad.
const BAD_SHARE: f64 = 0.01;

/// Fills in `verdict` and `warnings` from the other fields. Keeps warnings that are not derived
/// from the numbers.
#[must_use]
pub fn conclude(mut report: Report) -> Report {
    let mut warnings = warnings::derived(&report);
    let is_given = |warning: &Warning| !warning.kind.is_derived();
    warnings.extend(
        std::mem::take(&mut report.warnings)
            .into_iter()
            .filter(is_given),
    );
    report.warnings = warnings;
    report.verdict = lines(&report);
    report
}

/// The failure of a run without a completed request: its most frequent error.
pub fn failure(report: &Report) -> Option<Failure> {
    let latency = report.latency.as_ref()?;
    if latency.completed > 0 || latency.requests == 0 {
        return None;
    }
    let (class, _) = *latency.errors.by_frequency().first()?;
    let (kind, hint) = match class {
        ErrorClass::Refused => (
            Kind::Connect,
            "is the server running, and is the port correct?",
        ),
        ErrorClass::ConnectTimeout | ErrorClass::Unreachable => {
            (Kind::Connect, "is the board on, and in the same network?")
        }
        ErrorClass::ReplyTimeout => (
            Kind::Timeout,
            "the server may wait for a line end (--crlf), or for its other clients to disconnect",
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

/// The summary, most important line first.
fn lines(report: &Report) -> Vec<VerdictLine> {
    parts(report).into_iter().flatten().collect()
}

/// The lines of each part of the run, of which there are at most four.
fn parts(report: &Report) -> Vec<Vec<VerdictLine>> {
    let ramp = ramp::line(report).into_iter().chain(causes(&report.ramp));
    let mut parts = vec![
        Vec::from_iter(report.limits.as_ref().map(limits::line)),
        Vec::from_iter(report.latency.as_ref().map(latency_line)),
        ramp.collect(),
        Vec::from_iter(report.throughput.as_ref().map(throughput_line)),
    ];
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() {
        parts.push(vec![line(Level::Note, "nothing was measured")]);
    }
    parts
}

/// The summary with a line for each part of the run.
pub(crate) fn joined(report: &Report) -> Vec<VerdictLine> {
    let parts = parts(report).into_iter().map(|part| {
        let level = part.iter().map(|line| line.level).max();
        let texts: Vec<_> = part.into_iter().map(|line| line.text).collect();
        line(level.unwrap_or(Level::Note), texts.join("; "))
    });
    parts.collect()
}

/// The most important numbers of each part of the run, in at most 80 columns each.
pub(crate) fn short(report: &Report) -> Vec<VerdictLine> {
    let texts = [
        report.limits.as_ref().map(limits::short),
        report.latency.as_ref().map(short_latency),
        ramp::short(report),
        report.throughput.as_ref().map(|it| flows(it, false)),
    ];
    let texts: Vec<_> = texts.into_iter().flatten().collect();
    let joined = joined(report);
    if texts.len() < joined.len() {
        // Nothing was measured.
        return joined;
    }
    let levels = joined.into_iter().map(|line| line.level);
    let lines = levels.zip(texts);
    lines.map(|(level, text)| line(level, text)).collect()
}

fn line(level: Level, text: impl Into<String>) -> VerdictLine {
    let text = text.into();
    VerdictLine { level, text }
}

/// `262 req/s over 4 connections: p50 15.1 ms, p99 20.0 ms, max 24.2 ms; 0 of 1,313 failed`.
fn latency_line(latency: &Latency) -> VerdictLine {
    if latency.requests == 0 {
        return line(Level::Note, "no request was sent");
    }
    if latency.completed == 0 {
        return line(Level::Bad, all_failed(latency));
    }
    let mut text = format!("{} req/s", human::number(latency.rate_per_s));
    let _ = match latency.target_rate_per_s {
        Some(rate) => write!(text, " (target {} req/s)", human::number(rate)),
        None => write!(
            text,
            " over {}",
            human::count(latency.connections, "connection")
        ),
    };
    let complete = &latency.complete_us;
    text += &times(&[
        ("p50", complete.p50),
        ("p99", complete.p99),
        ("max", complete.max),
    ]);
    let failed = latency.errors.sum();
    let _ = write!(
        text,
        "; {} of {} failed",
        human::grouped(failed),
        human::grouped(latency.requests)
    );
    if failed > 0 {
        let _ = write!(text, ": {}", failures_by_class(latency));
    }
    let level = match failed as f64 / latency.requests as f64 {
        0.0 => Level::Good,
        share if share < BAD_SHARE => Level::Note,
        _ => Level::Bad,
    };
    line(level, text)
}

/// `245 req/s: p50 16.1 ms, p99 21.6 ms; 0 of 1,227 failed`.
fn short_latency(latency: &Latency) -> String {
    let requests = human::grouped(latency.requests);
    if latency.completed == 0 {
        return match latency.requests {
            0 => "no request was sent".to_owned(),
            _ => format!("all {requests} requests failed"),
        };
    }
    let rate = human::number(latency.rate_per_s);
    let times = times(&[
        ("p50", latency.complete_us.p50),
        ("p99", latency.complete_us.p99),
    ]);
    let failed = human::grouped(latency.errors.sum());
    format!("{rate} req/s{times}; {failed} of {requests} failed")
}

/// `: p50 16.1 ms, p99 21.6 ms`; nothing without a known time.
fn times(times: &[(&str, Option<f64>)]) -> String {
    let known = times.iter();
    let known: Vec<_> = known
        .filter_map(|(name, time)| Some(format!("{name} {}", human::microseconds((*time)?))))
        .collect();
    if known.is_empty() {
        return String::new();
    }
    format!(": {}", known.join(", "))
}

fn throughput_line(throughput: &Throughput) -> VerdictLine {
    let is_measured = [&throughput.upload, &throughput.download, &throughput.echo]
        .into_iter()
        .any(Option::is_some);
    let level = if is_measured {
        Level::Good
    } else {
        Level::Note
    };
    line(level, flows(throughput, true))
}

/// The rate of each flow. With `is_explained` also how it was measured, and what limited it.
fn flows(throughput: &Throughput, is_explained: bool) -> String {
    let flows = [
        ("upload", "as one request", &throughput.upload),
        (
            "download",
            "in replies, one connection each",
            &throughput.download,
        ),
        ("echo", "", &throughput.echo),
    ];
    let measured = |(name, instead, flow): (&str, &str, &Option<Flow>)| {
        let flow = flow.as_ref()?;
        let mut text = format!("{name} {}", human::bytes_per_second(flow.bytes_per_s));
        if flow.via == Via::OwnPort && is_explained {
            let _ = write!(text, " {instead}");
        }
        if let Some(limit) = flow.limited_by.filter(|_| is_explained) {
            let _ = write!(text, " (limited by {})", limit.text());
        }
        Some(text)
    };
    let flows: Vec<_> = flows.into_iter().filter_map(measured).collect();
    if flows.is_empty() {
        return "throughput could not be measured".to_owned();
    }
    flows.join(", ")
}

fn all_failed(latency: &Latency) -> String {
    match latency.requests {
        1 => format!("the only request failed: {}", failures_by_class(latency)),
        requests => format!(
            "all {} requests failed: {}",
            human::grouped(requests),
            failures_by_class(latency)
        ),
    }
}

/// `80 refused, 20 timed out waiting for the reply`.
fn failures_by_class(latency: &Latency) -> String {
    let classes = latency.errors.by_frequency();
    let text: Vec<_> = classes
        .into_iter()
        .map(|(class, count)| format!("{} {}", human::grouped(count), describe(class)))
        .collect();
    text.join(", ")
}

/// An error class as text that follows a count.
pub fn describe(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Refused => "refused",
        ErrorClass::ConnectTimeout => "timed out connecting",
        ErrorClass::ResetBeforeReply => "reset before the reply",
        ErrorClass::ResetInReply => "reset during the reply",
        ErrorClass::ReplyTimeout => "timed out waiting for the reply",
        ErrorClass::ClosedEarly => "closed early",
        ErrorClass::WrongReply => "with a wrong reply",
        ErrorClass::Unreachable => "unreachable",
        ErrorClass::LocalPorts => "without a free local port",
        ErrorClass::LocalFiles => "without a free local file descriptor",
        ErrorClass::LocalLate => "not started in time by this computer",
    }
}

/// The CPU time of the client; `None` where the platform does not provide it.
pub(crate) fn client_cpu(latency: &Latency) -> Option<String> {
    let mut text = human::microseconds(latency.client_cpu_us_per_request?) + " per request";
    if let Some(share) = latency.client_cpu_share {
        let threads = human::count(latency.threads, "thread");
        let _ = write!(text, ", {:.0}% of {threads}", share * 100.0);
    }
    Some(text)
}

#[cfg(test)]
mod tests;
