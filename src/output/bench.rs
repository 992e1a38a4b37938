//! A load test for people: the answer first, then tables, then the shape of the latency.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Colour, Halt, Output, human};
use crate::bench::chart::{self, Charset};
use crate::bench::compare::{Comparison, Difference, Finding};
use crate::bench::measurement::ErrorClass;
use crate::bench::report::{Distribution, Flow, Latency, Report, Step, Throughput};
use crate::bench::verdict::{self, Code};
use crate::bench::{engine, limits, ramp, shares, throughput};
use crate::sanitize;

impl Output {
    /// Prints a report: one object, or the verdict, tables and a histogram.
    pub fn bench(&self, report: &Report) -> Result<(), Halt> {
        if self.is_json() {
            return self.object(report);
        }
        let text = render(
            report,
            self.stdout_colour,
            Charset::detect(),
            chart::width(),
        );
        self.write(text.as_bytes())
    }
}

impl Output {
    /// Shows what the search for the limits is doing, where a person sees it.
    pub fn limits_progress(&self, step: limits::Step) {
        use limits::Step;
        if !self.shows_status() {
            return;
        }
        self.status(&match step {
            Step::Baseline { exchange } => {
                format!("one client at a time: exchange {}", exchange + 1)
            }
            Step::Round { round } => format!("round {round}"),
            Step::Holding { held } => format!("holding {held} idle connections"),
            Step::Recovering => "freeing a place".to_owned(),
            Step::Asking { at_least, at_most } => {
                format!("asking held connections: {at_least} to {at_most} are served at once")
            }
            Step::Bursting { size } => format!("{size} SYNs at a time"),
            Step::Settling => "all connections closed; waiting for the server".to_owned(),
        });
    }

    /// Shows what a ramp is doing, where a person sees it.
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
                "ramp: {}, {} answered",
                human::count(connections as u64, "connection"),
                human::count(completed, "request")
            ),
            Doing::Bursts { connections } => {
                format!("ramp: {connections} at a time, with pauses: is there room for so many?")
            }
            Doing::Schedule => "ramp: on a schedule: is it the closed loop?".to_owned(),
        });
    }

    /// Shows how a flow stands, where a person sees it.
    pub fn throughput_progress(&self, so_far: &throughput::Progress<'_>) {
        if !self.shows_status() {
            return;
        }
        self.status(&flow_progress(so_far, Charset::detect(), chart::width()));
    }

    /// Shows how a load stands, where a person sees it.
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

/// The whole report as text; everything in it is safe for a terminal.
pub fn render(report: &Report, colour: Colour, charset: Charset, width: usize) -> String {
    let mut text = String::new();
    for (at, line) in report.verdict.lines().enumerate() {
        let line = sanitize::one_line(line);
        let line = match at {
            0 if all_failed(report) => colour.alarm(&line),
            0 => colour.strong(&line),
            _ => line,
        };
        let _ = writeln!(text, "{line}");
    }
    let mut page = Page {
        text,
        colour,
        charset,
        width,
    };
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
    colour: Colour,
    charset: Charset,
    width: usize,
}

impl Page {
    fn heading(&mut self, title: &str) {
        let title = self.colour.strong(title);
        let _ = writeln!(self.text, "\n{title}");
    }

    fn lines(&mut self, lines: &[String]) {
        for line in lines {
            let _ = writeln!(self.text, "{line}");
        }
    }

