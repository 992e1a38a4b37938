//! The accuracy and duration of the limit search: every kind of server with every combination of
//! its numbers, on real sockets, virtual links and TAP interfaces.
//!
//! ```text
//! cargo bench --bench limits                          # everything once, about six minutes
//! cargo bench --bench limits -- linux --repeats 3     # one group, several times
//! cargo bench --bench limits -- caps link --load      # with two busy loops
//! cargo bench --bench limits -- lossy --seed 7        # the links of an earlier run
//! ```
//!
//! A run is correct if every number, the overflow and the end of the search match the server. Each
//! run has its own server process. No time is a failure.

#[cfg(target_os = "linux")]
mod cells;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod runs;

#[cfg(target_os = "linux")]
#[path = "../support/limited.rs"]
mod limited;
#[cfg(target_os = "linux")]
#[path = "../support/lwip.rs"]
mod lwip;
#[cfg(target_os = "linux")]
#[path = "../support/namespace.rs"]
mod namespace;
#[cfg(target_os = "linux")]
#[path = "../support/table.rs"]
mod table;

use std::error::Error;
use std::process::ExitCode;

/// Errors are only printed.
pub(crate) type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("limits: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = process::Role::of(&arguments)? {
        return role.run();
    }
    // `cargo test --all-targets` runs benches too and must not wait for them.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let options = options::Options::parse(&arguments)?;
    if arguments.first().map(String::as_str) == Some(namespace::INSIDE) {
        return runs::inside(&options);
    }
    runs::all(&options, &arguments)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("skipped: needs Linux");
    ExitCode::SUCCESS
}
