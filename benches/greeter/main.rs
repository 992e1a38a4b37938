//! The cost of the greeting server: on the virtual link, over a TAP interface compared with the
//! tutorial's server on lwIP, idle, and of a management session.
//!
//! ```text
//! cargo bench --bench greeter               # everything, about two minutes
//! cargo bench --bench greeter -- link idle  # some sections
//! ```
//!
//! Machines are shared and noisy: the ratio of two servers measured in turn counts, and what was
//! refused or reset. No time is a failure.

mod closed_loop;
mod cpu;
mod idle;
mod link;
mod management;
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
    sections::run(&[
        ("link", link::run),
        ("tap", wire),
        ("idle", idle::run),
        ("management", management::run),
    ])
}

#[cfg(target_os = "linux")]
use tap::run as wire;

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "one of the sections")]
fn wire() -> Result<()> {
    println!("tap: skipped: needs Linux");
    Ok(())
}