    /// A row of a name and what is known.
    fn row(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.text, "  {name:<22} {value}");
    }

    /// A table with its columns right-aligned, the first left-aligned.
    fn table(&mut self, rows: &[Vec<String>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<_> = (0..columns)
            .map(|column| {
                let cells = rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        for row in rows {
            let mut line = String::from(" ");
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let _ = match at {
                    0 => write!(line, " {cell:<width$}"),
                    _ => write!(line, "  {cell:>width$}"),
                };
            }
            let _ = writeln!(self.text, "{}", line.trim_end());
        }
    }

    fn comparison(&mut self, comparison: &Comparison) {
        let target = sanitize::one_line(&comparison.baseline.target);
        let title = format!("Compared with {target}, {}", comparison.baseline.started_at);
        self.heading(&title);
        self.table(&comparison_rows(comparison));
        for change in &comparison.changes {
            let _ = writeln!(self.text, "  {}", sanitize::one_line(change));
        }
        let _ = writeln!(self.text, "  {}", comparison_statement(comparison));
    }

    fn limits(&mut self, report: &Report) {
        let Some(limits) = &report.limits else {
            return;
        };
        self.heading("Limits");
        let rows = [
            (
                "served_at_once",
                "served at once",
                limits.served_at_once.map(|n| n.to_string()),
            ),
            ("queued", "queued", limits.queued.map(|n| n.to_string())),
            ("held", "held in all", limits.held.map(|n| n.to_string())),
            (
                "overflow",
                "one more is",
                limits
                    .overflow
                    .map(|overflow| overflow.name().replace('_', " ")),
            ),
            (
                "recovery_us",
                "recovery",
                limits.recovery_us.map(human::microseconds),
            ),
            ("burst", "burst", limits.burst.map(|n| n.to_string())),
            (
                "held_from_all_sources",
                "from all sources",
                limits.held_from_all_sources.map(|n| n.to_string()),
            ),
        ];
        // A burst is asked of a server that can't be held; of another it is no news that it was not.
        let held = limits.held.is_some();
        for (field, name, value) in rows {
            if field == "burst" && value.is_none() && held {
                continue;
            }
            let how = limits
                .evidence
                .get(field)
                .map(|how| sanitize::one_line(how));
            let text = match (value, how) {
                (None, None) => continue,
                (None, Some(why)) if why.starts_with("not ") => why,
                (None, Some(why)) => format!("not known: {why}"),
                (Some(value), None) => value,
                (Some(value), Some(how)) => format!("{value:<14} {how}"),
            };
            self.row(name, &text);
        }
        for (name, times) in [
            ("first byte, served", limits.served_first_byte_us),
            ("first byte, queued", limits.queued_first_byte_us),
        ] {
            if let Some(Distribution {
                p50: Some(p50),
                max: Some(max),
                ..
            }) = times
            {
                let (p50, max) = (human::microseconds(p50), human::microseconds(max));
                self.row(name, &format!("half in {p50}, the slowest in {max}"));
            }
        }
        if let Some(closes) = limits.closes_after_reply {
            self.row("closes after a reply", if closes { "yes" } else { "no" });
        }
        if let (Some(each), Some(how)) = (limits.per_client, limits.evidence.get("per_client")) {
            let (each, how) = (if each { "yes" } else { "no" }, sanitize::one_line(how));
            self.row("limit each client", &format!("{each:<14} {how}"));
        }
    }

    fn ramp(&mut self, steps: &[Step]) {
        self.heading("Ramp");
        let mut rows = ramp_rows(steps);
        for column in LESS_TELLING {
            if table_width(&rows) > self.width {
                leave_out(&mut rows, column);
            }
        }
        self.table(&rows);
        let values = |value: fn(&Step) -> f64| steps.iter().map(value).collect::<Vec<_>>();
        let charts = [
            ("replies/s", values(|step| step.served_per_s)),
            (
                "ms, 99% of the replies",
                values(|step| step.p99_us.unwrap_or_default() / 1e3),
            ),
            (
                "refused or sent again",
                values(|step| (step.failed + step.retransmissions.unwrap_or_default()) as f64),
            ),
        ];
        for (title, values) in charts {
            let columns: Vec<_> = steps
                .iter()
                .zip(values)
                .map(|(step, value)| chart::Column {
                    name: step.connections.to_string(),
                    value,
                    mark: if step.knee { "knee" } else { "" },
                })
                .collect();
            let lines = chart::columns(title, &columns, self.charset, self.width);
            if !lines.is_empty() {
                self.text.push('\n');
                self.lines(&lines);
            }
        }
    }

    fn latency(&mut self, latency: &Latency) {
        self.heading("Latency");
        let title = ["", "p50", "p90", "p99", "p99.9", "max", "mean", "samples"];
        let mut rows = vec![title.map(str::to_owned).to_vec()];
        let mut row = |name: &str, times: &Distribution| {
            if times.samples > 0 {
                let times_of = [
                    times.p50,
                    times.p90,
                    times.p99,
                    times.p99_9,
                    times.max,
                    times.mean,
                ];
                let mut cells = vec![name.to_owned()];
                cells.extend(times_of.map(time));
                cells.push(human::grouped(times.samples));
                rows.push(cells);
            }
        };
        row("connect", &latency.connect_us);
        row("first byte", &latency.first_byte_us);
        row("complete", &latency.complete_us);
        if let Some(times) = &latency.schedule_error_us {
            row("started late by", times);
        }
        if let Some(times) = &latency.min_rtt_us {
            row("network (min RTT)", times);
        }
        if let Some(times) = &latency.smoothed_rtt_us {
            row("network (smoothed)", times);
        }
        if rows.len() > 1 {
            self.table(&rows);
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
            self.row("failed", &self.colour.alarm(&line));
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
            .map(|caveat| sanitize::one_line(&caveat.text))
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
        let _ = writeln!(
            self.text,
            "{}",
            self.colour.faint(&sanitize::one_line(&from))
        );
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

/// Columns of a ramp that a narrow terminal does without, in this order; they are in the JSON and
/// the page.
const LESS_TELLING: [&str; 3] = ["max", "failed", "sent again"];

/// How wide [`Page::table`] makes it.
fn table_width(rows: &[Vec<String>]) -> usize {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let longest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    (0..columns).map(|column| longest(column) + 2).sum()
}

/// Takes out the column of that title.
fn leave_out(rows: &mut [Vec<String>], title: &str) {
    let at = rows
        .first()
        .and_then(|titles| titles.iter().position(|it| it == title));
    if let Some(at) = at {
        for row in rows {
            row.remove(at);
        }
    }
}

/// The rows of a ramp, with their heading; for the page in the browser, too.
pub(crate) fn ramp_rows(steps: &[Step]) -> Vec<Vec<String>> {
    let title = [
        "connections",
        "replies/s",
        "p50",
        "p99",
        "max",
        "refused",
        "failed",
        "SYN again",
        "sent again",
        "",
    ];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    let known = |count: Option<u64>| count.map_or("-".to_owned(), human::grouped);
    for step in steps {
        let mut remarks = Vec::new();
        if step.knee {
            remarks.push("knee");
        }
        if let Some(cause) = step.cause {
            remarks.push(cause.kind.text());
        }
        rows.push(vec![
            step.connections.to_string(),
            human::number(step.served_per_s),
            time(step.p50_us),
            time(step.p99_us),
            time(step.max_us),
            human::grouped(step.refused),
            human::grouped(step.failed),
            known(step.syn_retransmissions),
            known(step.retransmissions),
            remarks.join(", "),
        ]);
    }
    rows
}

/// The rows of a comparison, with their heading; for the page in the browser, too.
pub(crate) fn comparison_rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let title = ["", "before", "now", "difference", "95% sure between", ""];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    for (name, row) in comparison.rows() {
        if row.before.is_none() && row.now.is_none() {
            // Neither run has measured it.
            continue;
        }
        let (name, show): (_, fn(f64) -> String) = match name {
            "rate_per_s" => ("replies/s", human::number),
            "p50_us" => ("p50", signed_time),
            "p99_us" => ("p99", signed_time),
            "upload_bytes" => ("upload", signed_rate),
            "download_bytes" => ("download", signed_rate),
            "echo_bytes" => ("echo", signed_rate),
            _ => ("failed", |share| {
                format!("{}%", human::number(share * 100.0))
            }),
        };
        let cell = |value: Option<f64>| value.map_or("-".to_owned(), show);
        let plus = |value: f64| format!("{}{}", if value > 0.0 { "+" } else { "" }, show(value));
        let range = match (row.low, row.high) {
            (Some(low), Some(high)) => format!("{} and {}", plus(low), plus(high)),
            _ => "-".to_owned(),
        };
        rows.push(vec![
            name.to_owned(),
            cell(row.before),
            cell(row.now),
            row.difference.map_or("-".to_owned(), plus),
            range,
            finding(row).to_owned(),
        ]);
    }
    rows
}

fn signed_time(us: f64) -> String {
    let sign = if us < 0.0 { "-" } else { "" };
    format!("{sign}{}", human::microseconds(us.abs()))
}

fn signed_rate(bytes_per_s: f64) -> String {
    let sign = if bytes_per_s < 0.0 { "-" } else { "" };
    format!("{sign}{}", human::bytes_per_second(bytes_per_s.abs()))
}

const fn finding(row: &Difference) -> &'static str {
    match row.finding {
        // What was not found may still be there: a longer run would tell.
        Finding::None => "could be chance",
        Finding::Higher => "higher",
        Finding::Lower => "lower",
        Finding::TooFew => "too few seconds to tell",
    }
}

/// What the confidence of a comparison means, in one sentence.
pub(crate) fn comparison_statement(comparison: &Comparison) -> String {
    let confidence = comparison.confidence * 100.0;
    if comparison.finds_something() {
        format!(
            "with {confidence:.0}% confidence for all rows together, from the one-second intervals \
             of these two runs"
        )
    } else {
        format!("nothing that could not be chance, at {confidence:.0}% confidence")
    }
}

/// What is known while a load test runs.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Since the measured part began.
    pub elapsed: Duration,
    /// Completed requests so far.
    pub completed: u64,
    /// Requests under way.
    pub in_flight: usize,
    /// Failed requests so far, by class.
    pub errors: &'a [(ErrorClass, u64)],
    /// The median so far, nanoseconds; without samples `None`.
    pub p50: Option<u64>,
    /// The 99th percentile so far, nanoseconds.
    pub p99: Option<u64>,
    /// Completed requests in each whole second so far.
    pub seconds: &'a [u64],
}

/// The line that a terminal shows while bytes flow, no wider than `width`.
fn flow_progress(so_far: &throughput::Progress<'_>, charset: Charset, width: usize) -> String {
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
    // The last second is not over.
    let whole = so_far.seconds.len().saturating_sub(1);
    let rates: Vec<f64> = so_far.seconds[..whole]
        .iter()
        .map(|bytes| *bytes as f64)
        .collect();
    let room = width.saturating_sub(line.chars().count() + 2).min(60);
    if rates.len() > 1 && room >= 8 {
        let _ = write!(line, "  {}", charset.sparkline(&rates, room));
    }
    line.chars().take(width).collect()
}

/// The line that a terminal shows meanwhile, no wider than `width`.
pub fn progress(progress: &Progress<'_>, charset: Charset, width: usize) -> String {
    let seconds = progress.elapsed.as_secs_f64();
    // The last whole second is what happens now; before there is one, the mean.
    let rate = match progress.seconds.last() {
        Some(last) => *last as f64,
        None if seconds > 0.0 => progress.completed as f64 / seconds,
        None => 0.0,
    };
    let mut line = format!(
        "{seconds:.0}s  {}/s  {} in flight",
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
    line.chars().take(width).collect()
}

#[cfg(test)]
mod tests;
