//! Which serial port the board is on, and what to do where it can't be opened.

use std::io;
use std::path::Path;
use std::time::Duration;

use espflash::connection::Port as Open;
use serialport::{SerialPort, UsbPortInfo};
use tcpctl_settings::HostName;

use crate::config::{self, Key};
use crate::discover::names;
use crate::failure::{Failure, Kind};
use crate::sanitize;
use crate::serial::{self, Adapter, Port};

/// The rate at which chips' loaders begin, and at which consoles speak.
pub const FIRST_BAUD: u32 = 115_200;

/// How long a read waits, where nothing else was said.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

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

/// The port that was asked for, by the option, the environment or the config file, or the one with a
/// board.
///
/// # Errors
/// None, several, or one that is not there.
pub fn choose(given: Option<&str>) -> Result<Chosen, Failure> {
    let listed = serial::list().unwrap_or_default();
    if let Some(given) = given {
        return by_any_name(given, &listed);
    }
    match config::find(Key::Port)? {
        Some(found) => by_any_name(&found.value, &listed).map_err(|error| found.blame(error)),
        None => only(listed),
    }
}

/// The port that is called so here or, where none is, whose board is called so on the network.
fn by_any_name(given: &str, listed: &[Port]) -> Result<Chosen, Failure> {
    named(given, listed).or_else(|failure| {
        // Only a board that tells its MAC address on the cable, too, can be found by its name.
        let tells = |port: &Port| port.usb.as_ref().and_then(serial::Usb::mac).is_some();
        if failure.kind == Kind::Device && !given.contains('/') && listed.iter().any(tells) {
            called(given, &names::macs(given), listed).unwrap_or(Err(failure))
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

/// Opens a port at the loaders' first rate, for us alone.
///
/// # Errors
/// It can't be opened, with what to do about it on this system.
pub fn open(chosen: &Chosen, baud: u32) -> Result<Open, Failure> {
    let name = chosen.name();
    let failed = |what: &str| Failure::new(Kind::Device, format!("{name}: {what}"));
    serialport::new(&chosen.path, baud)
        .timeout(READ_TIMEOUT)
        .open_native()
        .map_err(|error| {
            let (reason, problem) = why(&chosen.path, &error);
            match reason {
                Reason::Gone => failed("there is no such port any more")
                    .hint("is the board plugged in? tcpctl discover lists the ports"),
                #[cfg(unix)]
                Reason::Forbidden => {
                    failed("no permission to open it").hint(permission_hint(&chosen.path))
                }
                Reason::Busy => match holder(&chosen.path) {
                    Some(holder) => failed(&format!("{holder} is using it"))
                        .hint("end that program, and try again"),
                    None => failed("another program is using it")
                        .hint("end it (a serial monitor? ModemManager?), and try again"),
                },
                Reason::NoPort => {
                    failed("it is no serial port").hint("give --port one, e.g. /dev/ttyUSB0")
                }
                Reason::Other => failed(&problem),
            }
        })
}

/// Lets go of BOOT, before the board is reset by the port's other line: the system asserts both
/// when a port is opened, and then the reset line alone does nothing on most boards.
///
/// # Errors
/// The port has no such lines, or is gone.
pub fn let_go_of_boot(port: &mut Open) -> serialport::Result<()> {
    port.write_data_terminal_ready(false)
}

enum Reason {
    Gone,
    /// Where another system says so, the port is busy.
    #[cfg(unix)]
    Forbidden,
    Busy,
    NoPort,
    Other,
}

/// Why a port does not open: the library's own words do not tell its reasons apart.
#[cfg(unix)]
fn why(path: &str, error: &serialport::Error) -> (Reason, String) {
    use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

    let opened = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(path);
    let reason = match opened {
        Err(error) => match error.raw_os_error() {
            Some(libc::EBUSY) => Reason::Busy,
            Some(libc::ENXIO | libc::ENODEV | libc::ENOENT) => Reason::Gone,
            Some(libc::EISDIR) => Reason::NoPort,
            _ if error.kind() == io::ErrorKind::PermissionDenied => Reason::Forbidden,
            _ => Reason::Other,
        },
        Ok(file) => match file.metadata() {
            Ok(metadata) if !metadata.file_type().is_char_device() => Reason::NoPort,
            // It opens for us: somebody has locked it, or it has no terminal's settings.
            Ok(_) if error.kind() == serialport::ErrorKind::NoDevice => Reason::Busy,
            _ if error.to_string().contains("typewriter") => Reason::NoPort,
            _ if error.to_string().contains("ioctl") => Reason::NoPort,
            _ => Reason::Other,
        },
    };
    (reason, sanitize::one_line(&error.to_string()))
}

#[cfg(not(unix))]
fn why(_path: &str, error: &serialport::Error) -> (Reason, String) {
    let reason = match error.kind() {
        serialport::ErrorKind::Io(io::ErrorKind::PermissionDenied) => Reason::Busy,
        serialport::ErrorKind::NoDevice => Reason::Gone,
        serialport::ErrorKind::InvalidInput => Reason::NoPort,
        _ => Reason::Other,
    };
    (reason, sanitize::one_line(&error.to_string()))
}

/// Who may open it, and how to become one of those.
#[cfg(unix)]
fn permission_hint(path: &str) -> String {
    use std::os::unix::fs::MetadataExt;

    let group = std::fs::metadata(path).ok().and_then(|metadata| {
        let groups = std::fs::read_to_string("/etc/group").ok()?;
        group_name(&groups, metadata.gid())
    });
    match group {
        Some(group) if group != "root" => format!(
            "join its group: sudo usermod -aG {group} $USER, then log in again"
        ),
        _ => "allow it with a udev rule: echo 'SUBSYSTEM==\"tty\", MODE=\"0660\", GROUP=\"dialout\"' \
              | sudo tee /etc/udev/rules.d/99-boards.rules, then plug it in again"
            .to_owned(),
    }
}

/// The name of a group, as `/etc/group` has it.
#[cfg(unix)]
fn group_name(groups: &str, gid: u32) -> Option<String> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == gid).then(|| sanitize::one_line(name))
    })
}

/// Another process that has the port open, by its name and number, where Linux lets us see it: of
/// several the one that has locked it.
#[cfg(target_os = "linux")]
pub fn holder(path: &str) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    let port = std::fs::metadata(path).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let locked = lock_owner(&locks, port.ino());
    let own = std::process::id();
    let has_it = |pid: u32| {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let open = descriptors.flatten().any(|descriptor| {
            std::fs::metadata(descriptor.path())
                .is_ok_and(|metadata| port.rdev() != 0 && metadata.rdev() == port.rdev())
        });
        open.then_some(pid)
    };
    let pids = std::fs::read_dir("/proc").ok()?.flatten();
    let pid = locked
        .filter(|pid| *pid != own)
        .and_then(has_it)
        .or_else(|| {
            pids.filter_map(|process| process.file_name().to_str()?.parse().ok())
                .filter(|pid| *pid != own)
                .find_map(has_it)
        })?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!(
        "{} (process {pid})",
        sanitize::one_line(name.trim_end())
    ))
}

/// Who has locked the file of this number, as `/proc/locks` has it:
/// `1: FLOCK  ADVISORY  WRITE 708 00:13:4 0 EOF`.
#[cfg(target_os = "linux")]
fn lock_owner(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let file = fields.get(5)?.rsplit_once(':')?.1;
        (file.parse() == Ok(inode)).then(|| fields[4].parse().ok())?
    })
}

/// Another process that has the port open: this system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn holder(_path: &str) -> Option<String> {
    None
}

#[cfg(test)]
mod tests;
