//! What the server can take.

use super::elements::{classed_table, section};
use crate::bench::report::{Bound, Report};
use crate::output::human;

pub(super) fn of(report: &Report) -> String {
    let Some(limits) = &report.limits else {
        return String::new();
    };
    let bound = |bound: Bound| bound.is_known().then(|| bound.to_string());
    let fields = [
        (
            "served_at_once",
            "Served at once",
            bound(limits.served_at_once),
        ),
        ("queued", "Queued", bound(limits.queued)),
        ("held", "Held in all", bound(limits.held)),
        (
            "overflow",
            "One more is",
            limits
                .overflow
                .map(|overflow| overflow.name().replace('_', " ")),
        ),
        (
            "recovery_us",
            "A place is free again after",
            limits.recovery_us.map(human::microseconds),
        ),
        ("burst", "Largest burst", bound(limits.burst)),
        (
            "held_from_all_sources",
            "Held from all sources",
            bound(limits.held_from_all_sources),
        ),
    ];
    let mut rows = vec![vec![
        String::new(),
        String::new(),
        "how it is known".to_owned(),
    ]];
    for (field, name, value) in fields {
        let how = limits.evidence.get(field);
        if value.is_none() && how.is_none() {
            continue;
        }
        rows.push(vec![
            name.to_owned(),
            value.unwrap_or_else(|| "not known".to_owned()),
            how.map_or_else(String::new, |how| {
                format!("{}: {}", how.kind.label(), how.detail)
            }),
        ]);
    }
    section("Limits", &classed_table("texts", &rows))
}
