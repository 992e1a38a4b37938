//! Throughput: its logic against scripted services in simulated time, its truth on real sockets
//! and on a virtual board.

mod board;
mod kernel;
mod logic;
mod scripted;
