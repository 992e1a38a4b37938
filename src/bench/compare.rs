//! Compares two runs, and finds their significant differences.
//!
//! The values are those of the whole runs. One number against one number proves nothing: a run
//! differs from itself a second later. So the confidence interval comes from the one-second windows
//! of both runs: Moses's interval for the Hodges-Lehmann shift, from the exact distribution of the
//! Mann-Whitney statistic (Hollander, Wolfe, Chicken: Nonparametric Statistical Methods, 3rd edition,
//! 4.1 to 4.3). It assumes no distribution, and one outlier moves it little. All rows share the 5%
//! (Bonferroni), so together they hold with 95% confidence. A difference is significant if its
//! interval excludes zero.
//!
//! It does not cover what changes between runs but not within one (another channel, a warm cache).
//! Repeat runs for that.

use super::report::{
    Baseline, Change, ChangeKind, Comparison, Difference, Finding, Flow, Interval, Latency,
    Overflow, Report, Throughput, TooShort,
};
use super::summarize::round_to_thousandths;

/// Confidence of all rows together.
const CONFIDENCE: f64 = 0.95;

/// Number of rows for the latency.
const LATENCY_ROWS: usize = 4;

/// Maximum windows of a run that are compared: the number of differences is the square of it. A
/// longer run is sampled evenly.
const MAX_WINDOWS: usize = 240;

/// Compares a run with an earlier one.
pub fn compare(before: &Report, now: &Report) -> Comparison {
    let latencies = before.latency.as_ref().zip(now.latency.as_ref());
    let flows = FLOWS.map(|(_, flow)| both(before, now, flow));
    let rows = latencies.map_or(0, |_| LATENCY_ROWS) + flows.iter().flatten().count();
    let alpha = (1.0 - CONFIDENCE) / rows.max(1) as f64;
    let row = |value: fn(&Latency) -> Option<f64>, window: fn(&Interval) -> Option<f64>| {
        let values = |report: &Report| report.latency.as_ref().and_then(value);
        let windows = |report: &Report| {
            let latency = report.latency.as_ref();
            let seconds = latency.map_or(&[][..], Latency::whole_seconds);
            sample(seconds).filter_map(window).collect()
        };
        difference(
            [values(before), values(now)],
            windows(before),
            windows(now),
            alpha,
        )
    };
    let bytes = |flows: Option<(&Flow, &Flow)>| {
        let (before, now) = flows?;
        let windows = |flow: &Flow| sample(flow.whole_seconds()).map(|it| *it as f64).collect();
        Some(difference(
            [Some(before.bytes_per_s), Some(now.bytes_per_s)],
            windows(before),
            windows(now),
            alpha,
        ))
    };
    Comparison {
        baseline: Baseline {
            target: before.target.clone(),
            started_at: before.started_at,
        },
        confidence: CONFIDENCE,
        too_short: too_short(latencies, &flows, alpha),
        rate_per_s: row(
            |latency| Some(latency.rate_per_s),
            |second| Some(second.completed as f64),
        ),
        p50_us: row(|latency| latency.complete_us.p50, |second| second.p50_us),
        p99_us: row(|latency| latency.complete_us.p99, |second| second.p99_us),
        failed_share: row(
            |latency| share(latency.errors.sum(), latency.requests),
            |second| share(second.failed, second.completed + second.failed),
        ),
        upload_bytes: bytes(flows[0]),
        download_bytes: bytes(flows[1]),
        echo_bytes: bytes(flows[2]),
        changes: changes(before, now),
    }
}

type FlowOf = fn(&Throughput) -> &Option<Flow>;

const FLOWS: [(&str, FlowOf); 3] = [
    ("upload", |throughput| &throughput.upload),
    ("download", |throughput| &throughput.download),
    ("echo", |throughput| &throughput.echo),
];

/// A flow that both runs measured the same way.
fn both<'a>(before: &'a Report, now: &'a Report, flow: FlowOf) -> Option<(&'a Flow, &'a Flow)> {
    let of = |report: &'a Report| report.throughput.as_ref().and_then(|it| flow(it).as_ref());
    of(before)
        .zip(of(now))
        .filter(|(before, now)| before.via == now.via)
}

fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

fn sample<T>(windows: &[T]) -> impl Iterator<Item = &T> {
    windows
        .iter()
        .step_by(windows.len().div_ceil(MAX_WINDOWS).max(1))
}

/// Whether a run has too few whole seconds for a confidence interval.
fn too_short(
    latencies: Option<(&Latency, &Latency)>,
    flows: &[Option<(&Flow, &Flow)>; 3],
    alpha: f64,
) -> Option<TooShort> {
    let latency =
        latencies.map(|(before, now)| before.whole_seconds().len().min(now.whole_seconds().len()));
    let flow = |(before, now): &(&Flow, &Flow)| {
        before.whole_seconds().len().min(now.whole_seconds().len())
    };
    let shortest = latency
        .into_iter()
        .chain(flows.iter().flatten().map(flow))
        .min()?;
    let needed = (1..MAX_WINDOWS).find(|n| skipped(*n, *n, alpha).is_some())?;
    (shortest < needed).then_some(TooShort {
        needs_s: needed as u64,
        has_s: shortest as u64,
    })
}

/// What differs besides the rows.
fn changes(before: &Report, now: &Report) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut change = |kind, what: &str, before: String, now: String| {
        if before != now {
            changes.push(Change {
                kind,
                what: what.to_owned(),
                before,
                now,
            });
        }
    };
    if let (Some(before), Some(now)) = (&before.limits, &now.limits) {
        let overflow = |overflow: Option<Overflow>| overflow.map_or("unknown", Overflow::name);
        for (what, before, now) in [
            ("served at once", before.served_at_once, now.served_at_once),
            ("queued", before.queued, now.queued),
            ("accepted in total", before.held, now.held),
        ] {
            let (before, now) = (before.to_string(), now.to_string());
            change(ChangeKind::Result, what, before, now);
        }
        let (before, now) = (overflow(before.overflow), overflow(now.overflow));
        let (before, now) = (before.to_owned(), now.to_owned());
        change(ChangeKind::Result, "overflow", before, now);
    }
    if !before.ramp.is_empty() && !now.ramp.is_empty() {
        let knee = |report: &Report| {
            let knee = report.ramp.iter().find(|step| step.knee);
            knee.map_or("none".to_owned(), |step| step.connections.to_string())
        };
        change(ChangeKind::Result, "knee", knee(before), knee(now));
    }
    let mut setup = |what: &str, before, now| change(ChangeKind::Setup, what, before, now);
    setup("target", before.target.clone(), now.target.clone());
    let board = |report: &Report| {
        let is_virtual = report.environment.is_virtual;
        if is_virtual { "virtual" } else { "real" }.to_owned()
    };
    setup("board", board(before), board(now));
    let hosts = before.environment.hostname.clone();
    if let Some((before, now)) = hosts.zip(now.environment.hostname.clone()) {
        setup("computer", before, now);
    }
    if let (Some(before), Some(now)) = (&before.options, &now.options) {
        setup("message", before.message.clone(), now.message.clone());
        let length = |bytes: u64| format!("{bytes} bytes");
        let (before, now) = (length(before.message_bytes), length(now.message_bytes));
        setup("message length", before, now);
    }
    if let (Some(before), Some(now)) = (&before.latency, &now.latency) {
        let connections = |latency: &Latency| latency.connections.to_string();
        setup("connections", connections(before), connections(now));
        let rate = |latency: &Latency| {
            let rate = latency.target_rate_per_s;
            rate.map_or("none".to_owned(), |rate| format!("{rate} req/s"))
        };
        setup("target rate", rate(before), rate(now));
        let reuse = |latency: &Latency| {
            let keep_alive = latency.keep_alive;
            if keep_alive { "on" } else { "off" }.to_owned()
        };
        setup("keep-alive", reuse(before), reuse(now));
    }
    for (name, flow) in FLOWS {
        if let Some((before, now)) = both(before, now, flow) {
            let (before, now) = (before.streams.to_string(), now.streams.to_string());
            setup(&format!("{name} streams"), before, now);
        }
    }
    changes
}

