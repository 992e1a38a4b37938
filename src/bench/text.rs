//! A load test for people: the answer first, then tables, then the shape of the latency.

mod comparison;
mod layout;
mod limits;
mod progress;
mod ramp;

use std::fmt::Write as _;

use crate::bench::chart::{self, Charset};
use crate::bench::report::{Flow, Latency, Report, Throughput};
use crate::bench::shares;
use crate::bench::verdict::{self, Code};
use crate::output::{Color, Render, View, human};
use crate::sanitize;

pub(crate) use self::comparison::{comparison_rows, comparison_statement};
pub use self::progress::{Progress, progress};
pub(crate) use self::ramp::ramp_rows;

impl Render for Report {
    fn render(&self, view: &View) -> Option<String> {
        let width = chart::width();
        // Programs find a sentence on one line.
        let fold = view.is_terminal.then_some(width);
        Some(render(self, view.color, Charset::detect(), width, fold))
    }
}

/// The whole report as text; everything in it is safe for a terminal. Charts are no wider than
/// `width`, sentences are folded at `fold` where there is such a column.
pub fn render(
    report: &Report,
    color: Color,
    charset: Charset,
    width: usize,
    fold: Option<usize>,
) -> String {
    let mut page = Page {
        text: String::new(),
        color,
        charset,
        width,
        fold,
    };
    for (at, line) in report.verdict.lines().enumerate() {
        for line in page.folded(&sanitize::one_line(line), 0) {
            let line = match at {
                0 if all_failed(report) => color.alarm(&line),
                0 => color.strong(&line),
                _ => line,
            };
            let _ = writeln!(page.text, "{line}");
        }
    }
    if let Some(comparison) = &report.comparison {
        page.comparison(comparison);
    }
    page.limits(report);
    if !report.ramp.is_empty() {
        page.ramp(&report.ramp);
    }
    if let Some(latency) = &report.latency {
        page.latency(latency);
        if let Some(histograms) = &report.histograms {
            let lines = chart::histogram(&histograms.complete.0, charset, width);
            if !lines.is_empty() {
                page.heading("Time to the complete reply");
                page.lines(&lines);
            }
        }
    }
    if let Some(throughput) = &report.throughput {
        page.throughput(throughput);
    }
    page.footnotes(report);
    page.text
}

fn all_failed(report: &Report) -> bool {
    report
        .caveats
        .iter()
        .any(|caveat| caveat.code == Code::AllFailed)
}

/// A page that is being written.
struct Page {
    text: String,
    color: Color,
    charset: Charset,
    width: usize,
    fold: Option<usize>,
}

/// A heading and a row for each phase that was seen, by these names: connect, first byte, complete,
/// the schedule's lateness, the least and the smoothed round-trip time.
pub(crate) fn latency_rows(
    latency: &Latency,
    names: [&str; 6],
    time: impl Fn(Option<f64>) -> String,
) -> Vec<Vec<String>> {
    let title = ["", "p50", "p90", "p99", "p99.9", "max", "mean", "samples"];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    let phases = [
        Some(&latency.connect_us),
        Some(&latency.first_byte_us),
        Some(&latency.complete_us),
        latency.schedule_error_us.as_ref(),
        latency.min_rtt_us.as_ref(),
        latency.smoothed_rtt_us.as_ref(),
    ];
    for (name, times) in names.into_iter().zip(phases) {
        let Some(times) = times.filter(|times| times.samples > 0) else {
            continue;
        };
        let times_of = [
            times.p50,
            times.p90,
            times.p99,
            times.p99_9,
            times.max,
            times.mean,
        ];
        let mut cells = vec![name.to_owned()];
        cells.extend(times_of.map(&time));
        cells.push(human::grouped(times.samples));
        rows.push(cells);
    }
    rows
}

impl Page {
    fn latency(&mut self, latency: &Latency) {
        self.heading("Latency");
        // The last are the round trips that the kernel has measured. Longer names would make a table of
        // more than 80 columns.
        let names = [
            "connect",
            "first byte",
            "complete",
            "started late by",
            "network, least",
            "network, smooth",
        ];
        let rows = latency_rows(latency, names, time);
        if rows.len() > 1 {
            self.fitting_table(rows, &["mean", "samples", "p90", "p99.9", "max"]);
        }
        if let Some(shares) = shares::first_byte(latency) {
            self.row("time goes to", &shares);
        }
        self.counts(latency);
    }

