//! What state a board is in when flashing breaks off, and the command that repairs it.

use std::ffi::OsString;

use crate::sanitize;

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was erased or written.
    Untouched,
    /// Everything is being erased.
    Erasing,
    /// This part is being written.
    Writing(&'static str),
    /// All is written and verified.
    Complete,
}

/// What was asked for, as far as it matters to whoever breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// The settings, and nothing else.
    Settings,
    /// Firmware and settings.
    Everything,
    /// The same, on a flash that was erased first.
    Afresh,
}

/// What state the board is in now, and what repairs it; `arguments` are the command's own.
pub fn state(stage: Stage, job: Job, arguments: impl Iterator<Item = OsString>) -> String {
    let broken = match (stage, job) {
        (Stage::Untouched, _) => {
            return "nothing was written, the board is as it was; RESET starts it".to_owned();
        }
        (Stage::Complete, _) => return "all is written and verified".to_owned(),
        (Stage::Erasing, _) => "the flash is partly erased".to_owned(),
        (Stage::Writing("settings"), Job::Settings) => {
            "the settings may be lost, the firmware is whole".to_owned()
        }
        (Stage::Writing(part), Job::Afresh) => {
            let is = if part == "settings" { "are" } else { "is" };
            format!(
                "the flash was erased, and the {part} {is} half written: the board does not start"
            )
        }
        (Stage::Writing("settings"), _) => {
            "the settings may be lost, the firmware is written".to_owned()
        }
        (Stage::Writing("partition table"), _) => "firmware and settings are written, the \
                                                   partition table is half written: the board \
                                                   may not start"
            .to_owned(),
        (Stage::Writing(part), _) => format!(
            "the {part} is half written and the board may not start, its settings are as they were"
        ),
    };
    format!("{broken}; to repair it: {}", again(arguments))
}

/// This command once more, as a shell takes it. No secret is ever among a command's arguments.
fn again(arguments: impl Iterator<Item = OsString>) -> String {
    let quoted = |argument: OsString| {
        let argument = argument.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
        if !argument.is_empty() && argument.chars().all(plain) {
            argument.into_owned()
        } else {
            format!("'{}'", sanitize::one_line(&argument).replace('\'', r"'\''"))
        }
    };
    let rest: Vec<_> = arguments.skip(1).map(quoted).collect();
    format!("tcpctl {}", rest.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> impl Iterator<Item = OsString> {
        let arguments = ["/usr/bin/tcpctl", "flash", "--greeting", "it's\x1b me"];
        arguments.into_iter().map(OsString::from)
    }

    #[test]
    fn the_command_that_repairs_is_this_one_once_more() {
        assert_eq!(
            again(arguments()),
            r"tcpctl flash --greeting 'it'\''s\x1b me'"
        );
    }

    #[cfg(unix)]
    #[test]
    fn an_argument_that_is_no_text_does_no_harm() {
        use std::os::unix::ffi::OsStringExt;

        let file = OsString::from_vec(b"/tmp/\xff.elf".to_vec());
        let arguments = ["tcpctl".into(), "flash".into(), file].into_iter();
        assert!(again(arguments).starts_with("tcpctl flash '/tmp/"));
    }

    #[test]
    fn settings_that_are_gone_are_not_said_to_be_as_they_were() {
        let say = |stage, job| state(stage, job, arguments());
        for (stage, job, words) in [
            (Stage::Writing("app"), Job::Everything, "as they were"),
            (
                Stage::Writing("app"),
                Job::Afresh,
                "the app is half written",
            ),
            (Stage::Writing("settings"), Job::Afresh, "settings are half"),
            (Stage::Writing("settings"), Job::Settings, "may be lost"),
            (Stage::Writing("settings"), Job::Everything, "may be lost"),
            (
                Stage::Writing("partition table"),
                Job::Everything,
                "firmware and settings are written",
            ),
            (Stage::Erasing, Job::Afresh, "partly erased"),
        ] {
            let said = say(stage, job);
            assert!(said.contains(words), "{stage:?} {job:?}: {said}");
            assert!(said.contains("to repair it: tcpctl flash"), "{said}");
            let kept = (stage, job) == (Stage::Writing("app"), Job::Everything);
            assert_eq!(said.contains("as they were"), kept, "{said}");
        }
        assert!(!say(Stage::Untouched, Job::Settings).contains("repair"));
        assert!(!say(Stage::Complete, Job::Settings).contains("repair"));
    }
}
