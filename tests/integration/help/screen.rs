//! `-h`, `--help`, and no arguments at all.

use clap::CommandFactory;
use tcpctl::cli::Cli;

use crate::common::{finish, run, tcpctl};

/// Every command's name, and `None` for the program.
pub(crate) fn commands() -> Vec<Option<String>> {
    let cli = Cli::command();
    let names = cli.get_subcommands().map(|it| it.get_name().to_owned());
    names.map(Some).chain([None]).collect()
}

/// A help text at 80 columns.
pub(crate) fn help(command: Option<&str>, flag: &str) -> String {
    let child = tcpctl(command.into_iter().chain([flag]))
        .env("COLUMNS", "80")
        .spawn()
        .unwrap();
    let ended = finish(child);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    String::from_utf8(ended.stdout).unwrap()
}

#[test]
fn short_help_of_a_command_fits_24_lines() {
    for command in commands() {
        let short = help(command.as_deref(), "-h");
        // The program's own short help lists every command, so it may be longer.
        let most = if command.is_some() { 24 } else { 30 };
        assert!(short.lines().count() <= most, "{command:?}:\n{short}");
        assert!(
            short.lines().all(|line| line.chars().count() <= 80),
            "{short}"
        );
        let long = help(command.as_deref(), "--help");
        assert!(long.lines().count() > short.lines().count());
        let name = command.as_deref().unwrap_or_default();
        assert!(
            short.contains(&format!("tcpctl {name} --help").replace("  ", " ")),
            "{short}"
        );
        for word in short
            .split_whitespace()
            .filter(|word| word.starts_with("--"))
        {
            let word = word.trim_end_matches(',');
            assert!(long.contains(word), "{word} of\n{short}");
        }
    }
}

/// Help is wrapped at the terminal's width, so prose has no line breaks of its own. Text to be
/// typed, or written to a file, must fit 80 columns.
#[test]
fn help_wraps_to_the_terminal_width() {
    let mut cli = Cli::command();
    cli.build();
    for command in cli.get_subcommands() {
        let name = command.get_name();
        let help = command.get_after_long_help().unwrap().to_string();
        let codes = help.split("Exit codes:\n").nth(1).unwrap();
        assert_eq!(codes.lines().count(), 1, "{name}: {codes}");
        let about = command.get_long_about().map(ToString::to_string);
        for line in about.unwrap_or_default().lines() {
            assert!(
                !line.starts_with("  ") || line.chars().count() <= 80,
                "{name}: {line}"
            );
        }
        for line in help.lines().filter(|line| line.starts_with("    ")) {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
    }
}

#[cfg(unix)]
#[test]
fn full_disk_fails_the_help() {
    use crate::processes::{Need, skipped};
    use std::fs::File;

    if skipped(&[Need::Path("/dev/full")]) {
        return;
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    for command in commands() {
        for flag in ["-h", "--help", "--version"] {
            // Versions are printed by the program alone.
            if flag == "--version" && command.is_some() {
                continue;
            }
            let child = tcpctl(command.as_deref().into_iter().chain([flag]))
                .stdout(full.try_clone().unwrap())
                .spawn()
                .unwrap();
            let ended = finish(child);
            assert_eq!(ended.code, 70, "{command:?} {flag}: {ended:?}");
            assert!(ended.stderr.contains("standard output"), "{ended:?}");
            crate::common::assert_one_error(&ended.stderr);
        }
    }
}

#[test]
fn closed_pipe_ends_the_help_quietly() {
    for arguments in [&["--help"][..], &["send", "-h"], &["--version"]] {
        let mut child = tcpctl(arguments.iter().copied()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = finish(child);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    }
}

#[test]
fn help_names_related_commands() {
    for command in commands().into_iter().flatten() {
        for flag in ["-h", "--help"] {
            let text = help(Some(&command), flag);
            let after = text.split("See also:").nth(1);
            let related = after
                .unwrap_or_else(|| panic!("{command} {flag}"))
                .to_owned();
            let related = related.split("\n\n").next().unwrap();
            let named: Vec<_> = related.split(',').map(str::trim).collect();
            assert!(!named.is_empty());
            for name in named {
                let name = name
                    .strip_prefix("tcpctl ")
                    .unwrap_or_else(|| panic!("{name}"));
                assert!(commands().contains(&Some(name.to_owned())), "{name}");
                assert_ne!(name, command, "a command is not related to itself");
            }
        }
    }
}

#[test]
fn no_arguments_prints_get_started() {
    let ended = run([]);
    assert_eq!(ended.code, 2, "nothing was asked for, and nothing done");
    assert!(ended.stdout.is_empty());
    let things: Vec<_> = ended
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("  tcpctl "))
        .collect();
    assert_eq!(things.len(), 5, "{}", ended.stderr);
    for thing in things {
        let (line, what) = thing.split_once("  ").unwrap();
        assert!(!what.trim().is_empty());
        let words = ["tcpctl"].into_iter().chain(line.split(' '));
        <Cli as clap::Parser>::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn missing_command_with_json_is_an_error_object() {
    let ended = run(["--json"]);
    assert_eq!(ended.code, 2);
    let object = &ended.objects()[0];
    assert_eq!(object["schema"], "tcpctl.error/1");
    assert_eq!(object["kind"], "usage");
}
