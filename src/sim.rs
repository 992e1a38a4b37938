//! The virtual board: the firmware's own server code at the end of an in-memory cable.
//!
//! ```text
//! servers.rs ─ driver.rs ── cable.rs ── client.rs ─┬─ network.rs  readiness, for bench
//!  greeter    embassy-net    link.rs    smoltcp   └─ stream.rs   async, for send and the relay
//!             driver         fate.rs
//! ```
//!
//! A cable is two links, and each frame on a link has its fate: delayed, lost, damaged, ...
//!
//! `spec.rs` says what board and cable are to be, `board.rs` gives the board its thread, which
//! `clock.rs` runs, and `session.rs` puts the parts together for one command. `relay.rs` and
//! `tap.rs` let other programs in, `mdns::announce` tells them over mDNS where; `plan.rs`,
//! `command.rs` and `report.rs` are `tcpctl sim`.

pub mod board;
pub mod cable;
pub mod client;
pub mod clock;
pub mod command;
pub mod driver;
pub mod event;
pub mod fate;
pub mod link;
pub mod network;
pub mod observer;
pub mod plan;
pub mod relay;
pub mod report;
mod router;
pub mod servers;
pub mod session;
pub mod spec;
pub mod stream;
#[cfg(target_os = "linux")]
pub mod tap;
pub mod text;

pub use session::Session;
pub use stream::VirtualStream;
