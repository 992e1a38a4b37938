//! How fast it answers: by percentile, in numbers, second by second.

use super::elements::{list, paragraph, section, table};
use crate::bench::html::plot;
use crate::bench::html::plot::{Curve, Plot, Scale, Style};
use crate::bench::report::{Histograms, Interval, Latency};
use crate::bench::text::latency_rows;
use crate::bench::{shares, verdict};
use crate::output::human;

/// The percentile plot: each nine of the horizontal axis is as wide as the one before.
pub(super) fn percentiles(histograms: &Histograms) -> String {
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

pub(super) fn table_of(latency: &Latency) -> String {
    let time = |us: Option<f64>| us.map_or("–".to_owned(), human::microseconds);
    let names = [
        "connect",
        "first byte",
        "complete reply",
        "started late by",
        "network (min RTT)",
        "network (smoothed RTT)",
    ];
    let rows = latency_rows(latency, names, time);
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

pub(super) fn over_time(latency: &Latency) -> String {
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
