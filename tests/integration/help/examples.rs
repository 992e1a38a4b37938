//! Every example in the help parses. Those that need no board, no network and no privilege run,
//! with the exit codes they document.
#![cfg_attr(
    windows,
    allow(dead_code, reason = "examples are run by a POSIX shell")
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Parser;
use tcpctl::cli::Cli;

use super::screen::{commands, help};

/// The lines of a command's examples that a user types.
fn examples(command: Option<&str>) -> Vec<String> {
    let text = help(command, "--help");
    let start = text
        .find("\nExamples:\n")
        .unwrap_or_else(|| panic!("{command:?} has no examples"));
    let section = text[start..].split("\nSee also:").next().unwrap();
    let typed = section
        .lines()
        .filter_map(|line| line.strip_prefix("    $ "));
    typed.map(str::to_owned).collect()
}

/// The calls of `tcpctl` in a shell line, as words.
pub(crate) fn calls(line: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let end = |words: &mut Vec<String>, calls: &mut Vec<Vec<String>>| {
        // `sudo`, `ssh host` and assignments come before the command.
        if let Some(at) = words.iter().position(|word| word == "tcpctl") {
            calls.push(words.split_off(at));
        }
        words.clear();
    };
    for character in line.chars().chain([' ', ';']) {
        match character {
            '\'' => quoted = !quoted,
            _ if quoted => word.push(character),
            ' ' => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            '|' | ';' | '&' | '<' | '>' | '(' | ')' => {
                if character == '>' && word == "2" {
                    word.clear();
                }
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                end(&mut words, &mut calls);
            }
            _ => word.push(character),
        }
    }
    calls
}

#[test]
fn every_command_has_three_valid_examples() {
    for command in commands() {
        let mut own = 0;
        let lines = examples(command.as_deref());
        for line in &lines {
            let calls = calls(line);
            assert!(!calls.is_empty(), "{line} is no call of tcpctl");
            for words in calls {
                let parsed = Cli::try_parse_from(&words);
                parsed.unwrap_or_else(|error| panic!("{line}\n{error}"));
                own += usize::from(command.is_none() || words.get(1) == command.as_ref());
            }
        }
        assert!(
            own >= 3,
            "{command:?} has {own} examples of its own: {lines:?}"
        );
    }
}

/// The examples that run anywhere, and the exit codes allowed.
const RUN: [(&str, &[i32]); 18] = [
    ("tcpctl bench sim", &[0]),
    (
        "tcpctl bench sim --fail-if 'p99 > 50ms' --fail-if 'errors > 0'",
        // A busy machine may miss the rate and report that.
        &[0, 1],
    ),
    (
        "tcpctl bench sim:esp32,services=on --only throughput -d 2s",
        &[0],
    ),
    ("tcpctl send sim", &[0]),
    ("tcpctl send sim --count 5 --interval 100ms hi", &[0]),
    ("tcpctl merge a.json b.json", &[0]),
    ("tcpctl merge a.json b.json --save all.json", &[0]),
    ("tcpctl schema bench | jq '.properties | keys'", &[0]),
    ("tcpctl schema bench > tcpctl.bench.json", &[0]),
    ("tcpctl schema discover | jq .properties", &[0]),
    ("tcpctl config", &[0]),
    ("TCPCTL_TARGET=sim:tutorial tcpctl config", &[0]),
    ("tcpctl config --json | jq -r .settings.target.value", &[0]),
    ("source <(tcpctl completions bash)", &[0]),
    (
        "tcpctl completions fish > ~/.config/fish/completions/tcpctl.fish",
        &[0],
    ),
    ("tcpctl completions zsh > ~/.zfunc/_tcpctl", &[0]),
    ("tcpctl man > ~/.local/share/man/man1/tcpctl.1", &[0]),
    (
        "tcpctl man send > ~/.local/share/man/man1/tcpctl-send.1",
        &[0],
    ),
];

#[cfg(unix)]
#[test]
fn examples_without_hardware_run() {
    let home = Home::new();
    let all: Vec<_> = commands()
        .iter()
        .flat_map(|command| examples(command.as_deref()))
        .collect();
    // Run in parallel: most of them wait.
    let mut running = Vec::new();
    for (line, codes) in RUN {
        assert!(all.iter().any(|it| it == line), "the help has not: {line}");
        if line.contains("jq ") && !has("jq") {
            eprintln!("not run, for jq is not here: {line}");
            continue;
        }
        let child = home
            .shell(line)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        running.push((line, codes, child));
    }
    for (line, codes, child) in running {
        let ended = crate::common::finish(child);
        assert!(codes.contains(&ended.code), "{line}\n{}", ended.stderr);
    }
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A home folder with the files that the examples refer to.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        for folder in [
            ".config/fish/completions",
            ".zfunc",
            ".local/share/man/man1",
        ] {
            fs::create_dir_all(home.0.path().join(folder)).unwrap();
        }
        // Both runs start at the same time, so that they can be merged.
        let runs = ["a.json", "b.json"].map(|run| {
            let line = format!("tcpctl bench sim:ideal --only latency -d 2s --save {run} -q");
            home.shell(&line).stdout(Stdio::null()).spawn().unwrap()
        });
        for mut run in runs {
            assert!(run.wait().unwrap().success());
        }
        home
    }

    fn shell(&self, line: &str) -> Command {
        shell(self.0.path(), line)
    }
}

/// Lines of bash in which `tcpctl` is this program, in a home folder.
pub(crate) fn shell(home: &Path, lines: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_tcpctl");
    let folder = Path::new(program).parent().unwrap();
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command
        .args(["-c", lines])
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        .current_dir(home);
    command
}
