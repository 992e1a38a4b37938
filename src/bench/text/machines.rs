//! Text of the runs in a merged report.

use super::{Page, time};
use crate::bench::report::{Machines, Report};
use crate::output::human;
use crate::sanitize;

impl Page {
    pub(crate) fn machines(&mut self, report: &Report) {
        let Some(machines) = &report.machines else {
            return;
        };
        self.heading("Machines");
        self.fitting_table(
            machine_rows(machines),
            &["client CPU", "p99", "connections", "length"],
        );
        self.row("together", &human::microseconds(machines.overlap_us));
    }
}

/// A heading, and a row for each run.
pub(crate) fn machine_rows(machines: &Machines) -> Vec<Vec<String>> {
    let titles = [
        "machine",
        "start",
        "length",
        "connections",
        "replies",
        "share",
        "req/s",
        "failed",
        "p99",
        "client CPU",
    ];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    let first = machines.runs.first().map(|machine| machine.started_at.0);
    for machine in &machines.runs {
        let since = first.and_then(|first| machine.started_at.0.duration_since(first).ok());
        let cpu = machine.client_cpu_share;
        rows.push(vec![
            sanitize::one_line(machine.name.as_deref().unwrap_or("-")),
            format!("+{}", human::time(since.unwrap_or_default())),
            human::microseconds(machine.duration_us),
            human::grouped(machine.connections),
            human::grouped(machine.completed),
            format!("{:.1}%", machine.share * 100.0),
            human::number(machine.rate_per_s),
            human::grouped(machine.failed),
            time(machine.p99_us),
            cpu.map_or("-".to_owned(), |share| format!("{:.0}%", share * 100.0)),
        ]);
    }
    rows
}
