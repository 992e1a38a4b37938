//! Opens a port, and explains failures.

use std::io;
use std::time::Duration;

use espflash::connection::Port as Open;
use serialport::SerialPort;

use super::SelectedPort;
use crate::failure::{Failure, Kind, reason};
#[cfg(unix)]
use crate::sanitize;

/// An example of a port name on this system.
const EXAMPLE: &str = if cfg!(windows) {
    "COM3"
} else {
    "/dev/ttyUSB0"
};

/// Default timeout of a read.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens a port exclusively at `baud` bits per second. Does not wait.
///
/// # Errors
/// The port does not open, with a hint for this system.
pub fn open(chosen: &SelectedPort, baud: u32) -> Result<Open, Failure> {
    let name = chosen.name();
    let failed = |what: &str| Failure::new(Kind::Device, format!("{name}: {what}"));
    serialport::new(&chosen.path, baud)
        .timeout(READ_TIMEOUT)
        .open_native()
        .map_err(|error| {
            let (kind, message) = classify(&chosen.path, &error);
            match kind {
                Reason::Gone => failed("no such port")
                    .hint("is the board connected? `tcpctl discover` lists the ports"),
                #[cfg(unix)]
                Reason::Forbidden => {
                    failed("permission denied").hint(permission_hint(&chosen.path))
                }
                Reason::Busy => match holder(&chosen.path) {
                    Some(holder) => failed(&format!("port is in use by {holder}"))
                        .hint("close that program and try again"),
                    None => failed("port is in use by another program")
                        .hint("close it (a serial monitor? ModemManager?) and try again"),
                },
                Reason::NoPort => {
                    failed("not a serial port").hint(format!("give --port one, e.g. {EXAMPLE}"))
                }
                Reason::Other => failed(&message),
            }
        })
}

/// Releases the BOOT line before a reset. The system asserts both control lines when a port is
/// opened, and then the reset line alone has no effect on most boards.
///
/// # Errors
/// The port has no control lines, or is gone.
pub fn release_boot(port: &mut Open) -> serialport::Result<()> {
    port.write_data_terminal_ready(false)
}

enum Reason {
    Gone,
    /// On Windows a busy port is reported this way.
    #[cfg(unix)]
    Forbidden,
    Busy,
    NoPort,
    Other,
}

/// Why a port does not open. The errors of the library do not distinguish the reasons.
#[cfg(unix)]
fn classify(path: &str, error: &serialport::Error) -> (Reason, String) {
    use std::io::IsTerminal;
    use std::os::unix::fs::OpenOptionsExt;

    let opened = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(path);
    let kind = match opened {
        Err(error) => match error.raw_os_error() {
            Some(libc::EBUSY) => Reason::Busy,
            Some(libc::ENXIO | libc::ENODEV | libc::ENOENT) => Reason::Gone,
            Some(libc::EISDIR) => Reason::NoPort,
            _ if error.kind() == io::ErrorKind::PermissionDenied => Reason::Forbidden,
            _ => Reason::Other,
        },
        Ok(file) if !file.is_terminal() => Reason::NoPort,
        // A plain open succeeds, so the port is locked.
        Ok(_) if error.kind() == serialport::ErrorKind::NoDevice => Reason::Busy,
        Ok(_) => Reason::Other,
    };
    (kind, reason(error))
}

#[cfg(not(unix))]
fn classify(_path: &str, error: &serialport::Error) -> (Reason, String) {
    let kind = match error.kind() {
        serialport::ErrorKind::Io(io::ErrorKind::PermissionDenied) => Reason::Busy,
        serialport::ErrorKind::NoDevice => Reason::Gone,
        serialport::ErrorKind::InvalidInput => Reason::NoPort,
        _ => Reason::Other,
    };
    (kind, reason(error))
}

/// How to get permission to open a port.
#[cfg(unix)]
fn permission_hint(path: &str) -> String {
    use std::os::unix::fs::MetadataExt;

    let group = std::fs::metadata(path).ok().and_then(|metadata| {
        let groups = std::fs::read_to_string("/etc/group").ok()?;
        group_name(&groups, metadata.gid())
    });
    match group {
        Some(group) if group != "root" => {
            format!("join the group {group}: sudo usermod -aG {group} $USER, then log in again")
        }
        _ => "add a udev rule: echo 'SUBSYSTEM==\"tty\", MODE=\"0660\", GROUP=\"dialout\"' \
              | sudo tee /etc/udev/rules.d/99-boards.rules, then reconnect the board"
            .to_owned(),
    }
}

/// The name of a group in `/etc/group`.
#[cfg(unix)]
pub(crate) fn group_name(groups: &str, gid: u32) -> Option<String> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == gid).then(|| sanitize::one_line(name))
    })
}

/// Name and PID of another process that has the port open, if it is visible; preferably the one
/// that locked it.
#[cfg(target_os = "linux")]
pub fn holder(path: &str) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    let port = std::fs::metadata(path).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let locked = lock_owner(&locks, port.ino());
    let own = std::process::id();
    let has_port = |pid: u32| {
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
        .and_then(has_port)
        .or_else(|| {
            pids.filter_map(|process| process.file_name().to_str()?.parse().ok())
                .filter(|pid| *pid != own)
                .find_map(has_port)
        })?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!(
        "{} (PID {pid})",
        sanitize::one_line(name.trim_end())
    ))
}

/// The process that has locked the file with this inode in `/proc/locks`:
/// `1: FLOCK  ADVISORY  WRITE 708 00:13:4 0 EOF`.
#[cfg(target_os = "linux")]
pub(crate) fn lock_owner(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let file = fields.get(5)?.rsplit_once(':')?.1;
        (file.parse() == Ok(inode)).then(|| fields[4].parse().ok())?
    })
}

/// Unknown on this system.
#[cfg(not(target_os = "linux"))]
pub fn holder(_path: &str) -> Option<String> {
    None
}
