//! What the server can take, in one line.

use std::fmt::Write as _;

use crate::bench::report::{Bound, Limits, Overflow};
use crate::output::human;
use crate::sanitize;

pub(super) fn of_limits(limits: &Limits) -> String {
    let why = |field: &str| match limits.evidence.get(field) {
        Some(why) => format!(" ({})", sanitize::one_line(&why.detail)),
        None => String::new(),
    };
    let mut parts = Vec::new();
    match limits.served_at_once {
        served if served.is_known() => parts.push(match limits.per_client {
            Some(true) if limits.held_from_all_sources.is_known() => {
                let in_all = limits.held_from_all_sources;
                format!("serves {served} of each client address at once, {in_all} in all")
            }
            _ => format!("serves {served} at once"),
        }),
        _ => parts.push(format!(
            "how many it serves at once can't be known{}",
            why("served_at_once")
        )),
    }
    match limits.queued {
        Bound::Exact(0) => parts.push("queues none".to_owned()),
        Bound::Unknown => {}
        queued => parts.push(format!("queues {queued}")),
    }
    if limits.burst.is_known() {
        parts.push(format!("takes a burst of {}", limits.burst));
    }
    if let Some(overflow) = limits.overflow {
        parts.push(of_overflow(limits, overflow));
    }
    let mut line = parts.join(", ");
    if let Some(recovery) = limits.recovery_us {
        let recovery = human::microseconds(recovery);
        let _ = write!(line, "; a freed place is taken again in {recovery}");
    }
    if let (Some(served), Some(overflow)) = (limits.served_at_once.count(), limits.overflow)
        && overflow != Overflow::NotReached
    {
        let _ = write!(line, "; keep clients at or under {}", served);
    }
    line
}

fn of_overflow(limits: &Limits, overflow: Overflow) -> String {
    let next = match limits.held {
        Bound::Exact(held) => format!("the {}", ordinal(held + 1)),
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

pub(super) fn ordinal(n: usize) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}
