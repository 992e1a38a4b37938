//! The files in `completions/` are what this program prints. `scripts/generate` writes them anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use tcpctl::cli::Cli;

use crate::common::run;

/// Each file's name, and the command line that prints it.
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
fn what_is_committed_is_what_the_program_prints() {
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
fn a_page_says_what_the_help_says() {
    for (file, line) in files().iter().filter(|(file, _)| file.ends_with(".1")) {
        let page = run(line.iter().map(String::as_str)).stdout;
        let page = String::from_utf8(page).unwrap().replace("\\-", "-");
        let title = file.trim_end_matches(".1").to_uppercase();
        assert!(page.contains(&format!("\n.TH {title} 1 \"\" ")), "{page}");
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
        for long in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(page.contains(&format!("--{long}")), "{file}: --{long}");
        }
    }
}

#[test]
fn a_page_of_no_command_is_a_usage_error_with_a_suggestion() {
    let ended = run(["man", "snd"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("'send'"), "{}", ended.stderr);
}
