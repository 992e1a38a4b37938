//! Observations of boards.

use std::net::SocketAddr;

use crate::discover::report::{Source, UsbReport};
use crate::mdns::directory::Service;
use crate::mdns::message::DnsName;
use crate::mdns::{Origin, socket_addresses};
use crate::net::interfaces::Interface;
use crate::serial;

/// Source of an observation. A new observation of a source replaces its previous one.
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

/// Information from one source about a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The source.
    pub key: SourceKey,
    /// Name of the board.
    pub name: Option<String>,
    /// Host name.
    pub host: Option<String>,
    /// Addresses of the server.
    pub addresses: Vec<SocketAddr>,
    /// Chip.
    pub chip: Option<String>,
    /// `ap` or `sta`.
    pub mode: Option<String>,
    /// Firmware version.
    pub firmware: Option<String>,
    /// MAC address, in lower case with colons.
    pub mac: Option<String>,
    /// Name of the interface.
    pub interface: Option<String>,
    /// USB device of the serial port.
    pub usb: Option<UsbReport>,
    /// First line of the reply.
    pub greeting: Option<String>,
}

impl Observation {
    /// An observation without any information yet.
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

    /// The observation of an mDNS service.
    pub fn of_service(origin: Origin, service: &Service, interface: Option<&Interface>) -> Self {
        let text = |key| service.txt(key).map(str::to_owned);
        Self {
            name: Some(service.instance.first()),
            host: Some(service.host.to_string()),
            addresses: socket_addresses(&service.addresses, service.port, origin.interface),
            chip: text("chip"),
            mode: text("mode"),
            firmware: text("fw"),
            mac: service.txt("mac").and_then(serial::mac_address),
            interface: interface.map(|it| it.name.clone()),
            ..Self::new(SourceKey::Mdns(origin))
        }
    }

    /// Full name of an mDNS service.
    pub(super) const fn instance(&self) -> Option<&DnsName> {
        match &self.key {
            SourceKey::Mdns(origin) => Some(&origin.instance),
            _ => None,
        }
    }
}
