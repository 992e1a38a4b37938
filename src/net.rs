//! Connecting by address: interfaces, dialing, connection errors.

pub mod cidr;
pub mod dial;
pub mod error;
pub mod eyeballs;
pub mod interfaces;

pub use dial::{Dialed, Dialer, Family};
pub use error::ConnectError;
