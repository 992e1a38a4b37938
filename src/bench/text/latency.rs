//! The latency: percentiles by phase, counts, and the shape of the distribution.

use std::fmt::Write as _;

use super::{Page, time};
use crate::bench::report::{Latency, Report};
use crate::bench::{breakdown, chart, verdict};
use crate::output::human;
use tcpctl_engine::load::RuleKind;

/// Columns that a narrow terminal omits, in this order.
const OPTIONAL_COLUMNS: [&str; 5] = ["mean", "samples", "p90", "p99.9", "max"];

/// Minimum share of the load window at which the wait for the last replies is shown.
const DRAIN_SHARE: f64 = 0.05;

impl Page {
    pub(crate) fn latency(&mut self, report: &Report) {
        let Some(latency) = &report.latency else {
            return;
        };
        self.heading("Latency");
        let rows = latency_rows(latency, time);
        if rows.len() > 1 {
            self.fitting_table(rows, &OPTIONAL_COLUMNS);
        }
        if let Some(breakdown) = breakdown::first_byte(latency) {
            self.row("first byte", &breakdown);
        }
        self.counts(latency);
        if let Some(histograms) = &report.histograms {
            let (charset, width) = (self.style.charset, self.style.width);
            let lines = chart::histogram(&histograms.complete.0, charset, width);
            if !lines.is_empty() {
                self.heading("Time to the complete reply");
                self.lines(&lines);
            }
        }
    }

    fn counts(&mut self, latency: &Latency) {
        self.row("load", &load(latency));
        if let Some(rule) = reply_rule(latency) {
            self.row("reply ends by", &rule);
        }
        let rates: Vec<f64> = latency
            .whole_seconds()
            .iter()
            .map(|second| second.completed as f64)
            .collect();
        if let Some((line, lowest, highest)) = self.sparkline(&rates) {
            let [lowest, highest] = [lowest, highest].map(human::number);
            self.row("rate over time", &line);
            self.row("", &format!("{lowest} to {highest} req/s"));
        }
        for (class, count) in latency.errors.by_frequency() {
            let text = format!("{} {}", human::grouped(count), verdict::describe(class));
            self.row("failed", &self.style.color.alarm(&text));
        }
        if let Some(text) = retransmits(latency) {
            self.row("retransmits", &text);
        }
        if let Some(limits) = breakdown::send_limits(latency) {
            self.row("send limited by", &limits);
        }
        if let Some(cpu) = verdict::client_cpu(latency) {
            self.row("client CPU", &cpu);
        }
    }
}

/// A heading, and a row for each phase with samples. The names keep the table in 80 columns.
pub(crate) fn latency_rows(
    latency: &Latency,
    time: impl Fn(Option<f64>) -> String,
) -> Vec<Vec<String>> {
    let title = ["", "p50", "p90", "p99", "p99.9", "max", "mean", "samples"];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    let phases = [
        ("connect", Some(&latency.connect_us)),
        ("first byte", Some(&latency.first_byte_us)),
        ("complete", Some(&latency.complete_us)),
        ("schedule error", latency.schedule_error_us.as_ref()),
        ("client delay", latency.client_delay_us.as_ref()),
        ("RTT, minimum", latency.min_rtt_us.as_ref()),
        ("RTT, smoothed", latency.smoothed_rtt_us.as_ref()),
    ];
    for (name, times) in phases {
        let Some(times) = times.filter(|times| times.samples > 0) else {
            continue;
        };
        let values = [
            times.p50,
            times.p90,
            times.p99,
            times.p99_9,
            times.max,
            times.mean,
        ];
        let mut cells = vec![name.to_owned()];
        cells.extend(values.map(&time));
        cells.push(human::grouped(times.samples));
        rows.push(cells);
    }
    rows
}

/// `1,313 requests in 5.00 s, 4 connections, a new connection per request`.
pub(crate) fn load(latency: &Latency) -> String {
    let reuse = if latency.keep_alive {
        "kept alive"
    } else {
        "a new connection per request"
    };
    // With a fixed number of requests, the window ends with the last reply: without one it is
    // empty.
    let window = match latency.window_us {
        0.0 => latency.duration_us,
        window => window,
    };
    let mut text = format!(
        "{} in {}, {}, {reuse}",
        human::count(latency.requests, "request"),
        human::microseconds(window),
        human::count(latency.connections, "connection"),
    );
    let drain = latency.duration_us - window;
    if drain > DRAIN_SHARE * window {
        let drain = human::microseconds(drain);
        let _ = write!(text, "; {drain} more for the last replies");
    }
    text
}

/// The rule that ended a reply; `None` if there was no reply.
pub(crate) fn reply_rule(latency: &Latency) -> Option<String> {
    let rule = match latency.reply_rule? {
        RuleKind::Close => "the server's close",
        RuleKind::Bytes => "its length",
        RuleKind::Lines => "its number of lines",
        RuleKind::Expect => "a match of --expect",
        RuleKind::Idle => "silence",
    };
    let learned = if latency.reply_rule_learned {
        " (learned)"
    } else {
        ""
    };
    Some(format!("{rule}{learned}"))
}

/// Retransmitted segments; `None` where the platform does not provide them.
pub(crate) fn retransmits(latency: &Latency) -> Option<String> {
    let counts = [latency.syn_retransmissions?, latency.retransmissions?];
    let [syn, data] = counts.map(human::grouped);
    Some(format!("{syn} SYN, {data} data"))
}
