//! The serial ports of this computer and their USB identity.
//!
//! A board is connected through the chip's own USB (Espressif's vendor id, with the MAC address as its
//! serial number) or through a bridge chip that has no information about the board. Listing opens no port,
//! because that would reset some boards.

pub mod port;

use std::io;
use std::path::Path;

use serialport::{SerialPortInfo, SerialPortType};

/// A serial port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Path: `/dev/ttyUSB0`, `COM3`.
    pub path: String,
    /// USB device of the port, if it has one.
    pub usb: Option<Usb>,
}

/// A USB device. Its strings are untrusted.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usb {
    /// Vendor id.
    pub vendor: u16,
    /// Product id.
    pub product: u16,
    /// Serial number.
    pub serial_number: Option<String>,
    /// Vendor name.
    pub manufacturer: Option<String>,
    /// Product name.
    pub product_name: Option<String>,
}

/// USB adapters through which boards are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Adapter {
    /// The chip's own USB serial and JTAG unit (C3, C5, C6, S3 and later).
    EspressifUsbJtag,
    /// Another Espressif device: a chip's USB OTG unit, or a programmer.
    Espressif,
    /// A bridge chip and its product name.
    Bridge(&'static str),
}

/// Espressif's USB vendor id.
const ESPRESSIF: u16 = 0x303a;

/// Bridge chips found on boards: vendor, product, name. From the Linux drivers
/// (`drivers/usb/serial/cp210x.c`, `ch341.c`, `ftdi_sio.c`, `pl2303.c`) and WCH's data sheets.
const BRIDGES: [(u16, u16, &str); 15] = [
    (0x10c4, 0xea60, "CP210x"),
    (0x10c4, 0xea70, "CP2105"),
    (0x10c4, 0xea71, "CP2108"),
    (0x1a86, 0x7522, "CH340"),
    (0x1a86, 0x7523, "CH340"),
    (0x1a86, 0x5523, "CH341"),
    (0x1a86, 0x55d2, "CH9102"),
    (0x1a86, 0x55d3, "CH343"),
    (0x1a86, 0x55d4, "CH9102"),
    (0x0403, 0x6001, "FT232R"),
    (0x0403, 0x6010, "FT2232"),
    (0x0403, 0x6011, "FT4232"),
    (0x0403, 0x6014, "FT232H"),
    (0x0403, 0x6015, "FT231X"),
    (0x067b, 0x2303, "PL2303"),
];

impl Adapter {
    /// The adapter with these ids, if boards are known to use it.
    pub fn of(vendor: u16, product: u16) -> Option<Self> {
        match (vendor, product) {
            (ESPRESSIF, 0x1001) => Some(Self::EspressifUsbJtag),
            (ESPRESSIF, _) => Some(Self::Espressif),
            ids => BRIDGES
                .iter()
                .find(|(vendor, product, _)| (*vendor, *product) == ids)
                .map(|(.., name)| Self::Bridge(name)),
        }
    }

    /// Product name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EspressifUsbJtag => "Espressif USB JTAG/serial",
            Self::Espressif => "Espressif USB",
            Self::Bridge(name) => name,
        }
    }
}

impl Usb {
    /// The adapter, if boards are known to use it.
    pub fn adapter(&self) -> Option<Adapter> {
        Adapter::of(self.vendor, self.product)
    }

    /// The ids as `lsusb` prints them: `303a:1001`.
    pub fn ids(&self) -> String {
        format!("{:04x}:{:04x}", self.vendor, self.product)
    }

    /// The chip's MAC address in lower case. Espressif's USB has it as its serial number, with or
    /// without colons.
    pub fn mac(&self) -> Option<String> {
        if self.vendor != ESPRESSIF {
            return None;
        }
        mac_address(self.serial_number.as_deref()?)
    }
}

impl Port {
    /// The adapter of a board on this port; `None` if nothing indicates a board.
    pub fn adapter(&self) -> Option<Adapter> {
        self.usb.as_ref()?.adapter()
    }
}

/// Normalizes a MAC address to lower case with colons.
pub fn mac_address(text: &str) -> Option<String> {
    let mac = mac_bytes(text)?;
    Some(mac.map(|byte| format!("{byte:02x}")).join(":"))
}

/// The bytes of a MAC address in hexadecimal, with or without colons or hyphens.
pub fn mac_bytes(text: &str) -> Option<[u8; 6]> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-')).collect();
    if digits.len() != 12 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let [_, _, mac @ ..] = u64::from_str_radix(&digits, 16).ok()?.to_be_bytes();
    Some(mac)
}

/// The serial ports, sorted by name. Reads a few small files and opens no port.
///
/// # Errors
/// The system cannot list them.
pub fn list() -> io::Result<Vec<Port>> {
    // Without this check the library panics, e.g. in a container.
    if cfg!(target_os = "linux") && !Path::new("/sys/class/tty").is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "this system has no /sys/class/tty",
        ));
    }
    let found = serialport::available_ports()?;
    let mut ports: Vec<_> = found.into_iter().filter_map(port).collect();
    ports.sort_by(|a, b| natural(&a.path).cmp(&natural(&b.path)));
    Ok(ports)
}

