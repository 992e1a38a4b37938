//! When runs sent load: what they did together, in which time.

use std::time::{Duration, SystemTime};

use crate::bench::report::Report;
use crate::bench::stats;

/// The load that a run sent: from when to when, and how much of it.
pub(super) struct Load {
    start: SystemTime,
    end: SystemTime,
    connections: u64,
    target_rate: Option<f64>,
}

impl Load {
    pub(super) fn of(run: &Report) -> Option<Self> {
        let latency = run.latency.as_ref()?;
        let length = Duration::try_from_secs_f64(latency.duration_us / 1e6).ok()?;
        let start = run.load_started_at();
        Some(Self {
            start,
            end: start.checked_add(length)?,
            connections: latency.connections,
            target_rate: latency.target_rate_per_s,
        })
    }
}

/// The time in which at least one run sent load: runs at the same time add their rates up, runs
/// one after the other do not stretch each other's time by the pause between them. The loads are in
/// the order of their start.
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

/// The most connections that there were at a time, of all runs together.
pub(super) fn most_connections(loads: &[Load]) -> u64 {
    let together = |at: usize| {
        let moment = loads[at].start;
        let before = loads[..at].iter().filter(move |load| load.end > moment);
        let begun = loads[at..]
            .iter()
            .take_while(move |load| load.start == moment);
        before.chain(begun).map(|load| load.connections)
    };
    (0..loads.len())
        .map(|at| together(at).fold(0, u64::saturating_add))
        .max()
        .unwrap_or(0)
}

/// The rate that was asked for over the time that all runs cover; `None` if one was asked for none.
pub(super) fn target_rate(loads: &[Load], covered: Duration) -> Option<f64> {
    let mut requests = 0.0;
    for load in loads {
        let length = load.end.duration_since(load.start).unwrap_or_default();
        requests += load.target_rate? * length.as_secs_f64();
    }
    (!covered.is_zero()).then(|| stats::thousandths(requests / covered.as_secs_f64()))
}
