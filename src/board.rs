//! What every board has: its address as an access point, and its console.

pub mod console;

/// The address of a board that is an access point.
pub use tcpctl_greeter::access_point::ADDRESS as ACCESS_POINT_ADDRESS;
