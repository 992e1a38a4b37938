//! Quotes command lines for a POSIX shell.

use std::ffi::OsString;

/// Quotes an argument if a shell needs it (POSIX, Shell Command Language, section 2.2).
pub fn quote(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

/// The command line for these process arguments. It starts with the name `tcpctl`.
pub fn command_line(arguments: impl Iterator<Item = OsString>) -> String {
    let mut line = "tcpctl".to_owned();
    for argument in arguments.skip(1) {
        line.push(' ');
        line.push_str(&quote(&argument.to_string_lossy()));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(arguments: &[&str]) -> String {
        let own = std::iter::once(&"/usr/bin/tcpctl");
        command_line(own.chain(arguments).map(OsString::from))
    }

    #[test]
    fn only_arguments_that_need_it_are_quoted() {
        for (argument, quoted) in [
            ("--fail-if=p99", "--fail-if=p99"),
            ("sim:loss=1%,delay=20ms", "sim:loss=1%,delay=20ms"),
            ("", "''"),
            ("it's me", r"'it'\''s me'"),
            ("[::1]:3000", "'[::1]:3000'"),
            ("$HOME", "'$HOME'"),
            ("~", "'~'"),
        ] {
            assert_eq!(line(&["send", argument]), format!("tcpctl send {quoted}"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn shell_reads_back_what_was_quoted() {
        let argument = "a 'b' \"c\" $(d) `e` \\ ;&|<>*?[!]{}~#\n\t";
        let script = format!("printf %s {}", quote(argument));
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), argument);
    }
}
