//! Prints clap's help and usage errors.

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use clap::builder::{Resettable, StyledStr};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, ValueEnum};

use crate::cli::{self, Cli};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{BrokenPipe, Color, ColorWhen, Stdout, print_failure};
use crate::sanitize;

/// Turns `tcpctl help COMMAND` into `tcpctl COMMAND --help`.
pub fn expand_help(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_help = |arguments: &[OsString]| arguments.get(1).is_some_and(|word| word == "help");
    if is_help(&arguments) {
        // `help help` is `help`.
        while is_help(&arguments) {
            arguments.remove(1);
        }
        arguments.push("--help".into());
    }
    arguments
}

/// Prints help, version or a usage error, and returns the exit code: 0 for help and version, 2 for
/// an error.
///
/// clap does not report which options it parsed before the error, so `--json` and `--color` are
/// searched in `arguments`.
pub fn parse_error(error: &clap::Error, arguments: &[OsString]) -> Exit {
    let texts: Vec<_> = arguments
        .iter()
        .skip(1)
        .map(|argument| argument.to_string_lossy())
        .take_while(|argument| argument != "--")
        .collect();
    let when = color(&texts);
    let stdout = Stdout::new();
    match error.kind() {
        kind @ (ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let color = Color::decide(when, io::stdout().is_terminal());
            let is_long = texts.iter().any(|text| text == "--help");
            let text = if kind == ErrorKind::DisplayHelp && !is_long {
                styled(&summary(&texts), color)
            } else {
                styled(&error.render(), color)
            };
            let failure = match stdout.print(text.as_bytes()) {
                Err(error) if !error.is::<BrokenPipe>() => Failure::from_error(&error),
                _ => return Exit::Done,
            };
            let as_json = texts.iter().any(|text| text == "--json");
            let color = Color::decide(when, io::stderr().is_terminal());
            print_failure(&stdout, None, &failure, as_json, color);
            failure.exit()
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let color = Color::decide(when, io::stderr().is_terminal());
            let name = color.strong(concat!("tcpctl ", env!("CARGO_PKG_VERSION")));
            let about = Cli::command().get_about().map(ToString::to_string);
            let about = about.unwrap_or_default();
            crate::output::print_error_line(&format!("{name}: {about}\n\n{}", cli::GET_STARTED));
            Exit::Usage
        }
        _ => {
            let cli = Cli::command();
            let command = cli
                .get_subcommands()
                .map(clap::Command::get_name)
                .find(|name| texts.iter().any(|text| text == name));
            let mut failure = failure(error, &texts);
            if error.kind() == ErrorKind::InvalidUtf8 {
                failure.message = not_utf8(arguments);
            }
            print_failure(
                &stdout,
                command,
                &failure,
                texts.iter().any(|text| text == "--json"),
                Color::decide(when, io::stderr().is_terminal()),
            );
            failure.exit()
        }
    }
}

fn color(arguments: &[impl AsRef<str>]) -> ColorWhen {
    let mut when = None;
    let mut arguments = arguments.iter().map(AsRef::as_ref);
    while let Some(argument) = arguments.next() {
        let value = match argument.strip_prefix("--color=") {
            Some(value) => Some(value),
            None if argument == "--color" => arguments.next(),
            None => None,
        };
        when = value
            .and_then(|value| ColorWhen::from_str(value, false).ok())
            .or(when);
    }
    when.unwrap_or_default()
}

fn styled(text: &StyledStr, color: Color) -> String {
    match color {
        Color::On => text.ansi().to_string(),
        Color::Off => text.to_string(),
    }
}

