//! The ramp.

use super::elements::{paragraph, table};
use super::plot::{Curve, Plot, Scale, Style};
use crate::bench::report::Step;
use crate::bench::text::ramp_rows;
use crate::output::human;

pub(super) fn content(steps: &[Step]) -> String {
    let points = |value: fn(&Step) -> Option<f64>| {
        let point = |step: &Step| Some((step.connections as f64, value(step)?));
        steps.iter().filter_map(point).collect::<Vec<_>>()
    };
    let knee = steps.iter().find(|step| step.knee);
    let mark = knee.map(|step| {
        let name = format!("knee: {}", human::count(step.connections, "connection"));
        (step.connections as f64, name)
    });
    let x = Scale::linear("connections", points(|_| Some(0.0)).iter().map(|(x, _)| *x));
    let rates = points(|step| Some(step.served_per_s));
    let refused = points(|step| Some(step.refused as f64));
    let failed = points(|step| Some(step.failed as f64));
    let syns = points(|step| step.syn_retransmissions.map(|count| count as f64));
    let resent = points(|step| step.retransmissions.map(|count| count as f64));
    let (p50, p99) = (points(|step| step.p50_us), points(|step| step.p99_us));
    let values = |points: &[(f64, f64)]| points.iter().map(|(_, y)| *y).collect::<Vec<_>>();
    let rate_plot = Plot {
        title: "Rate by connections",
        y: Scale::linear("req/s", values(&rates)).with_zero(),
        x: x.clone(),
        mark: mark.clone(),
        curves: vec![Curve::new("req/s", "a", Style::Line, rates)],
    };
    let time_plot = Plot {
        title: "Latency by connections",
        y: Scale::time("time", [values(&p50), values(&p99)].concat()).with_zero(),
        x: x.clone(),
        mark: mark.clone(),
        curves: vec![
            Curve::new("p50", "a", Style::Line, p50),
            Curve::new("p99", "b", Style::Line, p99),
        ],
    };
    let error_plot = Plot {
        title: "Failures and retransmits by connections",
        y: Scale::linear("count", [values(&failed), values(&resent)].concat()).with_zero(),
        x,
        mark,
        curves: vec![
            Curve::new("failed", "c", Style::Line, failed),
            Curve::new("refused", "bad", Style::Line, refused),
            Curve::new("SYN retransmits", "a", Style::Line, syns),
            Curve::new("retransmits", "b", Style::Line, resent),
        ],
    };
    let is_clean = |step: &Step| step.failed == 0 && step.retransmissions.unwrap_or_default() == 0;
    let errors = if steps.iter().all(is_clean) {
        paragraph("footnote", "No errors and no retransmits.")
    } else {
        error_plot.figure()
    };
    rate_plot.figure() + &time_plot.figure() + &errors + &table(&ramp_rows(steps))
}
