//! The limits in one line.

use std::fmt::Write as _;

use crate::bench::report::{Bound, Level, Limits, Overflow, VerdictLine};
use crate::output::human;
use crate::sanitize;

/// `serves 4 clients at once, queues 4 more, refuses the 9th (RST after 6.57 ms); slot reuse 14.5
/// ms; recommended: at most 4 clients`.
pub(super) fn line(limits: &Limits) -> VerdictLine {
    let mut parts = vec![served(limits)];
    match limits.queued {
        Bound::Exact(0) => parts.push("queues none".to_owned()),
        Bound::Unknown => {}
        queued => parts.push(format!("queues {queued} more")),
    }
    if limits.burst.is_known() {
        parts.push(format!("takes a burst of {}", limits.burst));
    }
    parts.extend(limits.overflow.map(|overflow| describe(limits, overflow)));
    let mut text = parts.join(", ");
    if let Some(recovery) = limits.recovery_us {
        let _ = write!(text, "; slot reuse {}", human::microseconds(recovery));
    }
    if let Some(clients) = recommended_clients(limits) {
        let clients = human::count(clients as u64, "client");
        let _ = write!(text, "; recommended: at most {clients}");
    }
    let level = match limits.served_at_once {
        Bound::Exact(0) => Level::Bad,
        Bound::Exact(_) | Bound::AtLeast { .. } => Level::Good,
        Bound::Unknown => Level::Note,
    };
    super::line(level, text)
}

/// `serves 4 at once (recommended: 4), queues 4, overflow: refused`, in 80 columns.
pub(super) fn short(limits: &Limits) -> String {
    let mut served = match limits.served_at_once {
        Bound::Unknown => "served at once: unknown".to_owned(),
        served => format!("serves {served} at once"),
    };
    if limits.per_client == Some(true) {
        served.push_str(" from each address");
    } else if let Some(clients) = recommended_clients(limits) {
        let _ = write!(served, " (recommended: {clients})");
    }
    let mut parts = vec![served];
    if limits.queued.is_known() {
        parts.push(format!("queues {}", limits.queued));
    }
    if limits.burst.is_known() {
        parts.push(format!("burst {}", limits.burst));
    }
    let overflow = limits.overflow.map(|it| it.name().replace('_', " "));
    parts.extend(overflow.map(|overflow| format!("overflow: {overflow}")));
    parts.join(", ")
}

fn served(limits: &Limits) -> String {
    if !limits.served_at_once.is_known() {
        let why = limits.evidence.get("served_at_once");
        let why = why.map(|why| format!(" ({})", sanitize::one_line(&why.detail)));
        return format!("clients served at once: unknown{}", why.unwrap_or_default());
    }
    let clients = match limits.served_at_once {
        served @ (Bound::Exact(1) | Bound::AtLeast { at_least: 1 }) => format!("{served} client"),
        served => format!("{served} clients"),
    };
    match limits.per_client {
        Some(true) if limits.held_from_all_sources.is_known() => format!(
            "serves {clients} at once from each address, accepts {} in total",
            limits.held_from_all_sources
        ),
        _ => format!("serves {clients} at once"),
    }
}

/// The number of clients that can connect at any time without being rejected. If nothing queues,
/// it is one less than the number served: a client's next connection can overtake the server's
/// cleanup.
fn recommended_clients(limits: &Limits) -> Option<usize> {
    let served = limits.served_at_once.count().filter(|served| *served > 0)?;
    match limits.overflow? {
        Overflow::NotReached => None,
        _ if limits.queued == Bound::Exact(0) => Some((served - 1).max(1)),
        _ => Some(served),
    }
}

fn describe(limits: &Limits, overflow: Overflow) -> String {
    let next = match limits.held {
        Bound::Exact(held) => format!("the {}", ordinal(held + 1)),
        _ => "the next".to_owned(),
    };
    let after = |what: &str| match limits.overflow_us {
        Some(time) => format!("{what} after {}", human::microseconds(time)),
        None => what.to_owned(),
    };
    match overflow {
        Overflow::Refused => format!("refuses {next} ({})", after("RST")),
        Overflow::Dropped => format!("drops the SYN of {next}"),
        Overflow::Closed => format!("accepts and closes {next} ({})", after("FIN")),
        Overflow::Reset => format!("accepts and resets {next} ({})", after("RST")),
        Overflow::Silent => format!("accepts {next} and never serves it"),
        Overflow::Evicted => format!("closes older connections for {next}"),
        Overflow::NotReached => "not full at --max-connections".to_owned(),
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
