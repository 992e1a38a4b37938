//! Which serial port the board is on, and what to do where it can't be opened.

mod open;

use std::path::Path;

use serialport::UsbPortInfo;
use tcpctl_settings::HostName;

use crate::failure::{Failure, Kind};
use crate::sanitize;
use crate::serial::{self, Adapter, Port};

pub use self::open::{holder, let_go_of_boot, open};

/// The rate at which chips' loaders begin, and at which consoles speak.
pub const FIRST_BAUD: u32 = 115_200;

/// A port that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// What opens it now.
    pub path: String,
    /// How the user calls it, if by anything.
    given: Option<String>,
    /// The USB device behind it, as far as it is one; zeros otherwise.
    pub usb: UsbPortInfo,
}

impl Chosen {
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

    /// The same board's port after it was gone: the system may have given it another name.
    pub fn again(&self) -> Option<Self> {
        let listed = serial::list().unwrap_or_default();
        if let Some(given) = &self.given {
            return named(given, &listed).ok();
        }
        self.found_again(listed)
    }

    /// The port on which this one's board is now.
    fn found_again(&self, listed: Vec<Port>) -> Option<Self> {
        let (here, elsewhere): (Vec<_>, Vec<_>) = listed
            .into_iter()
            .filter(|port| {
                let usb = port.usb.as_ref();
                self.usb.serial_number.is_none()
                    || usb.and_then(|usb| usb.serial_number.as_ref())
                        == self.usb.serial_number.as_ref()
            })
            .partition(|port| port.path == self.path);
        // Many bridges have the same serial number, 0001: one that came back under another name is
        // known by it only where no other has it.
        match (here.into_iter().next(), &elsewhere[..]) {
            (Some(port), _) => Some(port),
            (None, [port]) if self.usb.serial_number.is_some() => Some(port.clone()),
            _ => None,
        }
        .map(|port| Self::of(port, None))
    }

    /// Its path, safe for a terminal.
    pub fn name(&self) -> String {
        sanitize::one_line(&self.path)
    }
}

/// The port that the user named, or the only one with a board.
///
/// `resolve` returns the MAC addresses of the boards with a name; it may block.
///
/// # Errors
/// No port, several, or one that does not exist.
pub fn choose(
    given: Option<&str>,
    resolve: impl Fn(&str) -> Vec<String>,
) -> Result<Chosen, Failure> {
    let listed = serial::list().unwrap_or_default();
    let Some(given) = given else {
        return only(listed);
    };
    named(given, &listed).or_else(|failure| {
        // Only a board whose USB serial number is its MAC address can be matched by its name.
        let has_mac = |port: &Port| port.usb.as_ref().and_then(serial::Usb::mac).is_some();
        if failure.kind == Kind::Device && !given.contains('/') && listed.iter().any(has_mac) {
            called(given, &resolve(given), &listed).unwrap_or(Err(failure))
        } else {
            Err(failure)
        }
    })
}

/// The port of the board that calls itself so on the network, with one of these MAC addresses;
/// nothing where there is no such board.
fn called(name: &str, macs: &[String], listed: &[Port]) -> Option<Result<Chosen, Failure>> {
    let mac = |port: &Port| port.usb.as_ref().and_then(serial::Usb::mac);
    let meant: Vec<_> = listed
        .iter()
        .filter(|port| mac(port).is_some_and(|told| macs.contains(&told)))
        .cloned()
        .collect();
    let name = sanitize::one_line(name);
    match &meant[..] {
        // After a replug it is found by what never changes.
        [port] => Some(Ok(Chosen::of(port.clone(), mac(port).as_deref()))),
        [] => macs.first().map(|mac| {
            let message = format!("the board '{name}' ({mac}) is on no cable here");
            let hint = format!("there are: {}", list(listed));
            Err(Failure::new(Kind::Device, message).hint(hint))
        }),
        _ => Some(Err(several(&name, &meant))),
    }
}

