//! Rules of this tree that the compiler does not check.

mod imports;
mod source;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use imports::{Crate, Edge, cycles};
use proc_macro2::{Delimiter, TokenTree};
use source::{
    Source, attribute, group, ident, is_path_separator, is_punct, lines_where, root, sources,
    without_tests,
};

/// Files that may contain unsafe code: differences between systems, and code for which a chip has
/// no safe alternative.
const AUDITED: [&str; 6] = [
    "src/sys.rs",
    "src/sys/",
    "engine/src/sys.rs",
    "engine/src/sys/",
    "firmware/esp32/src/raw.rs",
    "firmware/esp32/src/xtensa_start.rs",
];

/// Files that may print: the output module, and the prompt of a hidden input.
const PRINTING: [&str; 3] = ["src/output.rs", "src/output/", "src/sys/terminal.rs"];

/// Files that show errors without `reason`: its definition, and files without errors of the system.
const SHOWING_ERRORS: [&str; 3] = [
    "src/bench/throughput/conclude.rs",
    "src/failure.rs",
    "src/units.rs",
];

/// The manifests of all workspaces and packages.
const MANIFESTS: &[&str] = &[
    "Cargo.toml",
    "engine/Cargo.toml",
    "firmware/app/Cargo.toml",
    "firmware/esp32/Cargo.toml",
    "firmware/greeter/Cargo.toml",
    "firmware/management/Cargo.toml",
    "firmware/settings/Cargo.toml",
    "fuzz/Cargo.toml",
];

/// The root files of the crates, except those of tests and benches.
fn crates() -> Vec<String> {
    let mut roots = vec!["src/lib.rs".to_owned(), "engine/src/lib.rs".to_owned()];
    for entry in fs::read_dir(root().join("firmware")).expect("a folder") {
        let path = entry.expect("an entry").path().join("src");
        let name = path.strip_prefix(root()).expect("a path in the repository");
        for file in ["lib.rs", "main.rs"] {
            if path.join(file).exists() {
                roots.push(name.join(file).to_string_lossy().into_owned());
            }
        }
    }
    roots
}

/// The cycles among `edges`, as lines of a message; `ends` names the nodes of an edge.
fn describe_cycles(edges: &[Edge], ends: impl Fn(&Edge) -> (String, String)) -> String {
    let pairs: BTreeSet<_> = edges.iter().map(&ends).filter(|(a, b)| a != b).collect();
    let mut text = String::new();
    for group in cycles(&pairs) {
        let members: Vec<_> = group.iter().map(String::as_str).collect();
        let _ = writeln!(text, "cycle of {}: {}", group.len(), members.join(", "));
        for edge in edges {
            let (from, to) = ends(edge);
            if from != to && group.contains(&from) && group.contains(&to) {
                let Edge {
                    from,
                    line,
                    path,
                    to,
                    ..
                } = edge;
                let _ = writeln!(text, "  {from}:{line}: {path} is in {to}");
            }
        }
    }
    text
}

#[test]
fn files_do_not_import_each_other_in_a_cycle() {
    let mut text = String::new();
    for root in crates() {
        let mut edges = Crate::read(&root).edges();
        edges.retain(|edge| !edge.is_family);
        text += &describe_cycles(&edges, |edge| (edge.from.clone(), edge.to.clone()));
    }
    assert!(text.is_empty(), "{text}");
}

#[test]
fn top_level_modules_do_not_import_each_other_in_a_cycle() {
    let mut edges = Crate::read("src/lib.rs").edges();
    edges.retain(|edge| !edge.tops.0.is_empty() && !edge.tops.1.is_empty());
    let text = describe_cycles(&edges, |edge| edge.tops.clone());
    assert!(text.is_empty(), "{text}");
}

#[test]
fn import_graph_follows_reexports_and_skips_tests() {
    let edges = Crate::read("tests/integration/policy/sample/lib.rs").edges();
    let found: Vec<_> = edges
        .iter()
        .map(|edge| {
            let name = |path: &str| path.rsplit_once("sample/").expect("a sample").1.to_owned();
            (name(&edge.from), name(&edge.to), edge.line, edge.is_family)
        })
        .collect();
    let expected = [
        ("a.rs", "a/inner.rs", 1, true),
        ("a.rs", "b.rs", 3, false),
        ("a/inner.rs", "b.rs", 4, false),
        ("b.rs", "a/inner.rs", 5, false),
    ];
    let expected = expected.map(|(from, to, line, family)| (from.into(), to.into(), line, family));
    assert_eq!(found, expected);
}

/// `path:line` of each place that `matches`, in the sources that `select` accepts.
fn find(
    sources: &[Source],
    select: impl Fn(&str) -> bool,
    matches: &impl Fn(&[proc_macro2::TokenTree], usize) -> bool,
) -> Vec<String> {
    let selected = sources.iter().filter(|source| select(&source.path));
    selected
        .flat_map(|source| {
            let lines = lines_where(source.tokens.clone(), matches);
            lines
                .into_iter()
                .map(|line| format!("{}:{line}", source.path))
        })
        .collect()
}

