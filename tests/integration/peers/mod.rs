//! The board on the wire and `send`, against programs that we did not write.
//!
//! Most of it needs root: a network namespace for each test, with a board on a TAP interface in
//! it. What a machine lacks is skipped and named; `TCPCTL_REQUIRE_PEERS=1` makes it a failure.

mod addresses;
mod avahi;
mod broken;
mod cable;
mod clients;
mod desk;
mod discovery;
mod finding;
mod hostile;
mod limits;
mod naming;
mod scratch;
mod servers;
mod skipping;
mod watching;
mod wire;
