//! Many connections from one computer: memory of 30,000 idle ones, and CPU per request with 1,000
//! to 30,000.
//!
//! In a network namespace of its own, so that no port is in use and no firewall tracks connections. Where
//! a process may not open enough files, several clients and servers share the connections.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::reference::{Reference, Server};
use crate::table::Table;
use crate::{Result, engine};

/// First argument of the process inside the namespace.
pub(crate) const INSIDE: &str = "scale-inside";

/// Maximum connections held at the same time.
const MAX_CONNECTIONS: u64 = 30_000;
/// Source addresses: each has 28,232 ports by default (ip(7), `ip_local_port_range`).
const SOURCES: &str = "4";
/// Maximum number of files that a process opens besides its connections.
const OTHER_FILES: u64 = 100;

/// Pairs of connections and requests over all of them.
const CASES: [(u64, u64); 3] = [
    (1_000, 300_000),
    (10_000, 500_000),
    (MAX_CONNECTIONS, 1_000_000),
];

/// Prints the memory and the CPU time.
///
/// # Errors
/// Without root, unshare and cc, or when a connection fails.
pub(crate) fn run() -> Result<()> {
    let status = Command::new("unshare")
        .arg("--net")
        .arg(env::current_exe()?)
        .arg(INSIDE)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("needs root; ended with {status}").into()),
        Err(error) => Err(format!("needs unshare: {error}").into()),
    }
}

/// The part inside the namespace.
///
/// # Errors
/// As [`run`].
pub(crate) fn inside() -> Result<()> {
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()?;
    if !up.success() {
        return Err("ip link set lo up failed".into());
    }
    tcpctl_engine::sys::limits::raise_open_files();
    let reference = Reference::build()?;
    let files = open_files()?.saturating_sub(OTHER_FILES).max(1);

    let before = slab()?;
    let mut pairs = Pairs::start(&reference, "greet", "idle", MAX_CONNECTIONS, 0, files)?;
    let user = pairs.user_memory()?;
    // Sockets of both ends.
    let sockets = sockets()?;
    if sockets < 2 * MAX_CONNECTIONS {
        return Err(format!("only {sockets} sockets").into());
    }
    let kernel = slab()?.saturating_sub(before) / MAX_CONNECTIONS;
    let count = pairs.0.len();
    pairs.release()?;
    println!(
        "scale: {MAX_CONNECTIONS} idle connections from {SOURCES} addresses by {count} clients: {} bytes of user \
         memory each, {kernel} of the kernel's slab for both ends",
        user / MAX_CONNECTIONS
    );

    println!(
        "scale: client CPU per request on kept connections, connecting included; clients on one core"
    );
    let mut table = Table::new(&["connections", "clients", "requests", "us per request"]);
    for (connections, requests) in CASES {
        let pairs = Pairs::start(
            &reference,
            "echo",
            "ping-pong",
            connections,
            requests,
            files,
        )?;
        let clients = pairs.0.len();
        let nanoseconds = pairs.cpu_time()?;
        table.row([
            connections.to_string(),
            clients.to_string(),
            requests.to_string(),
            format!("{:.2}", nanoseconds as f64 / requests as f64 / 1000.0),
        ]);
    }
    table.print();
    Ok(())
}

/// Clients with a server each, which share connections and requests.
struct Pairs(Vec<(Child, Server)>);

impl Pairs {
    fn start(
        reference: &Reference,
        server: &str,
        mode: &str,
        connections: u64,
        requests: u64,
        files: u64,
    ) -> Result<Self> {
        let count = connections.div_ceil(files);
        let pair = |_| {
            let server = reference.serve(server)?;
            let client = engine::client()?
                .args([server.port.to_string(), (connections / count).to_string()])
                .args([&(requests / count).to_string(), mode, SOURCES])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            Ok((client, server))
        };
        (0..count).map(pair).collect::<Result<_>>().map(Self)
    }

    /// Bytes of user memory of all idle connections, once they are established.
    fn user_memory(&mut self) -> Result<u64> {
        let mut sum = 0;
        for (client, _) in &mut self.0 {
            let output = client.stdout.as_mut().ok_or("no output")?;
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line)?;
            let (before, after) = line.trim().split_once(' ').ok_or("two numbers expected")?;
            sum += after.parse::<u64>()?.saturating_sub(before.parse()?);
        }
        Ok(sum)
    }

    /// Nanoseconds of CPU time of all clients, once they are done.
    fn cpu_time(self) -> Result<u64> {
        let mut sum = 0;
        for (client, _server) in self.0 {
            let output = client.wait_with_output()?;
            sum += String::from_utf8(output.stdout)?.trim().parse::<u64>()?;
        }
        Ok(sum)
    }

    /// Closes the idle connections.
    fn release(self) -> Result<()> {
        for (mut client, _server) in self.0 {
            drop(client.stdin.take());
            client.wait()?;
        }
        Ok(())
    }
}

/// Files that a process may open.
fn open_files() -> Result<u64> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    Ok(soft.ok_or("no limit of open files")?.parse()?)
}

/// TCP sockets in this namespace.
fn sockets() -> Result<u64> {
    let counts = fs::read_to_string("/proc/net/sockstat")?;
    let line = counts
        .lines()
        .find_map(|line| line.strip_prefix("TCP: inuse "));
    let count = line.and_then(|line| line.split(' ').next());
    Ok(count.ok_or("no count of sockets")?.parse()?)
}

/// Bytes of the kernel's slab caches, of the whole computer.
fn slab() -> Result<u64> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    let line = memory.lines().find_map(|line| line.strip_prefix("Slab:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.ok_or("no Slab")?.trim().parse::<u64>()? * 1024)
}
