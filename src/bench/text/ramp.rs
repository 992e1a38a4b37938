//! The steps of a ramp: a table and charts.

use super::{Form, Page, time};
use crate::bench::report::Step;
use crate::bench::{chart, verdict};
use crate::output::human;

impl Page {
    /// A row for each step, below a heading; nothing without a step.
    pub(crate) fn ramp_table(&mut self, steps: &[Step]) {
        if !steps.is_empty() {
            let rows = ramp_rows(steps);
            let optional = optional_columns(&rows);
            self.fitting_table(rows, &optional);
        }
    }

    pub(super) fn ramp(&mut self, steps: &[Step], summary: Form) {
        if steps.is_empty() {
            return;
        }
        self.heading("Ramp");
        self.ramp_table(steps);
        if summary >= Form::ShortVerdict {
            for line in verdict::causes(steps) {
                self.hanging("  ", &line.text, 2);
            }
        }
        let values = |value: fn(&Step) -> f64| steps.iter().map(value).collect::<Vec<_>>();
        // If a step is too slow for a p99, show another column for all of them.
        let latency = if steps.iter().all(|step| step.p99_us.is_some()) {
            (
                "p99, ms",
                values(|step| step.p99_us.unwrap_or_default() / 1e3),
            )
        } else {
            (
                "max, ms",
                values(|step| step.max_us.unwrap_or_default() / 1e3),
            )
        };
        let charts = [
            ("req/s", values(|step| step.served_per_s)),
            latency,
            (
                "failed or retransmitted",
                values(|step| (step.failed + step.retransmissions.unwrap_or_default()) as f64),
            ),
        ];
        for (title, values) in charts {
            let columns: Vec<_> = steps
                .iter()
                .zip(values)
                .map(|(step, value)| chart::Column {
                    name: step.connections.to_string(),
                    value,
                    mark: if step.knee { "knee" } else { "" },
                })
                .collect();
            let lines = chart::columns(title, &columns, self.style.charset, self.style.width);
            if !lines.is_empty() {
                self.text.push('\n');
                self.lines(&lines);
            }
        }
    }
}

/// Columns that a narrow terminal omits, in this order.
const OPTIONAL_COLUMNS: [&str; 7] = [
    "max",
    "retransmits",
    "SYN retransmits",
    "p50",
    "failed",
    "refused",
    "p99",
];

/// The columns that may be omitted. A column with a count above 0 is never omitted.
fn optional_columns(rows: &[Vec<String>]) -> Vec<&'static str> {
    let titles = rows.first().map_or(&[][..], Vec::as_slice);
    let is_optional = |name: &&str| {
        let is_time = matches!(*name, "max" | "p50" | "p99");
        let at = titles.iter().position(|title| title == name);
        is_time
            || at.is_some_and(|at| {
                let mut cells = rows[1..].iter().map(|row| row[at].as_str());
                cells.all(|cell| matches!(cell, "0" | "-"))
            })
    };
    OPTIONAL_COLUMNS.into_iter().filter(is_optional).collect()
}

/// A heading, and a row for each step.
pub(crate) fn ramp_rows(steps: &[Step]) -> Vec<Vec<String>> {
    let title = [
        "connections",
        "req/s",
        "p50",
        "p99",
        "max",
        "refused",
        "failed",
        "SYN retransmits",
        "retransmits",
        "",
    ];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    let known = |count: Option<u64>| count.map_or("-".to_owned(), human::grouped);
    for step in steps {
        let mut remarks = Vec::new();
        if step.knee {
            remarks.push("knee");
        }
        if let Some(cause) = step.cause {
            remarks.push(cause.kind.text());
        }
        rows.push(vec![
            step.connections.to_string(),
            human::number(step.served_per_s),
            time(step.p50_us),
            time(step.p99_us),
            time(step.max_us),
            human::grouped(step.refused),
            human::grouped(step.failed),
            known(step.syn_retransmissions),
            known(step.retransmissions),
            remarks.join(", "),
        ]);
    }
    rows
}
