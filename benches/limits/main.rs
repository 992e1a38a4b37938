//! How often the limit finder is right, and how long it takes: every kind of server with every
//! combination of its numbers, on real sockets, virtual cables and TAP interfaces.
//!
//! ```text
//! cargo bench --bench limits                          # all of it once, about six minutes
//! cargo bench --bench limits -- linux --repeats 3     # some of it, more often
//! cargo bench --bench limits -- caps cable --load     # with two busy loops beside it
//! cargo bench --bench limits -- lossy --seed 7        # the cables of an earlier run
//! ```
//!
//! A run is right if every number, what happens to the next connection, and the end of the search
//! are what the server was made to have. Each server is a process of its own, fresh for each run.
//! Nothing here fails on a time.

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

/// What ends a bench before it has its figures is only ever shown.
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
        return role.play();
    }
    // `cargo test --all-targets` runs benches too, and is not to wait for them.
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
    println!("skipped: the servers' limits are known on Linux");
    ExitCode::SUCCESS
}
