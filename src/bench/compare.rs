//! Two runs side by side, and which of their differences are more than chance.
//!
//! One number against one number proves nothing: a run differs from itself a second later. So the
//! one-second intervals of both runs are compared. The difference is the Hodges-Lehmann estimate
//! (the median of all differences between an interval of one and one of the other), its
//! confidence interval is Moses's, from the exact distribution of the Mann-Whitney statistic
//! (Hollander, Wolfe, Chicken: Nonparametric Statistical Methods, 3rd edition, 4.1 to 4.3). It
//! assumes no shape of the distribution, which latency never has, and one odd second moves it
//! little. The rows that are compared share the 5% (Bonferroni; the four of the latency are held
//! to 1.25% each): all together hold with 95% confidence, and a difference is one only if its
//! interval excludes zero.
//!
//! What it can't say: whether a third run would differ again, for reasons that change between
//! runs and not within them (another channel, a warm cache). Repeat runs for that.

use serde::{Deserialize, Serialize};

use super::report::{Flow, Interval, Latency, Overflow, Report, Throughput, Timestamp};
use super::stats::thousandths;

/// Confidence of all rows together.
pub const CONFIDENCE: f64 = 0.95;

/// Rows of the latency; all rows that are compared share the risk of error.
const LATENCY_ROWS: usize = 4;

/// More intervals than this tell nothing more, and their differences are as many as their square:
/// an even choice of them is taken.
const MOST: usize = 240;

/// How a run differs from an earlier one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The earlier run.
    pub baseline: Baseline,
    /// The confidence of all that is said here, together.
    pub confidence: f64,
    /// Completed requests in a second.
    pub rate_per_s: Difference,
    /// The medians of the seconds, microseconds.
    pub p50_us: Difference,
    /// The 99th percentiles of the seconds, microseconds.
    pub p99_us: Difference,
    /// The share of requests that failed in a second, 0 to 1.
    pub failed_share: Difference,
    /// Bytes uploaded in a second, where both runs measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_bytes: Option<Difference>,
    /// Bytes downloaded in a second, where both runs measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_bytes: Option<Difference>,
    /// Bytes that came back in a second, where both runs measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo_bytes: Option<Difference>,
    /// What else is not the same, one sentence each.
    pub changes: Vec<String>,
}

/// What a run is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Its target.
    pub target: String,
    /// When it began.
    pub started_at: Timestamp,
}

/// One row: a number of both runs, and how they differ.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The median second of the earlier run.
    pub before: Option<f64>,
    /// The median second of this run.
    pub now: Option<f64>,
    /// This run minus the earlier one (Hodges-Lehmann).
    pub difference: Option<f64>,
    /// The confidence interval's lower end.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
    /// What follows from it.
    pub finding: Finding,
}

/// What a comparison has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// No difference that could not be chance.
    None,
    /// Higher than before.
    Higher,
    /// Lower than before.
    Lower,
    /// Too few whole seconds to tell: five in each run are needed, six where more than four rows
    /// are compared.
    TooFew,
}

impl Comparison {
    /// Whether anything at all was found.
    pub fn finds_something(&self) -> bool {
        let found = |row: &Difference| matches!(row.finding, Finding::Higher | Finding::Lower);
        self.rows().iter().any(|(_, row)| found(row)) || !self.changes.is_empty()
    }

    /// The rows by their names.
    pub fn rows(&self) -> Vec<(&'static str, &Difference)> {
        let of_latency = [
            ("rate_per_s", &self.rate_per_s),
            ("p50_us", &self.p50_us),
            ("p99_us", &self.p99_us),
            ("failed_share", &self.failed_share),
        ];
        let of_throughput = [
            ("upload_bytes", &self.upload_bytes),
            ("download_bytes", &self.download_bytes),
            ("echo_bytes", &self.echo_bytes),
        ];
        let measured = of_throughput
            .into_iter()
            .filter_map(|(name, row)| Some((name, row.as_ref()?)));
        of_latency.into_iter().chain(measured).collect()
    }
}

