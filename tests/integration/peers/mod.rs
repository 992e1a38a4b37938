//! The board on a network interface, `send` and `discover` against other implementations.
//!
//! Most tests need root: each has a network namespace, with a board on a TAP interface in it. Tests
//! whose requirements are missing are skipped with a message; `TCPCTL_REQUIRE_PEERS=1` turns a skip
//! into a failure.

mod addresses;
mod avahi;
mod broken;
mod clients;
mod discovery;
mod distributed;
mod finding;
mod hostile;
mod limits;
mod moving;
mod naming;
pub(crate) mod scratch;
mod serial;
mod servers;
mod skipping;
mod two_hosts;
mod watching;
mod wire;
