//! A board's console, for a person.

use std::fmt::Write as _;

use crate::monitor::event::MonitorReport;
use crate::output::{Render, View};
use crate::sanitize;

impl Render for MonitorReport {
    fn render(&self, _view: &View) -> Option<String> {
        Some(lines(self))
    }
}

/// The line with its time, and below it what its addresses are.
fn lines(report: &MonitorReport) -> String {
    let time = humantime::format_rfc3339_millis(report.time).to_string();
    // The time of day, to the millisecond: `12:34:56.789Z`.
    let clock = time.get(11..).unwrap_or(&time);
    let mut text = format!("{clock} {}\n", shown(&report.line));
    for frame in &report.frames {
        let location = frame
            .location
            .as_ref()
            .map_or_else(String::new, |location| format!(" at {location}"));
        let _ = writeln!(
            text,
            "              {} {}{location}",
            frame.address, frame.function
        );
    }
    text
}

/// A line as it may be shown: tabs are harmless.
fn shown(line: &str) -> String {
    let parts: Vec<_> = line.split('\t').map(sanitize::one_line).collect();
    parts.join("\t")
}
