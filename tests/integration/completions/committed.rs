//! The files in `completions/` match what the program prints. `scripts/generate` writes them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use tcpctl::cli::Cli;

use crate::common::run;
use crate::processes::{Need, skipped};

/// Each file's name and the command line that prints it.
fn files() -> Vec<(String, Vec<String>)> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect();
    let mut files: Vec<(String, Vec<String>)> = [
        ("tcpctl.bash", "completions bash"),
        ("tcpctl.elv", "completions elvish"),
        ("tcpctl.fish", "completions fish"),
        ("tcpctl.ps1", "completions powershell"),
        ("_tcpctl", "completions zsh"),
        ("tcpctl.1", "man"),
    ]
    .map(|(file, line)| (file.to_owned(), words(line)))
    .into();
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        files.push((format!("tcpctl-{name}.1"), words(&format!("man {name}"))));
    }
    files
}

#[test]
fn committed_files_match_the_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    let mut stale = Vec::new();
    let mut known = BTreeSet::new();
    for (file, line) in files() {
        let ended = run(line.iter().map(String::as_str));
        assert_eq!(ended.code, 0, "{line:?}: {}", ended.stderr);
        assert!(!ended.stdout.is_empty(), "{line:?} prints nothing");
        if fs::read(folder.join(&file)).ok().as_deref() != Some(&ended.stdout) {
            stale.push(file.clone());
        }
        known.insert(file);
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if !known.contains(&file) {
            stale.push(format!("{file} (of no command)"));
        }
    }
    assert!(stale.is_empty(), "run scripts/generate: {stale:?} are old");
}

#[test]
fn manual_pages_match_the_help() {
    for (file, line) in files().iter().filter(|(file, _)| file.ends_with(".1")) {
        let page = run(line.iter().map(String::as_str)).stdout;
        let page = String::from_utf8(page).unwrap().replace("\\-", "-");
        let title = file.trim_end_matches(".1").to_uppercase();
        let version = env!("CARGO_PKG_VERSION");
        let date = released(version);
        let date = date.as_deref().unwrap_or_else(|| date_of(&page));
        let title = format!("\n.TH {title} 1 {date} \"tcpctl {version}\" tcpctl\n");
        assert!(page.contains(&title), "{title} is not in {page}");
        for section in [".SH EXAMPLES", ".SH \"EXIT STATUS\"", ".SH \"SEE ALSO\""] {
            assert!(page.contains(section), "{file} has no {section}");
        }
        let command = line.get(1);
        let mut cli = Cli::command();
        cli.build();
        let command = match command {
            Some(name) => cli.find_subcommand(name).unwrap(),
            None => &cli,
        };
        let (synopsis, options) = page.split_once(".SH DESCRIPTION\n").unwrap();
        for arg in command.get_arguments() {
            let Some(long) = arg.get_long() else { continue };
            assert!(options.contains(&format!("--{long}")), "{file}: --{long}");
            let value = match arg.get_value_names() {
                Some(names) if arg.get_action().takes_values() => format!(" \\fI{}\\fR", names[0]),
                _ => String::new(),
            };
            let option = format!("\\fB--{long}\\fR{value}]");
            assert!(synopsis.contains(&option), "{file}: {option}: {synopsis}");
        }
    }
}

/// The release date of a version, if the changelog has one: `## 0.1.0 - 2026-12-24`.
fn released(version: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CHANGELOG.md");
    let changes = fs::read_to_string(path).unwrap();
    let heading = format!("## {version} - ");
    let day = changes.lines().find_map(|line| line.strip_prefix(&heading));
    day.map(str::to_owned)
}

/// A page's date: a release date or none, never a build date.
fn date_of(page: &str) -> &str {
    let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap();
    let date = title.split(' ').nth(3).unwrap();
    let is_date = date.len() == 10
        && date.char_indices().all(|(at, c)| match at {
            4 | 7 => c == '-',
            _ => c.is_ascii_digit(),
        });
    assert!(is_date, "{title}");
    date
}

#[test]
fn manual_pages_pass_mandoc_lint() {
    if skipped(&[Need::Program("mandoc")]) {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    for (file, _) in files().iter().filter(|(file, _)| file.ends_with(".1")) {
        let lint = Command::new("mandoc")
            .args(["-Tlint", "-W", "warning", file])
            .current_dir(&folder)
            .output()
            .unwrap();
        let output = [lint.stdout, lint.stderr].concat();
        assert!(output.is_empty(), "{}", String::from_utf8_lossy(&output));
    }
}

#[test]
fn unknown_manual_page_suggests_a_command() {
    let ended = run(["man", "snd"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("'send'"), "{}", ended.stderr);
}

/// On a terminal the page opens in man(1); without that program it is printed.
#[cfg(unix)]
#[test]
fn manual_page_opens_in_a_reader_on_a_terminal() {
    use crate::common::tcpctl;
    use crate::common::terminal::Terminal;

    let folder = tempfile::tempdir().unwrap();
    let reader = folder.path().join("man");
    let script = b"#!/bin/sh\necho \"reader $*\"\nread -r first\necho \"$first\"\n";
    crate::common::write_executable(&reader, script);
    let open = |path: &Path| {
        let mut command = tcpctl(["man", "send"]);
        command.env("PATH", path);
        let (terminal, child) = Terminal::start(command);
        terminal.finish(child)
    };
    let (code, seen) = open(folder.path());
    assert_eq!(code, 0, "{seen}");
    assert!(seen.starts_with("reader -l -\r\n"), "{seen}");
    assert!(!seen.contains(".TH "), "{seen}");
    fs::remove_file(&reader).unwrap();
    let (code, seen) = open(folder.path());
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains(".TH TCPCTL-SEND 1 "), "{seen}");
}
