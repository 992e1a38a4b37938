//! How late the requests of an open loop start.

use crate::reference::Reference;
use crate::spread::Spread;
use crate::table::Table;
use crate::{Result, engine, met};

const RUNS: usize = 7;
/// Goal for the median, microseconds.
const GOAL: f64 = 50.0;

/// Prints the table.
///
/// # Errors
/// Without cc or taskset, or when a request fails.
pub(crate) fn run() -> Result<()> {
    let reference = Reference::build()?;
    let server = reference.serve("greet")?;
    println!("schedule: how late requests start, µs, median (middle half) of {RUNS} runs of 3 s");
    let mut table = Table::new(&["requests/s", "median", "p99", "maximum", "goal", ""]);
    for rate in [100, 1000, 5000] {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let output = engine::client()?
                .args([&server.port.to_string(), "0", &rate.to_string(), "schedule"])
                .output()?;
            let text = String::from_utf8(output.stdout)?;
            let times: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
            let [median, p99, maximum] = times?[..] else {
                return Err(String::from_utf8_lossy(&output.stderr).into());
            };
            runs.push([median / 1e3, p99 / 1e3, maximum / 1e3]);
        }
        let column = |index: usize| Spread::of(runs.iter().map(|run| run[index]));
        table.row([
            rate.to_string(),
            format!("{:.0}", column(0)),
            format!("{:.0}", column(1)),
            format!("{:.0}", column(2)),
            format!("{GOAL:.0}"),
            met(column(0).median() <= GOAL).to_owned(),
        ]);
    }
    table.print();
    Ok(())
}
