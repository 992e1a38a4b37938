//! Waits of Linux that end when they should.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Lets the kernel no longer put off the calling thread's timers to save wake-ups.
///
/// A thread's timers may be 50 µs late by default; an open loop's schedule takes that for an error
/// of its own. (prctl(2), `PR_SET_TIMERSLACK`; 1 ns is the least, 0 is the default again.)
pub fn be_punctual() {
    // SAFETY: this request takes one integer, and touches no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

/// Blocks until `descriptor` can be read, or until `timeout` has passed, to the microseconds in
/// which a thread can be woken: `epoll_wait` counts in milliseconds.
///
/// # Errors
/// `Interrupted` by a signal, and nothing else that a valid descriptor could meet.
pub fn wait_readable(descriptor: &impl AsRawFd, timeout: Duration) -> io::Result<()> {
    let mut poll = libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        // Below 10^9, which any C long holds.
        tv_nsec: timeout.subsec_nanos().cast_signed().into(),
    };
    // SAFETY: one pollfd and one timespec, both outlive the call; no signal mask.
    let ready = unsafe { libc::ppoll(&raw mut poll, 1, &raw const timeout, std::ptr::null()) };
    if ready < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
