//! The memory of idle connections.

use crate::reference::Reference;
use crate::{Result, engine, met};

const CONNECTIONS: u64 = 10_000;
/// Bytes of user memory per connection.
const GOAL: u64 = 1500;

/// Prints the memory per idle connection.
///
/// # Errors
/// Without cc or taskset, or when the connections can't be opened.
pub(crate) fn run() -> Result<()> {
    let reference = Reference::build()?;
    let server = reference.serve("greet")?;
    let output = engine::client()?
        .args([&server.port.to_string(), &CONNECTIONS.to_string()])
        .args(["0", "idle"])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let sizes: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
    let [before, after] = sizes?[..] else {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    };
    let each = after.saturating_sub(before) / CONNECTIONS;
    println!(
        "idle: {CONNECTIONS} connections, {each} bytes of user memory each (goal {GOAL}: {})",
        met(each <= GOAL)
    );
    Ok(())
}
