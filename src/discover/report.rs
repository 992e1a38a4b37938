//! What `discover` tells: one event of one board (`tcpctl.discover/1`).

use serde::Serialize;

use crate::serial::Usb;

/// The JSON schema of the events.
pub const JSON_SCHEMA: &str = include_str!("../../schemas/tcpctl.discover.json");

/// One event. All texts are from outside: escape them before a terminal sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiscoverReport {
    schema: &'static str,
    /// What has happened.
    pub event: Event,
    /// The board, as it is now.
    #[serde(flatten)]
    pub board: BoardReport,
}

/// What has happened to a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// It is there.
    Found,
    /// Something about it is new.
    Updated,
    /// It is gone.
    Lost,
}

/// A board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoardReport {
    /// Which board it is, among all that this search tells of.
    #[serde(skip)]
    pub id: u64,
    /// What it calls itself.
    pub name: Option<String>,
    /// Its host name, with `.local`.
    pub host: Option<String>,
    /// Its IP addresses, the one that was connected to first; with a zone where they need one.
    pub addresses: Vec<String>,
    /// The port of its server.
    pub port: Option<u16>,
    /// Its chip.
    pub chip: Option<String>,
    /// `ap` or `sta`.
    pub mode: Option<String>,
    /// Its firmware's version.
    pub firmware: Option<String>,
    /// Its hardware address, in lower case and with colons.
    pub mac: Option<String>,
    /// Where it was found.
    pub sources: Vec<Source>,
    /// Whether it can be connected to.
    pub status: Status,
    /// The network interface of this computer that it is behind.
    pub interface: Option<String>,
    /// The serial port that it is on.
    pub serial_port: Option<String>,
    /// The USB device of that port.
    pub usb: Option<UsbReport>,
    /// The round trip of the one connection that was made to it, in microseconds.
    pub rtt_us: Option<u64>,
    /// The first line that it answered with, where it was asked.
    pub greeting: Option<String>,
}

/// Where a board was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// It has told of itself over mDNS.
    Mdns,
    /// It is on a serial port.
    Serial,
    /// Something answered at an address that was probed.
    Probe,
    /// Something answered where boards in AP mode are.
    Gateway,
}

impl Source {
    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mdns => "mdns",
            Self::Serial => "serial",
            Self::Probe => "probe",
            Self::Gateway => "gateway",
        }
    }
}

/// Whether a board can be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A connection was made.
    Online,
    /// Nobody knows whether it is a board that serves: it has no address yet, or what answers there
    /// has not greeted.
    Unconfirmed,
    /// It has told of itself, and can't be connected to.
    Unreachable,
}

impl Status {
    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Unconfirmed => "unconfirmed",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A USB device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsbReport {
    /// The vendor id, as `lsusb` writes it: four hexadecimal digits.
    pub vendor: String,
    /// The product id, likewise.
    pub product: String,
    /// The serial number.
    pub serial_number: Option<String>,
    /// The vendor's name.
    pub manufacturer: Option<String>,
    /// The product's name.
    pub product_name: Option<String>,
    /// What it is known as on boards.
    pub adapter: Option<&'static str>,
}

impl From<&Usb> for UsbReport {
    fn from(usb: &Usb) -> Self {
        Self {
            vendor: format!("{:04x}", usb.vendor),
            product: format!("{:04x}", usb.product),
            serial_number: usb.serial_number.clone(),
            manufacturer: usb.manufacturer.clone(),
            product_name: usb.product_name.clone(),
            adapter: usb.adapter().map(crate::serial::Adapter::name),
        }
    }
}

impl DiscoverReport {
    /// An event.
    pub const fn new(event: Event, board: BoardReport) -> Self {
        Self {
            schema: "tcpctl.discover/1",
            event,
            board,
        }
    }
}

impl BoardReport {
    /// Whether it counts as found: a connection was made, or it is on a cable as boards are.
    pub fn counts(&self) -> bool {
        self.status == Status::Online || self.usb.as_ref().is_some_and(|usb| usb.adapter.is_some())
    }

    /// Whether nothing speaks for a board: a serial port of no known kind.
    pub fn is_unknown_serial(&self) -> bool {
        self.sources == [Source::Serial] && !self.counts()
    }
}
