//! The limit finder against servers with known limits: simulated ones in simulated time, virtual
//! boards, and real sockets.

mod boards;
mod command;
mod faults;
mod greeters;
mod matrix;
mod network;
mod properties;
mod server;
mod sockets;
