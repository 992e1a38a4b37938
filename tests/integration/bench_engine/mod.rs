//! The load engine: its logic against scripted servers in simulated time, then real sockets and a
//! virtual board.

mod board;
mod closed;
mod failures;
mod kernel;
mod open;
mod ramp;
mod replies;
mod scripted;
mod support;
