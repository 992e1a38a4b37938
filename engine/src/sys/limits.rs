//! The limit of open files.

/// The limit of open files (sockets included) of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// Before raising it.
    pub before: u64,
    /// After raising it.
    pub now: u64,
}

/// Raises the soft limit of open files to the hard limit; `None` where there is no such limit.
///
/// Many systems default to 256 or 1,024; a load of 10,000 connections needs more.
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
        // macOS reports "unlimited" but refuses more than OPEN_MAX (setrlimit(2)).
        let most = if cfg!(target_os = "macos") {
            limit.rlim_max.min(10_240)
        } else {
            limit.rlim_max
        };
        if before < most {
            limit.rlim_cur = most;
            // SAFETY: setrlimit reads one initialized rlimit.
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn open_file_limit_is_raised_once_and_stays() {
        let raised = raise_open_files().expect("supported on Unix");
        assert!(raised.now > 0 && raised.now >= raised.before);
        let again = raise_open_files().expect("supported on Unix");
        assert_eq!((again.before, again.now), (raised.now, raised.now));
    }
}
