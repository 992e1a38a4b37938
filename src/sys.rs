//! Operating system differences and, with the engine's `sys`, the only unsafe code.
#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
pub mod tap;
pub mod terminal;

use std::fs::File;
use std::io;
use std::net::SocketAddr;

use socket2::Socket;
pub use tcpctl_engine::sys::tcp::unacknowledged;
pub use tcpctl_engine::sys::{clocks, limits};

/// The host name of this computer; `None` if it is unknown.
pub fn host_name() -> Option<String> {
    #[cfg(unix)]
    {
        let mut name = [0u8; 256];
        // SAFETY: `name` has the bytes that the call may write, and outlives it.
        let failed = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) } != 0;
        let name = std::ffi::CStr::from_bytes_until_nul(&name).ok()?;
        let name = name.to_str().ok()?;
        (!failed && !name.is_empty()).then(|| name.to_owned())
    }
    #[cfg(not(unix))]
    {
        std::env::var("COMPUTERNAME").ok()
    }
}

/// The index of a network interface, as used in IPv6 zones; `None` if it does not exist.
pub fn interface_index(name: &str) -> Option<u32> {
    #[cfg(unix)]
    {
        let name = std::ffi::CString::new(name).ok()?;
        // SAFETY: `name` is a NUL-terminated string that outlives the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        (index > 0).then_some(index)
    }
    #[cfg(not(unix))]
    {
        // An interface may have no index for one of its addresses.
        let mut of_name = interfaces().filter(|interface| interface.name == name);
        of_name.find_map(|interface| interface.index)
    }
}

/// This computer's network interfaces, once per address.
#[cfg(not(unix))]
fn interfaces() -> impl Iterator<Item = if_addrs::Interface> {
    if_addrs::get_if_addrs().unwrap_or_default().into_iter()
}

/// The command that lists network interfaces as this program names them.
pub const LIST_INTERFACES: &str = if cfg!(windows) {
    "ipconfig"
} else if cfg!(target_os = "macos") {
    "ifconfig"
} else {
    "ip link"
};

/// The name of the network interface with this index; `None` if it does not exist.
pub fn interface_name(index: u32) -> Option<String> {
    #[cfg(unix)]
    {
        let mut name = [0u8; libc::IF_NAMESIZE];
        // SAFETY: `name` has the IF_NAMESIZE bytes that the call may write, and outlives it.
        let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
        if found.is_null() {
            return None;
        }
        let name = std::ffi::CStr::from_bytes_until_nul(&name).ok()?;
        name.to_str().ok().map(str::to_owned)
    }
    #[cfg(not(unix))]
    {
        let found = |interface: &if_addrs::Interface| interface.index == Some(index);
        Some(interfaces().find(found)?.name)
    }
}

/// Whether this user may read and write `path`. Opening a serial port to find out would reset some
/// boards.
pub fn may_read_and_write(path: &str) -> bool {
    #[cfg(unix)]
    {
        let Ok(path) = std::ffi::CString::new(path) else {
            return false;
        };
        // SAFETY: `path` is a NUL-terminated string that outlives the call.
        unsafe { libc::access(path.as_ptr(), libc::R_OK | libc::W_OK) == 0 }
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        true
    }
}

/// Whether the reader of standard output has closed the pipe. A command that rarely writes would
/// not notice it from a write error.
pub fn is_stdout_closed() -> bool {
    #[cfg(unix)]
    {
        let mut stdout = libc::pollfd {
            fd: libc::STDOUT_FILENO,
            events: 0,
            revents: 0,
        };
        // SAFETY: one valid entry, as the count says, and the call does not wait.
        let ready = unsafe { libc::poll(&raw mut stdout, 1, 0) };
        ready > 0 && stdout.revents & (libc::POLLERR | libc::POLLHUP) != 0
    }
    #[cfg(not(unix))]
    {
        false
    }
}

/// Whether only this user and root can have written a file. Always true on systems without file
/// owners.
pub fn is_own(metadata: &std::fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // SAFETY: the call has no arguments and cannot fail.
        let user = unsafe { libc::geteuid() };
        [user, 0].contains(&metadata.uid()) && metadata.mode() & 0o022 == 0
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        true
    }
}

/// Standard input without std's buffer, which would copy every byte.
pub fn stdin() -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
    }
    #[cfg(windows)]
    {
        use std::os::windows::io::AsHandle;
        Ok(io::stdin().as_handle().try_clone_to_owned()?.into())
    }
}

/// Lines that are typed on the console, as UTF-8 that ends in LF. The bytes of [`stdin`] are in a code
/// page and end in CR LF.
#[cfg(windows)]
pub fn typed_lines() -> impl io::Read {
    CrLfLines::new(io::BufReader::new(io::stdin()))
}

/// Lines with LF instead of CR LF.
#[cfg(any(windows, test))]
struct CrLfLines<R> {
    source: R,
    line: Vec<u8>,
    read: usize,
}

