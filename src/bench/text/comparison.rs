//! Text of a comparison with an earlier run.

use super::Page;
use crate::bench::report::{Change, ChangeKind, Comparison, Difference, Finding};
use crate::output::human;
use crate::sanitize;

/// Columns that a narrow terminal omits, in this order.
const OPTIONAL_COLUMNS: [&str; 3] = ["95% CI", "before", "now"];
/// Maximum differences that a short summary names.
const MAX_NAMES: usize = 3;

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

/// A heading, and a row for each number that at least one run has.
pub(crate) fn comparison_rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let title = ["", "before", "now", "difference", "95% CI", ""];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    for (field, row) in comparison.rows() {
        if row.before.is_none() && row.now.is_none() {
            continue;
        }
        let cell = |value: Option<f64>| value.map_or("-".to_owned(), number(field));
        let interval = match (row.low, row.high) {
            (Some(low), Some(high)) => format!("{} to {}", signed(field, low), signed(field, high)),
            _ => "-".to_owned(),
        };
        rows.push(vec![
            name(field).to_owned(),
            cell(row.before),
            cell(row.now),
            difference(field, row),
            interval,
            describe(row).to_owned(),
        ]);
    }
    rows
}

/// The format of a field's numbers.
fn number(field: &str) -> fn(f64) -> String {
    match field {
        "rate_per_s" => human::number,
        "p50_us" | "p99_us" => signed_time,
        "upload_bytes" | "download_bytes" | "echo_bytes" => signed_rate,
        _ => |share| format!("{}%", human::number(share * 100.0)),
    }
}

fn signed(field: &str, value: f64) -> String {
    let plus = if value > 0.0 { "+" } else { "" };
    format!("{plus}{}", number(field)(value))
}

fn difference(field: &str, row: &Difference) -> String {
    row.difference
        .map_or("-".to_owned(), |value| signed(field, value))
}

/// The name of a field in text.
fn name(field: &str) -> &str {
    match field {
        "rate_per_s" => "req/s",
        "p50_us" => "p50",
        "p99_us" => "p99",
        "upload_bytes" => "upload",
        "download_bytes" => "download",
        "echo_bytes" => "echo",
        _ => "failed",
    }
}

fn signed_time(us: f64) -> String {
    let sign = if us < 0.0 { "-" } else { "" };
    format!("{sign}{}", human::microseconds(us.abs()))
}

fn signed_rate(bytes_per_s: f64) -> String {
    let sign = if bytes_per_s < 0.0 { "-" } else { "" };
    format!("{sign}{}", human::bytes_per_second(bytes_per_s.abs()))
}

/// The differences with their values, and the doubts about them.
pub(super) fn line(comparison: &Comparison) -> String {
    let mut found: Vec<_> = significant(comparison)
        .map(|(field, row)| {
            let (name, difference) = (name(field), difference(field, row));
            format!("{name} {difference} ({})", describe(row))
        })
        .collect();
    let results = changes(comparison, ChangeKind::Result);
    found.extend(results.map(|it| format!("{} {} to {}", it.what, it.before, it.now)));
    let setup: Vec<_> = changes(comparison, ChangeKind::Setup)
        .map(|it| it.what.as_str())
        .collect();
    let setup = match &setup[..] {
        [] => String::new(),
        setup => format!(" (different {})", setup.join(", ")),
    };
    format!(
        "compared with {}{setup}: {}",
        comparison.baseline.started_at,
        outcome(comparison, &found)
    )
}

/// The names of the differing fields, in 80 columns.
pub(super) fn short(comparison: &Comparison) -> String {
    let mut found: Vec<_> = significant(comparison)
        .map(|(field, row)| format!("{} {}", name(field), describe(row)))
        .collect();
    found.extend(changes(comparison, ChangeKind::Result).map(|it| it.what.clone()));
    let more = found.len().saturating_sub(MAX_NAMES);
    found.truncate(MAX_NAMES);
    if more > 0 {
        found.push(format!("{more} more"));
    }
    let has_setup = changes(comparison, ChangeKind::Setup).next().is_some();
    let setup = if has_setup { " (different setup)" } else { "" };
    format!("compared{setup}: {}", outcome(comparison, &found))
}

fn significant(comparison: &Comparison) -> impl Iterator<Item = (&'static str, &Difference)> {
    let rows = comparison.rows().into_iter();
    rows.filter(|(_, row)| row.is_significant())
}

fn changes(comparison: &Comparison, kind: ChangeKind) -> impl Iterator<Item = &Change> {
    let changes = comparison.changes.iter();
    changes.filter(move |change| change.kind == kind)
}

fn outcome(comparison: &Comparison, found: &[String]) -> String {
    match (comparison.too_short, found) {
        (None, []) => "no significant difference".to_owned(),
        (Some(short), []) => format!(
            "too short, needs {} s, has {} s",
            short.needs_s, short.has_s
        ),
        _ => found.join(", "),
    }
}

const fn describe(row: &Difference) -> &'static str {
    match row.finding {
        Finding::None => "not significant",
        Finding::Higher => "higher",
        Finding::Lower => "lower",
        Finding::TooFew => "no CI",
    }
}

/// Other differences, and notes on the comparison's validity. They may quote files.
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
