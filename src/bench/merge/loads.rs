//! When runs sent load, and what they have in common.

use std::time::{Duration, SystemTime};

use crate::bench::report::Report;
use crate::bench::summarize;

/// The load window of a run.
pub(super) struct Load {
    start: SystemTime,
    end: SystemTime,
    connections: u64,
    target_rate: Option<f64>,
}

impl Load {
    pub(super) fn of(run: &Report) -> Option<Self> {
        let latency = run.latency.as_ref()?;
        let length = Duration::try_from_secs_f64(latency.window_us / 1e6).ok()?;
        let start = run.load_started_at();
        Some(Self {
            start,
            end: start.checked_add(length)?,
            connections: latency.connections,
            target_rate: latency.target_rate_per_s,
        })
    }
}

/// The time in which at least one run sent load. The loads are in the order of their start.
pub(super) fn covered(loads: &[Load]) -> Duration {
    let mut covered = Duration::ZERO;
    let mut until = None;
    for load in loads {
        let from = until.map_or(load.start, |until| load.start.max(until));
        if let Ok(new) = load.end.duration_since(from) {
            covered += new;
            until = Some(load.end);
        }
    }
    covered
}

/// Whether no load was sent for some time between the first and the last run.
pub(super) fn has_gap(loads: &[Load]) -> bool {
    let Some((first, rest)) = loads.split_first() else {
        return false;
    };
    let mut until = first.end;
    rest.iter().any(|load| {
        let gap = load.start > until;
        until = until.max(load.end);
        gap
    })
}

/// Maximum connections at the same time, all runs together.
pub(super) fn max_connections(loads: &[Load]) -> u64 {
    let at_start_of = |at: usize| {
        let start = loads[at].start;
        let earlier = loads[..at].iter().filter(move |load| load.end > start);
        let simultaneous = loads[at..]
            .iter()
            .take_while(move |load| load.start == start);
        earlier.chain(simultaneous).map(|load| load.connections)
    };
    (0..loads.len())
        .map(|at| at_start_of(at).fold(0, u64::saturating_add))
        .max()
        .unwrap_or(0)
}

/// The target rate over the covered time; `None` if any run has none.
pub(super) fn target_rate(loads: &[Load], covered: Duration) -> Option<f64> {
    let mut requests = 0.0;
    for load in loads {
        let length = load.end.duration_since(load.start).unwrap_or_default();
        requests += load.target_rate? * length.as_secs_f64();
    }
    (!covered.is_zero()).then(|| summarize::round_to_thousandths(requests / covered.as_secs_f64()))
}
