//! `--html`: one self-contained page that can be attached to an issue.
//!
//! It loads nothing and runs nothing: the plots are SVG made here, the colours follow the
//! browser's light or dark, and the whole report is in it as JSON. All that a user, a server or a
//! file has said is escaped.

use super::plot::{self, Curve, Plot, Scale, Style};
use super::report::{Distribution, Flow, Histograms, Interval, Latency, Report, Step};
use super::shares;
use super::verdict::{self, Code};
use crate::output::bench::{comparison_rows, comparison_statement, ramp_rows};
use crate::output::human;

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
    body.push_str(&limits(report));
    if !report.ramp.is_empty() {
        body.push_str(&section("Ramp", &ramp(&report.ramp)));
    }
    if let Some(latency) = &report.latency {
        if let Some(histograms) = &report.histograms {
            body.push_str(&percentiles(histograms));
        }
        body.push_str(&section("Latency", &latency_table(latency)));
        body.push_str(&over_time(latency));
    }
    body.push_str(&throughput(report));
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

/// Text as HTML text or attribute value. Characters that turn or hide text are shown as escapes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in crate::sanitize::one_line(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(character),
        }
    }
    safe
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

fn section(title: &str, content: &str) -> String {
    format!(
        "<section>\n<h2>{}</h2>\n{content}</section>\n",
        escape(title)
    )
}

