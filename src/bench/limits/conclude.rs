//! From what was seen to what can be said, each number with how it is known.

use super::baseline::Baseline;
use super::burst::Burst;
use super::crowd::End;
use super::finding::{Ended, Finding, Limit, Round};
use super::rounds::{OnlyOne, Outcome, majority};
use crate::bench::report::{Bound, Evidence, EvidenceKind, Overflow};

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
    finding.overflow_evidence = evidence(overflow);
    finding.drift = drift(&rounds);
    let mut how = match (outcome, rounds.len()) {
        (Outcome::OnlyOne(OnlyOne::Mute), _) => {
            let ghost = if finding.lossy {
                "; an ACK that got lost on the way may have added one"
            } else {
                ""
            };
            format!(
                "once: no request is answered, so no slot can be freed for a second trial{ghost}"
            )
        }
        (Outcome::OnlyOne(OnlyOne::Busy), _) => {
            "once: the server stayed busy with connections that were closed".to_owned()
        }
        (_, 1) => "once".to_owned(),
        (_, count) => format!("in {count} trials"),
    };
    if let Some(drift) = &finding.drift {
        how = format!("{how}, which differ: {drift}");
    }
    let certain = matches!(outcome, Outcome::OnlyOne(_));
    let held = agreed(finding, certain, |round| Some(round.held));
    let served = match agreed(finding, certain, |round| round.served.exact()) {
        // One that ends its silence may have served more than were silent at a time.
        Bound::AtLeast { .. } if finding.silence_ends_after.is_some() => Bound::Unknown,
        served => served,
    };
    finding.held = match (held, overflow) {
        (Bound::Exact(held), Overflow::NotReached) => Limit::new(
            Bound::at_least(held),
            format!("this many were opened and the limit was not reached; {how}"),
        ),
        (value, _) => Limit::new(value, how.clone()),
    };
    let is_all = |served| finding.held.value == Bound::at_least(served);
    finding.served_at_once = match served {
        Bound::Exact(0) => Limit::new(
            served,
            "no request was answered in time; it may expect another message",
        ),
        Bound::Exact(count) if is_all(count) => Limit::new(
            Bound::at_least(count),
            format!("all that were opened were served; {how}"),
        ),
        value => Limit::new(value, how.clone()),
    };
    finding.queued = queued(finding, overflow, &how);
}

fn queued(finding: &Finding, overflow: Overflow, how: &str) -> Limit {
    let by_whom = "whether the kernel or the application queues can't be told from outside";
    match (finding.held.value, finding.served_at_once.value) {
        (Bound::Exact(held), Bound::Exact(served)) => Limit::new(
            Bound::Exact(held.saturating_sub(served)),
            format!("held less served at once, {how}; {by_whom}"),
        ),
        (Bound::AtLeast { at_least: held }, Bound::Exact(served)) => Limit::new(
            Bound::at_least(held.saturating_sub(served)),
            format!("this many waited; {by_whom}"),
        ),
        (_, Bound::AtLeast { .. }) if overflow == Overflow::NotReached => Limit::unknown(
            EvidenceKind::NotApplicable,
            "no connection had to wait: the server was never full",
        ),
        _ => Limit::unknown(
            EvidenceKind::NotMeasured,
            "held or served_at_once is not known exactly",
        ),
    }
}

