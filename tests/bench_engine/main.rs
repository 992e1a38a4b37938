//! The load engine: its logic against scripted servers in simulated time, its truth on real
//! sockets and on a virtual board.

mod board;
mod closed;
mod failures;
mod kept;
mod kernel;
mod open;
#[cfg(target_os = "linux")]
#[path = "../processes/prerequisites.rs"]
#[expect(dead_code, reason = "the other tests need more programs than these")]
mod prerequisites;
mod ramp;
mod scripted;
mod support;
