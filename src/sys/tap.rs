//! Linux TAP devices: a kernel Ethernet interface as a file.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// Opens the TAP interface `name` for whole frames in nonblocking mode, or creates it.
///
/// An interface that was made with `ip tuntap add dev NAME mode tap user USER` can be opened by
/// that user; to make one takes the capability `CAP_NET_ADMIN`. One that was made here goes when
/// the file is closed. (Linux, Documentation/networking/tuntap.rst.)
///
/// # Errors
/// `InvalidInput` for a name that no interface can have, otherwise the kernel's error:
/// `PermissionDenied` without the capability, `ResourceBusy` if another program uses it.
pub fn open(name: &str) -> io::Result<File> {
    // SAFETY: all-zero bytes are a valid ifreq, a C struct of integers and arrays.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let bytes = CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    let bytes = bytes.as_bytes_with_nul();
    let harmful = |c: char| matches!(c, '/' | '%' | ':') || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.contains(harmful) || bytes.len() > request.ifr_name.len() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "an interface name has 1 to 15 characters, without spaces, '/', ':' and '%'",
        ));
    }
    for (to, &from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_TAP | libc::IFF_NO_PI).unwrap_or_default();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun")?;
    // SAFETY: the descriptor is open, and TUNSETIFF reads and writes one ifreq, which is ours.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::open;

    #[test]
    fn impossible_interface_name_is_refused_before_a_system_call() {
        for name in [
            "",
            "sixteen-letters-",
            "a/b",
            "tap%d",
            "nul\0",
            "a b",
            "a\n",
            "a:b",
        ] {
            let error = open(name).expect_err(name);
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{name}");
        }
    }
}
