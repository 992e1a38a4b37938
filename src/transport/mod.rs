//! Async connections for `send` and its kin: over kernel sockets, and over the virtual cable.

mod dial;
mod error;
mod eyeballs;
mod stream;

pub use dial::{Connection, Dial, Endpoint, Family};
pub use error::ConnectError;
pub use stream::Stream;
