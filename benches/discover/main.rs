//! The cost of `tcpctl discover`, in its own network namespace.
//!
//! ```text
//! cargo bench --bench discover             # as root: everything, about two minutes
//! cargo bench --bench discover -- first    # the first board, compared with avahi-browse
//! cargo bench --bench discover -- many     # five hundred boards
//! cargo bench --bench discover -- watch    # an idle watch
//! ```
//!
//! Runs alternate, and the ratio counts. No time is a failure.

#[cfg(target_os = "linux")]
mod linux;

#[path = "../support/sections.rs"]
mod sections;
#[path = "../support/spread.rs"]
#[cfg(target_os = "linux")]
mod spread;
#[path = "../support/table.rs"]
#[cfg(target_os = "linux")]
mod table;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
use sections::{Result, met};

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    // Child processes inside the namespace, and the announcer of boards.
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(linux::ANNOUNCE) => sections::report("announce", linux::announce_forever(&arguments)),
        Some(linux::INSIDE) => sections::report("inside", linux::inside(&arguments)),
        _ => sections::run(&[
            ("first", || linux::run_inside("first")),
            ("many", || linux::run_inside("many")),
            ("watch", || linux::run_inside("watch")),
        ]),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("skipped: needs the network namespaces of Linux");
    ExitCode::SUCCESS
}
