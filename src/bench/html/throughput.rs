//! The throughput.

use super::elements::{paragraph, table_of_class};
use super::plot::{Curve, Plot, Scale, Style};
use crate::bench::report::{Flow, Throughput};
use crate::output::human;

pub(super) fn content(throughput: &Throughput) -> String {
    let heading = [
        "",
        "rate",
        "streams",
        "retransmits",
        "limited by",
        "with one stream",
        "evidence",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let flows = [
        ("upload", &throughput.upload),
        ("download", &throughput.download),
        ("echo", &throughput.echo),
    ];
    for (name, flow) in flows {
        let how = throughput.evidence.get(name);
        let how = how.map_or(String::new(), |how| how.detail.clone());
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
    let mut content = table_of_class("flows", &rows);
    for (name, flow) in flows {
        if let Some(why) = throughput.evidence.get(&format!("{name}.limited_by"))
            && flow.is_some()
        {
            content.push_str(&paragraph("footnote", &format!("{name}: {}", why.detail)));
        }
    }
    content + &over_time(&flows)
}

/// The rate of each second, for flows of at least two seconds.
fn over_time(flows: &[(&'static str, &Option<Flow>)]) -> String {
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
