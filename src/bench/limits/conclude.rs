//! Turns the observations into limits with evidence.

use std::time::Duration;

use super::model::{Baseline, Burst, ConnectionEnd, Limit, LimitsFinding, SearchEnd, Trial};
use super::trials::{OnlyOne, TrialsEnd, majority};
use crate::bench::report::{Bound, Evidence, EvidenceKind, Overflow};
use crate::output::human;

/// The limits that the trials show together.
pub(super) fn from_trials(finding: &mut LimitsFinding, end: TrialsEnd, max_settled: usize) {
    let trials = finding.trials.clone();
    let Some(last) = trials.last() else {
        return lower_bounds(finding, max_settled);
    };
    let overflow = majority(&trials, |trial| Some(trial.overflow as usize))
        .and_then(|it| trials.iter().find(|trial| trial.overflow as usize == it))
        .map_or(last.overflow, |trial| trial.overflow);
    finding.overflow = Some(overflow);
    finding.overflow_evidence = overflow_evidence(overflow, finding.rejection.as_deref());
    finding.drift = drift(&trials, finding.late);
    let mut how = match (end, trials.len()) {
        (TrialsEnd::OnlyOne(OnlyOne::NeverReplies), _) => {
            let caution = if finding.is_lossy {
                "; a lost ACK may have added one"
            } else {
                ""
            };
            format!("in one trial: no request is answered, so no slot can be freed{caution}")
        }
        (TrialsEnd::OnlyOne(OnlyOne::Busy), _) => {
            "in one trial: the server stayed busy with the connections that were closed".to_owned()
        }
        (_, 1) => "in one trial".to_owned(),
        (_, count) => format!("in {count} trials"),
    };
    if let Some(drift) = &finding.drift {
        how = format!("{how}, which differ: {drift}");
    }
    let is_one_enough = matches!(end, TrialsEnd::OnlyOne(_));
    let held = agreed(finding, is_one_enough, |trial| Some(trial.held));
    let served = match agreed(finding, is_one_enough, |trial| trial.served.exact()) {
        // A server that ends silent connections may have served more than were silent at the same
        // time.
        Bound::AtLeast { .. } if finding.silence_ends_after.is_some() => Bound::Unknown,
        served => served,
    };
    finding.held = match (held, overflow) {
        (Bound::Exact(held), Overflow::NotReached) => Limit::new(
            Bound::at_least(held),
            format!("the limit was not reached {how}"),
        ),
        (value, _) => Limit::new(value, how.clone()),
    };
    let are_all = |served| finding.held.value == Bound::at_least(served);
    finding.served_at_once = match served {
        Bound::Exact(0) => Limit::new(
            served,
            "no request was answered in time; the server may expect another message",
        ),
        Bound::Exact(count) if are_all(count) => Limit::new(
            Bound::at_least(count),
            format!("all connections were served {how}"),
        ),
        value => Limit::new(value, how.clone()),
    };
    finding.queued = queued(finding, overflow, &how);
}

fn queued(finding: &LimitsFinding, overflow: Overflow, how: &str) -> Limit {
    const WHO: &str = "the kernel's queue or the application's";
    match (finding.held.value, finding.served_at_once.value) {
        (Bound::Exact(held), Bound::Exact(served)) => Limit::new(
            Bound::Exact(held.saturating_sub(served)),
            format!("accepted in total minus served at once {how}; {WHO}"),
        ),
        (Bound::AtLeast { at_least: held }, Bound::Exact(served)) => Limit::new(
            Bound::at_least(held.saturating_sub(served)),
            format!("this many waited; {WHO}"),
        ),
        (_, Bound::AtLeast { .. }) if overflow == Overflow::NotReached => Limit::unknown(
            EvidenceKind::NotMeasured,
            "the server was never full, so no connection had to wait",
        ),
        _ => Limit::unknown(
            EvidenceKind::NotMeasured,
            "held or served_at_once is not known exactly",
        ),
    }
}

/// The number that the trials agree on, or else the largest as a lower bound.
fn agreed(
    finding: &LimitsFinding,
    is_one_enough: bool,
    number: impl Fn(&Trial) -> Option<usize>,
) -> Bound {
    let numbers: Vec<usize> = finding.trials.iter().filter_map(&number).collect();
    let Some(&largest) = numbers.iter().max() else {
        let partly = finding.trials.iter().filter_map(|it| it.served.count());
        return partly.max().map_or(Bound::Unknown, Bound::at_least);
    };
    match majority(&finding.trials, &number) {
        // Other clients take slots and never add any, so the largest number is the server's. A
        // lossy path errs both ways.
        Some(agreed) if agreed == largest || finding.is_lossy => Bound::Exact(agreed),
        None if is_one_enough && finding.trials.len() == 1 => Bound::Exact(largest),
        _ => Bound::at_least(largest),
    }
}

/// The numbers of one server that differ, with the possible causes. `late` is the time that this
/// computer lost during the search.
pub(super) fn describe_drift(numbers: &str, late: Duration) -> String {
    let computer = if late.is_zero() {
        "or the path loses segments"
    } else {
        "the path loses segments, or this computer was busy"
    };
    format!("{numbers} (other clients use the server, its limits vary, {computer})")
}

