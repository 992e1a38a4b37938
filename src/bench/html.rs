//! `--html`: one self-contained page that can be attached to an issue.
//!
//! It loads nothing and runs nothing: the plots are SVG made here, the colors follow the
//! browser's light or dark, and the whole report is in it as JSON. All that a user, a server or a
//! file has said is escaped.

mod elements;
mod latency;
mod limits;
mod plot;
mod ramp;
mod throughput;

use self::elements::{list, paragraph, section, table};
use super::report::Report;
use super::verdict::Code;
use crate::bench::text::{comparison_rows, comparison_statement};

pub(super) use self::elements::escape;

/// The page, with `{{name}}` where something is filled in.
const TEMPLATE: &str = include_str!("report.html");

/// The report as one page.
pub fn render(report: &Report) -> String {
    let mut body = String::new();
    if let Some(comparison) = &report.comparison {
        let title = format!("Compared with {}", comparison.baseline.started_at);
        let mut content = table(&comparison_rows(comparison));
        for change in &comparison.changes {
            content.push_str(&paragraph("note", change));
        }
        content.push_str(&paragraph("note", &comparison_statement(comparison)));
        body.push_str(&section(&title, &content));
    }
    body.push_str(&limits::of(report));
    if !report.ramp.is_empty() {
        body.push_str(&section("Ramp", &ramp::of(&report.ramp)));
    }
    if let Some(latency) = &report.latency {
        if let Some(histograms) = &report.histograms {
            body.push_str(&latency::percentiles(histograms));
        }
        body.push_str(&section("Latency", &latency::table_of(latency)));
        body.push_str(&latency::over_time(latency));
    }
    body.push_str(&throughput::of(report));
    body.push_str(&section("Environment", &environment(report)));
    fill(
        TEMPLATE,
        &[
            ("title", escape(&report.target)),
            ("verdict", verdict_html(report)),
            ("body", body),
            ("json", json(report)),
        ],
    )
}

/// Fills the template in one pass, so that nothing filled in is taken for a place to fill.
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

/// JSON inside of a script element: no `<` that could begin an end tag or a comment (HTML
/// standard, 4.12.1.3), which JSON allows to be written as an escape.
fn json(report: &Report) -> String {
    // Into memory, and with string keys alone: it can't fail.
    let json = serde_json::to_string(report).unwrap_or_default();
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn verdict_html(report: &Report) -> String {
    let failed = report
        .caveats
        .iter()
        .any(|caveat| caveat.code == Code::AllFailed);
    let mut html = String::new();
    for (at, line) in report.verdict.lines().enumerate() {
        let is_caveat = report.caveats.iter().any(|caveat| caveat.text == line);
        let class = match at {
            0 if failed => "answer bad",
            0 => "answer",
            _ if is_caveat => "caveat",
            _ => "more",
        };
        html.push_str(&paragraph(class, line));
    }
    html
}

fn environment(report: &Report) -> String {
    let environment = &report.environment;
    let mut rows = vec![
        ("Target", report.target.clone()),
        (
            "Board",
            if environment.is_virtual {
                "virtual"
            } else {
                "real"
            }
            .to_owned(),
        ),
        ("Started", report.started_at.to_string()),
    ];
    if report.runs > 1 {
        rows.push(("Runs merged", report.runs.to_string()));
    }
    rows.push(("Measured from", environment.os.clone()));
    if let Some(kernel) = &environment.kernel {
        rows.push(("Kernel", kernel.clone()));
    }
    rows.push(("CPUs", environment.cpus.to_string()));
    rows.push(("tcpctl", environment.tcpctl.clone()));
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let notes: String = report
        .caveats
        .iter()
        .filter(|caveat| matches!(caveat.code, Code::FewSamples | Code::Missing))
        .map(|caveat| paragraph("note", &caveat.text))
        .collect();
    list(&rows) + &notes
}

#[cfg(test)]
mod tests;
