//! The throughput, by direction.

use std::fmt::Write as _;

use super::Page;
use crate::bench::report::{Flow, Report};
use crate::output::human;
use crate::sanitize;

impl Page {
    pub(crate) fn throughput(&mut self, report: &Report) {
        let Some(throughput) = &report.throughput else {
            return;
        };
        self.heading("Throughput");
        let flows = [
            ("upload", &throughput.upload),
            ("download", &throughput.download),
            ("echo", &throughput.echo),
        ];
        for (name, flow) in flows {
            let evidence = |field: &str| {
                let evidence = throughput.evidence.get(field);
                evidence.map(|evidence| sanitize::one_line(&evidence.detail))
            };
            let Some(flow) = flow else {
                if let Some(why) = evidence(name) {
                    self.row(name, &format!("not measured: {why}"));
                }
                continue;
            };
            self.row(name, &describe(flow));
            if let Some(single) = &flow.single {
                self.row("", &describe(single));
            }
            let rates: Vec<f64> = flow
                .whole_seconds()
                .iter()
                .map(|bytes| *bytes as f64)
                .collect();
            if let Some((line, lowest, highest)) = self.sparkline(&rates) {
                let [lowest, highest] = [lowest, highest].map(human::bytes_per_second);
                self.row("", &format!("{line} {lowest} to {highest}"));
            }
            let limit = evidence(&format!("{name}.limited_by"));
            let limit = limit.map(|limit| format!("limit: {limit}"));
            for line in evidence(name).into_iter().chain(limit) {
                self.row("", &line);
            }
        }
    }

    /// A sparkline of at least two values, with the lowest and the highest.
    pub(crate) fn sparkline(&self, values: &[f64]) -> Option<(String, f64, f64)> {
        let room = self.style.width.saturating_sub(26).min(60);
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(0.0, f64::max);
        let line = || self.style.charset.sparkline(values, room);
        (values.len() > 1).then(|| (line(), lowest, highest))
    }
}

fn describe(flow: &Flow) -> String {
    let mut text = format!(
        "{}, {}",
        human::bytes_per_second(flow.bytes_per_s),
        human::count(flow.streams, "stream")
    );
    if let Some(count) = flow.retransmissions {
        let _ = write!(text, ", {}", human::count(count, "retransmit"));
    }
    if let Some(limit) = flow.limited_by {
        let _ = write!(text, ", limited by {}", limit.text());
    }
    text
}
