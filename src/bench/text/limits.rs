//! What the server can take, a row a limit.

use super::Page;
use crate::bench::report::{Bound, Distribution, Evidence, Report};
use crate::output::human;
use crate::sanitize;

impl Page {
    pub(crate) fn limits(&mut self, report: &Report) {
        let Some(limits) = &report.limits else {
            return;
        };
        self.heading("Limits");
        let count = |bound: Bound| bound.is_known().then(|| bound.to_string());
        let rows = [
            (
                "served_at_once",
                "served at once",
                count(limits.served_at_once),
            ),
            ("queued", "queued", count(limits.queued)),
            ("held", "held in all", count(limits.held)),
            (
                "overflow",
                "one more is",
                limits
                    .overflow
                    .map(|overflow| overflow.name().replace('_', " ")),
            ),
            (
                "recovery_us",
                "recovery",
                limits.recovery_us.map(human::microseconds),
            ),
            ("burst", "burst", count(limits.burst)),
            (
                "held_from_all_sources",
                "from all sources",
                count(limits.held_from_all_sources),
            ),
        ];
        // A burst is asked of a server that can't be held; of another it is no news that it was not.
        let held = limits.held.is_known();
        for (field, name, value) in rows {
            if field == "burst" && value.is_none() && held {
                continue;
            }
            let how = limits.evidence.get(field);
            match (value, how.map(describe)) {
                (None, None) => {}
                (None, Some(why)) => self.row(name, &why),
                (Some(value), None) => self.row(name, &value),
                (Some(value), Some(how)) => self.evidence(name, &value, &how),
            }
        }
        for (name, times) in [
            ("first byte, served", limits.served_first_byte_us),
            ("first byte, queued", limits.queued_first_byte_us),
        ] {
            if let Some(Distribution {
                p50: Some(p50),
                max: Some(max),
                ..
            }) = times
            {
                let (p50, max) = (human::microseconds(p50), human::microseconds(max));
                self.row(name, &format!("half in {p50}, the slowest in {max}"));
            }
        }
        if let Some(closes) = limits.closes_after_reply {
            self.row("closes after a reply", if closes { "yes" } else { "no" });
        }
        if let (Some(each), Some(how)) = (
            limits.per_client,
            limits.evidence.get("per_client").map(describe),
        ) {
            let each = if each { "yes" } else { "no" };
            self.evidence("limit each client", each, &how);
        }
    }
}

fn describe(evidence: &Evidence) -> String {
    let detail = sanitize::one_line(&evidence.detail);
    format!("{}: {detail}", evidence.kind.label())
}
