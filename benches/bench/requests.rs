//! CPU time per request compared with the reference.

use std::process::Command;

use crate::engine::UNTIMED;
use crate::reference::Reference;
use crate::spread::Spread;
use crate::table::Table;
use crate::{Result, engine, met};

/// Runs of each client, alternating.
const PAIRS: usize = 9;
/// Maximum ratio of the engine to itself without receive timestamps.
const TIMESTAMPS_GOAL: f64 = 1.03;

struct Case {
    name: &'static str,
    server: &'static str,
    mode: &'static str,
    connections: usize,
    requests: u64,
    /// Maximum ratio to the reference.
    goal: f64,
}

const CASES: [Case; 5] = [
    connect("connect, 1", 1, 10_000),
    connect("connect, 64", 64, 20_000),
    connect("connect, 1000", 1000, 20_000),
    ping_pong("ping-pong, 64", 64, 200_000),
    ping_pong("ping-pong, 1000", 1000, 200_000),
];

const fn connect(name: &'static str, connections: usize, requests: u64) -> Case {
    Case {
        name,
        server: "greet",
        mode: "connect",
        connections,
        requests,
        goal: 1.05,
    }
}

const fn ping_pong(name: &'static str, connections: usize, requests: u64) -> Case {
    Case {
        name,
        server: "echo",
        mode: "ping-pong",
        connections,
        requests,
        goal: 1.10,
    }
}

/// Compares the engine with the reference.
///
/// # Errors
/// Without cc or taskset, or when a client fails.
pub(crate) fn run() -> Result<()> {
    println!(
        "requests: client CPU, µs per request, median (middle half) of {PAIRS} alternating runs"
    );
    println!("(both on core 0, the server on core 1; the engine with histograms and TCP_INFO)");
    compare(
        "epoll in C",
        |reference| Ok(reference.client()),
        |case| case.goal,
    )
}

/// Compares the engine with itself without receive timestamps.
///
/// # Errors
/// Without cc or taskset, or when a client fails.
pub(crate) fn timestamps() -> Result<()> {
    println!(
        "timestamps: the engine beside itself without the kernel's receive timestamps, as above"
    );
    let untimed = |_: &Reference| {
        let mut client = engine::client()?;
        client.env(UNTIMED, "1");
        Ok(client)
    };
    compare("without", untimed, |_| TIMESTAMPS_GOAL)
}

/// Prints a table that compares a client with the engine.
fn compare(
    name: &str,
    other: impl Fn(&Reference) -> Result<Command>,
    goal: impl Fn(&Case) -> f64,
) -> Result<()> {
    let reference = Reference::build()?;
    let mut table = Table::new(&["", name, "engine", "ratio of pairs", "goal", ""]);
    for case in &CASES {
        let server = reference.serve(case.server)?;
        let mut runs = Vec::new();
        for pair in 0..=PAIRS {
            let theirs = measure(other(&reference)?, server.port, case)?;
            let ours = measure(engine::client()?, server.port, case)?;
            // The first pair warms up caches and the server.
            if pair > 0 {
                runs.push((theirs, ours));
            }
        }
        let ratio = Spread::of(runs.iter().map(|(theirs, ours)| ours / theirs));
        table.row([
            case.name.to_owned(),
            format!("{:.2}", Spread::of(runs.iter().map(|run| run.0))),
            format!("{:.2}", Spread::of(runs.iter().map(|run| run.1))),
            format!("{ratio:.3}"),
            format!("{:.2}", goal(case)),
            met(ratio.median() <= goal(case)).to_owned(),
        ]);
    }
    table.print();
    Ok(())
}

/// CPU time of a client, microseconds per request.
fn measure(mut client: Command, port: u16, case: &Case) -> Result<f64> {
    let output = client
        .args([port.to_string(), case.connections.to_string()])
        .args([&case.requests.to_string(), case.mode])
        .output()
        .map_err(|error| format!("needs taskset: {error}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {client:?}: {why}", case.name).into());
    }
    let nanoseconds: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(nanoseconds / case.requests as f64 / 1000.0)
}
