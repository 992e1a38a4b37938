//! The virtual board: the firmware's server code behind an in-memory Ethernet link.
//!
//! ```text
//! servers.rs ─ driver.rs ── link.rs ──────── client.rs ─┬─ network.rs  readiness, for bench
//!  greeter    embassy-net    pipe.rs         smoltcp    └─ stream.rs   async, for send and the relay
//!             driver         impairment.rs
//! ```
//!
//! A link is two pipes, one per direction, which impair frames: delay, loss, corruption, ...
//!
//! `spec.rs` describes board and link. `boot.rs` starts the servers with the settings in `flash.rs`, on
//! a network of `networks.rs` that the `radio.rs` joined. `board.rs` runs all that on a thread with the
//! clock of `clock.rs`, and `session.rs` assembles everything for one command. `relay.rs` and `tap.rs` make the
//! board reachable for other programs, `mdns::announce` announces it. `plan.rs`, `command.rs`,
//! `report.rs` and `text.rs` are `tcpctl sim`.

pub mod board;
pub mod boot;
pub mod client;
pub mod clock;
pub mod command;
pub mod driver;
pub mod event;
mod firmware;
pub mod flash;
pub mod impairment;
pub mod link;
pub mod network;
pub mod networks;
pub mod observer;
pub mod pipe;
pub mod plan;
pub mod radio;
pub mod relay;
pub mod reply;
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
