//! The settings of a board.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod error;
mod escape;
mod greeting;
mod host_name;
mod network;
mod number;
mod server;
mod wifi;

pub use error::{Field, Invalid, Reason};
pub use greeting::Greeting;
pub use host_name::HostName;
pub use network::{Channel, MaxStations, Mode, Network};
pub use server::{
    Backlog, RequestTimeout, ServerParts, ServerSettings, Services, TcpPort, Workers,
};
pub use wifi::{Passphrase, Security, Ssid};
