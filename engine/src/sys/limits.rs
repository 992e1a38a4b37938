//! What the system gives this process: open files, and the CPU time that it has used.

use std::time::Duration;

/// The limit of files that this process may have open, sockets among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// What it was.
    pub before: u64,
    /// What it is now.
    pub now: u64,
}

/// Raises the limit of open files to what the system lets this user have; `None` where there is no
/// such limit, or it can't be asked.
///
/// Many systems start a process with 256 or 1,024, out of caution for programs that use
/// `select`; a load of 10,000 connections needs more.
pub fn raise_open_files() -> Option<OpenFiles> {
    #[cfg(unix)]
    {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: getrlimit writes one rlimit, which is ours.
        if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
            return None;
        }
        let before = limit.rlim_cur;
        // macOS says "no limit" and then refuses more than this (setrlimit(2), OPEN_MAX).
        let most = if cfg!(target_os = "macos") {
            limit.rlim_max.min(10_240)
        } else {
            limit.rlim_max
        };
        if before < most {
            limit.rlim_cur = most;
            // SAFETY: setrlimit reads one initialised rlimit.
            if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
                return Some(OpenFiles {
                    before,
                    now: before,
                });
            }
        }
        Some(OpenFiles {
            before,
            now: limit.rlim_cur,
        })
    }
    #[cfg(not(unix))]
    None
}

/// Whether [`cpu_time`] is the calling thread's; else it is the whole process's.
pub const CPU_TIME_IS_A_THREADS: bool = cfg!(target_os = "linux");

/// The CPU time used so far, user and system: of the calling thread on Linux, of the process on
/// other Unix systems; `None` where it can't be asked.
pub fn cpu_time() -> Option<Duration> {
    #[cfg(unix)]
    {
        #[cfg(target_os = "linux")]
        let who = libc::RUSAGE_THREAD;
        #[cfg(not(target_os = "linux"))]
        let who = libc::RUSAGE_SELF;
        // SAFETY: an all-zero rusage is a valid value, and getrusage writes one.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        if unsafe { libc::getrusage(who, &raw mut usage) } != 0 {
            return None;
        }
        Some(duration(usage.ru_utime) + duration(usage.ru_stime))
    }
    #[cfg(not(unix))]
    None
}

#[cfg(unix)]
fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let microseconds = u64::try_from(time.tv_usec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_micros(microseconds)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_raised_once_and_stays() {
        let raised = raise_open_files().expect("a Unix has this limit");
        assert!(raised.now > 0 && raised.now >= raised.before);
        let again = raise_open_files().expect("as before");
        assert_eq!((again.before, again.now), (raised.now, raised.now));
    }

    #[test]
    fn cpu_time_grows_with_work() {
        let before = cpu_time().expect("a Unix can be asked");
        let mut sum = 0_u64;
        while cpu_time().expect("as before") == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_time() > Some(before));
    }
}
