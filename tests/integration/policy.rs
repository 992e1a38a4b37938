//! Rules of this house that no compiler keeps.

use std::fs;
use std::path::{Path, PathBuf};

/// Where unsafe code may be: what differs between systems, and what no safe code can do on a chip.
const AUDITED: [&str; 5] = [
    "src/sys.rs",
    "src/sys/",
    "engine/src/sys.rs",
    "engine/src/sys/",
    "firmware/esp32/src/raw.rs",
];

/// Where the word stands in text alone: what this file looks for, and a program that a test compiles.
const QUOTED: [&str; 2] = [
    "tests/integration/policy.rs",
    "tests/integration/monitor/decoding.rs",
];

/// The manifests, each a workspace's or a package's.
const MANIFESTS: [&str; 6] = [
    "Cargo.toml",
    "engine/Cargo.toml",
    "firmware/esp32/Cargo.toml",
    "firmware/greeter/Cargo.toml",
    "firmware/settings/Cargo.toml",
    "fuzz/Cargo.toml",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust sources of this repository, by their path in it, with their text.
fn sources() -> Vec<(String, String)> {
    let mut folders: Vec<PathBuf> = [
        "src", "engine", "build", "firmware", "fuzz", "tests", "benches",
    ]
    .map(|folder| root().join(folder))
    .into();
    let mut sources = vec![source(&root().join("build.rs"))];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                sources.push(source(&path));
            }
        }
    }
    sources
}

fn source(path: &Path) -> (String, String) {
    let text = fs::read_to_string(path).expect("a text");
    let path = path.strip_prefix(root()).expect("a path in here");
    (path.to_string_lossy().replace('\\', "/"), text)
}

/// The code of a line, without a comment at its end.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Whether a line has `unsafe` as a word of the language, or lets it be one.
fn has_unsafe(line: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '"';
    let mut words = code(line).split(|c: char| !is_part(c));
    words.any(|word| word == "unsafe") || code(line).contains("allow(unsafe_code")
}

#[test]
fn unsafe_code_is_where_it_is_audited_and_nowhere_else() {
    let sources = sources();
    assert!(sources.len() > 200, "{} files only", sources.len());
    let found: Vec<_> = sources
        .iter()
        .filter(|(path, _)| !AUDITED.iter().any(|audited| path.starts_with(audited)))
        .filter(|(path, _)| !QUOTED.contains(&path.as_str()))
        .flat_map(|(path, text)| {
            let lines = text.lines().enumerate();
            let unsafe_lines = lines.filter(|(_, line)| has_unsafe(line));
            unsafe_lines.map(move |(number, line)| format!("{path}:{}: {line}", number + 1))
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    for audited in [
        "src/sys.rs",
        "engine/src/sys.rs",
        "firmware/esp32/src/raw.rs",
    ] {
        let (_, text) = sources
            .iter()
            .find(|(path, _)| path == audited)
            .expect("it is there");
        assert!(
            text.lines().any(has_unsafe),
            "{audited} has none: is it still the place?"
        );
    }
}

#[test]
fn every_workspace_denies_unsafe_code() {
    for manifest in ["Cargo.toml", "firmware/esp32/Cargo.toml", "fuzz/Cargo.toml"] {
        let text = fs::read_to_string(root().join(manifest)).expect("a manifest");
        assert!(text.contains("\nunsafe_code = \"deny\"\n"), "{manifest}");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let mut seen = 0;
    for manifest in MANIFESTS {
        let text = fs::read_to_string(root().join(manifest)).expect("a manifest");
        let (mut in_dependencies, mut reason) = (false, false);
        for line in text.lines() {
            match line.chars().next() {
                Some('[') => in_dependencies = line.ends_with("dependencies]"),
                Some('#') => reason = true,
                Some(_) if in_dependencies => {
                    assert!(reason, "{manifest}: no line above says why: {line}");
                    (reason, seen) = (false, seen + 1);
                }
                _ => reason = false,
            }
        }
    }
    assert!(seen > 50, "{seen} only");
}

#[test]
fn nothing_names_a_folder_of_one_computer() {
    // Built of parts, for this is a source too.
    let homes = ["work", "root", "home"].map(|folder| format!("/{folder}/"));
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let named = homes.iter().find(|home| line.contains(home.as_str()));
            assert!(named.is_none(), "{path}:{}: {line}", number + 1);
        }
    }
}