/// The number that the rounds agree on, or the largest as a lower bound.
fn agreed(
    finding: &Finding,
    one_is_enough: bool,
    number: impl Fn(&Round) -> Option<usize>,
) -> Bound {
    let numbers: Vec<usize> = finding.rounds.iter().filter_map(&number).collect();
    let Some(&largest) = numbers.iter().max() else {
        let partly = finding.rounds.iter().filter_map(|it| it.served.count());
        return partly.max().map_or(Bound::Unknown, Bound::at_least);
    };
    match majority(&finding.rounds, &number) {
        // Other clients take places and never give any: who saw more, saw more of the server.
        // A path that loses segments errs both ways.
        Some(agreed) if agreed == largest || finding.lossy => Bound::Exact(agreed),
        None if one_is_enough && finding.rounds.len() == 1 => Bound::Exact(largest),
        _ => Bound::at_least(largest),
    }
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
    let served = differ(&|round| round.served.count().unwrap_or_default())
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
    finding.burst = Limit::new(burst.largest, burst.evidence);
    finding.drift = burst.drift.or(finding.drift.take());
    finding.overflow = Some(burst.overflow);
    finding.overflow_after.extend(burst.after);
    finding.overflow_evidence = match burst.overflow {
        Overflow::NotReached => Evidence::new(
            EvidenceKind::NotMeasured,
            "no burst that was allowed reached the limit",
        ),
        _ => Evidence::new(
            EvidenceKind::Observed,
            "seen at least twice beyond the largest burst",
        ),
    };
}

/// Why nothing more can be said of it.
pub(super) fn greets_first(finding: &mut Finding) {
    let why = match finding.silence_ends_after {
        Some(after) => {
            format!("it answers a silent connection after {after:.0?}, before it is full")
        }
        None => "it greets first, so no connection can be held open".to_owned(),
    };
    finding.served_at_once = Limit::unknown(EvidenceKind::Unknowable, why.clone());
    finding.queued = Limit::unknown(EvidenceKind::Unknowable, why.clone());
    finding.held = Limit::unknown(EvidenceKind::Unknowable, why);
}

/// A server that lets nobody stay.
pub(super) fn from_rejection(finding: &mut Finding, end: End) {
    let why = "every connection was closed before a request; the server is full or accepts none";
    finding.served_at_once = Limit::new(Bound::Exact(0), why);
    finding.queued = Limit::new(Bound::Exact(0), why);
    finding.held = Limit::new(Bound::Exact(0), why);
    finding.overflow = Some(end.after_accept());
    finding.overflow_evidence = Evidence::new(EvidenceKind::Observed, why);
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
        finding.overflow_evidence = evidence(round.overflow);
    }
}

fn lower_bounds(finding: &mut Finding, most_settled: usize) {
    let why = match finding.ended {
        Ended::Complete => "this many were open together",
        Ended::Stopped => "stopped before the end",
        Ended::OutOfTime => "the budget was used up before the end",
    };
    if finding.burst.value != Bound::Unknown {
        // It can't be held: what was open was not held.
        why.clone_into(&mut finding.burst.evidence.detail);
        return;
    }
    // On a path that loses segments one round may have seen too many: the least of several counts.
    let least = |number: fn(&Round) -> Option<usize>| {
        let numbers: Vec<usize> = finding.rounds.iter().filter_map(number).collect();
        let is_sure = !finding.lossy || numbers.len() > 1;
        numbers.into_iter().min().filter(|_| is_sure)
    };
    let held = least(|round| Some(round.held));
    let served = least(|round| round.served.count()).or_else(|| {
        let answered = !finding.served_first_byte.is_empty();
        answered.then_some(1)
    });
    let held = held.max(served).max(Some(most_settled));
    if let Some(held @ 1..) = held {
        finding.held = Limit::new(Bound::at_least(held), why);
    }
    if let Some(served) = served {
        finding.served_at_once = Limit::new(Bound::at_least(served), why);
    }
}

fn evidence(overflow: Overflow) -> Evidence {
    let detail = match overflow {
        Overflow::Refused => "three SYNs in a row were answered with a reset",
        Overflow::Dropped => {
            "two SYNs in a row were not answered, nor was one at least 0.5 s later"
        }
        Overflow::Closed => "the next connection was accepted and closed, twice; older ones stayed",
        Overflow::Reset => "the next connection was accepted and reset, twice; older ones stayed",
        Overflow::Silent => "more are accepted, but not served even when a slot is free",
        Overflow::Evicted => "each new connection was served and older ones were closed for it",
        Overflow::NotReached => "--max-connections were open, and all were accepted",
    };
    let kind = match overflow {
        Overflow::NotReached => EvidenceKind::NotMeasured,
        _ => EvidenceKind::Observed,
    };
    Evidence::new(kind, detail)
}