/// The text of `-h`: the most common options in one list that fits a screen.
fn summary(arguments: &[impl AsRef<str>]) -> StyledStr {
    let mut cli = Cli::command();
    let mut names = arguments.iter().map(AsRef::as_ref);
    let name = names.find(|name| cli.find_subcommand(name).is_some());
    if name.is_some() {
        // Adds the global options and the program name.
        cli.build();
    }
    for rare in RARE_COMMANDS {
        cli = cli.mut_subcommand(rare, |command| command.hide(true));
    }
    let command = name.and_then(|name| cli.find_subcommand(name));
    let command = command.unwrap_or(&cli).clone();
    command
        .mut_args(|arg| arg.help_heading(Resettable::Reset))
        // Global options come last.
        .mut_arg("json", |arg| arg.display_order(LAST))
        .render_help()
}

/// Commands that only `--help` lists, to keep `-h` short.
const RARE_COMMANDS: [&str; 4] = ["schema", "config", "completions", "man"];

/// Above the number of any option: clap numbers options in the order of their definition.
const LAST: usize = 900;

/// The message for an argument that is not UTF-8.
fn not_utf8(arguments: &[OsString]) -> String {
    let bad = arguments
        .iter()
        .find(|argument| argument.to_str().is_none());
    let shown = bad.map(|bad| sanitize::one_line(&bad.to_string_lossy()));
    format!("'{}' is not UTF-8", shown.unwrap_or_default())
}

