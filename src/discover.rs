//! `tcpctl discover`: the boards on the network and on serial ports, in one list.
//!
//! ```text
//! mDNS ────────┐
//! serial ports ┤              ┌─ registry.rs   observations become boards
//! the gateway  ┼─ session.rs ─┼─ confirm.rs    connects to each once
//! probe.rs ────┘              └─ report.rs     one event of one board
//! ```
//!
//! `connections.rs` is the queue of connections, `plan.rs` the plan, `command.rs` the command,
//! `hints.rs` what to try where nothing was found. `cache.rs` stores boards, and `names.rs` resolves
//! their names for all commands with a TARGET.

pub mod cache;
pub mod command;
pub mod confirm;
pub mod connections;
mod hints;
pub mod names;
pub mod plan;
pub mod probe;
pub mod registry;
pub mod report;
pub mod session;
pub mod text;
