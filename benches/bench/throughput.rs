//! CPU time per gigabyte compared with iperf3.
//!
//! An iperf3 server speaks only iperf3's protocol, so each client has its own server: both read or
//! write 128 KiB in blocking calls, on the other core.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tcpctl::bench::throughput::{Ports, ThroughputPlan, measure};
use tcpctl_engine::kernel::KernelNetwork;

use crate::reference::{CLIENT_CORE, Reference, SERVER_CORE, on_core};
use crate::spread::Spread;
use crate::table::Table;
use crate::{Result, met};

/// First argument of a process that runs the client.
pub(crate) const INSIDE: &str = "throughput-inside";

/// Runs of each client, alternating.
const PAIRS: usize = 9;
/// Duration of a run.
const RUN: Duration = Duration::from_secs(1);
/// Maximum ratio to iperf3.
const GOAL: f64 = 1.0;

/// Prints the table.
///
/// # Errors
/// Without cc or taskset, or when a client fails.
pub(crate) fn run() -> Result<()> {
    if Command::new("iperf3").arg("--version").output().is_err() {
        println!("throughput: skipped: needs iperf3 to compare with");
        return Ok(());
    }
    let reference = Reference::build()?;
    let theirs = Iperf::start()?;
    println!(
        "throughput: client CPU, s/GB, one stream, median (middle half) of {PAIRS} alternating runs"
    );
    println!("(both on core 0, the servers on core 1)");
    let mut table = Table::new(&["", "iperf3", "tcpctl", "ratio of pairs", "goal", ""]);
    for (name, mode, reverse) in [("upload", "discard", false), ("download", "chargen", true)] {
        let server = reference.stream_server(mode)?;
        let mut runs = Vec::new();
        for pair in 0..=PAIRS {
            let its = theirs.measure(reverse)?;
            let ours = ours(server.port, mode)?;
            // The first pair warms up caches and the servers.
            if pair > 0 {
                runs.push((its, ours));
            }
        }
        let ratio = Spread::of(runs.iter().map(|(its, ours)| ours / its));
        table.row([
            name.to_owned(),
            format!("{:.3}", Spread::of(runs.iter().map(|run| run.0))),
            format!("{:.3}", Spread::of(runs.iter().map(|run| run.1))),
            format!("{ratio:.3}"),
            format!("{GOAL:.2}"),
            met(ratio.median() <= GOAL).to_owned(),
        ]);
    }
    table.print();
    Ok(())
}

/// CPU seconds per gigabyte of this program as a client.
fn ours(port: u16, mode: &str) -> Result<f64> {
    let mut client = on_core(CLIENT_CORE, env::current_exe()?);
    let output = client.args([INSIDE, mode, &port.to_string()]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// `discard|chargen PORT` prints the CPU seconds per gigabyte of one stream.
///
/// # Errors
/// When nothing can be measured.
pub(crate) fn inside() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(2).collect();
    let [mode, port] = &arguments[..] else {
        return Err("MODE PORT".into());
    };
    let port = port.parse()?;
    // The other services are refused at once.
    let closed_port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let is_upload = mode == "discard";
    let plan = ThroughputPlan {
        ports: Ports {
            discard: if is_upload { port } else { closed_port },
            chargen: if is_upload { closed_port } else { port },
            echo: closed_port,
        },
        streams: NonZeroUsize::MIN,
        duration: RUN,
        ..ThroughputPlan::new(SocketAddr::from((Ipv4Addr::LOCALHOST, closed_port)))
    };
    let report = measure(&mut KernelNetwork::new()?, &plan, &mut ()).report();
    let flow = if is_upload {
        report.upload
    } else {
        report.download
    };
    let flow = flow.ok_or_else(|| format!("{:?}", report.evidence))?;
    let share = flow.client_cpu_share.ok_or("no CPU time")?;
    println!("{}", share / (flow.bytes_per_s / 1e9));
    Ok(())
}

/// An iperf3 server, ended when dropped.
struct Iperf {
    child: Child,
    port: String,
}

impl Iperf {
    fn start() -> Result<Self> {
        // iperf3 cannot choose a free port itself.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let port = port.to_string();
        let mut child = on_core(SERVER_CORE, PathBuf::from("iperf3"))
            .args(["-s", "--forceflush", "-B", "127.0.0.1", "-p", &port])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut line = String::new();
        while !line.starts_with("Server listening") {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                return Err("iperf3 -s does not come up".into());
            }
        }
        // iperf3 continues to print, and must not wait for a reader.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Ok(Self { child, port })
    }

    /// CPU seconds per gigabyte of the client, as reported by iperf3.
    fn measure(&self, reverse: bool) -> Result<f64> {
        let seconds = RUN.as_secs().to_string();
        let output = on_core(CLIENT_CORE, PathBuf::from("iperf3"))
            .args(["-c", "127.0.0.1", "-p", &self.port, "-J", "-t", &seconds])
            .args(reverse.then_some("-R"))
            .output()?;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let end = &report["end"];
        let number = |value: &serde_json::Value| value.as_f64().ok_or("not iperf3's report");
        let sum = if reverse {
            &end["sum_received"]
        } else {
            &end["sum_sent"]
        };
        let share = number(&end["cpu_utilization_percent"]["host_total"])? / 100.0;
        Ok(share * number(&sum["seconds"])? / (number(&sum["bytes"])? / 1e9))
    }
}

impl Drop for Iperf {
    fn drop(&mut self) {
        // iperf3 has no other way to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