/// The option and its negative value, which clap reads as an unknown option.
fn negative<'a>(
    error: &clap::Error,
    arguments: &'a [impl AsRef<str>],
) -> Option<(&'a str, &'a str)> {
    let Some(ContextValue::String(found)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    if !found.starts_with('-') || !found[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    arguments.windows(2).find_map(|pair| {
        let (option, value) = (pair[0].as_ref(), pair[1].as_ref());
        let is_it = value.starts_with(found.as_str()) && takes_value(option, arguments);
        is_it.then_some((option, value))
    })
}

/// The hint for words and options that belong to other tools.
fn other_tools(error: &clap::Error, arguments: &[impl AsRef<str>]) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    if let Some(word) = text(ContextKind::InvalidSubcommand) {
        let command = match word {
            "ping" => "tcpctl send TARGET --count 0",
            "nc" | "connect" | "talk" => "tcpctl send TARGET",
            "scan" | "list" | "ls" | "browse" | "find" => "tcpctl discover",
            "serve" | "server" => "tcpctl listen, or tcpctl sim for a virtual board",
            "upload" | "write" | "write-flash" | "write_flash" => "tcpctl flash",
            "console" | "serial" | "log" => "tcpctl monitor",
            "benchmark" | "load" | "test" => "tcpctl bench TARGET",
            "info" => "tcpctl status TARGET",
            "set" | "wifi" | "setup" | "provision" => "tcpctl configure TARGET",
            _ => return None,
        };
        return Some(format!("use {command}"));
    }
    let found = text(ContextKind::InvalidArg)?;
    let mut words = arguments.iter().map(AsRef::as_ref);
    let command = words.find(|word| !word.starts_with('-'))?;
    let shown = sanitize::one_line(found);
    match (command, found) {
        ("sim", "--port" | "-p") => Some("use --listen 127.0.0.1:PORT".to_owned()),
        ("listen", "--port" | "-p") => Some("use tcpctl listen 0.0.0.0:PORT".to_owned()),
        ("send" | "bench" | "status" | "read", "--port" | "-p" | "--host" | "--address")
        | ("configure", "--port" | "-p" | "--host") => Some(format!(
            "write host and port as one: tcpctl {command} HOST:PORT"
        )),
        ("configure" | "flash", "--password" | "--passphrase" | "--psk" | "--pass") => {
            Some("use --password-stdin: other users of this computer can read arguments".to_owned())
        }
        ("sim", "--bind" | "--host" | "--address") => Some("use --listen ADDRESS:PORT".to_owned()),
        ("bench", "--concurrency" | "--clients") => Some("use -c, --connections N".to_owned()),
        ("bench", "--qps" | "--rps") => Some("use -r, --rate 200/s".to_owned()),
        ("send" | "bench", "--timeout" | "-w") => {
            Some("use --connect-timeout, --reply-timeout or --idle".to_owned())
        }
        ("monitor", "-b" | "--speed") => Some("use --baud RATE".to_owned()),
        ("monitor", word) if !word.starts_with('-') => Some(format!("use --port {shown}")),
        ("flash", word) if word.starts_with("/dev/") || word.starts_with("COM") => {
            Some(format!("use --port {shown}"))
        }
        ("flash", word) if !word.starts_with('-') => Some(format!("use --firmware {shown}")),
        _ => None,
    }
}

/// Whether clap suggests `--help` for an option that only looks similar.
fn is_poor_suggestion(error: &clap::Error) -> bool {
    let suggested = error.get(ContextKind::SuggestedArg);
    matches!(suggested, Some(ContextValue::String(arg)) if arg == "--help")
}

/// Whether clap suggests passing an unknown option as a value: only a message of `send` starts with
/// a hyphen, and rarely with two.
fn is_option_as_value(error: &clap::Error, arguments: &[impl AsRef<str>]) -> bool {
    let found = error.get(ContextKind::InvalidArg);
    let is_long = matches!(found, Some(ContextValue::String(arg)) if arg.starts_with("--"));
    let command = arguments.iter().find(|it| !it.as_ref().starts_with('-'));
    error.kind() == ErrorKind::UnknownArgument
        && error.get(ContextKind::SuggestedArg).is_none()
        && (is_long || command.is_none_or(|it| it.as_ref() != "send"))
}

/// Whether the error is about a third word of `send`, most likely the rest of a message.
fn is_second_message(error: &clap::Error, arguments: &[impl AsRef<str>]) -> bool {
    let found = error.get(ContextKind::InvalidArg);
    let word = matches!(found, Some(ContextValue::String(word)) if !word.starts_with('-'));
    let command = arguments.iter().find(|it| !it.as_ref().starts_with('-'));
    error.kind() == ErrorKind::UnknownArgument
        && word
        && command.is_some_and(|it| it.as_ref() == "send")
}

/// Whether the command in `arguments` has an `option` that takes a value.
fn takes_value(option: &str, arguments: &[impl AsRef<str>]) -> bool {
    let mut cli = Cli::command();
    cli.build();
    let command = arguments
        .iter()
        .find_map(|name| cli.find_subcommand(name.as_ref()));
    command.unwrap_or(&cli).get_arguments().any(|arg| {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        arg.get_action().takes_values() && [long, short].iter().flatten().any(|name| name == option)
    })
}

/// Turns clap's paragraphs into a message and a hint: the first paragraph and the tips.
fn failure(error: &clap::Error, arguments: &[impl AsRef<str>]) -> Failure {
    if let Some((option, value)) = negative(error, arguments) {
        let (option, value) = (sanitize::one_line(option), sanitize::one_line(value));
        let message = format!("invalid value '{value}' for '{option}': it must not be negative");
        return Failure::usage(message).hint("try --help");
    }
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(|paragraph| {
        let words: Vec<_> = paragraph.split_whitespace().collect();
        sanitize::one_line(&words.join(" "))
    });
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    let tips: Vec<_> = paragraphs
        .filter_map(|paragraph| Some(paragraph.strip_prefix("tip: ")?.to_owned()))
        .collect();
    let tips = if is_poor_suggestion(error) || is_option_as_value(error, arguments) {
        Vec::new()
    } else {
        tips
    };
    let hint = if let Some(hint) = other_tools(error, arguments) {
        hint
    } else if tips.is_empty() && is_second_message(error, arguments) {
        "a message with spaces needs quotes: tcpctl send HOST 'two words'".to_owned()
    } else if tips.is_empty() {
        "try --help".to_owned()
    } else {
        tips.join("; ")
    };
    Failure::usage(message).hint(hint)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn of(arguments: &[&str]) -> Failure {
        failure(
            &Cli::try_parse_from(arguments).unwrap_err(),
            &arguments[1..],
        )
    }

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn errors_name_the_argument_and_hint() {
        for (arguments, message, hint) in [
            (vec!["tcpctl", "sned"], "'sned'", "'send'"),
            (
                vec!["tcpctl", "send", "x", "--lines", "0"],
                "'--lines <N>'",
                "--help",
            ),
            (
                vec!["tcpctl", "send", "x", "--idel", "1s"],
                "'--idel'",
                "'--idle'",
            ),
            (
                vec!["tcpctl", "send", "x", "--idle", "5"],
                "5s or 5ms",
                "--help",
            ),
            (
                vec!["tcpctl", "send", "x", "--crlf", "--lf"],
                "'--crlf'",
                "--help",
            ),
            (
                vec!["tcpctl", "send", "x", "--count", "many"],
                "a whole number",
                "--help",
            ),
            (
                vec!["tcpctl", "send", "x", "--idle", "-1s"],
                "'-1s' for '--idle': it must not be negative",
                "--help",
            ),
            (
                vec!["tcpctl", "bench", "sim", "-c", "-1"],
                "a whole number",
                "--help",
            ),
            (
                vec!["tcpctl", "send", "x", "two", "words"],
                "'words'",
                "quotes",
            ),
            (
                vec!["tcpctl", "ping", "x"],
                "'ping'",
                "send TARGET --count 0",
            ),
            (vec!["tcpctl", "scan"], "'scan'", "use tcpctl discover"),
            (
                vec!["tcpctl", "sim", "--port", "4000"],
                "'--port'",
                "--listen 127.0.0.1:PORT",
            ),
            (
                vec!["tcpctl", "monitor", "/dev/ttyUSB0"],
                "'/dev/ttyUSB0'",
                "use --port /dev/ttyUSB0",
            ),
            (
                vec!["tcpctl", "flash", "app.elf"],
                "'app.elf'",
                "use --firmware app.elf",
            ),
            (
                vec!["tcpctl", "discover", "--hex", "00"],
                "'--hex'",
                "try --help",
            ),
            (
                vec!["tcpctl", "bench", "x", "--concurrency", "4"],
                "'--concurrency'",
                "use -c, --connections N",
            ),
            (vec!["tcpctl", "bench", "x", "-z"], "'-z'", "try --help"),
            (
                vec!["tcpctl", "sim", "--bind", "::1"],
                "'--bind'",
                "use --listen",
            ),
            (
                vec!["tcpctl", "send", "x", "--timeout", "1s"],
                "'--timeout'",
                "--reply-timeout",
            ),
            (
                vec!["tcpctl", "send", "x", "--zzz"],
                "'--zzz'",
                "try --help",
            ),
            // A message may start with a hyphen.
            (vec!["tcpctl", "send", "x", "-1"], "'-1'", "-- -1"),
            (vec!["tcpctl", "send", "x", "--json", "-1"], "'-1'", "-- -1"),
        ] {
            let failure = of(&arguments);
            assert!(failure.message.contains(message), "{failure}");
            assert!(failure.hint.as_ref().unwrap().contains(hint), "{failure}");
            assert!(!failure.to_string().contains('\n'), "{failure}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn argument_that_is_not_utf8_is_shown() {
        use std::os::unix::ffi::OsStringExt;
        let bad = OsString::from_vec(b"\xff\x1b[31m".to_vec());
        let message = not_utf8(&["send".into(), bad]);
        assert_eq!(message, "'\u{fffd}\\x1b[31m' is not UTF-8");
    }

    #[test]
    fn color_flag_is_found() {
        assert_eq!(color(&["send", "--color=never"]), ColorWhen::Never);
        assert_eq!(color(&["--color", "always", "x"]), ColorWhen::Always);
        assert_eq!(color(&["--color"]), ColorWhen::Auto);
    }
}
