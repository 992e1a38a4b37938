//! Shell completion: `tcpctl completions SHELL`, and the replies to its script.
//!
//! The script passes the words up to the cursor, `TCPCTL_COMPLETE=bash tcpctl -- tcpctl send si`.
//! The answer comes from the clap definition, so scripts never go out of date. Completion sends
//! nothing to the network: boards come from the cache of `discover`.

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

/// The environment variable that a completion script sets to the shell's name.
const VARIABLE: &str = "TCPCTL_COMPLETE";
/// Last characters of an incomplete value, after which the shell must not add a space.
const OPEN_ENDS: [char; 4] = [':', '=', ',', '/'];

/// Prints a completion script.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &CompletionsArgs, output: &Output) -> anyhow::Result<Exit> {
    output.write(script::of(args.shell).as_bytes())?;
    Ok(Exit::Done)
}

/// Replies to a completion script; `None` if this process was not started by one.
pub fn answer_script(arguments: &[OsString]) -> Option<Exit> {
    let shell = env::var_os(VARIABLE).filter(|shell| !shell.is_empty())?;
    let output = Output::new("completions", Options::default());
    Some(output.finish(answer(&shell, arguments, &output)))
}

fn answer(shell: &OsStr, arguments: &[OsString], output: &Output) -> anyhow::Result<Exit> {
    let shell = shell
        .to_str()
        .and_then(|name| Shell::from_str(name, false).ok())
        .ok_or_else(|| {
            Failure::usage(format!("{VARIABLE} is not the name of a supported shell"))
                .hint("only completion scripts set it: unset it to run other commands")
        })?;
    let words = arguments.iter().skip_while(|word| *word != "--").skip(1);
    let proposals = propose(words.cloned().collect());
    output.write(to_lines(shell, &proposals).as_bytes())?;
    Ok(Exit::Done)
}

/// The command line with a completer for each argument.
fn command() -> Command {
    let mut cli = Cli::command();
    // Defines the deferred arguments.
    cli.build();
    cli.mut_subcommands(|command| {
        let is_serial = matches!(command.get_name(), "flash" | "monitor");
        command.mut_args(|arg| match arg.get_id().as_str() {
            "target" => arg.add(ArgValueCompleter::new(candidates::targets)),
            "fail_if" => arg.add(ArgValueCompleter::new(candidates::conditions)),
            "source" => arg.add(ArgValueCandidates::new(candidates::own_addresses)),
            "interface" => arg.add(ArgValueCandidates::new(candidates::network_interfaces)),
            "port" if is_serial => arg.add(ArgValueCandidates::new(candidates::serial_ports)),
            "chip" => arg.add(ArgValueCandidates::new(candidates::chips)),
            _ => arg,
        })
    })
}

/// A proposed completion of the last word.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Proposal {
    value: String,
    help: String,
}

/// Completions of the last word. Options are proposed only after a `-`, or if nothing else can be
/// completed.
fn propose(words: Vec<OsString>) -> Vec<Proposal> {
    let Some(index) = words.len().checked_sub(1) else {
        return Vec::new();
    };
    let begun = words[index].to_string_lossy().into_owned();
    let folder = env::current_dir().ok();
    // Fails if nothing can be completed, e.g. after a word that is not UTF-8.
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

/// Formats proposals for a shell's script, one per line.
fn to_lines(shell: Shell, proposals: &[Proposal]) -> String {
    let mut lines = String::new();
    for Proposal { value, help } in proposals {
        let _ = match shell {
            Shell::Bash | Shell::Elvish => writeln!(lines, "{value}"),
            Shell::Fish => writeln!(lines, "{value}\t{help}"),
            // PowerShell rejects an empty help text, and inserts values unquoted.
            Shell::Powershell if help.is_empty() => writeln!(lines, "{}", quoted(value)),
            Shell::Powershell => writeln!(lines, "{}\t{help}", quoted(value)),
            // Format of `_describe`, with escaped colons. A leading TAB marks an incomplete value.
            Shell::Zsh => {
                let mark = if value.ends_with(OPEN_ENDS) { "\t" } else { "" };
                let value = value.replace('\\', "\\\\").replace(':', "\\:");
                writeln!(lines, "{mark}{value}:{help}")
            }
        };
    }
    lines
}

/// Quotes a value for PowerShell where needed.
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
    fn commands_options_and_values_are_proposed() {
        assert_eq!(values(&["tcpctl", "disc"]), ["discover"]);
        assert_eq!(values(&["tcpctl", "send", "--half"]), ["--half-close"]);
        assert_eq!(
            values(&["tcpctl", "bench", "--only", ""]),
            ["limits", "latency", "ramp", "throughput"]
        );
        assert_eq!(
            values(&["tcpctl", "bench", "--only=la"]),
            ["--only=latency"]
        );
        assert_eq!(values(&["tcpctl", "--color", "n"]), ["never"]);
        assert_eq!(values(&["tcpctl", "man", "mon"]), ["monitor"]);
    }

    #[test]
    fn options_are_proposed_after_a_hyphen() {
        let commands = values(&["tcpctl", ""]);
        assert!(commands.contains(&"flash".to_owned()), "{commands:?}");
        assert!(!commands.iter().any(|it| it.starts_with('-')));
        let options = values(&["tcpctl", "flash", ""]);
        assert!(options.contains(&"--settings-only".to_owned()));
        assert!(values(&[]).is_empty());
    }

    #[test]
    fn each_shell_has_its_own_format() {
        let proposals = [Proposal {
            value: "sim:esp32".to_owned(),
            help: "like a: board".to_owned(),
        }];
        assert_eq!(to_lines(Shell::Bash, &proposals), "sim:esp32\n");
        assert_eq!(
            to_lines(Shell::Fish, &proposals),
            "sim:esp32\tlike a: board\n"
        );
        assert_eq!(
            to_lines(Shell::Zsh, &proposals),
            "sim\\:esp32:like a: board\n"
        );
        let unfinished = [Proposal {
            value: "sim:".to_owned(),
            help: String::new(),
        }];
        assert_eq!(to_lines(Shell::Powershell, &unfinished), "sim:\n");
        assert_eq!(quoted("it's $(a) b"), "'it''s $(a) b'");
        assert_eq!(to_lines(Shell::Zsh, &unfinished), "\tsim\\::\n");
    }
}
