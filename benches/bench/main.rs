//! The cost of the load engine compared with a minimal epoll client in C: CPU per request, memory
//! per idle connection, 30,000 connections, precision of a schedule. Also CPU per byte compared
//! with iperf3, and start-up compared with nc.
//!
//! ```text
//! cargo bench --bench bench                # everything, about four minutes
//! cargo bench --bench bench -- requests    # one section
//! ```
//!
//! Machines are shared and noisy: the ratio of two clients measured in turn counts, with the server
//! on another core. No time is a failure.

#[cfg(target_os = "linux")]
mod engine;
#[cfg(target_os = "linux")]
mod idle;
#[cfg(target_os = "linux")]
mod reference;
#[cfg(target_os = "linux")]
mod requests;
#[cfg(target_os = "linux")]
mod scale;
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
    if std::env::args().nth(1).as_deref() == Some(scale::INSIDE) {
        return sections::report("scale", scale::inside());
    }
    sections::run(&[
        ("requests", requests::run),
        ("timestamps", requests::timestamps),
        ("schedule", schedule::run),
        ("idle", idle::run),
        ("scale", scale::run),
        ("throughput", throughput::run),
        ("startup", startup::run),
    ])
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("skipped: needs epoll");
    ExitCode::SUCCESS
}
