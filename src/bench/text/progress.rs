//! The status line of a terminal while a run goes on.

use std::fmt::Write as _;
use std::time::Duration;

use crate::bench::chart::{self, Charset};
use crate::bench::{limits, ramp, throughput, verdict};
use crate::output::{Output, columns, human};
use tcpctl_engine::engine;
use tcpctl_engine::measurement::ErrorClass;

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
    pub fn ramp_progress(&self, doing: ramp::Doing) {
        use ramp::Doing;
        if !self.shows_status() {
            return;
        }
        self.status(&match doing {
            Doing::Step {
                connections,
                completed,
            } => format!(
                "ramp: {}, {} completed",
                human::count(connections as u64, "connection"),
                human::count(completed, "request")
            ),
            Doing::Bursts { connections } => {
                format!("ramp: bursts of {connections} connections")
            }
            Doing::Schedule => "ramp: constant rate".to_owned(),
        });
    }

    /// Shows the progress of a flow on a terminal.
    pub fn throughput_progress(&self, so_far: &throughput::Progress<'_>) {
        if !self.shows_status() {
            return;
        }
        self.status(&flow_progress(so_far, Charset::detect(), chart::width()));
    }

    /// Shows the progress of a load on a terminal.
    pub fn bench_progress(&self, so_far: &engine::Progress) {
        if !self.shows_status() {
            return;
        }
        let errors: Vec<_> = so_far
            .errors
            .iter()
            .map(|(class, count)| (*class, *count))
            .collect();
        let seconds: Vec<_> = so_far
            .seconds
            .iter()
            .map(|second| second.completed)
            .collect();
        let known = |value| (so_far.completed > 0).then_some(value);
        let so_far = Progress {
            elapsed: so_far.elapsed,
            completed: so_far.completed,
            in_flight: so_far.in_flight,
            errors: &errors,
            p50: known(so_far.p50),
            p99: known(so_far.p99),
            seconds: &seconds,
        };
        self.status(&progress(&so_far, Charset::detect(), chart::width()));
    }
}

/// The results of a load so far.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Since the measured part started.
    pub elapsed: Duration,
    /// Completed requests so far.
    pub completed: u64,
    /// Requests in flight.
    pub in_flight: usize,
    /// Failed requests so far, by class.
    pub errors: &'a [(ErrorClass, u64)],
    /// The median so far, nanoseconds; `None` without samples.
    pub p50: Option<u64>,
    /// The 99th percentile so far, nanoseconds.
    pub p99: Option<u64>,
    /// Completed requests in each complete second so far.
    pub seconds: &'a [u64],
}

/// The status line of a flow, no wider than `width`.
pub(crate) fn flow_progress(
    so_far: &throughput::Progress<'_>,
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
    let room = width.saturating_sub(line.chars().count() + 2).min(60);
    if rates.len() > 1 && room >= 8 {
        let _ = write!(line, "  {}", charset.sparkline(&rates, room));
    }
    columns::whole_parts(&line, width).to_owned()
}

/// The status line of a load, no wider than `width`.
pub fn progress(progress: &Progress<'_>, charset: Charset, width: usize) -> String {
    let seconds = progress.elapsed.as_secs_f64();
    // The last complete second; before there is one, the mean.
    let rate = match progress.seconds.last() {
        Some(last) => *last as f64,
        None if seconds > 0.0 => progress.completed as f64 / seconds,
        None => 0.0,
    };
    let mut line = format!(
        "{seconds:.0}s  {} req/s  {} in flight",
        human::number(rate),
        progress.in_flight
    );
    if let (Some(p50), Some(p99)) = (progress.p50, progress.p99) {
        let [p50, p99] = [p50, p99].map(|time| human::time(Duration::from_nanos(time)));
        let _ = write!(line, "  p50 {p50}  p99 {p99}");
    }
    for (class, count) in progress.errors.iter().filter(|(_, count)| *count > 0) {
        let _ = write!(line, "  {count} {}", verdict::describe(*class));
    }
    let rates: Vec<f64> = progress.seconds.iter().map(|count| *count as f64).collect();
    let room = width.saturating_sub(line.chars().count() + 2).min(60);
    if rates.len() > 1 && room >= 8 {
        let _ = write!(line, "  {}", charset.sparkline(&rates, room));
    }
    columns::whole_parts(&line, width).to_owned()
}
