//! Throughput: its logic against scripted services in simulated time, then real sockets and a
//! virtual board.

mod board;
mod kernel;
mod logic;
mod scripted;
