//! The limit finder against servers whose limits are known: simulated ones in simulated time,
//! virtual boards, and some on real sockets.

#[path = "../common/mod.rs"]
mod common;
#[path = "../limited/mod.rs"]
mod limited;

mod boards;
mod command;
mod greets;
mod matrix;
mod network;
mod properties;
mod server;
mod sockets;
mod trouble;
