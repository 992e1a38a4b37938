//! Observations of boards.

use std::net::SocketAddr;

use crate::discover::report::{Source, UsbReport};
use crate::mdns::Origin;
use crate::mdns::message::DnsName;

/// The source of an observation. A new observation of one source replaces its last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKey {
    /// A service on a link.
    Mdns(Origin),
    /// A serial port.
    Serial(String),
    /// An address that was probed.
    Probe(SocketAddr),
    /// The address of boards in AP mode.
    Gateway(SocketAddr),
}

impl SourceKey {
    pub(super) const fn source(&self) -> Source {
        match self {
            Self::Mdns(_) => Source::Mdns,
            Self::Serial(_) => Source::Serial,
            Self::Probe(_) => Source::Probe,
            Self::Gateway(_) => Source::Gateway,
        }
    }
}

/// What one source knows about a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The source.
    pub key: SourceKey,
    /// Its name.
    pub name: Option<String>,
    /// Its host name.
    pub host: Option<String>,
    /// Its addresses.
    pub addresses: Vec<SocketAddr>,
    /// Its chip.
    pub chip: Option<String>,
    /// `ap` or `sta`.
    pub mode: Option<String>,
    /// Its firmware's version.
    pub firmware: Option<String>,
    /// Its MAC address, in lower case and with colons.
    pub mac: Option<String>,
    /// The interface it is on.
    pub interface: Option<String>,
    /// The USB device of its serial port.
    pub usb: Option<UsbReport>,
    /// The first line it sent.
    pub greeting: Option<String>,
}

impl Observation {
    /// An observation with no more than its source.
    pub const fn new(key: SourceKey) -> Self {
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

    /// The full name, for an mDNS service.
    pub(super) const fn instance(&self) -> Option<&DnsName> {
        match &self.key {
            SourceKey::Mdns(origin) => Some(&origin.instance),
            _ => None,
        }
    }
}
