//! The limits, one per row.

use super::Page;
use crate::bench::report::{Bound, Distribution, Evidence, Limits, Report};
use crate::output::human;
use crate::sanitize;

impl Page {
    pub(crate) fn limits(&mut self, report: &Report) {
        let Some(limits) = &report.limits else {
            return;
        };
        self.heading("Limits");
        for row in limit_rows(limits) {
            let evidence = row.evidence.as_deref().map(sanitize::one_line);
            match (row.value, evidence) {
                (None, None) => {}
                (Some(value), Some(evidence)) => self.evidence(row.name, &value, &evidence),
                (Some(text), None) | (None, Some(text)) => self.row(row.name, &text),
            }
        }
    }
}

/// One limit as text.
pub(crate) struct LimitRow {
    pub(crate) name: &'static str,
    /// The value; `None` if it is unknown, and the evidence has the reason.
    pub(crate) value: Option<String>,
    /// How the value is known. May quote the server.
    pub(crate) evidence: Option<String>,
}

/// The limits with a value or a reason why there is none.
pub(crate) fn limit_rows(limits: &Limits) -> Vec<LimitRow> {
    let count = |bound: Bound| bound.is_known().then(|| bound.to_string());
    let yes_no = |value: bool| if value { "yes" } else { "no" }.to_owned();
    let overflow = limits.overflow.map(|it| it.name().replace('_', " "));
    let fields = [
        (
            "served_at_once",
            "served at once",
            count(limits.served_at_once),
        ),
        ("queued", "queued", count(limits.queued)),
        ("held", "accepted in total", count(limits.held)),
        ("overflow", "overflow", overflow),
        (
            "recovery_us",
            "slot reuse",
            limits.recovery_us.map(human::microseconds),
        ),
        ("burst", "burst", count(limits.burst)),
        (
            "held_from_all_sources",
            "from all sources",
            count(limits.held_from_all_sources),
        ),
        (
            "per_client",
            "limit per client",
            limits.per_client.map(yes_no),
        ),
        (
            "closes_after_reply",
            "closes after reply",
            limits.closes_after_reply.map(yes_no),
        ),
        (
            "served_first_byte_us",
            "first byte, served",
            limits.served_first_byte_us.and_then(few_times),
        ),
        (
            "queued_first_byte_us",
            "first byte, queued",
            limits.queued_first_byte_us.and_then(few_times),
        ),
    ];
    // A burst is only measured if connections cannot be held.
    let has_burst = limits.burst.is_known() || !limits.held.is_known();
    fields
        .into_iter()
        .filter(|(field, _, _)| *field != "burst" || has_burst)
        .map(|(field, name, value)| LimitRow {
            name,
            value,
            evidence: limits.evidence.get(field).map(describe),
        })
        .filter(|row| row.value.is_some() || row.evidence.is_some())
        .collect()
}

fn describe(evidence: &Evidence) -> String {
    format!("{}: {}", evidence.kind.label(), evidence.detail)
}

fn few_times(times: Distribution) -> Option<String> {
    let max = human::microseconds(times.max?);
    Some(match times.p50.map(human::microseconds) {
        Some(p50) => format!("p50 {p50}, max {max}"),
        None => max,
    })
}
