//! The settings of a board: what `tcpctl flash` and `tcpctl configure` write, and the firmware reads.
//!
//! A value is checked once, where it enters:
//!
//! ```text
//! option, key=value                 flash
//!        |                            |  block: magic, version, length, CRC
//!        v                            v  wire: the body, one type per version
//!   Ssid, Passphrase, Channel, ... <--+
//!        |   one type per setting, always valid
//!        v
//!   Network + ServerSettings       rules between settings
//!        |
//!        v
//!    Settings  --with_changes(Changes)-->  Settings  --encode-->  flash
//! ```
//!
//! - `table`: name, type, values and help of every setting; options are derived from it
//! - `wifi`, `network`, `host_name`: settings of the radio and the network
//! - `server`, `greeting`: settings of the servers; a virtual board needs no others
//! - `settings`: [`Settings`]; `changes`: how some of them are changed
//! - `block`, `wire`: the format in flash
//! - `sectors`: two sectors, trials and rollback
//! - `error`: an error names the [`Field`] and the [`Reason`], never a secret
//!
//! `no_std`, without allocation, I/O or clock. The feature `help` adds the help texts, which a chip
//! does not need.
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
mod changes;
mod error;
mod greeting;
mod host_name;
mod key;
mod macros;
mod network;
pub mod sectors;
mod server;
mod settings;
mod table;
mod wifi;
mod wire;

pub use block::{BLOCK_SIZE, BufferTooSmall, DecodeError, MAX_LEN, VERSION};
pub use error::{Field, Invalid, NoStoredSettings, Reason};
pub use greeting::Greeting;
pub use host_name::HostName;
pub use key::ManagementKey;
pub use network::{Channel, MaxStations, Mode, Network};
pub use server::{
    Backlog, Commands, MANAGEMENT_PORT, Management, RequestTimeout, ServerParts, ServerSettings,
    Services, Status, TcpPort, Workers,
};
pub use settings::{Record, RecordKind, Settings};
pub use table::{Changes, Value, Values};
pub use wifi::{Passphrase, Security, Ssid};

/// The partition table of every board, in the CSV format of ESP-IDF.
pub const PARTITIONS: &str = include_str!("../partitions.csv");
