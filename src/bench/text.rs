//! The report as text: summary, then tables and charts. On a terminal the summary comes last, where
//! the cursor is.

mod comparison;
mod latency;
mod layout;
mod limits;
mod machines;
mod progress;
mod ramp;
mod summary;
mod throughput;

use serde::{Serialize, Serializer};

use crate::bench::chart::{self, Charset};
use crate::bench::report::Report;
use crate::output::{Color, Output, Render, View, human};
use crate::sanitize;

use self::summary::Form;

pub(crate) use self::comparison::{comparison_notes, comparison_rows};
pub(crate) use self::latency::{latency_rows, load, reply_rule, retransmits};
pub(crate) use self::limits::limit_rows;
pub(crate) use self::machines::machine_rows;
pub(crate) use self::ramp::ramp_rows;

/// How much of a report to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Summary, tables and charts.
    Full,
    /// The summary with its warnings.
    Brief,
    /// The summary without warnings.
    Data,
}

impl Detail {
    /// The detail for `--brief` and `-q`.
    pub fn of(brief: bool, output: &Output) -> Self {
        match (output.is_quiet(), brief) {
            (true, _) => Self::Data,
            (_, true) => Self::Brief,
            _ => Self::Full,
        }
    }
}

/// A report that is printed as JSON or as text.
pub struct Rendered<'a> {
    /// The report to print.
    pub report: &'a Report,
    /// How much of the report the text shows.
    pub detail: Detail,
}

impl Serialize for Rendered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.report.serialize(serializer)
    }
}

impl Render for Rendered<'_> {
    fn render(&self, view: &View) -> Option<String> {
        let width = chart::width();
        let style = Style {
            color: view.color,
            charset: Charset::detect(),
            width,
            // In a pipe, programs expect a sentence on one line.
            fold: view.is_terminal.then_some(width),
        };
        Some(render(self.report, self.detail, style))
    }
}

/// The layout of text.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Color, or none.
    pub color: Color,
    /// Characters to draw charts with.
    pub charset: Charset,
    /// Width of charts.
    pub width: usize,
    /// Column at which sentences are folded, on a terminal.
    pub fold: Option<usize>,
}

impl Style {
    /// The style of status lines on standard error.
    fn for_status() -> Self {
        let width = chart::width();
        Self {
            color: Color::Off,
            charset: Charset::detect(),
            width,
            fold: Some(width),
        }
    }
}

/// The report as text that is safe for a terminal.
pub fn render(report: &Report, detail: Detail, style: Style) -> String {
    let mut summary = Page::new(style);
    let form = summary.summary(report, detail);
    if detail != Detail::Full {
        return summary.text;
    }
    let mut details = Page::new(style);
    if let Some(comparison) = &report.comparison {
        details.comparison(comparison);
    }
    details.machines(report);
    details.limits(report);
    details.ramp(&report.ramp, form);
    details.latency(report);
    details.throughput(report);
    if form == Form::Short {
        details.left_out(report);
    }
    details.footnotes(report);
    if style.fold.is_some() {
        let details = details.text.trim_start_matches('\n');
        format!("{details}\n{}", summary.text)
    } else {
        summary.text + &details.text
    }
}

/// Text under construction.
struct Page {
    text: String,
    style: Style,
}

impl Page {
    const fn new(style: Style) -> Self {
        Self {
            text: String::new(),
            style,
        }
    }

    /// Adds the footnote warnings, then how the run was made.
    fn footnotes(&mut self, report: &Report) {
        self.text.push('\n');
        let footnotes = report.warnings.iter();
        for warning in footnotes.filter(|warning| warning.kind.is_footnote()) {
            self.colored(&warning.text, str::to_owned);
        }
        let color = self.style.color;
        self.colored(&origin(report), |text| color.faint(text));
        if let Some(command) = &report.command {
            self.colored(&format!("$ {command}"), |text| color.faint(text));
        }
    }

    /// Adds a sentence from any source, folded, with each line colored.
    fn colored(&mut self, sentence: &str, color: impl Fn(&str) -> String) {
        for line in self.folded(&sanitize::one_line(sentence), 0) {
            self.text.push_str(&color(&line));
            self.text.push('\n');
        }
    }
}

/// What was measured, when, and on which computer.
pub(crate) fn origin(report: &Report) -> String {
    let environment = &report.environment;
    let mut parts = vec![format!("{} at {}", report.target, report.started_at)];
    parts.extend(report.label.as_ref().map(|label| format!("label {label}")));
    if report.runs > 1 {
        parts.push(format!("{} merged runs", report.runs));
    }
    parts.extend(environment.hostname.clone());
    let kernel = environment.kernel.as_deref().unwrap_or_default();
    parts.push(format!("{} {kernel}", environment.os).trim_end().to_owned());
    parts.push(human::count(environment.cpus, "CPU"));
    parts.push(format!("tcpctl {}", environment.tcpctl));
    parts.join(", ")
}

fn time(us: Option<f64>) -> String {
    us.map_or("-".to_owned(), human::microseconds)
}

#[cfg(test)]
mod tests;
