//! The state of a board after an interruption, and the command that repairs it.

use std::ffi::OsString;

use crate::{sanitize, shell};

/// How far flashing got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was erased or written.
    Untouched,
    /// The whole flash is being erased.
    Erasing,
    /// This part is being written.
    Writing(&'static str),
    /// Everything was written and verified.
    Complete,
}

/// What the command writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Settings only.
    Settings,
    /// Firmware and settings.
    Full,
    /// Firmware and settings after erasing the flash.
    EraseAndWrite,
}

/// The board's state and the command that repairs it, from the arguments of this process.
pub fn state(stage: Stage, job: Job, arguments: impl Iterator<Item = OsString>) -> String {
    let broken = match (stage, job) {
        (Stage::Untouched, _) => {
            return "nothing was written; press RESET to start the board".to_owned();
        }
        (Stage::Complete, _) => return "everything is written and verified".to_owned(),
        (Stage::Erasing, _) => "the flash is partly erased".to_owned(),
        (Stage::Writing("settings"), Job::Settings) => {
            "the new settings are incomplete, the firmware is intact".to_owned()
        }
        (Stage::Writing(part), Job::EraseAndWrite) => {
            let are = if part == "settings" { "are" } else { "is" };
            format!(
                "the flash was erased and the {part} {are} incomplete: the board does not start"
            )
        }
        (Stage::Writing("settings"), _) => {
            "the new settings are incomplete, the firmware is written".to_owned()
        }
        (Stage::Writing("partition table"), _) => "firmware and settings are written, the \
                                                   partition table is incomplete: the board may \
                                                   not start"
            .to_owned(),
        (Stage::Writing(part), _) => format!(
            "the {part} is incomplete and the board may not start; its settings are unchanged"
        ),
    };
    // Arguments never contain a secret.
    let again = sanitize::one_line(&shell::command_line(arguments));
    format!("{broken}. To repair it: {again}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> impl Iterator<Item = OsString> {
        let arguments = ["/usr/bin/tcpctl", "flash", "--greeting", "it's\x1b me"];
        arguments.into_iter().map(OsString::from)
    }

    #[test]
    fn repair_command_is_the_same_command() {
        let printed = state(Stage::Erasing, Job::EraseAndWrite, arguments());
        let again = r"To repair it: tcpctl flash --greeting 'it'\''s\x1b me'";
        assert!(printed.ends_with(again), "{printed}");
    }

    #[cfg(unix)]
    #[test]
    fn argument_that_is_not_utf8_is_quoted() {
        use std::os::unix::ffi::OsStringExt;

        let file = OsString::from_vec(b"/tmp/\xff.elf".to_vec());
        let arguments = ["tcpctl".into(), "flash".into(), file].into_iter();
        let printed = state(Stage::Erasing, Job::EraseAndWrite, arguments);
        assert!(printed.contains(": tcpctl flash '/tmp/"), "{printed}");
    }

    #[test]
    fn message_describes_the_state_of_the_settings() {
        let describe = |stage, job| state(stage, job, arguments());
        for (stage, job, words) in [
            (Stage::Writing("app"), Job::Full, "are unchanged"),
            (
                Stage::Writing("app"),
                Job::EraseAndWrite,
                "the app is incomplete",
            ),
            (
                Stage::Writing("settings"),
                Job::EraseAndWrite,
                "settings are incomplete",
            ),
            (
                Stage::Writing("settings"),
                Job::Settings,
                "new settings are incomplete",
            ),
            (
                Stage::Writing("settings"),
                Job::Full,
                "new settings are incomplete",
            ),
            (
                Stage::Writing("partition table"),
                Job::Full,
                "firmware and settings are written",
            ),
            (Stage::Erasing, Job::EraseAndWrite, "partly erased"),
        ] {
            let printed = describe(stage, job);
            assert!(printed.contains(words), "{stage:?} {job:?}: {printed}");
            assert!(printed.contains("To repair it: tcpctl flash"), "{printed}");
            let kept = (stage, job) == (Stage::Writing("app"), Job::Full);
            assert_eq!(printed.contains("are unchanged"), kept, "{printed}");
        }
        assert!(!describe(Stage::Untouched, Job::Settings).contains("repair"));
        assert!(!describe(Stage::Complete, Job::Settings).contains("repair"));
    }
}
