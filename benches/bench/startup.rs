//! One exchange from the process's start to its exit: `tcpctl bench` beside `nc`.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::reference::Reference;
use crate::spread::Spread;
use crate::{Result, met};

/// Runs of each, in turn, after some that find cold caches.
const RUNS: usize = 300;
const WARM_UP: usize = 10;
/// The median of a run's time to that of `nc`'s.
const GOAL: f64 = 1.3;

/// The program that is measured.
const TCPCTL: &str = env!("CARGO_BIN_EXE_tcpctl");

/// Measures and prints.
///
/// # Errors
/// Without cc, or when a client fails.
pub(crate) fn run() -> Result<()> {
    if Command::new("nc").arg("-h").output().is_err() {
        println!("startup: skipped: needs nc to compare with");
        return Ok(());
    }
    let reference = Reference::build()?;
    let server = reference.serve("greet")?;
    let port = server.port.to_string();
    let target = format!("127.0.0.1:{port}");
    let bench = ["bench", &target, "--only", "latency", "-n", "1", "-q"];
    let (mut its, mut ours) = (Vec::new(), Vec::new());
    for run in 0..WARM_UP + RUNS {
        let nc = milliseconds(Command::new("nc").args(["127.0.0.1", &port]))?;
        let tcpctl = milliseconds(Command::new(TCPCTL).args(bench))?;
        if run >= WARM_UP {
            its.push(nc);
            ours.push(tcpctl);
        }
    }
    let (its, ours) = (Spread::of(its), Spread::of(ours));
    let ratio = ours.median() / its.median();
    println!(
        "startup: one exchange, start to exit, ms, {RUNS} runs each in turn, median (middle half)"
    );
    println!("  nc                           {its:.2}");
    println!("  bench --only latency -n 1    {ours:.2}");
    println!(
        "  median to median {ratio:.2}x, at most {GOAL}x: {}",
        met(ratio <= GOAL)
    );
    Ok(())
}

fn milliseconds(command: &mut Command) -> Result<f64> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(b"Hello TCP world!\r\n")?;
    drop(writer);
    let start = Instant::now();
    let output = command.stdin(Stdio::from(reader)).output()?;
    let took = start.elapsed();
    if !output.status.success() || output.stdout.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}, {said}", output.status).into());
    }
    Ok(1e3 * took.as_secs_f64())
}
