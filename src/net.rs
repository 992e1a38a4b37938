//! Connecting by address: interfaces, dialing, connection errors.

pub mod cidr;
pub mod dial;
pub mod error;
pub mod eyeballs;
pub mod interfaces;

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::failure::{Failure, Kind, reason};

pub use dial::{Dialed, Dialer, Family};
pub use error::ConnectError;

/// Binds a non-blocking listener.
///
/// # Errors
/// The address is not available, with a hint.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error| {
        let failure =
            |why: &str| Failure::new(Kind::Device, format!("cannot listen on {address}: {why}"));
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                failure("address in use").hint("choose another port; port 0 picks a free one")
            }
            io::ErrorKind::PermissionDenied => {
                failure("permission denied").hint("choose a port from 1024 up")
            }
            io::ErrorKind::AddrNotAvailable => failure("not an address of this computer")
                .hint("choose a local address, e.g. 127.0.0.1:3000"),
            _ => failure(&reason(&error)),
        }
    })
}
