//! `--html`: one self-contained page.
//!
//! It loads and runs nothing: plots are inline SVG, colors follow the browser's light or dark mode,
//! and the report is included as JSON. Everything from a user, a server or a file is escaped.

mod elements;
mod latency;
mod plot;
mod ramp;
mod throughput;

use self::elements::{escape, list, paragraph, section, table, table_of_class, tile};
use super::report::{Limits, Report, Warning};
use super::text::{self, comparison_notes, comparison_rows, limit_rows, machine_rows};
use crate::output::human;

/// The page template, with `{{name}}` in place of each value.
const TEMPLATE: &str = include_str!("report.html");

/// The report as a page.
pub fn render(report: &Report) -> String {
    let mut body = String::new();
    if let Some(comparison) = &report.comparison {
        let title = format!("Compared with {}", comparison.baseline.started_at);
        let notes = comparison_notes(comparison);
        let notes: String = notes
            .iter()
            .map(|note| paragraph("footnote", note))
            .collect();
        body += &section(&title, &(table(&comparison_rows(comparison)) + &notes));
    }
    if let Some(machines) = &report.machines {
        let together = human::microseconds(machines.overlap_us);
        let note = format!("All of them sent load together for {together}.");
        let content = table(&machine_rows(machines)) + &paragraph("footnote", &note);
        body += &section("Machines", &content);
    }
    if let Some(limits) = &report.limits {
        body += &section("Limits", &limits_table(limits));
    }
    if !report.ramp.is_empty() {
        body += &section("Ramp", &ramp::content(&report.ramp));
    }
    if let Some(latency) = &report.latency {
        if let Some(histograms) = &report.histograms {
            body += &latency::distribution(histograms);
        }
        body += &section("Latency", &latency::table_and_facts(latency));
        body += &latency::over_time(latency);
    }
    if let Some(throughput) = &report.throughput {
        body += &section("Throughput", &throughput::content(throughput));
    }
    body += &section("Environment", &environment(report));
    fill(
        TEMPLATE,
        &[
            ("title", escape(&report.target)),
            ("origin", origin(report)),
            ("tiles", tiles(report)),
            ("verdict", verdict(report)),
            ("body", body),
            ("json", json(report)),
        ],
    )
}

/// Fills the template in one pass, so that `{{` in a value is not replaced.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut page = String::with_capacity(template.len() + 65_536);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        let value = values.iter().find(|(known, _)| *known == name);
        page.push_str(value.map_or("", |(_, value)| value));
        rest = after;
    }
    page.push_str(rest);
    page
}

/// JSON inside a script element: no `<` that could start an end tag or a comment (HTML standard,
/// 4.12.1.3).
fn json(report: &Report) -> String {
    // Cannot fail: it writes to memory, and all keys are strings.
    let json = serde_json::to_string(report).unwrap_or_default();
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// The command and where it ran, as on a terminal.
fn origin(report: &Report) -> String {
    let command = report.command.as_ref();
    let command = command.map(|command| paragraph("command", &format!("$ {command}")));
    command.unwrap_or_default() + &paragraph("footnote", &text::origin(report))
}

fn verdict(report: &Report) -> String {
    let lines = report.verdict.iter().enumerate().map(|(at, line)| {
        let size = if at == 0 { "first " } else { "" };
        paragraph(&format!("{size}{}", line.level.name()), &line.text)
    });
    let warnings = report.warnings.iter();
    let warnings = warnings.filter(|warning| !warning.kind.is_footnote());
    let conditions = report.conditions.iter().map(|checked| {
        let (mark, class) = if checked.passed {
            ("✓", "good")
        } else {
            ("✗", "bad")
        };
        let value = checked.value.as_deref().unwrap_or("unknown");
        let text = format!("{mark} --fail-if '{}' (value: {value})", checked.condition);
        paragraph(class, &text)
    });
    lines
        .chain(warnings.map(|warning| paragraph("warning", &warning.text)))
        .chain(conditions)
        .collect()
}

/// The most important numbers.
fn tiles(report: &Report) -> String {
    let mut tiles = String::new();
    if let Some(limits) = &report.limits {
        tiles += &tile("served at once", &limits.served_at_once.to_string());
        tiles += &tile("queued", &limits.queued.to_string());
    }
    if let Some(latency) = &report.latency {
        tiles += &tile("req/s", &human::number(latency.rate_per_s));
        let (name, time) = match latency.complete_us.p99 {
            Some(p99) => ("p99", Some(p99)),
            None => ("max", latency.complete_us.max),
        };
        let time = time.map_or("–".to_owned(), human::microseconds);
        tiles += &tile(name, &time);
        let failed = human::grouped(latency.errors.sum());
        tiles += &tile(
            "failed",
            &format!("{failed}/{}", human::grouped(latency.requests)),
        );
    }
    if tiles.is_empty() {
        return tiles;
    }
    format!("<div class=\"tiles\">{tiles}</div>\n")
}

fn limits_table(limits: &Limits) -> String {
    let mut rows = vec![["", "", "evidence"].map(str::to_owned).to_vec()];
    rows.extend(limit_rows(limits).into_iter().map(|row| {
        let value = row.value.unwrap_or_else(|| "unknown".to_owned());
        vec![row.name.to_owned(), value, row.evidence.unwrap_or_default()]
    }));
    table_of_class("texts", &rows)
}

fn environment(report: &Report) -> String {
    let environment = &report.environment;
    let board = if environment.is_virtual {
        "virtual"
    } else {
        "real"
    };
    let rows = [
        ("Target", Some(report.target.clone())),
        ("Label", report.label.clone()),
        ("Command", report.command.clone()),
        ("Board", Some(board.to_owned())),
        ("Started", Some(report.started_at.to_string())),
        (
            "Merged runs",
            (report.runs > 1).then(|| report.runs.to_string()),
        ),
        ("Computer", environment.hostname.clone()),
        ("System", Some(environment.os.clone())),
        ("Kernel", environment.kernel.clone()),
        ("CPUs", Some(environment.cpus.to_string())),
        ("tcpctl", Some(environment.tcpctl.clone())),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    let footnote = |warning: &Warning| paragraph("footnote", &warning.text);
    let warnings = report.warnings.iter();
    let footnotes = warnings.filter(|warning| warning.kind.is_footnote());
    // In print, the lines at the top are enough.
    let list = format!("<div class=\"environment\">{}</div>\n", list(&rows));
    list + &footnotes.map(footnote).collect::<String>()
}

#[cfg(test)]
mod tests;
