//! How bytes get to a target and back: async streams for `send` and its kin, [`readiness`] for
//! the bench; each over kernel sockets and over the virtual cable.

mod dial;
mod error;
mod eyeballs;
mod stream;

pub use dial::{Connection, Dial, Endpoint, Family};
pub use error::ConnectError;
pub use stream::Stream;
pub use tcpctl_engine::{kernel, readiness};
