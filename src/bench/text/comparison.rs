//! How a run differs from an earlier one.

use super::Page;
use crate::bench::report::{ChangeKind, Comparison, Difference, Finding};
use crate::output::human;
use crate::sanitize;

/// Columns that a narrow terminal omits, in this order.
const OPTIONAL_COLUMNS: [&str; 3] = ["95% CI", "before", "now"];

impl Page {
    pub(crate) fn comparison(&mut self, comparison: &Comparison) {
        let baseline = &comparison.baseline;
        let target = sanitize::one_line(&baseline.target);
        self.heading(&format!("Compared with {target}, {}", baseline.started_at));
        self.fitting_table(comparison_rows(comparison), &OPTIONAL_COLUMNS);
        for note in comparison_notes(comparison) {
            self.hanging("  ", &sanitize::one_line(&note), 2);
        }
    }
}

/// A heading, and a row for each number that either run has.
pub(crate) fn comparison_rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let title = ["", "before", "now", "difference", "95% CI", ""];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    for (field, row) in comparison.rows() {
        if row.before.is_none() && row.now.is_none() {
            continue;
        }
        let (name, show): (_, fn(f64) -> String) = match field {
            "rate_per_s" => ("req/s", human::number),
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
        let interval = match (row.low, row.high) {
            (Some(low), Some(high)) => format!("{} to {}", plus(low), plus(high)),
            _ => "-".to_owned(),
        };
        rows.push(vec![
            name.to_owned(),
            cell(row.before),
            cell(row.now),
            row.difference.map_or("-".to_owned(), plus),
            interval,
            describe(row).to_owned(),
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

const fn describe(row: &Difference) -> &'static str {
    match row.finding {
        Finding::None => "not significant",
        Finding::Higher => "higher",
        Finding::Lower => "lower",
        Finding::TooFew => "no CI",
    }
}

/// Other differences, and what the comparison is worth; may quote files.
pub(crate) fn comparison_notes(comparison: &Comparison) -> Vec<String> {
    let mut notes = Vec::new();
    for change in &comparison.changes {
        let label = match change.kind {
            ChangeKind::Result => "",
            ChangeKind::Setup => "warning: different ",
        };
        let (what, before, now) = (&change.what, &change.before, &change.now);
        notes.push(format!("{label}{what}: {before} before, {now} now"));
    }
    if let Some(short) = comparison.too_short {
        notes.push(format!(
            "too short to compare: needs {} s, has {} s",
            short.needs_s, short.has_s
        ));
    } else if !comparison.has_difference() {
        notes.push("no significant difference".to_owned());
    }
    notes
}
