//! Selects and opens the serial port of a board.

mod open;

use std::path::Path;

use serialport::UsbPortInfo;
use tcpctl_settings::HostName;

use crate::failure::{Failure, Kind};
use crate::sanitize;
use crate::serial::{self, Adapter, Port};

pub use self::open::{holder, open, release_boot};

/// Baud rate of consoles, and of loaders at their start.
pub const DEFAULT_BAUD: u32 = 115_200;

/// A selected port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedPort {
    /// Current path of the port.
    pub path: String,
    /// The name that the user gave, if any.
    given: Option<String>,
    /// USB device of the port; zeros if it has none.
    pub usb: UsbPortInfo,
}

impl SelectedPort {
    fn of(port: Port, given: Option<&str>) -> Self {
        let usb = port.usb.unwrap_or_default();
        Self {
            path: port.path,
            given: given.map(str::to_owned),
            usb: UsbPortInfo {
                vid: usb.vendor,
                pid: usb.product,
                serial_number: usb.serial_number,
                manufacturer: usb.manufacturer,
                product: usb.product_name,
            },
        }
    }

    /// The port of the same board after a replug, which may have another name.
    pub fn find_again(&self) -> Option<Self> {
        let listed = serial::list().unwrap_or_default();
        if let Some(given) = &self.given {
            return named(given, &listed).ok();
        }
        self.find_among(listed)
    }

    /// The current port of the same board among `listed`.
    fn find_among(&self, listed: Vec<Port>) -> Option<Self> {
        let (here, elsewhere): (Vec<_>, Vec<_>) = listed
            .into_iter()
            .filter(|port| {
                let usb = port.usb.as_ref();
                self.usb.serial_number.is_none()
                    || usb.and_then(|usb| usb.serial_number.as_ref())
                        == self.usb.serial_number.as_ref()
            })
            .partition(|port| port.path == self.path);
        // Many bridges share the serial number 0001: a port with another name is identified only by
        // a serial number that no other port has.
        match (here.into_iter().next(), &elsewhere[..]) {
            (Some(port), _) => Some(port),
            (None, [port]) if self.usb.serial_number.is_some() => Some(port.clone()),
            _ => None,
        }
        .map(|port| Self::of(port, None))
    }

    /// Path of the port, sanitized for a terminal.
    pub fn name(&self) -> String {
        sanitize::one_line(&self.path)
    }
}

/// Selects the port that the user named, or the only one with a board. `macs_of` returns the MAC
/// addresses of the boards with a name on the network, and may block.
///
/// # Errors
/// No such port, or several.
pub fn select(
    given: Option<&str>,
    macs_of: impl Fn(&str) -> Vec<String>,
) -> Result<SelectedPort, Failure> {
    let listed = serial::list().unwrap_or_default();
    let Some(given) = given else {
        return only(listed);
    };
    named(given, &listed).or_else(|failure| {
        // A board is only found by its network name if its USB device has its MAC address.
        let has_mac = |port: &Port| port.usb.as_ref().and_then(serial::Usb::mac).is_some();
        if failure.kind == Kind::Device && !given.contains('/') && listed.iter().any(has_mac) {
            with_mac(given, &macs_of(given), &listed).unwrap_or(Err(failure))
        } else {
            Err(failure)
        }
    })
}

/// The port of the board with one of these MAC addresses and the network name `name`; `None` if
/// there are no addresses.
fn with_mac(name: &str, macs: &[String], listed: &[Port]) -> Option<Result<SelectedPort, Failure>> {
    let mac = |port: &Port| port.usb.as_ref().and_then(serial::Usb::mac);
    let matching: Vec<_> = listed
        .iter()
        .filter(|port| mac(port).is_some_and(|mac| macs.contains(&mac)))
        .cloned()
        .collect();
    let name = sanitize::one_line(name);
    match &matching[..] {
        // The MAC address identifies it after a replug.
        [port] => Some(Ok(SelectedPort::of(port.clone(), mac(port).as_deref()))),
        [] => macs.first().map(|mac| {
            let message = format!("the board '{name}' ({mac}) is not connected by USB");
            let hint = format!("serial ports: {}", list(listed));
            Err(Failure::new(Kind::Device, message).hint(hint))
        }),
        _ => Some(Err(several(&name, &matching))),
    }
}

fn several(name: &str, ports: &[Port]) -> Failure {
    let count = ports.len();
    Failure::usage(format!("'{name}' matches {count} ports: {}", list(ports)))
        .hint("give --port a path")
}

