//! Where the knee of a ramp is, how far the ramp went, and why requests failed in its steps.

use std::fmt::Write as _;

use crate::bench::ramp::FLAT;
use crate::bench::report::{Cause, CauseKind, RampEnd, Report, Step, Trial};
use crate::output::human;

/// The knee of the ramp, and how far the ramp went.
pub(super) fn of_ramp(report: &Report) -> Option<String> {
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
pub(super) fn causes(steps: &[Step]) -> Vec<String> {
    let known = steps.iter().filter_map(|step| Some((step, step.cause?)));
    known.map(|(step, cause)| of_cause(step, &cause)).collect()
}

pub(super) fn of_cause(step: &Step, cause: &Cause) -> String {
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
