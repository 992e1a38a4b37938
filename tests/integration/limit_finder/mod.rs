//! The limit finder against servers whose limits are known: simulated ones in simulated time,
//! virtual boards, and some on real sockets.

mod boards;
mod command;
mod greets;
mod matrix;
mod network;
mod properties;
mod server;
mod sockets;
mod trouble;
