//! What a terminal shows while a run goes on.

use std::fmt::Write as _;
use std::time::Duration;

use crate::bench::chart::{self, Charset};
use crate::bench::{limits, ramp, throughput, verdict};
use crate::output::{Output, columns, human};
use tcpctl_engine::engine;
use tcpctl_engine::load::Extent;

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

    /// Shows the progress of a ramp on a terminal.
    pub fn ramp_progress(&self, progress: ramp::RampProgress) {
        use ramp::RampProgress;
        if !self.shows_status() {
            return;
        }
        self.status(&match progress {
            RampProgress::Step {
                connections,
                completed,
            } => format!(
                "ramp: {}, {} completed",
                human::count(connections as u64, "connection"),
                human::count(completed, "request")
            ),
            RampProgress::Bursts { connections } => {
                format!("ramp: bursts of {connections} connections")
            }
            RampProgress::Schedule => "ramp: constant rate".to_owned(),
        });
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
    let bar = charset.bar(share, width.saturating_sub(progress.len() + 2).min(40));
    let mut lines = vec![format!("{progress}  {bar}")];
    let rates: Vec<f64> = so_far
        .seconds
        .iter()
        .map(|second| second.completed as f64)
        .collect();
    // The last complete second; before there is one, the mean.
    let rate = match rates.last() {
        Some(last) => *last,
        None if seconds > 0.0 => so_far.completed as f64 / seconds,
        None => 0.0,
    };
    let rate = human::number(rate);
    let rate = format!("{rate} req/s  {} in flight", so_far.in_flight);
    lines.push(append_sparkline(rate, &rates, charset, width));
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
    let fitted = lines.iter().map(|line| columns::whole_parts(line, width));
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
