//! The live view of a run on a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Page, Style};
use crate::bench::chart::{self, Charset};
use crate::bench::ramp::RampProgress;
use crate::bench::report::Step;
use crate::bench::{limits, throughput, verdict};
use crate::output::{Output, columns, human};
use tcpctl_engine::engine;
use tcpctl_engine::load::Extent;

/// Maximum lines of a live view.
const MAX_LINES: usize = 8;

impl Output {
    /// Shows the progress of the search for the limits on a terminal.
    pub fn limits_progress(&self, progress: limits::LimitsProgress) {
        use limits::LimitsProgress as Step;
        if !self.shows_status() {
            return;
        }
        self.status(&match progress {
            Step::Baseline { exchange } => {
                format!("one client at a time: exchange {}", exchange + 1)
            }
            Step::Trial { trial } => format!("trial {trial}"),
            Step::Filling { held } => format!("holding {held} idle connections"),
            Step::Recovering => "freeing a slot".to_owned(),
            Step::Asking { at_least, at_most } => {
                format!("requests on held connections: {at_least} to {at_most} served at once")
            }
            Step::Bursting { size } => format!("{size} simultaneous SYNs"),
            Step::Saturating { waiting } => {
                format!("keeping the server full: {waiting} wait for their greeting")
            }
            Step::Settling => "all connections closed; waiting for the server".to_owned(),
        });
    }

    /// Shows the progress of a ramp on a terminal, below the steps that are `completed`.
    pub fn ramp_progress(&self, progress: RampProgress<'_>, completed: &[Step]) {
        if self.shows_status() {
            let style = Style::for_status();
            self.status(&ramp_view(progress, completed, style));
        }
    }

    /// Shows the progress of a flow on a terminal.
    pub fn throughput_progress(&self, so_far: &throughput::ThroughputProgress<'_>) {
        if !self.shows_status() {
            return;
        }
        self.status(&flow_progress(so_far, Charset::detect(), chart::width()));
    }

    /// Shows the progress of a load on a terminal.
    pub fn bench_progress(&self, so_far: &engine::Progress, extent: Extent) {
        if self.shows_status() {
            self.status(&load_progress(
                so_far,
                extent,
                Charset::detect(),
                chart::width(),
            ));
        }
    }
}

/// The status line of a flow, no wider than `width`.
pub(crate) fn flow_progress(
    so_far: &throughput::ThroughputProgress<'_>,
    charset: Charset,
    width: usize,
) -> String {
    let streams = human::count(so_far.streams as u64, "stream");
    let mut line = format!("{}  {streams}", so_far.what);
    match so_far.elapsed.map(|elapsed| elapsed.as_secs_f64()) {
        Some(seconds) if seconds > 0.0 => {
            let rate = human::bytes_per_second(so_far.bytes as f64 / seconds);
            let _ = write!(line, "  {seconds:.0}s  {rate}");
        }
        Some(_) => {}
        None => line.push_str("  warming up"),
    }
    // The last second is incomplete.
    let whole = so_far.seconds.len().saturating_sub(1);
    let rates: Vec<f64> = so_far.seconds[..whole]
        .iter()
        .map(|bytes| *bytes as f64)
        .collect();
    append_sparkline(line, &rates, charset, width)
}

/// The live view of a load: progress, rate, latency and failures, no wider than `width`.
pub(crate) fn load_progress(
    so_far: &engine::Progress,
    extent: Extent,
    charset: Charset,
    width: usize,
) -> String {
    let seconds = so_far.elapsed.as_secs_f64();
    let (progress, share) = match extent {
        Extent::Duration(length) => {
            let length = length.as_secs_f64();
            (format!("{seconds:.0}/{length:.0} s"), seconds / length)
        }
        Extent::Requests(count) => {
            let ended = so_far.completed + so_far.errors.values().sum::<u64>();
            let (shown, count) = (human::grouped(ended), count.get());
            let progress = format!("{shown}/{}", human::count(count, "request"));
            (progress, ended as f64 / count as f64)
        }
    };
    // Extrapolated from the pace so far.
    let left = (share > 0.0).then(|| (seconds / share - seconds).max(0.0));
    let left = left.map_or(String::new(), |left| format!("  {left:.0} s left"));
    let room = width.saturating_sub(progress.len() + left.len() + 2);
    let bar = charset.bar(share, room.min(40));
    let rates: Vec<f64> = so_far
        .seconds
        .iter()
        .map(|second| second.completed as f64)
        .collect();
    let mut lines = vec![format!("{progress}{left}  {bar}")];
    lines.extend(load_lines(so_far, &rates, charset, width));
    let fitted = lines.iter().map(|line| columns::whole_parts(line, width));
    fitted.collect::<Vec<_>>().join("\n")
}

