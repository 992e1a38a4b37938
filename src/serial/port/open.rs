//! Opening a port, and what to do about it where that fails.

use std::io;
use std::time::Duration;

use espflash::connection::Port as Open;
use serialport::SerialPort;

use super::Chosen;
use crate::failure::{Failure, Kind};
use crate::sanitize;

/// How long a read waits, where nothing else was said.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens a port at `baud` bits per second, for us alone. Opens at once or not at all.
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
pub(crate) fn group_name(groups: &str, gid: u32) -> Option<String> {
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
pub(crate) fn lock_owner(locks: &str, inode: u64) -> Option<u32> {
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
