//! How `tcpctl` ends: one exit code for each kind of ending.

use std::process::ExitCode;

/// The ending of a command, as a script sees it.
///
/// 124 to 127 are never used: `timeout`, `env` and the shell speak through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for was done.
    Done = 0,
    /// The question was answered with no: nothing found, closed without a byte, an
    /// expectation unmet.
    Negative = 1,
    /// The command line can't be carried out as it is written.
    Usage = 2,
    /// A name did not resolve.
    Resolve = 6,
    /// No connection could be made.
    Connect = 7,
    /// Time ran out in silence.
    Timeout = 28,
    /// The connection broke in the middle.
    Broken = 56,
    /// The board, or an operation on it, failed; also what should never happen here.
    Device = 70,
    /// Ended by SIGINT: 128 + 2.
    Interrupted = 130,
    /// Ended by SIGTERM: 128 + 15.
    Terminated = 143,
}

impl Exit {
    /// The number that the process ends with.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The worse of two endings: the greater code, so that any failure outranks success and an
    /// interruption outranks all.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        self.max(other)
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
    fn codes_are_the_contract_s() {
        assert_eq!(ALL.map(Exit::code), [0, 1, 2, 6, 7, 28, 56, 70, 130, 143],);
    }

    #[test]
    fn the_codes_of_timeout_and_the_shell_are_left_alone() {
        assert!(ALL.iter().all(|exit| !(124..=127).contains(&exit.code())));
    }

    #[test]
    fn any_failure_is_worse_than_success() {
        for exit in ALL {
            assert_eq!(Exit::Done.worst(exit), exit);
            assert_eq!(exit.worst(Exit::Done), exit);
        }
    }
}
