//! One exchange from process start to exit: `tcpctl send` compared with `nc`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::installed::Installed;
use crate::servers::{self, GREETING};
use crate::spread::Spread;
use crate::table::Table;

const RUNS: usize = 300;
/// The first runs warm up caches.
const WARM_UP: usize = 10;
const MESSAGE: &str = "Hello TCP world!\r\n";
/// Maximum ratio of the medians.
const GOAL: f64 = 1.3;

/// A client program.
struct Client {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    /// Whether the message comes from standard input instead of the arguments.
    pipes_message: bool,
    times: Vec<Duration>,
}

/// Measures and prints.
pub(crate) fn run() -> Result<()> {
    if Command::new("nc").arg("-h").output().is_err() {
        println!("exchange: skipped: needs nc to compare with");
        return Ok(());
    }
    let address = servers::greeting()?;
    let installed = Installed::new(crate::TCPCTL)?;
    let mut clients = clients(address, installed.path());
    for run in 0..WARM_UP + RUNS {
        // The order changes every round, so that no client always follows the same one.
        for turn in 0..clients.len() {
            let client = (run + turn) % clients.len();
            let took = clients[client].exchange()?;
            if run >= WARM_UP {
                clients[client].times.push(took);
            }
        }
    }
    println!("exchange: start to exit, {RUNS} alternating runs each, median (middle half)");
    let mut table = Table::new(&["", "ms", "to nc, run by run"]);
    let reference: Vec<f64> = milliseconds(&clients[0].times);
    let mut goals = Vec::new();
    for client in &clients {
        let times = milliseconds(&client.times);
        let ratios = times.iter().zip(&reference).map(|(ours, its)| ours / its);
        let ratio = Spread::of(ratios);
        let times = Spread::of(times);
        table.row([
            client.name.to_owned(),
            format!("{times:.2}"),
            format!("{ratio:.2}x"),
        ]);
        goals.push(times.median());
    }
    table.print();
    let ratio = goals[1] / goals[0];
    println!(
        "  median to median {ratio:.2}x, at most {GOAL}x: {}",
        crate::met(ratio <= GOAL)
    );
    Ok(())
}

fn clients(to: SocketAddr, tcpctl: &Path) -> Vec<Client> {
    let (host, port) = (to.ip().to_string(), to.port().to_string());
    let client = |name, program: &Path, arguments, pipes_message| Client {
        name,
        program: program.to_owned(),
        arguments,
        pipes_message,
        times: Vec::new(),
    };
    let send = |message: Option<&str>| {
        let words = ["send".to_owned(), to.to_string()];
        words
            .into_iter()
            .chain(message.map(str::to_owned))
            .collect()
    };
    vec![
        client("nc, message piped", Path::new("nc"), vec![host, port], true),
        client("tcpctl send, message piped", tcpctl, send(None), true),
        client(
            "tcpctl send, message an argument",
            tcpctl,
            send(Some(MESSAGE)),
            false,
        ),
    ]
}

impl Client {
    fn exchange(&self) -> Result<Duration> {
        let input = if self.pipes_message {
            let (reader, mut writer) = io::pipe()?;
            writer.write_all(MESSAGE.as_bytes())?;
            Stdio::from(reader)
        } else {
            Stdio::null()
        };
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(input);
        let start = Instant::now();
        let output = command.output()?;
        let took = start.elapsed();
        if !output.status.success() || output.stdout != GREETING {
            let printed = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {}, {printed}", self.name, output.status).into());
        }
        Ok(took)
    }
}

fn milliseconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(|time| 1e3 * time.as_secs_f64()).collect()
}
