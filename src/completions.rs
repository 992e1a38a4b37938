//! Completion in shells: `tcpctl completions SHELL`, and the answers that its script asks for.
//!
//! A script knows nothing of the command line. When a person presses TAB it hands over the words as
//! far as the cursor, `TCPCTL_COMPLETE=bash tcpctl -- tcpctl send si`, and the answer comes from the
//! same description that arguments are parsed by: so no script is ever older than the program.
//! Answering opens no connection and asks no network: boards are those that were seen today.

pub mod candidates;
mod script;

use std::borrow::Cow;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;

use clap::{Command, CommandFactory, ValueEnum};
use clap_complete::engine::{self, ArgValueCandidates, ArgValueCompleter};

use crate::cli::{Cli, CompletionsArgs, Shell};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Options, Output};
use crate::sanitize;

/// The environment variable by which a script asks; its value is the shell.
const VARIABLE: &str = "TCPCTL_COMPLETE";
/// What a value ends with that is not complete: no space follows it.
const GOES_ON: [char; 4] = [':', '=', ',', '/'];

/// Prints a shell's script.
///
/// # Errors
/// Standard output can't be written.
pub fn run(args: &CompletionsArgs, output: &Output) -> anyhow::Result<Exit> {
    output.write(script::of(args.shell).as_bytes())?;
    Ok(Exit::Done)
}

/// Answers a script where this process was started by one.
pub fn asked(arguments: &[OsString]) -> Option<Exit> {
    let shell = env::var_os(VARIABLE).filter(|shell| !shell.is_empty())?;
    let output = Output::new("completions", Options::default());
    Some(output.finish(answer(&shell, arguments, &output)))
}

fn answer(shell: &OsStr, arguments: &[OsString], output: &Output) -> anyhow::Result<Exit> {
    let shell = shell
        .to_str()
        .and_then(|name| Shell::from_str(name, false).ok())
        .ok_or_else(|| {
            Failure::usage(format!("{VARIABLE} names no shell"))
                .hint("it is for the scripts of tcpctl completions; unset it to run other commands")
        })?;
    let words = arguments.iter().skip_while(|word| *word != "--").skip(1);
    let proposals = propose(words.cloned().collect());
    output.write(told(shell, &proposals).as_bytes())?;
    Ok(Exit::Done)
}

/// The command line, with what can be proposed for each argument's value.
fn command() -> Command {
    Cli::command().mut_subcommands(|command| {
        let is_serial = matches!(command.get_name(), "flash" | "monitor");
        command.mut_args(|arg| match arg.get_id().as_str() {
            "target" => arg.add(ArgValueCompleter::new(candidates::targets)),
            "fail_if" => arg.add(ArgValueCompleter::new(candidates::conditions)),
            "source" => arg.add(ArgValueCandidates::new(candidates::own_addresses)),
            "interface" => arg.add(ArgValueCandidates::new(candidates::network_interfaces)),
            "port" if is_serial => arg.add(ArgValueCandidates::new(candidates::serial_ports)),
            "chip" => arg.add(ArgValueCandidates::new(candidates::chips)),
            "mode" => arg.add(ArgValueCandidates::new(candidates::modes)),
            "services" | "status" => arg.add(ArgValueCandidates::new(candidates::switches)),
            _ => arg,
        })
    })
}

/// Something that could stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Proposal {
    value: String,
    help: String,
}

/// What could stand in place of the last of these words.
///
/// Options are proposed where a `-` was typed, or where there is nothing else.
fn propose(words: Vec<OsString>) -> Vec<Proposal> {
    let Some(index) = words.len().checked_sub(1) else {
        return Vec::new();
    };
    let begun = words[index].to_string_lossy().into_owned();
    let folder = env::current_dir().ok();
    // It fails where there is nothing to complete, e.g. after a word that is not UTF-8.
    let found = engine::complete(&mut command(), words, index, folder.as_deref());
    let mut proposals: Vec<_> = found
        .unwrap_or_default()
        .iter()
        .filter_map(|candidate| {
            let value = candidate.get_value().to_str()?.to_owned();
            let help = candidate.get_help().map(ToString::to_string);
            let help = help.as_deref().and_then(|help| help.lines().next());
            (sanitize::one_line(&value) == value).then(|| Proposal {
                value,
                help: sanitize::one_line(help.unwrap_or_default()),
            })
        })
        .collect();
    let is_option = |proposal: &Proposal| proposal.value.starts_with('-');
    if !begun.starts_with('-') && !proposals.iter().all(is_option) {
        proposals.retain(|proposal| !is_option(proposal));
    }
    proposals
}