/// Compares a run with an earlier one.
pub fn compare(before: &Report, now: &Report) -> Comparison {
    let seconds = |report: &Report| report.latency.as_ref().map_or(Vec::new(), whole_seconds);
    let (earlier, later) = (seconds(before), seconds(now));
    let [upload, download, echo] = FLOWS.map(|flow| both(before, now, flow));
    let of_latency = match (&before.latency, &now.latency) {
        (Some(_), Some(_)) => LATENCY_ROWS,
        _ => 0,
    };
    let rows = of_latency + [&upload, &download, &echo].into_iter().flatten().count();
    let row = |value: fn(&Interval) -> Option<f64>| {
        let values = |seconds: &[Interval]| seconds.iter().filter_map(value).collect();
        difference(values(&earlier), values(&later), rows)
    };
    let bytes = |flows: Option<(&Flow, &Flow)>| {
        flows.map(|(before, now)| difference(bytes(before), bytes(now), rows))
    };
    Comparison {
        baseline: Baseline {
            target: before.target.clone(),
            started_at: before.started_at,
        },
        confidence: CONFIDENCE,
        rate_per_s: row(|second| Some(second.completed as f64)),
        p50_us: row(|second| second.p50_us),
        p99_us: row(|second| second.p99_us),
        failed_share: row(|second| {
            let all = second.completed + second.failed;
            (all > 0).then(|| second.failed as f64 / all as f64)
        }),
        upload_bytes: bytes(upload),
        download_bytes: bytes(download),
        echo_bytes: bytes(echo),
        changes: changes(before, now),
    }
}

/// The flows of a throughput.
const FLOWS: [fn(&Throughput) -> &Option<Flow>; 3] = [
    |throughput| &throughput.upload,
    |throughput| &throughput.download,
    |throughput| &throughput.echo,
];

/// A flow that both runs measured in the same way.
fn both<'a>(
    before: &'a Report,
    now: &'a Report,
    flow: fn(&Throughput) -> &Option<Flow>,
) -> Option<(&'a Flow, &'a Flow)> {
    let of = |report: &'a Report| report.throughput.as_ref().and_then(|it| flow(it).as_ref());
    of(before)
        .zip(of(now))
        .filter(|(before, now)| before.via == now.via)
}

/// The bytes of a flow's whole seconds, of a long one no more than can be compared.
fn bytes(flow: &Flow) -> Vec<f64> {
    let seconds = flow.whole_seconds();
    let step = seconds.len().div_ceil(MOST).max(1);
    seconds.iter().step_by(step).map(|it| *it as f64).collect()
}

/// The whole seconds of a run, and of a long one no more than can be compared.
fn whole_seconds(latency: &Latency) -> Vec<Interval> {
    let seconds = latency.whole_seconds();
    let step = seconds.len().div_ceil(MOST).max(1);
    seconds.iter().step_by(step).copied().collect()
}

/// What is exact, or makes the runs hard to compare, and is not the same.
fn changes(before: &Report, now: &Report) -> Vec<String> {
    fn show<T: ToString>(value: Option<T>) -> String {
        value.map_or("not known".to_owned(), |value| value.to_string())
    }
    let mut changes = Vec::new();
    let mut change = |what: &str, before: String, now: String| {
        if before != now {
            changes.push(format!("{what}: {before} before, {now} now"));
        }
    };
    if let (Some(before), Some(now)) = (&before.limits, &now.limits) {
        change(
            "served at once",
            before.served_at_once.to_string(),
            now.served_at_once.to_string(),
        );
        change("queued", before.queued.to_string(), now.queued.to_string());
        change("held in all", before.held.to_string(), now.held.to_string());
        change(
            "one too many is",
            show(before.overflow.map(Overflow::name)),
            show(now.overflow.map(Overflow::name)),
        );
    }
    if !before.ramp.is_empty() && !now.ramp.is_empty() {
        let knee = |report: &Report| {
            let knee = report.ramp.iter().find(|step| step.knee);
            knee.map_or("none".to_owned(), |step| step.connections.to_string())
        };
        change("the knee", knee(before), knee(now));
    }
    if let (Some(before), Some(now)) = (&before.latency, &now.latency) {
        change(
            "connections",
            before.connections.to_string(),
            now.connections.to_string(),
        );
        let rate = |latency: &Latency| {
            latency
                .target_rate_per_s
                .map_or("none".to_owned(), |rate| format!("{rate}/s"))
        };
        change("the rate asked for", rate(before), rate(now));
        let kept = |latency: &Latency| {
            if latency.keep_alive {
                "kept"
            } else {
                "one a request"
            }
        };
        change(
            "connections are",
            kept(before).to_owned(),
            kept(now).to_owned(),
        );
    }
    let kind = |report: &Report| {
        let is_virtual = report.environment.is_virtual;
        if is_virtual { "virtual" } else { "real" }.to_owned()
    };
    change("the board is", kind(before), kind(now));
    for (flow, name) in FLOWS.into_iter().zip(["upload", "download", "echo"]) {
        if let Some((before, now)) = both(before, now, flow) {
            let (before, now) = (before.streams.to_string(), now.streams.to_string());
            change(&format!("streams of the {name}"), before, now);
        }
    }
    changes
}