#[cfg(any(windows, test))]
impl<R: io::BufRead> CrLfLines<R> {
    fn new(source: R) -> Self {
        let line = Vec::new();
        Self {
            source,
            line,
            read: 0,
        }
    }
}

#[cfg(any(windows, test))]
impl<R: io::BufRead> io::Read for CrLfLines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read == self.line.len() {
            self.line.clear();
            self.read = 0;
            self.source.read_until(b'\n', &mut self.line)?;
            if self.line.ends_with(b"\r\n") {
                self.line.truncate(self.line.len() - 2);
                self.line.push(b'\n');
            }
        }
        let count = io::Read::read(&mut &self.line[self.read..], into)?;
        self.read += count;
        Ok(count)
    }
}

/// Kills a child that leads a process group, and the group.
pub fn kill_process_group(child: &mut std::process::Child) {
    #[cfg(unix)]
    if let Ok(pid) = libc::pid_t::try_from(child.id()) {
        // SAFETY: sends a signal; the child has not been waited for, so the group is still its own.
        unsafe { libc::kill(-pid, libc::SIGKILL) };
    }
    let _ = child.kill();
}

/// Hour, minute and second in the system's time zone at `seconds` since 1970; `None` if the zone is
/// unknown.
pub fn local_time_of_day(seconds: i64) -> Option<(i32, i32, i32)> {
    #[cfg(unix)]
    {
        let seconds = libc::time_t::try_from(seconds).ok()?;
        // SAFETY: an all-zero tm is a valid value of the type.
        let mut time: libc::tm = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are valid for the call, which keeps neither.
        let done = unsafe { libc::localtime_r(&raw const seconds, &raw mut time) };
        (!done.is_null()).then_some((time.tm_hour, time.tm_min, time.tm_sec))
    }
    #[cfg(not(unix))]
    {
        let _ = seconds;
        None
    }
}

/// Restricts `socket`, which will connect to `peer`, to the interface `name`.
pub fn bind_to_interface(socket: &Socket, name: &str, peer: SocketAddr) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let _ = peer;
        socket.bind_device(Some(name.as_bytes()))
    }
    #[cfg(target_os = "macos")]
    {
        let index = interface_index(name).and_then(std::num::NonZeroU32::new);
        match peer {
            SocketAddr::V6(_) => socket.bind_device_by_index_v6(index),
            SocketAddr::V4(_) => socket.bind_device_by_index_v4(index),
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
    {
        // Windows sends from an address on its own interface only (strong host model, RFC 1122 §3.3.4.2).
        let own = |interface: &if_addrs::Interface| {
            interface.name == name && interface.ip().is_ipv4() == peer.is_ipv4()
        };
        let address = interfaces()
            .find(own)
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        socket.bind(&SocketAddr::new(address.ip(), 0).into())
    }
}

/// Waits until a descriptor that another process made non-blocking is ready, or a signal arrives.
#[cfg(unix)]
pub fn wait_until_ready(descriptor: &impl std::os::fd::AsRawFd, readiness: Readiness) {
    let mut poll = libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: match readiness {
            Readiness::Readable => libc::POLLIN,
            Readiness::Writable => libc::POLLOUT,
        },
        revents: 0,
    };
    // SAFETY: one pollfd, which outlives the call. The result is unused: the caller tries again.
    unsafe { libc::poll(&raw mut poll, 1, -1) };
}

/// Waits a moment: on this system no other process can make a stream non-blocking.
#[cfg(not(unix))]
pub fn wait_until_ready<T>(_: &T, _: Readiness) {
    std::thread::sleep(std::time::Duration::from_millis(1));
}

/// Whether a write of a few bytes would not block, waiting for that up to `timeout`.
#[cfg(unix)]
pub fn is_writable_within(
    descriptor: &impl std::os::fd::AsRawFd,
    timeout: std::time::Duration,
) -> bool {
    let mut poll = libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one pollfd, which outlives the call.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) > 0 }
}

/// Unknown on this system.
#[cfg(not(unix))]
pub fn is_writable_within<T>(_: &T, _: std::time::Duration) -> bool {
    true
}

/// Whether a read would return at once with bytes, the end or an error.
#[cfg(unix)]
pub fn is_readable(descriptor: &impl std::os::fd::AsRawFd) -> bool {
    let mut poll = libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd, which outlives the call.
    unsafe { libc::poll(&raw mut poll, 1, 0) > 0 }
}

/// Unknown on this system.
#[cfg(not(unix))]
pub fn is_readable<T>(_: &T) -> bool {
    false
}

/// The kind of readiness to wait for.
#[derive(Debug, Clone, Copy)]
pub enum Readiness {
    /// A read would not block.
    Readable,
    /// A write would not block.
    Writable,
}

