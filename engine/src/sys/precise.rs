//! A timer of Linux that wakes a poll when it should.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// An alarm clock among the descriptors of a poll (`timerfd`).
///
/// `epoll_wait` counts in milliseconds, and the kernel may put its timeout off by 50 µs more to
/// save wake-ups; this rings to the microseconds in which a thread can be woken. It need not be
/// set again for every wait either, which costs more than a clock that is read.
#[derive(Debug)]
pub struct Alarm(OwnedFd);

impl Alarm {
    /// An alarm that is not set. Its descriptor becomes readable, as an edge, whenever it rings.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: no memory of ours is touched.
        let descriptor = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Lets it ring once, so much later; whatever it was set to before is forgotten.
    ///
    /// # Errors
    /// None that a time of less than centuries could meet.
    pub fn set(&self, after: Duration) -> io::Result<()> {
        let never = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let once = libc::itimerspec {
            it_interval: never,
            it_value: libc::timespec {
                // 68 years at most: every system's type holds that, whatever it is called.
                tv_sec: i32::try_from(after.as_secs()).unwrap_or(i32::MAX).into(),
                // Below 10^9, which any C long holds. Zero would be "never".
                tv_nsec: after.subsec_nanos().max(1).cast_signed().into(),
            },
        };
        // SAFETY: the descriptor is open, and `once` outlives the call that reads it.
        let done = unsafe {
            libc::timerfd_settime(self.0.as_raw_fd(), 0, &raw const once, std::ptr::null_mut())
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

impl AsRawFd for Alarm {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Token};

    use super::*;

    #[test]
    fn it_rings_once_and_not_early() {
        let alarm = Alarm::new().unwrap();
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(1);
        poll.registry()
            .register(
                &mut SourceFd(&alarm.as_raw_fd()),
                Token(0),
                Interest::READABLE,
            )
            .unwrap();
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty());
        let start = Instant::now();
        alarm.set(Duration::from_millis(3)).unwrap();
        poll.poll(&mut events, None).unwrap();
        assert!(!events.is_empty() && start.elapsed() >= Duration::from_millis(3));
        alarm.set(Duration::from_hours(1)).unwrap();
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty(), "setting it again silences it");
    }
}
