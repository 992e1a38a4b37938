//! What the load engine costs: beside the least that a client on bare epoll costs, per idle
//! connection, and how well it keeps a schedule; what bytes cost, beside iperf3, and starting,
//! beside nc.
//!
//! ```text
//! cargo bench --bench bench                # all of it, about four minutes
//! cargo bench --bench bench -- requests    # some of it
//! ```
//!
//! Machines are shared and noisy: what counts is the ratio of two clients measured in turn, with
//! the server on another core. Nothing here fails on a time.

#[cfg(target_os = "linux")]
mod engine;
#[cfg(target_os = "linux")]
mod idle;
#[cfg(target_os = "linux")]
mod reference;
#[cfg(target_os = "linux")]
mod requests;
#[cfg(target_os = "linux")]
mod schedule;
#[cfg(target_os = "linux")]
mod startup;
#[cfg(target_os = "linux")]
mod throughput;

#[cfg(target_os = "linux")]
#[path = "../support/installed.rs"]
mod installed;
#[path = "../support/sections.rs"]
mod sections;
#[cfg(target_os = "linux")]
#[path = "../support/spread.rs"]
mod spread;
#[cfg(target_os = "linux")]
#[path = "../support/table.rs"]
mod table;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
use sections::{Result, met};

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(engine::INSIDE) {
        return sections::report("engine", engine::inside());
    }
    if std::env::args().nth(1).as_deref() == Some(throughput::INSIDE) {
        return sections::report("throughput", throughput::inside());
    }
    sections::run(&[
        ("requests", requests::run),
        ("schedule", schedule::run),
        ("idle", idle::run),
        ("throughput", throughput::run),
        ("startup", startup::run),
    ])
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("skipped: the comparison is with epoll");
    ExitCode::SUCCESS
}
