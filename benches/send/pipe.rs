//! A gibibyte through a pipe to a discard server: `tcpctl send --no-reply` compared with `ncat
//! --send-only`, and peak memory.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::servers;
use crate::spread::Spread;
use crate::table::Table;

const RUNS: usize = 7;
const BYTES: u64 = 1 << 30;
/// Maximum ratio of the times.
const GOAL_TIME: f64 = 1.2;
const GOAL_MEMORY_MIB: f64 = 16.0;

struct Run {
    seconds: f64,
    /// Peak resident memory, if known.
    peak_mib: Option<f64>,
}

/// Measures and prints.
pub(crate) fn run() -> Result<()> {
    for needed in ["ncat", "head"] {
        if Command::new(needed).arg("--version").output().is_err() {
            println!("pipe: skipped: needs {needed}");
            return Ok(());
        }
    }
    let (to, received) = servers::discard()?;
    let (host, port) = (to.ip().to_string(), to.port().to_string());
    let target = to.to_string();
    let mut theirs = Vec::new();
    let mut ours = Vec::new();
    for _ in 0..RUNS {
        let arguments = ["--send-only", &host, &port];
        theirs.push(pipe("ncat", &arguments, to, &received)?);
        let arguments = ["send", "--no-reply", &target];
        ours.push(pipe(crate::TCPCTL, &arguments, to, &received)?);
    }
    println!("pipe: 1 GiB to a discard server, {RUNS} alternating runs each, median (middle half)");
    let mut table = Table::new(&["", "s", "peak MiB"]);
    for (name, runs) in [
        ("ncat --send-only", &theirs),
        ("tcpctl send --no-reply", &ours),
    ] {
        let seconds = Spread::of(runs.iter().map(|run| run.seconds));
        let memory = peak(runs).map_or_else(|| "unknown".to_owned(), |mib| format!("{mib:.1}"));
        table.row([name.to_owned(), format!("{seconds:.2}"), memory]);
    }
    table.print();
    let pairs = ours.iter().zip(&theirs);
    let ratio = Spread::of(pairs.map(|(our, their)| our.seconds / their.seconds));
    println!(
        "  pair by pair {ratio:.2}x, at most {GOAL_TIME}x: {}",
        crate::met(ratio.median() <= GOAL_TIME)
    );
    if let Some(mib) = peak(&ours) {
        let met = crate::met(mib < GOAL_MEMORY_MIB);
        println!("  under {GOAL_MEMORY_MIB} MiB: {met}");
    }
    Ok(())
}

fn peak(runs: &[Run]) -> Option<f64> {
    runs.iter().filter_map(|run| run.peak_mib).reduce(f64::max)
}

/// Runs a program with a gibibyte of zeros on standard input.
fn pipe(
    program: &str,
    arguments: &[&str],
    to: SocketAddr,
    received: &Receiver<u64>,
) -> Result<Run> {
    let mut source = Command::new("head")
        .args(["-c", &BYTES.to_string(), "/dev/zero"])
        .stdout(Stdio::piped())
        .spawn()?;
    let input = source.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let start = Instant::now();
    let mut child = Command::new(program).args(arguments).stdin(input).spawn()?;
    let (status, peak_mib) = wait(&mut child);
    let seconds = start.elapsed().as_secs_f64();
    // The reader has exited, so the source ends as well.
    source.wait()?;
    let status = status?;
    if !status.success() {
        return Err(format!("{program} ended with {status}").into());
    }
    let arrived = received.recv_timeout(Duration::from_secs(10))?;
    if arrived != BYTES {
        return Err(format!("{program} sent {arrived} of {BYTES} bytes to {to}").into());
    }
    Ok(Run { seconds, peak_mib })
}

/// Waits for the program and samples its memory.
fn wait(child: &mut Child) -> (std::io::Result<std::process::ExitStatus>, Option<f64>) {
    let id = child.id();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = None;
            while !ended.load(Ordering::Relaxed) {
                // The kernel records the peak, so only the last moment can be missed.
                peak = high_water_mib(id).or(peak);
                thread::sleep(Duration::from_millis(10));
            }
            peak
        });
        let status = child.wait();
        ended.store(true, Ordering::Relaxed);
        (status, watch.join().ok().flatten())
    })
}

/// `VmHWM` of a process, on Linux.
fn high_water_mib(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}
