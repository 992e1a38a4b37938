//! Many connections from one computer: memory of 30,000 idle ones, and CPU per request of more and more.
//!
//! In a network namespace of its own, so that no port is in use and no firewall tracks connections.

use std::env;
use std::fs;
use std::process::Command;

use crate::reference::Reference;
use crate::table::Table;
use crate::{Result, engine};

/// First argument of the process inside the namespace.
pub(crate) const INSIDE: &str = "scale-inside";

/// Connections held at the same time.
const MOST: u64 = 30_000;
/// Source addresses: each has 28,232 ports by default (ip(7), `ip_local_port_range`).
const SOURCES: &str = "4";
/// Files that a process may open: a connection each, and some.
const FILES: u64 = 100_000;

/// Connections, and requests over all of them.
const CASES: [(u64, u64); 3] = [(1_000, 300_000), (10_000, 500_000), (MOST, 1_000_000)];

/// Prints the memory and the CPU time.
///
/// # Errors
/// Without root, prlimit and cc, or when a connection fails.
pub(crate) fn run() -> Result<()> {
    let status = Command::new("prlimit")
        .arg(format!("--nofile={FILES}:{FILES}"))
        .args(["unshare", "--net"])
        .arg(env::current_exe()?)
        .arg(INSIDE)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("needs root; ended with {status}").into()),
        Err(error) => Err(format!("needs prlimit and unshare: {error}").into()),
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
    // A burst of SYNs of 30,000 connections must not wait for retransmissions.
    fs::write("/proc/sys/net/ipv4/tcp_max_syn_backlog", "65536")?;
    let reference = Reference::build()?;

    let server = reference.serve("greet")?;
    let before = slab()?;
    let numbers = measure(server.port, MOST, 0, "idle")?;
    let [user_before, user_after, slab_after] = numbers[..] else {
        return Err("three numbers expected".into());
    };
    if user_after == 0 {
        return Err("not all connections were established".into());
    }
    println!(
        "scale: {MOST} idle connections from {SOURCES} addresses: {} bytes of user memory each, {} of \
         kernel slab for both ends",
        user_after.saturating_sub(user_before) / MOST,
        slab_after.saturating_sub(before) / MOST,
    );
    drop(server);

    println!(
        "scale: client CPU per request on kept connections, connecting included; both on one core"
    );
    let mut table = Table::new(&["connections", "requests", "us per request"]);
    for (connections, requests) in CASES {
        let server = reference.serve("echo")?;
        let numbers = measure(server.port, connections, requests, "ping-pong")?;
        let nanoseconds = *numbers.first().ok_or("a number expected")?;
        table.row([
            connections.to_string(),
            requests.to_string(),
            format!("{:.2}", nanoseconds as f64 / requests as f64 / 1000.0),
        ]);
    }
    table.print();
    Ok(())
}

/// What the engine in its own process prints.
fn measure(port: u16, connections: u64, requests: u64, mode: &str) -> Result<Vec<u64>> {
    let output = engine::client()?
        .args([
            port.to_string(),
            connections.to_string(),
            requests.to_string(),
        ])
        .args([mode, SOURCES])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(text
        .split_whitespace()
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?)
}

/// Bytes of the kernel's slab caches, of the whole computer.
pub(crate) fn slab() -> Result<u64> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    let line = memory.lines().find_map(|line| line.strip_prefix("Slab:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.ok_or("no Slab")?.trim().parse::<u64>()? * 1024)
}