/// The only port with a board.
fn only(listed: Vec<Port>) -> Result<SelectedPort, Failure> {
    let (mut boards, others): (Vec<_>, Vec<_>) = listed
        .into_iter()
        .partition(|port| port.adapter().is_some());
    match (boards.len(), boards.pop()) {
        (1, Some(board)) => Ok(SelectedPort::of(board, None)),
        (_, Some(last)) => {
            boards.push(last);
            Err(Failure::usage(format!(
                "{} boards are connected: {}",
                boards.len(),
                list(&boards)
            ))
            .hint("choose one with --port"))
        }
        (_, None) => {
            let message = if others.is_empty() {
                "no board: this computer has no serial ports".to_owned()
            } else {
                format!("no board among the serial ports: {}", list(&others))
            };
            Err(Failure::new(Kind::Device, message)
                .hint("connect the board with a data cable, or give its port with --port"))
        }
    }
}

/// The port with this path, USB serial number, MAC address or board name.
fn named(given: &str, listed: &[Port]) -> Result<SelectedPort, Failure> {
    let mac = serial::mac_address(given);
    // Resolve a by-id link: otherwise the USB device, and so the kind of reset, would be unknown.
    let canonical = std::fs::canonicalize(given).ok();
    let matches = |port: &Port| {
        let usb = port.usb.as_ref();
        let serial = usb.and_then(|usb| usb.serial_number.as_deref());
        let usb_mac = usb.and_then(serial::Usb::mac);
        port.path == given
            || canonical.as_deref() == Some(Path::new(&port.path))
            || serial.is_some_and(|serial| serial == given)
            || (mac.is_some() && usb_mac == mac)
            || usb_mac.is_some_and(|mac| is_default_name(&mac, given))
    };
    let mut matching: Vec<_> = listed
        .iter()
        .filter(|port| matches(port))
        .cloned()
        .collect();
    match (matching.len(), matching.pop()) {
        (1, Some(port)) => Ok(SelectedPort::of(port, Some(given))),
        (_, Some(last)) => {
            matching.push(last);
            Err(several(&sanitize::one_line(given), &matching))
        }
        // Accept any terminal, even one that is not listed.
        (_, None) if canonical.is_some() || is_windows_port(given) => Ok(SelectedPort {
            path: canonical.map_or_else(
                || given.to_owned(),
                |path| path.to_string_lossy().into_owned(),
            ),
            given: Some(given.to_owned()),
            usb: UsbPortInfo {
                vid: 0,
                pid: 0,
                serial_number: None,
                manufacturer: None,
                product: None,
            },
        }),
        (_, None) => {
            let hint = if listed.is_empty() {
                "this computer has no serial ports: is the board connected?".to_owned()
            } else {
                format!("serial ports: {}", list(listed))
            };
            Err(Failure::new(
                Kind::Device,
                format!("no serial port '{}'", sanitize::one_line(given)),
            )
            .hint(hint))
        }
    }
}

/// Whether a name has the form of a Windows port, `COM3` or `\\.\COM10`. The port may not exist.
fn is_windows_port(name: &str) -> bool {
    let name = name.strip_prefix(r"\\.\").unwrap_or(name);
    let number = name
        .split_at_checked(3)
        .filter(|(com, _)| com.eq_ignore_ascii_case("COM"))
        .and_then(|(_, number)| number.parse::<u8>().ok());
    cfg!(windows) && number.is_some()
}

/// The default name of the board with this MAC address.
fn default_name(mac: &str) -> Option<String> {
    serial::mac_bytes(mac).map(|mac| HostName::of_board(mac).to_string())
}

/// Whether `name` is the default name of the board with this MAC address.
fn is_default_name(mac: &str, name: &str) -> bool {
    let name = name.strip_suffix(".local").unwrap_or(name);
    default_name(mac).is_some_and(|own| own.eq_ignore_ascii_case(name))
}

/// The ports on one line: path, USB ids, and the board's name and MAC address.
fn list(ports: &[Port]) -> String {
    let one = |port: &Port| {
        let mut facts = Vec::new();
        if let Some(usb) = &port.usb {
            let adapter = usb.adapter().map(Adapter::name).unwrap_or_default();
            facts.push(format!("{} {adapter}", usb.ids()).trim_end().to_owned());
            if let Some(mac) = usb.mac() {
                facts.extend(default_name(&mac));
                facts.push(format!("MAC {mac}"));
            } else if let Some(serial) = &usb.serial_number {
                facts.push(format!("serial number {serial}"));
            }
        }
        let facts = if facts.is_empty() {
            String::new()
        } else {
            format!(" ({})", facts.join(", "))
        };
        sanitize::one_line(&format!("{}{facts}", port.path))
    };
    let lines: Vec<_> = ports.iter().map(one).collect();
    lines.join(", ")
}

#[cfg(test)]
mod tests;
