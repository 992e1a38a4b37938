//! The steps of a ramp: a table as wide as the terminal allows, and their shape.

use super::layout::{leave_out, table_width};
use super::{Page, time};
use crate::bench::chart;
use crate::bench::report::Step;
use crate::output::human;

impl Page {
    pub(crate) fn ramp(&mut self, steps: &[Step]) {
        self.heading("Ramp");
        let mut rows = ramp_rows(steps);
        for column in LESS_TELLING {
            if table_width(&rows) > self.width {
                leave_out(&mut rows, column);
            }
        }
        self.table(&rows);
        let values = |value: fn(&Step) -> f64| steps.iter().map(value).collect::<Vec<_>>();
        let charts = [
            ("replies/s", values(|step| step.served_per_s)),
            (
                "ms, 99% of the replies",
                values(|step| step.p99_us.unwrap_or_default() / 1e3),
            ),
            (
                "refused or sent again",
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
            let lines = chart::columns(title, &columns, self.charset, self.width);
            if !lines.is_empty() {
                self.text.push('\n');
                self.lines(&lines);
            }
        }
    }
}

/// Columns of a ramp that a narrow terminal does without, in this order; they are in the JSON and
/// the page, and of the last ones there are charts.
const LESS_TELLING: [&str; 7] = [
    "max",
    "failed",
    "sent again",
    "SYN again",
    "p50",
    "refused",
    "p99",
];

/// The rows of a ramp, with their heading; for the page in the browser, too.
pub(crate) fn ramp_rows(steps: &[Step]) -> Vec<Vec<String>> {
    let title = [
        "connections",
        "replies/s",
        "p50",
        "p99",
        "max",
        "refused",
        "failed",
        "SYN again",
        "sent again",
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
