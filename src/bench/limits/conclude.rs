//! From what was seen to what can be said, each number with how it is known.

use super::baseline::Baseline;
use super::burst::Burst;
use super::crowd::End;
use super::finding::{Ended, Figure, Finding, Known, Overflow, Round};
use super::rounds::{OnlyOne, Outcome, majority};

/// What the rounds say together.
pub(super) fn from_rounds(finding: &mut Finding, outcome: Outcome, most_settled: usize) {
    let rounds = finding.rounds.clone();
    let Some(last) = rounds.last() else {
        return lower_bounds(finding, most_settled);
    };
    let overflow = majority(&rounds, |round| Some(round.overflow as usize))
        .and_then(|it| rounds.iter().find(|round| round.overflow as usize == it))
        .map_or(last.overflow, |round| round.overflow);
    finding.overflow = Some(overflow);
    overflow
        .explain()
        .clone_into(&mut finding.overflow_evidence);
    finding.drift = drift(&rounds);
    let mut how = match (outcome, rounds.len()) {
        (Outcome::OnlyOne(OnlyOne::Mute), _) => {
            let ghost = if finding.lossy {
                "; an ACK that got lost on the way may have added one"
            } else {
                ""
            };
            format!(
                "observed once: nobody is answered, so no place can be freed for a second time{ghost}"
            )
        }
        (Outcome::OnlyOne(OnlyOne::Busy), _) => {
            "observed once: the server is busy for long with those that have left".to_owned()
        }
        (_, 1) => "observed once".to_owned(),
        (_, count) => format!("observed in {count} rounds"),
    };
    if let Some(drift) = &finding.drift {
        how = format!("{how}, which differ: {drift}");
    }
    let certain = matches!(outcome, Outcome::OnlyOne(_));
    let held = agreed(finding, certain, |round| Some(round.held));
    let served = match agreed(finding, certain, |round| round.served.exact()) {
        // One that ends its silence may have served more than were silent at a time.
        Known::AtLeast(_) if finding.silence_ends_after.is_some() => Known::Unknown,
        served => served,
    };
    finding.held = match (held, overflow) {
        (Known::Exactly(held), Overflow::NotReached) => Figure::at_least(
            held,
            format!("lower bound: so many were opened, and the limit was not reached; {how}"),
        ),
        (value, _) => figure(value, &how),
    };
    let is_all = |served| finding.held.value == Known::AtLeast(served);
    finding.served_at_once = match served {
        Known::Exactly(0) => Figure::exactly(
            0,
            "observed: no request was answered in time; it may want another message",
        ),
        Known::Exactly(served) if is_all(served) => Figure::at_least(
            served,
            format!("lower bound: all that were opened were served; {how}"),
        ),
        value => figure(value, &how),
    };
    finding.queued = queued(finding, overflow, &how);
}

fn queued(finding: &Finding, overflow: Overflow, how: &str) -> Figure {
    let by_whom = "whether the kernel or the application queues can't be told from outside";
    match (finding.held.value, finding.served_at_once.value) {
        (Known::Exactly(held), Known::Exactly(served)) => Figure::exactly(
            held.saturating_sub(served),
            format!("held less served at once, {how}; {by_whom}"),
        ),
        (Known::AtLeast(held), Known::Exactly(served)) => Figure::at_least(
            held.saturating_sub(served),
            format!("lower bound: so many waited; {by_whom}"),
        ),
        (_, Known::AtLeast(_)) if overflow == Overflow::NotReached => {
            Figure::unknown("nobody had to wait: the server was never full")
        }
        _ => Figure::unknown("held or served at once is not known exactly"),
    }
}

/// The number that the rounds agree on, or the largest as a lower bound.
fn agreed(
    finding: &Finding,
    one_is_enough: bool,
    number: impl Fn(&Round) -> Option<usize>,
) -> Known {
    let numbers: Vec<usize> = finding.rounds.iter().filter_map(&number).collect();
    let Some(&largest) = numbers.iter().max() else {
        let partly = finding.rounds.iter().filter_map(|it| it.served.number());
        return partly.max().map_or(Known::Unknown, Known::AtLeast);
    };
    match majority(&finding.rounds, &number) {
        // Other clients take places and never give any: who saw more, saw more of the server.
        // A path that loses segments errs both ways.
        Some(agreed) if agreed == largest || finding.lossy => Known::Exactly(agreed),
        None if one_is_enough && finding.rounds.len() == 1 => Known::Exactly(largest),
        _ => Known::AtLeast(largest),
    }
}

fn figure(value: Known, how: &str) -> Figure {
    let evidence = match value {
        Known::Exactly(_) => how.to_owned(),
        Known::AtLeast(_) => format!("lower bound: {how}"),
        Known::Unknown => format!("not settled: {how}"),
    };
    Figure { value, evidence }
}

