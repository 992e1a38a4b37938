//! README and other documents: every call of tcpctl parses, some run, and relative links resolve.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;
use tcpctl::cli::Cli;

use super::examples::calls;
use crate::common::{Ended, finish, run, tcpctl};

/// The documents, relative to the top of the checkout.
const DOCUMENTS: [&str; 12] = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/bench.md",
    "docs/compared.md",
    "docs/configure.md",
    "docs/distributed.md",
    "docs/flash.md",
    "docs/measured.md",
    "docs/scripting.md",
    "docs/troubleshooting.md",
    "docs/update.md",
    "firmware/README.md",
];

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(document: &str) -> String {
    fs::read_to_string(checkout().join(document)).unwrap()
}

/// A command line in a document, and the output shown below it.
struct Shown {
    line: String,
    output: Vec<String>,
}

/// The commands typed in a document's console blocks.
fn typed(document: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut in_console = false;
    for line in read(document).lines() {
        if line.starts_with("```") {
            in_console = line == "```console";
        } else if let Some(line) = line.strip_prefix("$ ").filter(|_| in_console) {
            let line = line.split("   #").next().unwrap().trim_end().to_owned();
            let output = Vec::new();
            shown.push(Shown { line, output });
        } else if in_console && let Some(last) = shown.last_mut() {
            last.output.push(line.to_owned());
        }
    }
    shown
}

#[test]
fn command_lines_in_documents_parse() {
    let mut count = 0;
    for document in DOCUMENTS {
        for Shown { line, .. } in typed(document) {
            for mut words in calls(&line) {
                // For `parallel tcpctl send {} ::: a b`, put what follows in place of {}.
                let end = words.iter().position(|word| word == ":::");
                words.truncate(end.unwrap_or(words.len()));
                for word in words.iter_mut().filter(|word| *word == "$at") {
                    *word = "2027-01-01T10:00:00Z".to_owned();
                }
                let parsed = Cli::try_parse_from(&words);
                parsed.unwrap_or_else(|error| panic!("{document}: {line}\n{error}"));
                count += 1;
            }
        }
    }
    assert!(count > 25, "only {count} examples in the documents");
}

/// Runs a command whose standard input is a terminal at which nothing is typed: `send` does not wait
/// for a message there.
fn typed_in_a_terminal(command: &mut Command) -> Ended {
    #[cfg(unix)]
    let (_keyboard, terminal) = crate::common::terminal::pseudo_terminal(80);
    #[cfg(not(unix))]
    let terminal = Stdio::null();
    command.stdin(terminal);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command.spawn().unwrap())
}

#[test]
fn readme_output_matches_the_program() {
    let all = typed("README.md");
    for line in ["tcpctl send sim", "tcpctl send -v sim:lossy,seed=7 hi"] {
        let shown = all
            .iter()
            .find(|it| it.line == line)
            .unwrap_or_else(|| panic!("{line}"));
        let ended = typed_in_a_terminal(&mut tcpctl(line.split(' ').skip(1)));
        let output = String::from_utf8(ended.stdout).unwrap() + "\n" + &ended.stderr;
        assert_eq!(ended.code, 0, "{line}: {output}");
        // Compare without durations, which differ.
        let words = |text: &str| {
            let mut words: Vec<_> = text
                .split_whitespace()
                .filter(|word| !word.starts_with(|c: char| c.is_ascii_digit()) && *word != "us")
                .map(str::to_owned)
                .collect();
            words.sort();
            words
        };
        assert_eq!(words(&shown.output.join("\n")), words(&output), "{line}");
    }
}

#[test]
fn readme_is_short_and_its_recording_small() {
    assert!(read("README.md").lines().count() < 200);
    assert!(read("README.md").contains("(docs/terminal.svg)"));
    let recording = read("docs/terminal.svg");
    assert!(recording.len() <= 300_000, "{} bytes", recording.len());
    for part in [
        "@media (prefers-color-scheme: light)",
        "@media (prefers-reduced-motion: reduce)",
        "@keyframes",
        "tcpctl bench sim",
        " req/s over 4 connections",
    ] {
        // Use spaces that viewers do not collapse.
        let shown = part.replace(' ', "\u{a0}");
        let is_there = recording.contains(part) || recording.contains(&shown);
        assert!(is_there, "{part} is not in docs/terminal.svg");
    }
}

/// Runs a document's console blocks, each as one script: jobs and files are kept in it.
#[cfg(unix)]
#[test]
fn scripting_pipelines_run() {
    use super::examples::shell;
    use crate::common::in_parallel;
    use crate::processes::{Need, skipped};

    if skipped(&[Need::Program("bash"), Need::Program("jq")]) {
        return;
    }
    let text = read("docs/scripting.md");
    let blocks: Vec<_> = text.split("```console\n").skip(1).collect();
    assert!(blocks.len() >= 6, "{} blocks", blocks.len());
    in_parallel(blocks, |block| {
        let folder = tempfile::tempdir().unwrap();
        let (block, _) = block.split_once("```").unwrap();
        // Job control, as in an interactive shell, which numbers its jobs.
        let mut script = "set -m\n".to_owned();
        let mut expected = String::new();
        for line in block.lines() {
            let (part, line) = line
                .strip_prefix("$ ")
                .map_or((&mut expected, line), |command| (&mut script, command));
            part.push_str(line);
            part.push('\n');
        }
        let ended = typed_in_a_terminal(&mut shell(folder.path(), &script));
        let output = String::from_utf8(ended.stdout).unwrap();
        // A reply in a pipe has no line end of its own.
        let (output, expected) = (output.trim_end(), expected.trim_end());
        assert_eq!(output, expected, "{script}\n{}", ended.stderr);
        assert_eq!(ended.code, 0, "{script}\n{}", ended.stderr);
    });
}

#[test]
fn documented_exit_codes_match_the_help() {
    let help = String::from_utf8(run(["--help"]).stdout).unwrap();
    let codes = help.split("Exit codes:").nth(1).unwrap();
    let output: Vec<_> = codes
        .lines()
        .filter_map(|line| line.trim().split(' ').next())
        .filter(|code| code.starts_with(|c: char| c.is_ascii_digit()))
        .map(|code| code.trim_end_matches(',').to_owned())
        .collect();
    assert_eq!(output, ["0", "1", "2", "6", "7", "28", "56", "70", "130"]);
    let document = read("docs/scripting.md");
    for code in output {
        let row = format!("| {code}");
        assert!(document.contains(&row), "no row for {code}");
    }
}

#[test]
fn relative_links_resolve() {
    for document in DOCUMENTS {
        let folder = checkout()
            .join(document)
            .parent()
            .map(PathBuf::from)
            .unwrap();
        let text = read(document);
        for part in text.split("](").skip(1) {
            let link = part.split(')').next().unwrap();
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            if file.starts_with("http") {
                continue;
            }
            let target = if file.is_empty() {
                checkout().join(document)
            } else {
                folder.join(file)
            };
            assert!(target.exists(), "{document}: {link}");
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                assert!(has_heading(&text, heading), "{document}: {link}");
            }
        }
    }
}

/// Whether a document has a heading with this anchor, or a name.
fn has_heading(text: &str, anchor: &str) -> bool {
    text.contains(&format!("<a name=\"{anchor}\">"))
        || text
            .lines()
            .filter(|line| line.starts_with('#'))
            .any(|line| {
                let plain = line.trim_start_matches('#').trim().to_lowercase();
                let plain: String = plain
                    .chars()
                    .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                    .collect();
                plain.replace(' ', "-") == anchor
            })
}