    fn counts(&mut self, latency: &Latency) {
        let kept = if latency.keep_alive {
            "kept alive"
        } else {
            "one a request"
        };
        let connections = human::count(latency.connections, "connection");
        let time = human::microseconds(latency.duration_us);
        let requests = human::count(latency.requests, "request");
        self.row(
            "load",
            &format!("{requests} in {time}, {connections}, {kept}"),
        );
        let rates: Vec<f64> = latency
            .whole_seconds()
            .iter()
            .map(|second| second.completed as f64)
            .collect();
        if rates.len() > 1 {
            let room = self.width.saturating_sub(26);
            let lowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = rates.iter().copied().fold(0.0, f64::max);
            let line = self.charset.sparkline(&rates, room.min(60));
            let range = format!(
                "{} to {} in a second",
                human::number(lowest),
                human::number(highest)
            );
            self.row("rate over time", &line);
            self.row("", &range);
        }
        for (class, count) in latency.errors.by_frequency() {
            let line = format!("{} {}", human::grouped(count), verdict::describe(class));
            self.row("failed", &self.color.alarm(&line));
        }
        if let (Some(syn), Some(data)) = (latency.syn_retransmissions, latency.retransmissions) {
            let (syn, data) = (human::grouped(syn), human::grouped(data));
            self.row("sent again", &format!("{syn} SYN, {data} data"));
        }
        if let Some(how) = shares::held_up(latency) {
            self.row("sending held up", &how);
        }
        if let Some(cpu) = verdict::client_cpu(latency) {
            self.row("CPU here", &cpu);
        }
    }

    fn throughput(&mut self, throughput: &Throughput) {
        self.heading("Throughput");
        let flows = [
            ("upload", &throughput.upload),
            ("download", &throughput.download),
            ("echo", &throughput.echo),
        ];
        for (name, flow) in flows {
            let how = throughput
                .evidence
                .get(name)
                .map(|how| sanitize::one_line(how));
            match (flow, how) {
                (Some(flow), how) => {
                    self.row(name, &flow_text(flow));
                    if let Some(single) = &flow.single {
                        self.row("", &flow_text(single));
                    }
                    self.rate_over_time(flow);
                    let why = throughput.evidence.get(&format!("{name}.limited_by"));
                    let why = why.map(|why| format!("limit: {}", sanitize::one_line(why)));
                    for line in how.into_iter().chain(why) {
                        self.row("", &line);
                    }
                }
                (None, Some(why)) => self.row(name, &format!("not measured: {why}")),
                (None, None) => {}
            }
        }
    }

    /// The bytes of whole seconds, where there are enough of them to see something.
    fn rate_over_time(&mut self, flow: &Flow) {
        let rates: Vec<f64> = flow
            .whole_seconds()
            .iter()
            .map(|bytes| *bytes as f64)
            .collect();
        if rates.len() > 1 {
            let room = self.width.saturating_sub(26).min(60);
            let line = self.charset.sparkline(&rates, room);
            let lowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = rates.iter().copied().fold(0.0, f64::max);
            let [lowest, highest] = [lowest, highest].map(human::bytes_per_second);
            self.row("", &format!("{line} {lowest} to {highest}"));
        }
    }

    fn footnotes(&mut self, report: &Report) {
        let notes: Vec<_> = report
            .caveats
            .iter()
            .filter(|caveat| matches!(caveat.code, Code::FewSamples | Code::Missing))
            .flat_map(|caveat| self.folded(&sanitize::one_line(&caveat.text), 0))
            .collect();
        let environment = &report.environment;
        let kernel = environment.kernel.as_deref().unwrap_or_default();
        let runs = match report.runs {
            1 => String::new(),
            runs => format!("{runs} runs merged; "),
        };
        let from = format!(
            "{} at {}; {runs}from {} {kernel}, {}, tcpctl {}",
            report.target,
            report.started_at,
            environment.os,
            human::count(environment.cpus, "CPU"),
            environment.tcpctl
        );
        self.text.push('\n');
        self.lines(&notes);
        for line in self.folded(&sanitize::one_line(&from), 0) {
            let _ = writeln!(self.text, "{}", self.color.faint(&line));
        }
    }
}

fn time(us: Option<f64>) -> String {
    us.map_or("-".to_owned(), human::microseconds)
}

fn flow_text(flow: &Flow) -> String {
    let mut text = format!(
        "{}, {}",
        human::bytes_per_second(flow.bytes_per_s),
        human::count(flow.streams, "stream")
    );
    if let Some(resent) = flow.retransmissions {
        let _ = write!(text, ", {} sent again", human::grouped(resent));
    }
    if let Some(limit) = flow.limited_by {
        let _ = write!(text, ", limited by {}", limit.text());
    }
    text
}

#[cfg(test)]
mod tests;