fn paragraph(class: &str, text: &str) -> String {
    format!("<p class=\"{class}\">{}</p>\n", escape(text))
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

/// A table whose first row is the heading and whose first column names the row.
fn table(rows: &[Vec<String>]) -> String {
    let mut html = String::from("<div class=\"wide\"><table>\n");
    for (at, row) in rows.iter().enumerate() {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            let (start, end) = match (at, column) {
                (0, _) => ("<th scope=\"col\">", "</th>"),
                (_, 0) => ("<th scope=\"row\">", "</th>"),
                _ => ("<td>", "</td>"),
            };
            html.extend([start, &cell, end]);
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
    html
}

/// A list of names and what is known.
fn list(rows: &[(String, String)]) -> String {
    let mut html = String::from("<dl>\n");
    for (name, value) in rows {
        let (name, value) = (escape(name), escape(value));
        html.extend(["<dt>", &name, "</dt><dd>", &value, "</dd>\n"]);
    }
    html.push_str("</dl>\n");
    html
}

fn limits(report: &Report) -> String {
    let Some(limits) = &report.limits else {
        return String::new();
    };
    let bound = |bound: Option<super::report::Bound>| bound.map(|bound| bound.to_string());
    let fields = [
        (
            "served_at_once",
            "Served at once",
            bound(limits.served_at_once),
        ),
        ("queued", "Queued", bound(limits.queued)),
        ("held", "Held in all", bound(limits.held)),
        (
            "overflow",
            "One more is",
            limits
                .overflow
                .map(|overflow| overflow.name().replace('_', " ")),
        ),
        (
            "recovery_us",
            "A place is free again after",
            limits.recovery_us.map(human::microseconds),
        ),
        ("burst", "Largest burst", bound(limits.burst)),
        (
            "held_from_all_sources",
            "Held from all sources",
            bound(limits.held_from_all_sources),
        ),
    ];
    let mut rows = vec![vec![
        String::new(),
        String::new(),
        "how it is known".to_owned(),
    ]];
    for (field, name, value) in fields {
        let how = limits.evidence.get(field);
        if value.is_none() && how.is_none() {
            continue;
        }
        rows.push(vec![
            name.to_owned(),
            value.unwrap_or_else(|| "not known".to_owned()),
            how.cloned().unwrap_or_default(),
        ]);
    }
    section(
        "Limits",
        &table(&rows).replace("<table>", "<table class=\"texts\">"),
    )
}

fn ramp(steps: &[Step]) -> String {
    let points = |value: fn(&Step) -> Option<f64>| {
        let point = |step: &Step| Some((step.connections as f64, value(step)?));
        steps.iter().filter_map(point).collect::<Vec<_>>()
    };
    let knee = steps.iter().find(|step| step.knee);
    let mark = knee.map(|step| {
        let name = format!("knee: {}", human::count(step.connections, "connection"));
        (step.connections as f64, name)
    });
    let x = Scale::linear(
        "connections at a time",
        points(|_| Some(0.0)).iter().map(|(x, _)| *x),
    );
    let rates = points(|step| Some(step.served_per_s));
    let refused = points(|step| Some(step.refused as f64));
    let failed = points(|step| Some(step.failed as f64));
    let syns = points(|step| step.syn_retransmissions.map(|count| count as f64));
    let resent = points(|step| step.retransmissions.map(|count| count as f64));
    let (p50, p99) = (points(|step| step.p50_us), points(|step| step.p99_us));
    let values = |points: &[(f64, f64)]| points.iter().map(|(_, y)| *y).collect::<Vec<_>>();
    let rate_plot = Plot {
        title: "Replies a second, by connections",
        y: Scale::linear("replies/s", values(&rates)).with_zero(),
        x: x.clone(),
        mark: mark.clone(),
        curves: vec![Curve::new("replies/s", "a", Style::Line, rates)],
    };
    let time_plot = Plot {
        title: "Time to the reply, by connections",
        y: Scale::time("time", [values(&p50), values(&p99)].concat()).with_zero(),
        x: x.clone(),
        mark: mark.clone(),
        curves: vec![
            Curve::new("p50", "a", Style::Line, p50),
            Curve::new("p99", "b", Style::Line, p99),
        ],
    };
    let trouble_plot = Plot {
        title: "Refusals and segments sent again, by connections",
        y: Scale::linear("count", [values(&failed), values(&resent)].concat()).with_zero(),
        x,
        mark,
        curves: vec![
            Curve::new("failed", "c", Style::Line, failed),
            Curve::new("refused", "bad", Style::Line, refused),
            Curve::new("SYN sent again", "a", Style::Line, syns),
            Curve::new("all sent again", "b", Style::Line, resent),
        ],
    };
    let figures: String = [rate_plot, time_plot, trouble_plot]
        .iter()
        .map(Plot::figure)
        .collect();
    figures + &table(&ramp_rows(steps))
}

/// The percentile plot: each nine of the horizontal axis is as wide as the one before.
fn percentiles(histograms: &Histograms) -> String {
    let curves = [
        ("complete reply", "a", &histograms.complete),
        ("first byte", "b", &histograms.first_byte),
        ("connect", "c", &histograms.connect),
    ];
    let curves: Vec<_> = curves
        .into_iter()
        .filter(|(_, _, packed)| !packed.0.is_empty())
        .map(|(name, class, packed)| {
            Curve::new(name, class, Style::Line, plot::percentile_points(&packed.0))
        })
        .collect();
    if curves.is_empty() {
        return String::new();
    }
    let all: Vec<_> = curves
        .iter()
        .flat_map(|curve| curve.points.clone())
        .collect();
    let plot = Plot {
        title: "Latency by percentile",
        x: Scale::percentile(all.iter().map(|(x, _)| *x)),
        y: Scale::time("time, logarithmic", all.iter().map(|(_, y)| *y)).logarithmic(),
        mark: None,
        curves,
    };
    let note = "Read it so: at 99%, one request in a hundred took longer. Times count from the \
                intended start of each request.";
    section(
        "Latency distribution",
        &(plot.figure() + &paragraph("note", note)),
    )
}

fn latency_table(latency: &Latency) -> String {
    let heading = ["", "p50", "p90", "p99", "p99.9", "max", "mean", "samples"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let time = |us: Option<f64>| us.map_or("–".to_owned(), human::microseconds);
    let parts: [(&str, Option<&Distribution>); 6] = [
        ("connect", Some(&latency.connect_us)),
        ("first byte", Some(&latency.first_byte_us)),
        ("complete reply", Some(&latency.complete_us)),
        ("started late by", latency.schedule_error_us.as_ref()),
        ("network (min RTT)", latency.min_rtt_us.as_ref()),
        ("network (smoothed RTT)", latency.smoothed_rtt_us.as_ref()),
    ];
    for (name, times) in parts {
        let Some(times) = times.filter(|times| times.samples > 0) else {
            continue;
        };
        let mut row = vec![name.to_owned()];
        row.extend(
            [
                times.p50,
                times.p90,
                times.p99,
                times.p99_9,
                times.max,
                times.mean,
            ]
            .map(time),
        );
        row.push(human::grouped(times.samples));
        rows.push(row);
    }
    let mut facts = vec![(
        "Load".to_owned(),
        format!(
            "{} in {}, {}, {}",
            human::count(latency.requests, "request"),
            human::microseconds(latency.duration_us),
            human::count(latency.connections, "connection"),
            if latency.keep_alive {
                "kept alive"
            } else {
                "one a request"
            },
        ),
    )];
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    if let Some(rate) = latency.target_rate_per_s {
        fact("Rate asked for", format!("{}/s", human::number(rate)));
    }
    fact(
        "Rate completed",
        format!("{}/s", human::number(latency.rate_per_s)),
    );
    let errors = latency.errors.by_frequency();
    if errors.is_empty() {
        fact("Failed", "none".to_owned());
    }
    for (class, count) in errors {
        let count = human::grouped(count);
        fact("Failed", format!("{count} {}", verdict::describe(class)));
    }
    if let (Some(syn), Some(data)) = (latency.syn_retransmissions, latency.retransmissions) {
        let [syn, data] = [syn, data].map(human::grouped);
        fact("Sent again", format!("{syn} SYN, {data} data"));
    }
    if let Some(how) = shares::first_byte(latency) {
        fact("Time goes to", how);
    }
    if let Some(how) = shares::held_up(latency) {
        fact("Sending held up", how);
    }
    if let Some(cpu) = verdict::client_cpu(latency) {
        fact("CPU of the client", cpu);
    }
    let table = if rows.len() > 1 {
        table(&rows)
    } else {
        String::new()
    };
    table + &list(&facts)
}

fn over_time(latency: &Latency) -> String {
    let seconds = latency.whole_seconds();
    if seconds.len() < 2 {
        return String::new();
    }
    let points = |value: &dyn Fn(&Interval) -> Option<f64>| {
        let point = |(at, second): (usize, &Interval)| Some((at as f64 + 0.5, value(second)?));
        seconds
            .iter()
            .enumerate()
            .filter_map(point)
            .collect::<Vec<_>>()
    };
    let values = |points: &[(f64, f64)]| points.iter().map(|(_, y)| *y).collect::<Vec<_>>();
    let x = Scale::linear("seconds", [0.0, seconds.len() as f64]);
    let rates = points(&|second| Some(second.completed as f64));
    let failed = points(&|second| Some(second.failed as f64));
    let (p50, p99) = (
        points(&|second| second.p50_us),
        points(&|second| second.p99_us),
    );
    let rate = Plot {
        title: "Rate over time",
        y: Scale::linear("completed/s", values(&rates)).with_zero(),
        x: x.clone(),
        mark: None,
        curves: vec![Curve::new("completed/s", "a", Style::Line, rates)],
    };
    let errors = Plot {
        title: "Errors over time",
        y: Scale::linear("failed/s", values(&failed)).with_zero(),
        x: x.clone(),
        mark: None,
        curves: vec![Curve::new("failed/s", "bad", Style::Bars, failed)],
    };
    let mut figures = rate.figure();
    if !p50.is_empty() {
        let time = Plot {
            title: "Latency over time",
            y: Scale::time("time", [values(&p50), values(&p99)].concat()).with_zero(),
            x,
            mark: None,
            curves: vec![
                Curve::new("p50", "a", Style::Line, p50),
                Curve::new("p99", "b", Style::Line, p99),
            ],
        };
        figures.push_str(&time.figure());
    }
    figures.push_str(&errors.figure());
    section("Over time", &figures)
}

fn throughput(report: &Report) -> String {
    let Some(throughput) = &report.throughput else {
        return String::new();
    };
    let heading = [
        "",
        "rate",
        "streams",
        "sent again",
        "limited by",
        "with one stream",
        "",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let flows = [
        ("upload", &throughput.upload),
        ("download", &throughput.download),
        ("echo", &throughput.echo),
    ];
    for (name, flow) in flows {
        let how = throughput.evidence.get(name).cloned().unwrap_or_default();
        let unknown = || "–".to_owned();
        rows.push(match flow {
            Some(flow) => vec![
                name.to_owned(),
                human::bytes_per_second(flow.bytes_per_s),
                flow.streams.to_string(),
                flow.retransmissions.map_or_else(unknown, human::grouped),
                flow.limited_by
                    .map_or_else(unknown, |limit| limit.text().to_owned()),
                flow.single.as_ref().map_or_else(unknown, |single| {
                    human::bytes_per_second(single.bytes_per_s)
                }),
                how,
            ],
            None if how.is_empty() => continue,
            None => {
                let mut row = vec![name.to_owned(), "not measured".to_owned()];
                row.extend([
                    String::new(),
                    String::new(),
                    String::new(),
                    String::new(),
                    how,
                ]);
                row
            }
        });
    }
    let mut content = table(&rows).replace("<table>", "<table class=\"flows\">");
    for (name, flow) in flows {
        if let Some(why) = throughput.evidence.get(&format!("{name}.limited_by"))
            && flow.is_some()
        {
            content.push_str(&paragraph("note", &format!("{name}: {why}")));
        }
    }
    content.push_str(&throughput_over_time(&flows));
    section("Throughput", &content)
}

/// The bytes of each second, of all flows that lasted long enough to have some.
fn throughput_over_time(flows: &[(&'static str, &Option<Flow>)]) -> String {
    let points = |flow: &Flow| {
        let megabytes = |(at, bytes): (usize, &u64)| (at as f64 + 0.5, *bytes as f64 / 1e6);
        let seconds = flow.whole_seconds().iter().enumerate();
        seconds.map(megabytes).collect::<Vec<_>>()
    };
    let curves: Vec<_> = flows
        .iter()
        .zip(["a", "b", "c"])
        .filter_map(|((name, flow), class)| Some((*name, class, points(flow.as_ref()?))))
        .filter(|(_, _, points)| points.len() > 1)
        .collect();
    let longest = curves.iter().map(|(_, _, points)| points.len()).max();
    let Some(longest) = longest else {
        return String::new();
    };
    let rates = curves.iter().flat_map(|(_, _, points)| points);
    let plot = Plot {
        title: "Throughput over time",
        y: Scale::linear("MB/s", rates.map(|(_, rate)| *rate)).with_zero(),
        x: Scale::linear("seconds", [0.0, longest as f64]),
        mark: None,
        curves: curves
            .into_iter()
            .map(|(name, class, points)| Curve::new(name, class, Style::Line, points))
            .collect(),
    };
    plot.figure()
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

/// In a real browser, where one is installed.
#[cfg(all(test, unix))]
mod browser;