fn drift(rounds: &[Round]) -> Option<String> {
    let differ = |number: &dyn Fn(&Round) -> usize| {
        let numbers: Vec<usize> = rounds.iter().map(number).collect();
        let first = numbers.first().copied();
        let list: Vec<String> = numbers.iter().map(usize::to_string).collect();
        numbers
            .iter()
            .any(|&number| Some(number) != first)
            .then(|| list.join(", "))
    };
    let held = differ(&|round| round.held).map(|list| format!("held {list}"));
    let served = differ(&|round| round.served.number().unwrap_or_default())
        .map(|list| format!("served at once {list}"));
    let parts: Vec<String> = [held, served].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| {
        format!(
            "{} (other clients are on the server, or the path loses segments)",
            parts.join("; ")
        )
    })
}

/// What can be said of a server that answers before it is asked.
pub(super) fn from_burst(finding: &mut Finding, burst: Burst) {
    greets_first(finding);
    finding.burst = Figure {
        value: burst.largest,
        evidence: burst.evidence,
    };
    finding.drift = burst.drift.or(finding.drift.take());
    finding.overflow = Some(burst.overflow);
    finding.overflow_after.extend(burst.after);
    let how = match burst.overflow {
        Overflow::NotReached => "no burst that was allowed came to the limit",
        _ => "observed where so many had come at a time, twice or more",
    };
    how.clone_into(&mut finding.overflow_evidence);
}

/// Why nothing more can be said of it.
pub(super) fn greets_first(finding: &mut Finding) {
    let why = match finding.silence_ends_after {
        Some(after) => format!(
            "not knowable from outside: it answers a silent connection after {after:.0?}, before \
             it is full"
        ),
        None => "not knowable from outside: it greets first, so no connection can be held open"
            .to_owned(),
    };
    finding.served_at_once = Figure::unknown(why.clone());
    finding.queued = Figure::unknown(why.clone());
    finding.held = Figure::unknown(why);
}

/// A server that lets nobody stay.
pub(super) fn from_rejection(finding: &mut Finding, end: End) {
    let why = "observed: every connection was ended before it was asked; it is full, or wants none";
    finding.served_at_once = Figure::exactly(0, why);
    finding.queued = Figure::exactly(0, why);
    finding.held = Figure::exactly(0, why);
    finding.overflow = Some(end.after_accept());
    why.clone_into(&mut finding.overflow_evidence);
}

/// What is left of a search that was cut short.
pub(super) fn cut_short(finding: &mut Finding, baseline: Option<&Baseline>, most_settled: usize) {
    if let Some(baseline) = baseline {
        finding.closes_after_reply = baseline.closes_after_reply;
        finding.lossy = baseline.patience.lossy || finding.losses > 0;
    }
    let full = finding.rounds.clone();
    lower_bounds(finding, most_settled);
    if let Some(round) = full.last() {
        finding.overflow = Some(round.overflow);
        round
            .overflow
            .explain()
            .clone_into(&mut finding.overflow_evidence);
    }
}

fn lower_bounds(finding: &mut Finding, most_settled: usize) {
    let why = match finding.ended {
        Ended::Complete => "lower bound: so many were open together",
        Ended::Stopped => "lower bound: stopped before the end",
        Ended::OutOfTime => "lower bound: the budget was used up before the end",
    };
    if finding.burst.value != Known::Unknown {
        // It can't be held: what was open was not held.
        why.clone_into(&mut finding.burst.evidence);
        return;
    }
    // On a path that loses segments one round may have seen too many: the least of several counts.
    let least = |number: fn(&Round) -> Option<usize>| {
        let numbers: Vec<usize> = finding.rounds.iter().filter_map(number).collect();
        let is_sure = !finding.lossy || numbers.len() > 1;
        numbers.into_iter().min().filter(|_| is_sure)
    };
    let held = least(|round| Some(round.held));
    let served = least(|round| round.served.number()).or_else(|| {
        let answered = !finding.served_first_byte.is_empty();
        answered.then_some(1)
    });
    let held = held.max(served).max(Some(most_settled));
    if let Some(held @ 1..) = held {
        finding.held = Figure::at_least(held, why);
    }
    if let Some(served) = served {
        finding.served_at_once = Figure::at_least(served, why);
    }
}

impl Overflow {
    const fn explain(self) -> &'static str {
        match self {
            Self::Refused => "observed: three SYNs in a row were answered with a reset",
            Self::Dropped => {
                "observed: two SYNs in a row had no answer, nor had one half a second later or more"
            }
            Self::Closed => "observed: the next was accepted and closed, twice; the elder lived on",
            Self::Reset => "observed: the next was accepted and reset, twice; the elder lived on",
            Self::Silent => {
                "observed: more are accepted, but not answered even when a place is free"
            }
            Self::Evicted => "observed: each newcomer was taken and an elder connection was ended",
            Self::NotReached => "the maximum that was allowed was open, and nothing happened",
        }
    }
}
