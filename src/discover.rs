//! `tcpctl discover`: every board, on the network and on the cable, in one list.
//!
//! ```text
//! mdns.rs ─────┐
//! serial ports ┤              ┌─ registry.rs   which sightings are one board
//! the gateway  ┼─ session.rs ─┼─ confirm.rs    the one connection to it
//! probe.rs ────┘              └─ report.rs     what is told
//! ```
//!
//! `connections.rs` says who is connected to next, `plan.rs` where to look, `command.rs` is the
//! command, `hints.rs` what to try where nothing was found. `cache.rs` remembers what was seen, and
//! `names.rs` makes a name an address for every command that has a TARGET.

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
