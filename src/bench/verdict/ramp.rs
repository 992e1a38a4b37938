//! Summary lines about a ramp: the knee, how far the ramp went, and why requests failed in its
//! steps.

use std::fmt::Write as _;

use super::line as verdict_line;
use crate::bench::ramp::{FLAT, is_client_busy};
use crate::bench::report::{
    Cause, CauseKind, Level, RampEnd, Report, Scheduled, Step, Trial, VerdictLine,
};
use crate::output::human;

/// The knee of the ramp, and how far the ramp went.
pub(super) fn line(report: &Report) -> Option<VerdictLine> {
    let steps = &report.ramp;
    let Some(last) = steps.last() else {
        let ended = report.ramp_ended?;
        let text = format!("ramp: no step was completed ({})", describe_end(ended));
        return Some(verdict_line(Level::Note, text));
    };
    let best = steps
        .iter()
        .max_by(|one, other| one.served_per_s.total_cmp(&other.served_per_s))?;
    let (mut level, mut text) = (Level::Good, rate_at_knee(steps, last));
    if let Some(at) = steps.iter().position(|step| step.knee) {
        let knee = &steps[at];
        let next = steps.get(at + 1).filter(|step| step.is_troubled());
        let _ = match next {
            _ if at == 0 && knee.is_troubled() => {
                level = Level::Note;
                write!(text, "; {}", describe_errors(knee))
            }
            Some(next) => write!(
                text,
                "; at {}: {}",
                connections(next),
                describe_errors(next)
            ),
            None if best.connections > knee.connections => write!(
                text,
                "; more connections bring less than {:.0}% more (at most {} with {})",
                FLAT * 100.0,
                rate(best),
                best.connections
            ),
            None => write!(text, "; more connections do not increase the rate"),
        };
        if next.is_none() && steps[at + 1..].iter().any(is_client_busy) {
            level = Level::Note;
            text.push_str("; this computer was busy, so the server may be faster");
        }
    }
    if let Some(ended) = report.ramp_ended
        && !matches!(ended, RampEnd::LastStep | RampEnd::PastTheKnee)
    {
        level = Level::Note;
        let (last, why) = (connections(last), describe_end(ended));
        let _ = write!(text, "; the ramp ended at {last} ({why})");
    }
    Some(verdict_line(level, text))
}

/// `knee at 4 connections: 500 req/s, p99 16.0 ms`.
fn rate_at_knee(steps: &[Step], last: &Step) -> String {
    let Some(knee) = steps.iter().find(|step| step.knee) else {
        return format!("no knee up to {}: {}", connections(last), rate(last));
    };
    let p99 = knee.p99_us.map(human::microseconds);
    let p99 = p99.map_or(String::new(), |p99| format!(", p99 {p99}"));
    format!("knee at {}: {}{p99}", connections(knee), rate(knee))
}

fn connections(step: &Step) -> String {
    human::count(step.connections, "connection")
}

fn rate(step: &Step) -> String {
    format!("{} req/s", human::number(step.served_per_s))
}

const fn describe_end(ended: RampEnd) -> &'static str {
    match ended {
        RampEnd::LastStep => "last step",
        RampEnd::PastTheKnee => "knee found",
        RampEnd::MostlyFailing => "most requests of the last step failed",
        RampEnd::Budget => "--budget used up",
        RampEnd::LocalLimits => "this computer has no more ports or file descriptors",
        RampEnd::TargetGone => "the server stopped answering",
        RampEnd::Interrupted => "interrupted",
    }
}

/// `30 of 400 requests failed, 2 SYN retransmissions`.
fn describe_errors(step: &Step) -> String {
    let mut text = format!(
        "{} of {} failed",
        human::grouped(step.failed),
        human::count(step.requests, "request"),
    );
    if let Some(syns) = step.syn_retransmissions.filter(|syns| *syns > 0) {
        let _ = write!(text, ", {}", human::count(syns, "SYN retransmission"));
    }
    text
}

/// `knee at 4 connections: 500 req/s; fails at 8 (reconnect race)`, in 80 columns.
pub(super) fn short(report: &Report) -> Option<String> {
    let steps = &report.ramp;
    let Some(last) = steps.last() else {
        return line(report).map(|line| line.text);
    };
    let mut text = match steps.iter().find(|step| step.knee) {
        Some(knee) => format!("knee at {}: {}", connections(knee), rate(knee)),
        None => rate_at_knee(steps, last),
    };
    if let Some((step, cause)) = steps.iter().find_map(|step| Some((step, step.cause?))) {
        let _ = write!(
            text,
            "; fails at {} ({})",
            step.connections,
            cause.kind.text()
        );
    }
    Some(text)
}

/// One line for each step whose cause is known.
pub(crate) fn causes(steps: &[Step]) -> impl Iterator<Item = VerdictLine> {
    let known = steps.iter().filter_map(|step| Some((step, step.cause?)));
    known.map(|(step, cause)| verdict_line(Level::Note, describe_cause(step, &cause)))
}

/// The cause, then the result of each trial: failed requests and retransmitted SYNs out of all
/// requests.
pub(super) fn describe_cause(step: &Step, cause: &Cause) -> String {
    let n = step.connections;
    let outcome = |trial: Trial| {
        let troubled = human::grouped(trial.troubled);
        format!("{troubled}/{}", human::grouped(trial.requests))
    };
    let scheduled = |it: Scheduled| {
        let rate = human::number(it.rate_per_s);
        format!(", {} at a constant {rate} req/s", outcome(it.trial))
    };
    let what = match cause.kind {
        CauseKind::ReconnectRace => "reconnect race, not the server's capacity",
        CauseKind::TooManyAtOnce => "more connections than the server holds",
        CauseKind::BurstTooLarge => "more simultaneous SYNs than the server queues",
        CauseKind::ClientBusy => "this computer was busy and may be the cause",
        CauseKind::AnyPace => "fails at any rate, not only on immediate reconnects",
    };
    let late = cause.bursts.late + cause.schedule.map_or(0, |it| it.trial.late);
    let late = match late {
        0 => String::new(),
        late => format!(
            "; without {} that this computer delayed",
            human::count(late, "request")
        ),
    };
    format!(
        "{}: {what} (failed: {} on immediate reconnects, {} in bursts of {n}{}{late})",
        human::count(n, "connection"),
        outcome(cause.closed),
        outcome(cause.bursts),
        cause.schedule.map_or(String::new(), scheduled),
    )
}