/// Proposals as a shell's script reads them, a line each.
fn told(shell: Shell, proposals: &[Proposal]) -> String {
    let mut lines = String::new();
    for Proposal { value, help } in proposals {
        let _ = match shell {
            Shell::Bash | Shell::Elvish => writeln!(lines, "{value}"),
            Shell::Fish => writeln!(lines, "{value}\t{help}"),
            // It takes no empty help, and puts in what it is given.
            Shell::Powershell if help.is_empty() => writeln!(lines, "{}", quoted(value)),
            Shell::Powershell => writeln!(lines, "{}\t{help}", quoted(value)),
            // What `_describe` takes: a colon in a value is escaped. A TAB before it says that it
            // goes on.
            Shell::Zsh => {
                let goes_on = if value.ends_with(GOES_ON) { "\t" } else { "" };
                let value = value.replace('\\', "\\\\").replace(':', "\\:");
                writeln!(lines, "{goes_on}{value}:{help}")
            }
        };
    }
    lines
}

/// A value as PowerShell takes it for one word.
fn quoted(value: &str) -> Cow<'_, str> {
    let is_safe = |c: char| c.is_alphanumeric() || "-._:/\\=%+~".contains(c);
    if value.chars().all(is_safe) {
        value.into()
    } else {
        format!("'{}'", value.replace('\'', "''")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(words: &[&str]) -> Vec<String> {
        let words = words.iter().map(OsString::from).collect();
        propose(words).into_iter().map(|it| it.value).collect()
    }

    #[test]
    fn commands_options_and_their_values_are_proposed() {
        assert_eq!(values(&["tcpctl", "disc"]), ["discover"]);
        assert_eq!(values(&["tcpctl", "send", "--half"]), ["--half-close"]);
        assert_eq!(
            values(&["tcpctl", "bench", "--only", ""]),
            ["limits", "latency", "throughput"]
        );
        assert_eq!(
            values(&["tcpctl", "bench", "--only=la"]),
            ["--only=latency"]
        );
        assert_eq!(values(&["tcpctl", "--color", "n"]), ["never"]);
        assert_eq!(values(&["tcpctl", "man", "mon"]), ["monitor"]);
    }

    #[test]
    fn options_are_proposed_where_one_was_begun_or_nothing_else_can_be() {
        let commands = values(&["tcpctl", ""]);
        assert!(commands.contains(&"flash".to_owned()), "{commands:?}");
        assert!(!commands.iter().any(|it| it.starts_with('-')));
        let options = values(&["tcpctl", "flash", ""]);
        assert!(options.contains(&"--settings-only".to_owned()));
        assert!(values(&[]).is_empty());
    }

    #[test]
    fn each_shell_reads_its_own_form() {
        let proposals = [Proposal {
            value: "sim:esp32".to_owned(),
            help: "like a: board".to_owned(),
        }];
        assert_eq!(told(Shell::Bash, &proposals), "sim:esp32\n");
        assert_eq!(told(Shell::Fish, &proposals), "sim:esp32\tlike a: board\n");
        assert_eq!(told(Shell::Zsh, &proposals), "sim\\:esp32:like a: board\n");
        let unfinished = [Proposal {
            value: "sim:".to_owned(),
            help: String::new(),
        }];
        assert_eq!(told(Shell::Powershell, &unfinished), "sim:\n");
        assert_eq!(quoted("it's $(a) b"), "'it''s $(a) b'");
        assert_eq!(told(Shell::Zsh, &unfinished), "\tsim\\::\n");
    }
}