/// Signal handlers: the first signal requests the end of the command, the second ends it at once.
///
/// The handler itself obeys the second one, so it works even while the process is blocked. The same
/// signal within 100 ms counts once: `timeout` signals the process and then its group.
#[cfg(unix)]
pub mod signals {
    use std::io;
    use std::os::fd::IntoRawFd;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
    use std::sync::{Arc, OnceLock};

    /// Within this time in milliseconds the same signal counts once. Ctrl-C is not pressed twice that
    /// fast.
    const SAME_SIGNAL: u32 = 100;

    /// Descriptor that the handler writes the first signal's number to; -1 for none.
    static WAKE: AtomicI32 = AtomicI32::new(-1);
    /// Flag that the handler sets.
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    /// The first signal's number; 0 for none.
    static FIRST: AtomicI32 = AtomicI32::new(0);
    /// When the first signal arrived, in milliseconds of [`now`]; 0 for not yet.
    static FIRST_AT: AtomicU32 = AtomicU32::new(0);

    /// Makes SIGINT and SIGTERM end the process at once with exit code 130 or 143, until a command handles
    /// them. Without this, a signal that arrives while a command reads its input would leave no exit code.
    ///
    /// If the system refuses, signals end the process as by default.
    pub fn exit_by_default() {
        let _ = handle();
    }

    /// Installs the handlers for SIGINT and SIGTERM and returns the stream on which the first
    /// signal's number arrives as one byte. Call it once.
    pub fn install() -> io::Result<UnixStream> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        WAKE.store(writer.into_raw_fd(), Ordering::Release);
        handle()?;
        Ok(reader)
    }

    /// Installs the handlers, and makes the first signal set a flag. The signal also ends any wait for
    /// descriptors early.
    pub fn install_flag(flag: Arc<AtomicBool>) -> io::Result<()> {
        // Fails if there is a flag already, which then stays in use.
        let _ = FLAG.set(flag);
        handle()
    }

    /// The number of the first signal, if one has arrived.
    pub fn first() -> Option<i32> {
        Some(FIRST.load(Ordering::Acquire)).filter(|signal| *signal != 0)
    }

    fn handle() -> io::Result<()> {
        for signal in [libc::SIGINT, libc::SIGTERM] {
            // SAFETY: an all-zero sigaction is a valid value of the type.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            let handler: extern "C" fn(libc::c_int) = on_signal;
            action.sa_sigaction = handler as libc::sighandler_t;
            // Not SA_RESTART: a signal must end a write to a blocked pipe.
            action.sa_flags = 0;
            // SAFETY: `action` is initialized, and its handler calls only what signal-safety(7)
            // allows.
            let done = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
            if done < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    /// A monotonic clock in milliseconds that wraps and is never 0. Safe in a signal handler.
    fn now() -> u32 {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: clock_gettime is async-signal-safe and writes to `time`, which outlives the call.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the clock wraps"
        )]
        let milliseconds = (time.tv_sec as u32)
            .wrapping_mul(1000)
            .wrapping_add((time.tv_nsec / 1_000_000) as u32);
        milliseconds.max(1)
    }

    extern "C" fn on_signal(signal: libc::c_int) {
        let now = now();
        let not_yet = FIRST_AT.compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire);
        let since = not_yet.map_or_else(|at| now.wrapping_sub(at), |_| 0);
        let first = FIRST.swap(signal, Ordering::AcqRel);
        if first == signal && since < SAME_SIGNAL {
            return;
        }
        let is_handled = FLAG.get().is_some() || WAKE.load(Ordering::Acquire) >= 0;
        if first != 0 || !is_handled {
            super::terminal::restore();
            // SAFETY: _exit is async-signal-safe and does not return.
            unsafe { libc::_exit(128 + signal) };
        }
        // Only atomic operations, which a signal handler may do.
        if let Some(flag) = FLAG.get() {
            flag.store(true, Ordering::Release);
        }
        let wake = WAKE.load(Ordering::Acquire);
        if wake < 0 {
            return;
        }
        let byte = u8::try_from(signal).unwrap_or_default();
        // SAFETY: write is async-signal-safe, and the byte outlives the call. One byte fits into the
        // empty socket, so errno stays as the interrupted code left it.
        unsafe { libc::write(wake, (&raw const byte).cast(), 1) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn typed_lines_end_in_lf() {
        let typed: &[u8] = b"one\r\ntwo\nth\rree\r\n\r\nfour\r";
        let mut read = String::new();
        CrLfLines::new(typed).read_to_string(&mut read).unwrap();
        assert_eq!(read, "one\ntwo\nth\rree\n\nfour\r");
    }

    #[test]
    fn loopback_interface_has_a_name_and_an_index() {
        let interfaces = if_addrs::get_if_addrs().unwrap();
        let loopback = interfaces.iter().find(|it| it.is_loopback()).unwrap();
        let index = interface_index(&loopback.name).unwrap();
        assert_eq!(interface_name(index).as_ref(), Some(&loopback.name));
        assert_eq!(interface_index("no such interface"), None);
        assert_eq!(interface_name(u32::MAX), None);
    }
}
