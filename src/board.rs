//! Facts about every board: the address in AP mode, and the console.

pub mod console;

/// The address of a board that is an access point.
pub use tcpctl_greeter::access_point::ADDRESS as ACCESS_POINT_ADDRESS;