fn several(name: &str, ports: &[Port]) -> Failure {
    let count = ports.len();
    Failure::usage(format!("'{name}' is {count} ports: {}", list(ports))).hint("give --port a path")
}

/// The one port behind which a board can be.
fn only(listed: Vec<Port>) -> Result<Chosen, Failure> {
    let (mut boards, others): (Vec<_>, Vec<_>) = listed
        .into_iter()
        .partition(|port| port.adapter().is_some());
    match (boards.len(), boards.pop()) {
        (1, Some(board)) => Ok(Chosen::of(board, None)),
        (_, Some(last)) => {
            boards.push(last);
            Err(Failure::usage(format!(
                "there are {} boards: {}",
                boards.len(),
                list(&boards)
            ))
            .hint("choose one with --port"))
        }
        (_, None) => {
            let message = if others.is_empty() {
                "no board: this computer has no serial port".to_owned()
            } else {
                format!("no board among the serial ports: {}", list(&others))
            };
            Err(Failure::new(Kind::Device, message)
                .hint("plug it in with a cable that carries data, or name its port with --port"))
        }
    }
}

/// The port of this path, USB serial number, MAC address or name.
fn named(given: &str, listed: &[Port]) -> Result<Chosen, Failure> {
    let mac = serial::mac_address(given);
    // A by-id link must be followed, or the USB device behind it is not known and the wrong reset
    // is chosen.
    let canonical = std::fs::canonicalize(given).ok();
    let is_meant = |port: &Port| {
        let usb = port.usb.as_ref();
        let serial = usb.and_then(|usb| usb.serial_number.as_deref());
        let told = usb.and_then(serial::Usb::mac);
        port.path == given
            || canonical.as_deref() == Some(Path::new(&port.path))
            || serial.is_some_and(|serial| serial == given)
            || (mac.is_some() && told == mac)
            || told.is_some_and(|told| is_named_after(&told, given))
    };
    let mut meant: Vec<_> = listed
        .iter()
        .filter(|port| is_meant(port))
        .cloned()
        .collect();
    match (meant.len(), meant.pop()) {
        (1, Some(port)) => Ok(Chosen::of(port, Some(given))),
        (_, Some(last)) => {
            meant.push(last);
            Err(several(&sanitize::one_line(given), &meant))
        }
        // Any terminal will do, one that nobody lists included.
        (_, None) if canonical.is_some() || cfg!(windows) => Ok(Chosen {
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
                "this computer has no serial port: is the board plugged in?".to_owned()
            } else {
                format!("there are: {}", list(listed))
            };
            Err(Failure::new(
                Kind::Device,
                format!("no serial port '{}'", sanitize::one_line(given)),
            )
            .hint(hint))
        }
    }
}

/// What a board of this MAC address calls itself where it was given no name.
fn board_name(mac: &str) -> Option<String> {
    let bytes: Option<Vec<_>> = mac
        .split(':')
        .map(|digits| u8::from_str_radix(digits, 16).ok())
        .collect();
    let mac = <[u8; 6]>::try_from(bytes?).ok()?;
    Some(HostName::of_board(mac).to_string())
}

/// Whether a board of this MAC address calls itself so where it was given no name.
fn is_named_after(mac: &str, name: &str) -> bool {
    let name = name.strip_suffix(".local").unwrap_or(name);
    board_name(mac).is_some_and(|own| own.eq_ignore_ascii_case(name))
}

/// Ports on one line: path, USB identity, MAC address, and the name that a board has by that.
fn list(ports: &[Port]) -> String {
    let one = |port: &Port| {
        let mut facts = Vec::new();
        if let Some(usb) = &port.usb {
            let adapter = usb.adapter().map(Adapter::name).unwrap_or_default();
            facts.push(format!("{} {adapter}", usb.ids()).trim_end().to_owned());
            if let Some(mac) = usb.mac() {
                facts.extend(board_name(&mac));
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
