//! How a run differs from an earlier one.

use super::Page;
use crate::bench::report::{Change, ChangeKind, Comparison, Difference, Finding};
use crate::output::human;
use crate::sanitize;

/// Columns that a narrow terminal omits, in this order.
const OPTIONAL_COLUMNS: [&str; 3] = ["95% CI", "before", "now"];
/// The most differences that a short summary names.
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

/// A heading, and a row for each number that either run has.
pub(crate) fn comparison_rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let title = ["", "before", "now", "difference", "95% CI", ""];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    for (field, row) in comparison.rows() {
        if row.before.is_none() && row.now.is_none() {
            continue;
        }
        let show: fn(f64) -> String = match field {
            "rate_per_s" => human::number,
            "p50_us" | "p99_us" => signed_time,
            "upload_bytes" | "download_bytes" | "echo_bytes" => signed_rate,
            _ => |share| format!("{}%", human::number(share * 100.0)),
        };
        let cell = |value: Option<f64>| value.map_or("-".to_owned(), show);
        let plus = |value: f64| format!("{}{}", if value > 0.0 { "+" } else { "" }, show(value));
        let interval = match (row.low, row.high) {
            (Some(low), Some(high)) => format!("{} to {}", plus(low), plus(high)),
            _ => "-".to_owned(),
        };
        rows.push(vec![
            name(field).to_owned(),
            cell(row.before),
            cell(row.now),
            row.difference.map_or("-".to_owned(), plus),
            interval,
            describe(row).to_owned(),
        ]);
    }
    rows
}

/// A field in words.
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

/// What differs, with values, and what makes it doubtful.
pub(super) fn line(comparison: &Comparison) -> String {
    let rows = comparison_rows(comparison);
    let differences = comparison.rows().into_iter();
    let differences = differences.filter(|(_, row)| row.before.is_some() || row.now.is_some());
    // Without the titles.
    let named = rows.into_iter().skip(1).zip(differences);
    let mut found: Vec<_> = named
        .filter(|(_, (_, row))| row.is_significant())
        .map(|(cells, (_, row))| format!("{} {} ({})", cells[0], cells[3], describe(row)))
        .collect();
    let setup = |change: &&Change| change.kind == ChangeKind::Setup;
    found.extend(
        comparison
            .changes
            .iter()
            .filter(|change| !setup(change))
            .map(
                |Change {
                     what, before, now, ..
                 }| format!("{what} {before} to {now}"),
            ),
    );
    let found = outcome(comparison, &found);
    let setup: Vec<_> = comparison
        .changes
        .iter()
        .filter(setup)
        .map(|it| it.what.as_str())
        .collect();
    let setup = match &setup[..] {
        [] => String::new(),
        setup => format!(" (different {})", setup.join(", ")),
    };
    format!(
        "compared with {}{setup}: {found}",
        comparison.baseline.started_at
    )
}

/// The names of what differs, in 80 columns.
pub(super) fn short(comparison: &Comparison) -> String {
    let differences = comparison.rows().into_iter();
    let mut found: Vec<_> = differences
        .filter(|(_, row)| row.is_significant())
        .map(|(field, row)| format!("{} {}", name(field), describe(row)))
        .collect();
    let is_setup = |change: &&Change| change.kind == ChangeKind::Setup;
    let setup = comparison.changes.iter().any(|change| is_setup(&change));
    let results = comparison.changes.iter().filter(|change| !is_setup(change));
    found.extend(results.map(|change| change.what.clone()));
    let more = found.len().saturating_sub(MAX_NAMES);
    found.truncate(MAX_NAMES);
    if more > 0 {
        found.push(format!("{more} more"));
    }
    let setup = if setup { " (different setup)" } else { "" };
    format!("compared{setup}: {}", outcome(comparison, &found))
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