/// Converts a port of the library. macOS lists each twice: the `tty` one blocks until carrier detect, so
/// the `cu` one is kept.
fn port(info: SerialPortInfo) -> Option<Port> {
    if info.port_name.starts_with("/dev/tty.") {
        return None;
    }
    let usb = match info.port_type {
        SerialPortType::UsbPort(usb) => Some(Usb {
            vendor: usb.vid,
            product: usb.pid,
            serial_number: usb.serial_number,
            manufacturer: usb.manufacturer,
            product_name: usb.product,
        }),
        SerialPortType::BluetoothPort => return None,
        SerialPortType::PciPort | SerialPortType::Unknown => None,
    };
    Some(Port {
        path: info.port_name,
        usb,
    })
}

/// Sort key that puts `ttyUSB10` after `ttyUSB9`.
fn natural(path: &str) -> (&str, u32) {
    let name = path.trim_end_matches(|c: char| c.is_ascii_digit());
    (name, path[name.len()..].parse().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serialport::UsbPortInfo;

    use super::*;

    fn info(name: &str, port_type: SerialPortType) -> SerialPortInfo {
        SerialPortInfo {
            port_name: name.to_owned(),
            port_type,
        }
    }

    fn usb(vid: u16, pid: u16, serial: Option<&str>) -> SerialPortType {
        SerialPortType::UsbPort(UsbPortInfo {
            vid,
            pid,
            serial_number: serial.map(str::to_owned),
            manufacturer: None,
            product: None,
        })
    }

    #[test]
    fn udev_rules_have_every_adapter() {
        let rules = include_str!("../packaging/60-tcpctl.rules");
        let espressif = format!("ATTRS{{idVendor}}==\"{ESPRESSIF:04x}\", TAG");
        assert!(rules.contains(&espressif), "any product of Espressif's");
        for (vendor, product, name) in BRIDGES {
            let vendor = format!("ATTRS{{idVendor}}==\"{vendor:04x}\"");
            let product = format!("{product:04x}");
            let rule = rules.lines().find(|line| line.starts_with(&vendor));
            assert!(rule.is_some_and(|rule| rule.contains(&product)), "{name}");
        }
    }

    #[test]
    fn board_adapters_are_recognized() {
        for (port_type, adapter) in [
            (usb(0x303a, 0x1001, None), Some(Adapter::EspressifUsbJtag)),
            (usb(0x303a, 0x0002, None), Some(Adapter::Espressif)),
            (usb(0x10c4, 0xea60, None), Some(Adapter::Bridge("CP210x"))),
            (usb(0x1a86, 0x7523, None), Some(Adapter::Bridge("CH340"))),
            (usb(0x1a86, 0x55d4, None), Some(Adapter::Bridge("CH9102"))),
            (usb(0x0403, 0x6001, None), Some(Adapter::Bridge("FT232R"))),
            (usb(0x1234, 0x5678, None), None),
            (SerialPortType::Unknown, None),
            (SerialPortType::PciPort, None),
        ] {
            let port = port(info("/dev/ttyUSB0", port_type.clone())).unwrap();
            assert_eq!(port.adapter(), adapter, "{port_type:?}");
        }
    }

    #[test]
    fn bluetooth_and_tty_duplicates_are_omitted() {
        let bluetooth = info("/dev/rfcomm0", SerialPortType::BluetoothPort);
        assert_eq!(port(bluetooth), None);
        let twice = usb(0x303a, 0x1001, None);
        assert_eq!(port(info("/dev/tty.usbmodem1", twice.clone())), None);
        assert!(port(info("/dev/cu.usbmodem1", twice)).is_some());
    }

    #[test]
    fn only_espressif_usb_has_the_mac() {
        let mac = |vid, serial| {
            port(info("/dev/ttyACM0", usb(vid, 0x1001, serial)))
                .unwrap()
                .usb
                .unwrap()
                .mac()
        };
        let expected = Some("7c:df:a1:b2:c3:d4".to_owned());
        assert_eq!(mac(0x303a, Some("7C:DF:A1:B2:C3:D4")), expected);
        assert_eq!(mac(0x303a, Some("7CDFA1B2C3D4")), expected);
        assert_eq!(mac(0x303a, Some("0001")), None);
        assert_eq!(mac(0x303a, Some("7C:DF:A1:B2:C3:Dé")), None);
        assert_eq!(mac(0x303a, None), None);
        assert_eq!(mac(0x10c4, Some("7CDFA1B2C3D4")), None);
    }

    #[test]
    fn port_numbers_sort_numerically() {
        assert!(natural("/dev/ttyUSB9") < natural("/dev/ttyUSB10"));
        assert_eq!(natural("99999999999"), ("", 0));
    }
}
