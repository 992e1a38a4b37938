//! What the greeting server takes: on the virtual cable, over a TAP interface beside the
//! tutorial's server on lwIP, and with nothing to do.
//!
//! ```text
//! cargo bench --bench greeter                # all of it, about two minutes
//! cargo bench --bench greeter -- cable idle  # some of it
//! ```
//!
//! Machines are shared and noisy: what counts is the ratio of two servers measured in turn in one
//! run, and what was refused or reset. Nothing here fails on a time.

mod cable;
mod closed_loop;
mod cpu;
mod idle;
mod resets;
#[cfg(target_os = "linux")]
mod tap;

#[cfg(target_os = "linux")]
#[path = "../support/lwip.rs"]
mod lwip;
#[cfg(target_os = "linux")]
#[path = "../support/namespace.rs"]
mod namespace;
#[path = "../support/sections.rs"]
mod sections;
#[path = "../support/spread.rs"]
mod spread;
#[path = "../support/table.rs"]
mod table;

use std::process::ExitCode;

use sections::{Result, met};

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if std::env::args().nth(1).as_deref() == Some(namespace::INSIDE) {
        return sections::report("tap", tap::measure());
    }
    sections::run(&[("cable", cable::run), ("tap", wire), ("idle", idle::run)])
}

#[cfg(target_os = "linux")]
use tap::run as wire;

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "one of the sections")]
fn wire() -> Result<()> {
    println!("tap: skipped: needs Linux");
    Ok(())
}
