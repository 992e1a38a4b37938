//! The network below names: interfaces, dialling by address, connection errors.

pub mod cidr;
pub mod dial;
pub mod error;
pub mod eyeballs;
pub mod interfaces;

pub use dial::{Dialed, Dialer, Family};
pub use error::ConnectError;