/// Compares two samples.
fn difference(mut before: Vec<f64>, mut now: Vec<f64>, rows: usize) -> Difference {
    before.sort_by(f64::total_cmp);
    now.sort_by(f64::total_cmp);
    let mut row = Difference {
        before: median(&before),
        now: median(&now),
        difference: None,
        low: None,
        high: None,
        finding: Finding::TooFew,
    };
    let mut differences: Vec<f64> = before
        .iter()
        .flat_map(|before| now.iter().map(move |now| now - before))
        .collect();
    differences.sort_by(f64::total_cmp);
    row.difference = median(&differences).map(round);
    let alpha = (1.0 - CONFIDENCE) / rows.max(1) as f64;
    let Some(skipped) = skipped(before.len(), now.len(), alpha) else {
        return row;
    };
    let (low, high) = (
        differences[skipped],
        differences[differences.len() - 1 - skipped],
    );
    row.low = Some(round(low));
    row.high = Some(round(high));
    row.finding = match (low, high) {
        (low, _) if low > 0.0 => Finding::Higher,
        (_, high) if high < 0.0 => Finding::Lower,
        _ => Finding::None,
    };
    row
}

/// To six decimals: a share has small numbers.
fn round(value: f64) -> f64 {
    thousandths(value * 1e3) / 1e3
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// How many of the sorted differences lie outside of the confidence interval at each end: the
/// greatest k with P(U < k) <= alpha/2, less one place. `None` where not even the whole range is
/// sure enough.
fn skipped(m: usize, n: usize, alpha: f64) -> Option<usize> {
    if m == 0 || n == 0 {
        return None;
    }
    let critical = if m * n <= 2_500 {
        exact(m, n, alpha / 2.0)
    } else {
        approximate(m, n, alpha / 2.0)
    };
    // The interval runs from the k-th smallest to the k-th largest, k being counted from 1.
    critical.checked_sub(1)
}

/// The number of values of U, from 0 upwards, that together have at most this probability.
fn exact(m: usize, n: usize, tail: f64) -> usize {
    // How many of the orders of m and n have this U: the coefficients of the Gaussian binomial,
    // from f(m, n, u) = f(m-1, n, u-n) + f(m, n-1, u), as shares of all orders.
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

/// The same by the normal distribution, which from some thousand differences on is the same.
fn approximate(m: usize, n: usize, tail: f64) -> usize {
    let (m, n) = (m as f64, n as f64);
    let mean = m * n / 2.0;
    let deviation = (m * n * (m + n + 1.0) / 12.0).sqrt();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place among the differences, and never below zero"
    )]
    let place = (mean - upper_quantile(tail) * deviation).floor().max(0.0) as usize;
    place
}

/// The z that a standard normal exceeds with probability `tail`, by bisection of the complementary
/// error function's continued fraction (Abramowitz, Stegun 26.2.14), for tails under 10%.
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
