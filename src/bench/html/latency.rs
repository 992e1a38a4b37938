//! The latency: distribution, numbers, and second by second.

use std::fmt::Write as _;

use super::elements::{list, paragraph, section, table};
use super::plot::{self, Curve, Plot, Scale, Style};
use crate::bench::report::{Histograms, Interval, Latency};
use crate::bench::text::{latency_rows, load, reply_rule, retransmits};
use crate::bench::{breakdown, chart, verdict};
use crate::output::human;
use tcpctl_engine::times::Times;

/// The percentile plot, with a logarithmic axis of 1 / (1 - quantile).
pub(super) fn distribution(histograms: &Histograms) -> String {
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
    let note = "At 99%, one request in 100 took longer. Times count from the intended start of each \
                request.";
    let content = [
        histogram(&histograms.complete.0),
        plot.figure(),
        paragraph("footnote", note),
    ];
    section("Latency distribution", &content.concat())
}

/// The times to the complete reply, as a table with bars.
fn histogram(times: &Times) -> String {
    let buckets = chart::buckets(times, 14);
    let highest = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(1);
    let mut html = String::from(
        "<table class=\"histogram\">\n<caption>Time to the complete reply</caption>\n",
    );
    for bucket in &buckets {
        let limit = human::microseconds(bucket.up_to as f64 / 1e3);
        let count = human::grouped(bucket.count);
        let width = bucket.count as f64 / highest as f64 * 100.0;
        let bar = match bucket.count {
            0 => String::new(),
            _ => format!("<i style=\"width:{width:.1}%\"></i>"),
        };
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">&lt; {limit}</th><td>{count}</td><td>{bar}</td></tr>"
        );
    }
    html + "</table>\n"
}

pub(super) fn table_and_facts(latency: &Latency) -> String {
    let time = |us: Option<f64>| us.map_or("–".to_owned(), human::microseconds);
    let rows = latency_rows(latency, time);
    let rate = |rate: f64| format!("{} req/s", human::number(rate));
    let mut facts = vec![
        ("Load", Some(load(latency))),
        ("Reply ends by", reply_rule(latency)),
        ("Target rate", latency.target_rate_per_s.map(rate)),
        ("Rate", Some(rate(latency.rate_per_s))),
    ];
    let errors = latency.errors.by_frequency();
    if errors.is_empty() {
        facts.push(("Failed", Some("none".to_owned())));
    }
    facts.extend(errors.into_iter().map(|(class, count)| {
        let count = human::grouped(count);
        let text = format!("{count} {}", verdict::describe(class));
        ("Failed", Some(text))
    }));
    facts.extend([
        ("Retransmits", retransmits(latency)),
        ("First byte", breakdown::first_byte(latency)),
        ("Send limited by", breakdown::send_limits(latency)),
        ("Client CPU", verdict::client_cpu(latency)),
    ]);
    let facts: Vec<_> = facts
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
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
        y: Scale::linear("req/s", values(&rates)).with_zero(),
        x: x.clone(),
        mark: None,
        curves: vec![Curve::new("req/s", "a", Style::Line, rates)],
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
    if errors.curves[0]
        .points
        .iter()
        .any(|(_, count)| *count > 0.0)
    {
        figures.push_str(&errors.figure());
    } else {
        figures.push_str(&paragraph("footnote", "No errors."));
    }
    section("Over time", &figures)
}
