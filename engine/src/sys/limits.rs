//! How many files, sockets among them, the system lets this process have open.

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
}
