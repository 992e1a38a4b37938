//! The settings of a board: the contract between the firmware that runs on it and the `tcpctl` that
//! flashes it.
//!
//! A value goes one way through this crate, and is checked once:
//!
//! ```text
//! an option, a byte string           flash
//!        |                             |  block: magic, version, length, check sum
//!        v                             v  wire: the body, version by version
//!   Ssid, Passphrase, Channel, ...  <--+
//!        |   a type a setting, valid once it exists
//!        v
//!   Network + ServerSettings        rules between settings
//!        |
//!        v
//!    Settings  --overridden_by(Changes)-->  Settings  --encode-->  flash
//! ```
//!
//! - `wifi`, `network`, `host_name`: what the radio and the network have to know
//! - `server`, `greeting`: what the servers have to know; a virtual board needs no more
//! - `settings`, `change`: all of it together, and how some of it is changed
//! - `block`, `wire`: how it is stored; [`Settings::decode`] is the only way back
//! - `error`: a refusal names the [`Field`] and the [`Reason`], and never a secret
//!
//! No allocation, no I/O, no clock: it runs on the chip and on the desk alike.
//!
//! ```
//! use tcpctl_settings::{DecodeError, MAX_LEN, Network, Passphrase, Security, Settings};
//!
//! let settings = Settings::new(Network::AccessPoint {
//!     ssid: None,
//!     security: Security::Wpa2(Passphrase::new("correct horse")?),
//! });
//!
//! let mut buffer = [0; MAX_LEN];
//! let block = settings.encode(&mut buffer)?;
//! assert_eq!(Settings::decode(block)?, settings);
//!
//! assert_eq!(Settings::decode(&[0xFF; 4096]), Err(DecodeError::Blank));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod block;
mod change;
mod error;
mod escape;
mod greeting;
mod host_name;
mod network;
mod number;
mod server;
mod settings;
mod wifi;
mod wire;

pub use block::{BLOCK_SIZE, BufferTooSmall, DecodeError, MAX_LEN, VERSION};
pub use change::Changes;
pub use error::{Afresh, Field, Invalid, Reason};
pub use greeting::Greeting;
pub use host_name::HostName;
pub use network::{Channel, MaxStations, Mode, Network};
pub use server::{
    Backlog, RequestTimeout, ServerParts, ServerSettings, Services, Status, TcpPort, Workers,
};
pub use settings::Settings;
pub use wifi::{Passphrase, Security, Ssid};

/// The partition table of every board, as ESP-IDF's tools write it down: where the program and
/// these settings are in flash. It is here because a package has no files of its neighbours.
pub const PARTITIONS: &str = include_str!("../partitions.csv");
