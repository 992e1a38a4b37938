//! From process start to exit: `tcpctl --help` compared with `nc -h`, and one exchange by `tcpctl
//! bench` compared with `nc`.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::installed::Installed;
use crate::reference::Reference;
use crate::spread::Spread;
use crate::table::Table;
use crate::{Result, met};

/// Alternating runs of each, after a warm-up.
const RUNS: usize = 300;
const WARM_UP: usize = 10;

/// The measured program, as linked.
const TCPCTL: &str = env!("CARGO_BIN_EXE_tcpctl");

/// The arguments of both programs, and the maximum ratio of their times.
struct Case<'a> {
    name: &'a str,
    nc: &'a [&'a str],
    tcpctl: &'a [&'a str],
    goal: f64,
}

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
    let installed = Installed::new(TCPCTL)?;
    let cases = [
        Case {
            name: "--help",
            nc: &["-h"],
            tcpctl: &["--help"],
            goal: 1.5,
        },
        Case {
            name: "bench --only latency -n 1",
            nc: &["127.0.0.1", &port],
            tcpctl: &["bench", &target, "--only", "latency", "-n", "1", "-q"],
            goal: 1.5,
        },
    ];
    println!("startup: start to exit, ms, {RUNS} alternating runs each, median (middle half)");
    let mut table = Table::new(&[
        "",
        "nc",
        "installed",
        "ratio",
        "goal",
        "",
        "as linked",
        "ratio",
    ]);
    for case in &cases {
        let [nc, copy, linked] = case.measure(installed.path())?;
        let ratio = copy.median() / nc.median();
        table.row([
            case.name.to_owned(),
            format!("{nc:.2}"),
            format!("{copy:.2}"),
            format!("{ratio:.2}"),
            case.goal.to_string(),
            met(ratio <= case.goal).to_owned(),
            format!("{linked:.2}"),
            format!("{:.2}", linked.median() / nc.median()),
        ]);
    }
    table.print();
    Ok(())
}

impl Case<'_> {
    /// Times of `nc`, of the installed program, and of the program as linked.
    fn measure(&self, installed: &Path) -> Result<[Spread; 3]> {
        let programs = [
            (Path::new("nc"), self.nc),
            (installed, self.tcpctl),
            (Path::new(TCPCTL), self.tcpctl),
        ];
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for run in 0..WARM_UP + RUNS {
            for ((program, arguments), times) in programs.iter().zip(&mut times) {
                let took = milliseconds(Command::new(program).args(*arguments))?;
                if run >= WARM_UP {
                    times.push(took);
                }
            }
        }
        Ok(times.map(Spread::of))
    }
}

fn milliseconds(command: &mut Command) -> Result<f64> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(b"Hello TCP world!\r\n")?;
    drop(writer);
    let start = Instant::now();
    let output = command.stdin(Stdio::from(reader)).output()?;
    let took = start.elapsed();
    let has_output = !output.stdout.is_empty() || !output.stderr.is_empty();
    if !output.status.success() || !has_output {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}, {error}", output.status).into());
    }
    Ok(1e3 * took.as_secs_f64())
}
