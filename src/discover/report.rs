//! The report of `discover`: one event of one board (`tcpctl.discover/1`).

use serde::Serialize;

use crate::sanitize;
use crate::serial::Usb;
use crate::target::{Target, TargetKind};

/// The JSON schema of the events.
pub const JSON_SCHEMA: &str = include_str!("../../schemas/tcpctl.discover.json");

/// One event. All texts come from the network: escape them before printing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiscoverReport {
    schema: &'static str,
    /// What happened.
    pub event: Event,
    /// State of the board after the event.
    #[serde(flatten)]
    pub board: BoardReport,
}

/// What happened to a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// The board is new.
    Found,
    /// The board changed.
    Updated,
    /// The board has disappeared.
    Lost,
}

impl Event {
    /// Name of the event in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Updated => "updated",
            Self::Lost => "lost",
        }
    }
}

/// A board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoardReport {
    /// Number of the board in this search.
    #[serde(skip)]
    pub id: u64,
    /// Name of the board.
    pub name: Option<String>,
    /// Host name, with `.local`.
    pub host: Option<String>,
    /// IP addresses, with the one that was connected to first. Link-local ones have a zone.
    pub addresses: Vec<String>,
    /// Port of the server.
    pub port: Option<u16>,
    /// Chip.
    pub chip: Option<String>,
    /// `ap` or `sta`.
    pub mode: Option<String>,
    /// Firmware version.
    pub firmware: Option<String>,
    /// MAC address, in lower case with colons.
    pub mac: Option<String>,
    /// Sources that found the board.
    pub sources: Vec<Source>,
    /// Whether it can be connected to.
    pub status: Status,
    /// Network interface of this computer that leads to the board.
    pub interface: Option<String>,
    /// Serial port of the board.
    pub serial_port: Option<String>,
    /// USB device of that port.
    pub usb: Option<UsbReport>,
    /// Round-trip time of the one connection to the board, in microseconds.
    pub rtt_us: Option<u64>,
    /// First line of the reply, if a request was sent.
    pub greeting: Option<String>,
}

/// The names of the boards found in the last day (`tcpctl.discover.names/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamesReport {
    schema: &'static str,
    /// The names, each a TARGET that is safe for a terminal.
    pub names: Vec<String>,
}

impl NamesReport {
    /// A report of the `names` that are safe and refer to a board when used as a TARGET.
    pub fn new(mut names: Vec<String>) -> Self {
        names.retain(|name| {
            let target = Target::parse(name).map(|target| target.kind);
            matches!(target, Ok(TargetKind::Name { host, port: None }) if host == *name)
                && sanitize::one_line(name) == *name
        });
        Self {
            schema: "tcpctl.discover.names/1",
            names,
        }
    }
}

/// Source that found a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// mDNS.
    Mdns,
    /// A serial port.
    Serial,
    /// A probed address that answered.
    Probe,
    /// The address of boards in AP mode.
    Gateway,
}

impl Source {
    /// Name of the source in JSON.
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
    /// Connected.
    Online,
    /// The board has no address yet, or the server there sent no greeting.
    Unconfirmed,
    /// The board announces itself and cannot be connected to.
    Unreachable,
}

impl Status {
    /// Name of the status in JSON.
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
    /// The product id, four hexadecimal digits.
    pub product: String,
    /// The serial number.
    pub serial_number: Option<String>,
    /// The vendor's name.
    pub manufacturer: Option<String>,
    /// The product's name.
    pub product_name: Option<String>,
    /// The kind of adapter, if boards use it.
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
    /// Whether the board counts as found: it was connected to, or is on a serial port with a known
    /// adapter.
    pub fn counts(&self) -> bool {
        self.status == Status::Online || self.usb.as_ref().is_some_and(|usb| usb.adapter.is_some())
    }

    /// Whether this is a serial port of an unknown kind.
    pub fn is_unknown_serial(&self) -> bool {
        self.sources == [Source::Serial] && !self.counts()
    }
}