fn drift(trials: &[Trial], late: Duration) -> Option<String> {
    let differ = |number: &dyn Fn(&Trial) -> usize| {
        let numbers: Vec<usize> = trials.iter().map(number).collect();
        let first = numbers.first().copied();
        let list: Vec<String> = numbers.iter().map(usize::to_string).collect();
        numbers
            .iter()
            .any(|&number| Some(number) != first)
            .then(|| list.join(", "))
    };
    let held = differ(&|trial| trial.held).map(|list| format!("held {list}"));
    let served = differ(&|trial| trial.served.count().unwrap_or_default())
        .map(|list| format!("served at once {list}"));
    let parts: Vec<String> = [held, served].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| describe_drift(&parts.join("; "), late))
}

/// The limits of a server whose connections cannot be held, from a burst.
pub(super) fn from_burst(finding: &mut LimitsFinding, burst: Burst) {
    cannot_hold(finding);
    finding.burst = Limit::new(burst.largest, burst.detail);
    finding.drift = burst.drift.or(finding.drift.take());
    finding.overflow = Some(burst.overflow);
    finding.overflow_after.extend(burst.after);
    finding.overflow_evidence = match burst.overflow {
        Overflow::NotReached => Evidence::new(
            EvidenceKind::NotMeasured,
            "no burst within --max-connections reached the limit",
        ),
        _ => Evidence::new(
            EvidenceKind::Observed,
            "at least twice, beyond the largest burst",
        ),
    };
}

/// Why the other limits of such a server cannot be known.
pub(super) fn cannot_hold(finding: &mut LimitsFinding) {
    let why = match finding.silence_ends_after {
        Some(after) => {
            format!(
                "the server answers or closes silent connections after {}, before it is full",
                human::time(after)
            )
        }
        None => "the server greets first and closes, so no connection can be held".to_owned(),
    };
    let limit = || Limit::unknown(EvidenceKind::Unknowable, why.clone());
    finding.served_at_once = limit();
    finding.queued = limit();
    finding.held = limit();
}

/// A server that rejects every connection.
pub(super) fn from_rejection(finding: &mut LimitsFinding, end: ConnectionEnd) {
    let why = "every connection was ended before a request: the server is full or accepts none";
    let limit = || Limit::new(Bound::Exact(0), why);
    finding.served_at_once = limit();
    finding.queued = limit();
    finding.held = limit();
    finding.overflow = Some(end.after_accept());
    finding.overflow_evidence = Evidence::new(EvidenceKind::Observed, why);
}

/// The limits found by a search that was cut short.
pub(super) fn cut_short(
    finding: &mut LimitsFinding,
    baseline: Option<&Baseline>,
    max_settled: usize,
) {
    if let Some(baseline) = baseline {
        finding.closes_after_reply = baseline.closes_after_reply;
        finding.is_lossy = baseline.timeouts.is_lossy || finding.retransmissions > 0;
    }
    lower_bounds(finding, max_settled);
    if let Some(&Trial { overflow, .. }) = finding.trials.last() {
        finding.overflow = Some(overflow);
        finding.overflow_evidence = overflow_evidence(overflow, finding.rejection.as_deref());
    }
}

fn lower_bounds(finding: &mut LimitsFinding, max_settled: usize) {
    let why = match finding.ended {
        SearchEnd::Complete => "this many were open together",
        SearchEnd::Stopped => "stopped before the end",
        SearchEnd::OutOfTime => "the budget was used up before the end",
    };
    if finding.burst.value.is_known() {
        // The server's connections cannot be held.
        why.clone_into(&mut finding.burst.evidence.detail);
        return;
    }
    // On a lossy path one trial may have counted too many, so use the smallest count.
    let least = |number: fn(&Trial) -> Option<usize>| {
        let numbers: Vec<usize> = finding.trials.iter().filter_map(number).collect();
        let is_sure = !finding.is_lossy || numbers.len() > 1;
        numbers.into_iter().min().filter(|_| is_sure)
    };
    let held = least(|trial| Some(trial.held));
    let served = least(|trial| trial.served.count()).or_else(|| {
        let has_replied = !finding.served_first_byte.is_empty();
        has_replied.then_some(1)
    });
    let held = held.max(served).max(Some(max_settled));
    if let Some(held @ 1..) = held {
        finding.held = Limit::new(Bound::at_least(held), why);
    }
    if let Some(served) = served {
        finding.served_at_once = Limit::new(Bound::at_least(served), why);
    }
    for limit in [
        &mut finding.served_at_once,
        &mut finding.queued,
        &mut finding.held,
    ] {
        if !limit.value.is_known() {
            why.clone_into(&mut limit.evidence.detail);
        }
    }
}

fn overflow_evidence(overflow: Overflow, rejection: Option<&str>) -> Evidence {
    let detail = match overflow {
        Overflow::Refused => "three SYNs in a row were answered with a reset",
        Overflow::Dropped => "two SYNs in a row were not answered, nor was one 0.5 s later",
        Overflow::Closed => "the next connection was accepted and closed, twice; older ones stayed",
        Overflow::Reset => "the next connection was accepted and reset, twice; older ones stayed",
        Overflow::Silent => "more are accepted, but not served even when a slot is free",
        Overflow::Evicted => "the next connection was served, and older ones were closed for it",
        Overflow::NotReached => "as many as --max-connections allows were accepted",
    };
    let kind = match overflow {
        Overflow::NotReached => EvidenceKind::NotMeasured,
        _ => EvidenceKind::Observed,
    };
    let printed = rejection.map_or(String::new(), |line| {
        format!("; the server sent \"{line}\"")
    });
    Evidence::new(kind, format!("{detail}{printed}"))
}
