//! What one source knows of a board.

use std::net::SocketAddr;

use crate::discover::report::{Source, UsbReport};
use crate::mdns::Origin;
use crate::mdns::message::DnsName;

/// What has seen a board: the same key again is news of the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A service on a link.
    Mdns(Origin),
    /// A serial port.
    Serial(String),
    /// An address that was probed.
    Probe(SocketAddr),
    /// The address of boards in AP mode.
    Gateway(SocketAddr),
}

impl Key {
    pub(super) const fn source(&self) -> Source {
        match self {
            Self::Mdns(_) => Source::Mdns,
            Self::Serial(_) => Source::Serial,
            Self::Probe(_) => Source::Probe,
            Self::Gateway(_) => Source::Gateway,
        }
    }
}

/// What one source knows of a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Who has seen it.
    pub key: Key,
    /// What the board calls itself.
    pub name: Option<String>,
    /// Its host name.
    pub host: Option<String>,
    /// Where it can be connected to.
    pub addresses: Vec<SocketAddr>,
    /// Its chip.
    pub chip: Option<String>,
    /// `ap` or `sta`.
    pub mode: Option<String>,
    /// Its firmware's version.
    pub firmware: Option<String>,
    /// Its MAC address, in lower case and with colons.
    pub mac: Option<String>,
    /// The interface that it is behind.
    pub interface: Option<String>,
    /// The USB device of its serial port.
    pub usb: Option<UsbReport>,
    /// The first line that it said.
    pub greeting: Option<String>,
}

impl Sighting {
    /// A sighting of which nothing is known but who has seen it.
    pub const fn new(key: Key) -> Self {
        Self {
            key,
            name: None,
            host: None,
            addresses: Vec::new(),
            chip: None,
            mode: None,
            firmware: None,
            mac: None,
            interface: None,
            usb: None,
            greeting: None,
        }
    }

    /// The full name of the service that it is, if it is one.
    pub(super) const fn instance(&self) -> Option<&DnsName> {
        match &self.key {
            Key::Mdns(origin) => Some(&origin.instance),
            _ => None,
        }
    }
}
