//! The Rust sources of this repository as tokens, so that comments and strings are not mistaken for
//! code.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file, by its path in the repository.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) tokens: TokenStream,
}

impl Source {
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let tokens = text.parse();
        let path = path.strip_prefix(root()).expect("a path in the repository");
        let path = path.to_string_lossy().replace('\\', "/");
        let tokens = tokens.unwrap_or_else(|e| panic!("{path}: {e}"));
        Self { path, tokens }
    }
}

/// Every Rust source of the repository.
pub(super) fn sources() -> Vec<Source> {
    let folders = [
        "src", "engine", "build", "firmware", "fuzz", "tests", "benches",
    ];
    let mut folders: Vec<PathBuf> = folders.map(|folder| root().join(folder)).into();
    let mut sources = vec![Source::read(&root().join("build.rs"))];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(Source::read(&path));
            }
        }
    }
    sources
}

/// The identifier at `index`, if that token is one.
pub(super) fn ident(tokens: &[TokenTree], index: usize) -> Option<String> {
    match tokens.get(index) {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

pub(super) fn is_punct(tokens: &[TokenTree], index: usize, expected: char) -> bool {
    matches!(tokens.get(index), Some(TokenTree::Punct(punct)) if punct.as_char() == expected)
}

pub(super) fn is_path_separator(tokens: &[TokenTree], index: usize) -> bool {
    is_punct(tokens, index, ':') && is_punct(tokens, index + 1, ':')
}

pub(super) fn group(tokens: &[TokenTree], index: usize, delimiter: Delimiter) -> Option<&Group> {
    match tokens.get(index) {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

/// The attribute at `index` (`#[...]` or `#![...]`) and the index after it.
pub(super) fn attribute(tokens: &[TokenTree], index: usize) -> Option<(&Group, usize)> {
    let is_inner = is_punct(tokens, index + 1, '!');
    let at = index + 1 + usize::from(is_inner);
    is_punct(tokens, index, '#')
        .then(|| group(tokens, at, Delimiter::Bracket))
        .flatten()
        .map(|group| (group, at + 1))
}

/// Whether an attribute restricts its item to tests.
pub(super) fn is_test_only(attribute: &Group) -> bool {
    let tokens: Vec<_> = attribute.stream().into_iter().collect();
    let condition = group(&tokens, 1, Delimiter::Parenthesis);
    ident(&tokens, 0).as_deref() == Some("cfg")
        && condition.is_some_and(|condition| requires_test(condition.stream()))
}

/// Whether a `cfg` predicate holds only in tests.
fn requires_test(predicate: TokenStream) -> bool {
    let tokens: Vec<_> = predicate.into_iter().collect();
    let Some(list) = group(&tokens, 1, Delimiter::Parenthesis) else {
        return tokens.len() == 1 && ident(&tokens, 0).as_deref() == Some("test");
    };
    let list: Vec<_> = list.stream().into_iter().collect();
    let mut parts = list
        .split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ','))
        .filter(|part| !part.is_empty())
        .map(|part| requires_test(part.iter().cloned().collect()));
    match ident(&tokens, 0).as_deref() {
        Some("all") => parts.any(|test| test),
        Some("any") => parts.all(|test| test),
        _ => false,
    }
}

/// The index after the item, field, arm or statement that starts at `index`.
pub(super) fn skip_item(tokens: &[TokenTree], mut index: usize) -> usize {
    while let Some((_, next)) = attribute(tokens, index) {
        index = next;
    }
    let is_word = |word: &str, at| ident(tokens, at).as_deref() == Some(word);
    if is_word("pub", index) {
        index += 1;
        index += usize::from(group(tokens, index, Delimiter::Parenthesis).is_some());
    }
    let first = ident(tokens, index).unwrap_or_default();
    let is_function = is_word("fn", index + 1) || is_word("unsafe", index + 1);
    let ends_at_brace = match &*first {
        "const" | "async" | "extern" => is_function || first == "async",
        "fn" | "mod" | "impl" | "struct" | "enum" | "union" | "trait" | "unsafe"
        | "macro_rules" => true,
        "use" | "static" | "type" | "let" => false,
        // A field, an arm or an expression.
        _ => {
            while index < tokens.len() && !is_punct(tokens, index, ',') {
                index += 1;
                if is_punct(tokens, index - 1, ';') {
                    return index;
                }
            }
            return index + 1;
        }
    };
    while index < tokens.len() {
        index += 1;
        let is_body = ends_at_brace && group(tokens, index - 1, Delimiter::Brace).is_some();
        if is_body || is_punct(tokens, index - 1, ';') {
            break;
        }
    }
    index
}

/// Tokens without test-only code and without the messages of panics.
pub(super) fn without_tests(tokens: TokenStream) -> TokenStream {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut kept = TokenStream::new();
    let mut index = 0;
    while index < tokens.len() {
        if let Some((attribute, next)) = attribute(&tokens, index)
            && is_test_only(attribute)
        {
            if is_punct(&tokens, index + 1, '!') {
                break;
            }
            index = skip_item(&tokens, next);
            continue;
        }
        let is_panic = is_punct(&tokens, index.wrapping_sub(1), '!')
            && ident(&tokens, index.wrapping_sub(2))
                .is_some_and(|it| ["panic", "unreachable"].contains(&&*it));
        match &tokens[index] {
            TokenTree::Group(_) if is_panic => {}
            TokenTree::Group(group) => {
                let mut shorter = Group::new(group.delimiter(), without_tests(group.stream()));
                shorter.set_span(group.span());
                kept.extend([TokenTree::Group(shorter)]);
            }
            token => kept.extend([token.clone()]),
        }
        index += 1;
    }
    kept
}

/// The lines on which `matches` holds for a position in a list of tokens, at any depth.
pub(super) fn lines_where(
    tokens: TokenStream,
    matches: &impl Fn(&[TokenTree], usize) -> bool,
) -> Vec<usize> {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut lines = Vec::new();
    for index in 0..tokens.len() {
        if matches(&tokens, index) {
            lines.push(tokens[index].span().start().line);
        }
        if let TokenTree::Group(group) = &tokens[index] {
            lines.extend(lines_where(group.stream(), matches));
        }
    }
    lines
}
