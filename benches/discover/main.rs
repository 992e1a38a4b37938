//! What `tcpctl discover` takes, in a network namespace of this bench's own.
//!
//! ```text
//! cargo bench --bench discover             # as root: all of it, about two minutes
//! cargo bench --bench discover -- first    # the first board, beside avahi-browse
//! cargo bench --bench discover -- crowd    # five hundred boards
//! cargo bench --bench discover -- watch    # a watch with nothing to tell
//! ```
//!
//! Runs alternate, and the ratio is what counts. Nothing here fails on a time.

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
    // What runs inside the namespace, and the program that announces boards there.
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(linux::ANNOUNCE) => sections::report("announce", linux::announce_forever(&arguments)),
        Some(linux::INSIDE) => sections::report("inside", linux::inside(&arguments)),
        _ => sections::run(&[
            ("first", || linux::run_inside("first")),
            ("crowd", || linux::run_inside("crowd")),
            ("watch", || linux::run_inside("watch")),
        ]),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("skipped: needs the network namespaces of Linux");
    ExitCode::SUCCESS
}
