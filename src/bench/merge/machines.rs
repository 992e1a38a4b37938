//! What each run contributed, and which of them falsify the result.

use std::time::{Duration, SystemTime};

use crate::bench::report::{Machine, Machines, Report, Timestamp, Warning, WarningKind};
use crate::bench::summarize::{microseconds, round_to_thousandths};
use crate::output::human;

/// Runs that start later than this after the first are reported.
const LATE: Duration = Duration::from_millis(500);
/// The minimum share of the whole time in which all runs must have sent load.
const MIN_OVERLAP: f64 = 0.9;

/// The runs with a load, each with its share of the replies. They are in the order of their start.
pub(super) fn machines(runs: &[Report]) -> Option<Machines> {
    let mut all: Vec<_> = runs.iter().flat_map(of).collect();
    all.sort_by_key(|machine| machine.started_at);
    let completed: u64 = all.iter().map(|machine| machine.completed).sum();
    for machine in &mut all {
        machine.share = round_to_thousandths(machine.completed as f64 / completed.max(1) as f64);
    }
    let start = all.iter().map(|machine| machine.started_at.0).max()?;
    let end = all.iter().map(end).min()?;
    let overlap = end.duration_since(start).unwrap_or_default();
    (all.len() > 1).then(|| Machines {
        overlap_us: microseconds(overlap),
        runs: all,
    })
}

fn of(run: &Report) -> Vec<Machine> {
    if let Some(machines) = &run.machines {
        return machines.runs.clone();
    }
    let machine = run.latency.as_ref().map(|latency| Machine {
        name: name(run).map(str::to_owned),
        started_at: Timestamp(run.load_started_at()),
        duration_us: latency.window_us,
        connections: latency.connections,
        completed: latency.completed_in_window,
        share: 0.0,
        rate_per_s: latency.rate_per_s,
        failed: latency.errors.sum(),
        p99_us: latency.complete_us.p99,
        client_cpu_share: latency.client_cpu_share,
    });
    machine.into_iter().collect()
}

/// The name of a run: its label, else its host name.
fn name(run: &Report) -> Option<&str> {
    let label = run.label.as_deref();
    label.or(run.environment.hostname.as_deref())
}

fn end(machine: &Machine) -> SystemTime {
    let length = Duration::try_from_secs_f64(machine.duration_us / 1e6).unwrap_or_default();
    machine.started_at.0 + length
}

/// The warnings about runs that started late, and about a load that was not sent together.
pub(super) fn timing_warnings(machines: &Machines) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let Some(first) = machines.runs.first() else {
        return warnings;
    };
    for machine in &machines.runs {
        let since = machine.started_at.0.duration_since(first.started_at.0);
        let late = since.unwrap_or_default();
        if late > LATE {
            let name = machine.name.as_deref().unwrap_or("a run");
            let text = format!(
                "{name} started {} after the first; --start-at starts computers together",
                human::time(late)
            );
            warnings.push(Warning::new(WarningKind::StartedLate, text));
        }
    }
    let last = machines.runs.iter().map(end).max();
    let whole = last.and_then(|end| end.duration_since(first.started_at.0).ok());
    let whole = microseconds(whole.unwrap_or_default());
    if machines.overlap_us < whole * MIN_OVERLAP {
        let [together, whole] = [machines.overlap_us, whole].map(human::microseconds);
        let text = format!("all runs sent load together for {together} of {whole} only");
        warnings.push(Warning::new(WarningKind::PartialOverlap, text));
    }
    warnings
}

/// Adds the run's name to the warnings of each single run. The warning that a computer was itself a
/// limit is kept, because the merged numbers may not show it any more.
pub(super) fn name_warnings(runs: &mut [Report]) {
    for run in runs.iter_mut().filter(|run| run.runs == 1) {
        let Some(name) = name(run).map(str::to_owned) else {
            continue;
        };
        for warning in &mut run.warnings {
            if !warning.kind.is_derived() || is_busy(warning.kind) {
                warning.text = format!("{name}: {}", warning.text);
            }
            if is_busy(warning.kind) {
                warning.kind = WarningKind::MachineBusy;
            }
        }
    }
}

const fn is_busy(kind: WarningKind) -> bool {
    matches!(
        kind,
        WarningKind::ClientLate | WarningKind::ClientSaturated | WarningKind::LocalLimit
    )
}

/// The warning that limits were measured while other runs sent load or held connections.
pub(super) fn limits_under_load(runs: &[Report]) -> Option<Warning> {
    let mut measured = runs.iter().filter(|run| run.limits.is_some());
    let (Some(run), None) = (measured.next(), measured.next()) else {
        return None;
    };
    let (from, until) = (run.started_at.0, run.load_started_at());
    let others = runs.iter().filter(|other| !std::ptr::eq(*other, run));
    let loads = others.flat_map(of);
    let held: u64 = loads
        .filter(|load| load.started_at.0 <= until && end(load) > from)
        .map(|load| load.connections)
        .sum();
    let name = name(run).unwrap_or("one run");
    (held > 0).then(|| {
        let held = human::count(held, "connection");
        let text = format!(
            "{name} measured the limits while other runs kept {held}: the limits are those that remained"
        );
        Warning::new(WarningKind::LimitsUnderLoad, text)
    })
}
