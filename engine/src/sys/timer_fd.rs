//! A timer file descriptor (`timerfd_create(2)`), for a precise wake-up in a poll.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// A monotonic one-shot timer.
///
/// `epoll_wait` counts in milliseconds, and the kernel adds up to 50 µs of timer slack; a timerfd
/// has nanosecond resolution and no slack. It also stays armed over several waits.
#[derive(Debug)]
pub struct TimerFd(OwnedFd);

impl TimerFd {
    /// Creates a disarmed timer. Its descriptor becomes readable on each expiry.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: takes no pointers.
        let descriptor = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and owned by no one else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Arms the timer to expire once, `after` from now, replacing an earlier setting.
    ///
    /// # Errors
    /// `timerfd_settime` fails only for an invalid time.
    pub fn set(&self, after: Duration) -> io::Result<()> {
        let never = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let once = libc::itimerspec {
            it_interval: never,
            it_value: libc::timespec {
                // At most 68 years, so that it fits every platform's `time_t`.
                tv_sec: i32::try_from(after.as_secs()).unwrap_or(i32::MAX).into(),
                // Zero would disarm the timer.
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

impl AsRawFd for TimerFd {
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
    fn timer_expires_once_and_not_early() {
        let timer = TimerFd::new().unwrap();
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(1);
        poll.registry()
            .register(
                &mut SourceFd(&timer.as_raw_fd()),
                Token(0),
                Interest::READABLE,
            )
            .unwrap();
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty());
        let start = Instant::now();
        timer.set(Duration::from_millis(3)).unwrap();
        poll.poll(&mut events, None).unwrap();
        assert!(!events.is_empty() && start.elapsed() >= Duration::from_millis(3));
        timer.set(Duration::from_hours(1)).unwrap();
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(
            events.is_empty(),
            "setting it again cancels the first expiry"
        );
    }
}