/// Compares two values, with the interval of their difference from windows.
fn difference(
    [before, now]: [Option<f64>; 2],
    mut earlier: Vec<f64>,
    mut later: Vec<f64>,
    alpha: f64,
) -> Difference {
    earlier.sort_by(f64::total_cmp);
    later.sort_by(f64::total_cmp);
    let mut row = Difference {
        before,
        now,
        difference: before.zip(now).map(|(before, now)| round(now - before)),
        low: None,
        high: None,
        finding: Finding::TooFew,
    };
    let Some(skipped) = skipped(earlier.len(), later.len(), alpha) else {
        return row;
    };
    let mut differences: Vec<f64> = earlier
        .iter()
        .flat_map(|before| later.iter().map(move |now| now - before))
        .collect();
    differences.sort_by(f64::total_cmp);
    let low = differences[skipped];
    let high = differences[differences.len() - 1 - skipped];
    row.low = Some(round(low));
    row.high = Some(round(high));
    row.finding = match (low, high) {
        (low, _) if low > 0.0 => Finding::Higher,
        (_, high) if high < 0.0 => Finding::Lower,
        _ => Finding::None,
    };
    row
}

/// Rounds to six decimals, because shares are small.
fn round(value: f64) -> f64 {
    round_to_thousandths(value * 1e3) / 1e3
}

/// How many of the sorted differences are outside the confidence interval at each end: the greatest
/// k with P(U < k) <= alpha/2, less one. `None` where even the whole range is not enough.
fn skipped(m: usize, n: usize, alpha: f64) -> Option<usize> {
    if m == 0 || n == 0 {
        return None;
    }
    let critical = if m * n <= 2_500 {
        exact(m, n, alpha / 2.0)
    } else {
        approximate(m, n, alpha / 2.0)
    };
    // The interval is from the k-th smallest to the k-th largest, k counted from 1.
    critical.checked_sub(1)
}

/// The number of values of U, from 0 up, that together have at most the probability `tail`.
fn exact(m: usize, n: usize, tail: f64) -> usize {
    // The share of all orders of m and n that have a U: the coefficients of the Gaussian binomial,
    // f(m, n, u) = f(m-1, n, u-n) + f(m, n-1, u).
    let most = m * n;
    let mut shares = vec![vec![0.0_f64; most + 1]; n + 1];
    for row in &mut shares {
        row[0] = 1.0;
    }
    for i in 1..=m {
        let mut next = vec![vec![0.0; most + 1]; n + 1];
        next[0][0] = 1.0;
        for j in 1..=n {
            let from_first = i as f64 / (i + j) as f64;
            for u in 0..=i * j {
                let first = if u >= j { shares[j][u - j] } else { 0.0 };
                next[j][u] = from_first * first + (1.0 - from_first) * next[j - 1][u];
            }
        }
        shares = next;
    }
    let mut sum = 0.0;
    shares[n]
        .iter()
        .take_while(|share| {
            sum += **share;
            sum <= tail
        })
        .count()
}

/// Like [`exact`], by the normal approximation, for more than some thousand differences.
fn approximate(m: usize, n: usize, tail: f64) -> usize {
    let (m, n) = (m as f64, n as f64);
    let mean = m * n / 2.0;
    let deviation = (m * n * (m + n + 1.0) / 12.0).sqrt();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of the differences, never below zero"
    )]
    let place = (mean - upper_quantile(tail) * deviation).floor().max(0.0) as usize;
    place
}

/// The z that a standard normal exceeds with probability `tail` below 10%: bisection of the continued
/// fraction of Abramowitz, Stegun, 26.2.14.
fn upper_quantile(tail: f64) -> f64 {
    let exceeds = |z: f64| {
        let fraction = (1..=60).rev().fold(z, |rest, k| z + f64::from(k) / rest);
        (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() / fraction
    };
    let (mut low, mut high) = (1.0, 10.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if exceeds(middle) > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests;
