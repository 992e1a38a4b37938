//! How a run differs from an earlier one.

use super::Page;
use crate::bench::compare::{Comparison, Difference, Finding};
use crate::output::human;
use crate::sanitize;

impl Page {
    pub(crate) fn comparison(&mut self, comparison: &Comparison) {
        let target = sanitize::one_line(&comparison.baseline.target);
        let title = format!("Compared with {target}, {}", comparison.baseline.started_at);
        self.heading(&title);
        // What has changed, and whether that is sure, is told to the last.
        let less_telling = ["95% sure between", "before", "now"];
        self.fitting_table(comparison_rows(comparison), &less_telling);
        for change in &comparison.changes {
            self.hanging("  ", &sanitize::one_line(change), 2);
        }
        self.hanging("  ", &comparison_statement(comparison), 2);
    }
}

/// The rows of a comparison, with their heading; for the page in the browser, too.
pub(crate) fn comparison_rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let title = ["", "before", "now", "difference", "95% sure between", ""];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    for (name, row) in comparison.rows() {
        if row.before.is_none() && row.now.is_none() {
            // Neither run has measured it.
            continue;
        }
        let (name, show): (_, fn(f64) -> String) = match name {
            "rate_per_s" => ("replies/s", human::number),
            "p50_us" => ("p50", signed_time),
            "p99_us" => ("p99", signed_time),
            "upload_bytes" => ("upload", signed_rate),
            "download_bytes" => ("download", signed_rate),
            "echo_bytes" => ("echo", signed_rate),
            _ => ("failed", |share| {
                format!("{}%", human::number(share * 100.0))
            }),
        };
        let cell = |value: Option<f64>| value.map_or("-".to_owned(), show);
        let plus = |value: f64| format!("{}{}", if value > 0.0 { "+" } else { "" }, show(value));
        let range = match (row.low, row.high) {
            (Some(low), Some(high)) => format!("{} and {}", plus(low), plus(high)),
            _ => "-".to_owned(),
        };
        rows.push(vec![
            name.to_owned(),
            cell(row.before),
            cell(row.now),
            row.difference.map_or("-".to_owned(), plus),
            range,
            finding(row).to_owned(),
        ]);
    }
    rows
}

fn signed_time(us: f64) -> String {
    let sign = if us < 0.0 { "-" } else { "" };
    format!("{sign}{}", human::microseconds(us.abs()))
}

fn signed_rate(bytes_per_s: f64) -> String {
    let sign = if bytes_per_s < 0.0 { "-" } else { "" };
    format!("{sign}{}", human::bytes_per_second(bytes_per_s.abs()))
}

const fn finding(row: &Difference) -> &'static str {
    match row.finding {
        // What was not found may still be there: a longer run would tell.
        Finding::None => "could be chance",
        Finding::Higher => "higher",
        Finding::Lower => "lower",
        Finding::TooFew => "too few seconds to tell",
    }
}

/// What the confidence of a comparison means, in one sentence.
pub(crate) fn comparison_statement(comparison: &Comparison) -> String {
    let confidence = comparison.confidence * 100.0;
    if comparison.finds_something() {
        format!(
            "with {confidence:.0}% confidence for all rows together, from the one-second intervals \
             of these two runs"
        )
    } else {
        format!("nothing that could not be chance, at {confidence:.0}% confidence")
    }
}