/// Rate, latency and failures of a load. `rates` are shown as a sparkline.
fn load_lines(
    so_far: &engine::Progress,
    rates: &[f64],
    charset: Charset,
    width: usize,
) -> Vec<String> {
    let seconds = so_far.elapsed.as_secs_f64();
    // The rate of the last complete second; before there is one, the mean.
    let rate = match so_far.seconds.last() {
        Some(last) => last.completed as f64,
        None if seconds > 0.0 => so_far.completed as f64 / seconds,
        None => 0.0,
    };
    let rate = human::number(rate);
    let open = human::count(so_far.in_flight as u64, "open connection");
    let mut lines = vec![append_sparkline(
        format!("{rate} req/s  {open}"),
        rates,
        charset,
        width,
    )];
    if so_far.completed > 0 {
        let times = [so_far.p50, so_far.p99];
        let [p50, p99] = times.map(|time| human::time(Duration::from_nanos(time)));
        lines.push(format!("p50 {p50}  p99 {p99}"));
    }
    let errors = so_far.errors.iter().filter(|(_, count)| **count > 0);
    let errors: Vec<_> = errors
        .map(|(class, count)| format!("{} {}", human::grouped(*count), verdict::describe(*class)))
        .collect();
    if !errors.is_empty() {
        lines.push(format!("failed: {}", errors.join(", ")));
    }
    lines
}

/// The live view of a ramp: the last completed steps, then the current one.
pub(crate) fn ramp_view(progress: RampProgress<'_>, completed: &[Step], style: Style) -> String {
    let Style { charset, width, .. } = style;
    let mut current = Vec::new();
    match progress {
        RampProgress::Step {
            number,
            steps,
            connections,
            left,
            so_far,
        } => {
            let connections = human::count(connections as u64, "connection");
            let left = left.as_secs_f64();
            current.push(format!(
                "step {number} of at most {steps}: {connections}  at most {left:.0} s left"
            ));
            let rates: Vec<f64> = completed.iter().map(|step| step.served_per_s).collect();
            current.extend(load_lines(so_far, &rates, charset, width));
        }
        RampProgress::Completed(_) => {}
        RampProgress::Bursts { connections } => {
            current.push(format!(
                "why do requests fail? bursts of {connections} connections"
            ));
        }
        RampProgress::Schedule => {
            current.push("why do requests fail? a constant rate".to_owned());
        }
    }
    let mut page = Page::new(style);
    page.ramp_table(completed);
    let table: Vec<&str> = page.text.lines().collect();
    let (heading, rows) = table.split_at(table.len().min(1));
    let room = MAX_LINES.saturating_sub(heading.len() + current.len());
    let rows = &rows[rows.len().saturating_sub(room)..];
    let current = current.iter().map(String::as_str);
    let lines = heading.iter().chain(rows).copied().chain(current);
    let fitted = lines.map(|line| columns::whole_parts(line, width));
    fitted.collect::<Vec<_>>().join("\n")
}

/// Adds a sparkline where there is room for one.
fn append_sparkline(mut line: String, rates: &[f64], charset: Charset, width: usize) -> String {
    let room = width.saturating_sub(line.chars().count() + 2).min(60);
    if rates.len() > 1 && room >= 8 {
        let _ = write!(line, "  {}", charset.sparkline(rates, room));
    }
    columns::whole_parts(&line, width).to_owned()
}