#[test]
fn only_the_output_module_prints() {
    let prints = |tokens: &[proc_macro2::TokenTree], index: usize| {
        let word = ident(tokens, index).unwrap_or_default();
        let is_macro = is_punct(tokens, index + 1, '!');
        let is_stream = is_path_separator(tokens, index.wrapping_sub(2))
            && !(is_punct(tokens, index + 2, '.')
                && ident(tokens, index + 3).as_deref() == Some("is_terminal"));
        match &*word {
            "print" | "println" | "eprint" | "eprintln" | "dbg" => is_macro,
            "stdout" | "stderr" => is_stream,
            _ => false,
        }
    };
    let found = find(
        &sources(),
        |path| path.starts_with("src/") && !PRINTING.iter().any(|it| path.starts_with(it)),
        &prints,
    );
    assert!(
        found.is_empty(),
        "printing outside of src/output:\n{}",
        found.join("\n")
    );
}

/// Whether a string literal formats one of the variables that hold errors.
fn formats_an_error(token: &TokenTree) -> bool {
    let text = match token {
        TokenTree::Literal(literal) => literal.to_string(),
        _ => return false,
    };
    let names = ["e", "err", "error"];
    text.contains('"')
        && names.iter().any(|name| {
            text.contains(&format!("{{{name}}}")) || text.contains(&format!("{{{name}:"))
        })
}

/// Whether an `#[error("...{0}")]` is at `index`, of a variant or type that holds an `io::Error`.
fn displays_an_io_error(tokens: &[TokenTree], index: usize) -> bool {
    let Some((attribute, next)) = attribute(tokens, index) else {
        return false;
    };
    let names_io = |stream: proc_macro2::TokenStream| {
        let is_io = |tokens: &[TokenTree], at: usize| {
            ident(tokens, at).as_deref() == Some("io")
                && ident(tokens, at + 3).as_deref() == Some("Error")
        };
        !lines_where(stream, &is_io).is_empty()
    };
    let attribute = attribute.stream().to_string();
    let fields = (next..next + 4).find_map(|at| group(tokens, at, Delimiter::Parenthesis));
    attribute.starts_with("error")
        && attribute.contains("{0}")
        && fields.is_some_and(|fields| names_io(fields.stream()))
}

/// An `io::Error` ends in "(os error 2)". Types are unknown here, so this goes by the usual names.
#[test]
fn errors_are_shown_by_reason() {
    let shows = |tokens: &[TokenTree], index: usize| {
        let word = ident(tokens, index).unwrap_or_default();
        let is_error = ["e", "err", "error"].contains(&&*word);
        let is_text = is_punct(tokens, index + 1, '.')
            && ident(tokens, index + 2).as_deref() == Some("to_string");
        (is_error && is_text)
            || formats_an_error(&tokens[index])
            || displays_an_io_error(tokens, index)
    };
    let mut sources = sources();
    for source in &mut sources {
        source.tokens = without_tests(source.tokens.clone());
    }
    let is_source = |path: &str| {
        path.starts_with("src/") && !path.ends_with("tests.rs") && !path.contains("/tests/")
    };
    let found = find(
        &sources,
        |path| is_source(path) && !SHOWING_ERRORS.contains(&path),
        &shows,
    );
    assert!(
        found.is_empty(),
        "errors that are not shown by failure::reason:\n{}",
        found.join("\n")
    );
    for path in SHOWING_ERRORS {
        let found = find(&sources, |it| it == path, &shows);
        assert!(!found.is_empty(), "{path} shows no error: remove it");
    }
}

#[test]
fn unsafe_code_is_in_audited_modules_only() {
    let is_unsafe = |tokens: &[proc_macro2::TokenTree], index: usize| {
        let word = ident(tokens, index).unwrap_or_default();
        let is_allowed = ["allow", "expect"].contains(&&*word)
            && tokens
                .get(index + 1)
                .is_some_and(|list| list.to_string().contains("unsafe_code"));
        word == "unsafe" || is_allowed
    };
    let sources = sources();
    let is_audited = |path: &str| AUDITED.iter().any(|audited| path.starts_with(audited));
    let found = find(&sources, |path| !is_audited(path), &is_unsafe);
    assert!(found.is_empty(), "{}", found.join("\n"));
    for audited in AUDITED {
        let found = find(&sources, |path| path.starts_with(audited), &is_unsafe);
        assert!(!found.is_empty(), "{audited} has no unsafe code: remove it");
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
fn every_dependency_has_a_reason() {
    let mut seen = 0;
    for manifest in MANIFESTS {
        let text = fs::read_to_string(root().join(manifest)).expect("a manifest");
        let (mut in_dependencies, mut reason) = (false, false);
        for line in text.lines() {
            match line.chars().next() {
                Some('[') => in_dependencies = line.ends_with("dependencies]"),
                Some('#') => reason = true,
                Some(_) if in_dependencies => {
                    assert!(reason, "{manifest}: no comment above says why: {line}");
                    (reason, seen) = (false, seen + 1);
                }
                _ => reason = false,
            }
        }
    }
    assert!(seen > 50, "only {seen} dependencies found");
}

/// embassy-net replies to ping only with this feature. Tests on the host do not run the chip's
/// stack.
#[test]
fn every_network_stack_answers_ping() {
    for manifest in [
        "Cargo.toml",
        "firmware/esp32/Cargo.toml",
        "firmware/greeter/Cargo.toml",
    ] {
        let text = fs::read_to_string(root().join(manifest)).expect("a manifest");
        let stacks: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("embassy-net ="))
            .collect();
        assert_eq!(stacks.len(), 1, "{manifest}");
        assert!(stacks[0].contains("\"auto-icmp-echo-reply\""), "{manifest}");
    }
}
