//! Exit codes.

use std::process::ExitCode;

/// The exit code of a command.
///
/// 124 to 127 are never used: they belong to `timeout`, `env` and the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Done = 0,
    /// A negative answer: nothing found, closed without a byte, or a condition unmet.
    Negative = 1,
    /// Invalid arguments, file or setting.
    Usage = 2,
    /// A name did not resolve.
    Resolve = 6,
    /// No connection could be made.
    Connect = 7,
    /// Timed out without a reply.
    Timeout = 28,
    /// The connection broke midway.
    Broken = 56,
    /// The board, an operation on it, or this computer failed.
    Device = 70,
    /// Interrupted by SIGINT: 128 + 2.
    Interrupted = 130,
    /// Terminated by SIGTERM: 128 + 15.
    Terminated = 143,
}

impl Exit {
    /// The process exit code.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    const ALL: [Exit; 10] = [
        Exit::Done,
        Exit::Negative,
        Exit::Usage,
        Exit::Resolve,
        Exit::Connect,
        Exit::Timeout,
        Exit::Broken,
        Exit::Device,
        Exit::Interrupted,
        Exit::Terminated,
    ];

    #[test]
    fn codes_match_the_documentation() {
        assert_eq!(ALL.map(Exit::code), [0, 1, 2, 6, 7, 28, 56, 70, 130, 143],);
    }

    #[test]
    fn codes_of_timeout_and_shell_are_unused() {
        assert!(ALL.iter().all(|exit| !(124..=127).contains(&exit.code())));
    }
}
