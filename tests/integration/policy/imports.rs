//! Finds which file of a crate uses definitions of another one, from the paths in its code: `use`
//! declarations and paths in expressions, types, attributes and macro calls. Re-exports are
//! followed to the file of the definition. Code that only tests compile is skipped.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

use super::source::{
    Source, attribute, group, ident, is_path_separator, is_punct, is_test_only, root, skip_item,
};

type Names = Vec<String>;

/// A module of a crate: a file, or a `mod name { ... }` in one.
struct Module {
    name: String,
    path: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    items: HashSet<String>,
    imports: Vec<Import>,
    globs: Vec<Names>,
    /// Paths in code other than `use`. A line number is expensive, so the position is a span.
    paths: Vec<(Names, Span)>,
}

struct Import {
    name: String,
    path: Names,
    span: Span,
}

/// The target of a path.
#[derive(Clone, Copy)]
enum Target {
    Module(usize),
    /// An item that this module defines.
    ItemOf(usize),
}

pub(super) struct Crate {
    modules: Vec<Module>,
}

/// A use of one file's definitions by another one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) line: usize,
    pub(super) path: String,
    /// The names of the top-level modules at both ends; empty for the crate's root.
    pub(super) tops: (String, String),
    /// Whether one file's module contains the other's.
    pub(super) is_family: bool,
}

impl Crate {
    /// Reads a crate from its root file, by its path in the repository.
    pub(super) fn read(file: &str) -> Self {
        let mut this = Self {
            modules: Vec::new(),
        };
        this.read_file(&root().join(file), "crate".to_owned(), None);
        this
    }

    fn read_file(&mut self, file: &Path, name: String, parent: Option<usize>) -> usize {
        let source = Source::read(file);
        let id = self.add(name, source.path, parent);
        let folder = match file.file_name().and_then(|name| name.to_str()) {
            Some("lib.rs" | "main.rs" | "mod.rs") => file.parent().expect("a folder").to_owned(),
            _ => file.with_extension(""),
        };
        self.read_tokens(id, source.tokens, Some(&folder));
        id
    }

    fn add(&mut self, name: String, path: String, parent: Option<usize>) -> usize {
        let id = self.modules.len();
        if let Some(parent) = parent {
            self.modules[parent].children.insert(name.clone(), id);
        }
        self.modules.push(Module {
            name,
            path,
            parent,
            children: BTreeMap::new(),
            items: HashSet::new(),
            imports: Vec::new(),
            globs: Vec::new(),
            paths: Vec::new(),
        });
        id
    }

    /// Reads code into a module. `folder` is where the files of its children are; `None` inside of
    /// an item.
    fn read_tokens(&mut self, id: usize, tokens: TokenStream, folder: Option<&PathBuf>) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut index = 0;
        while index < tokens.len() {
            if let Some((attribute, next)) = attribute(&tokens, index) {
                if is_test_only(attribute) {
                    if is_punct(&tokens, index + 1, '!') {
                        return;
                    }
                    index = skip_item(&tokens, next);
                } else {
                    self.read_attribute(id, attribute.stream());
                    index = next;
                }
                continue;
            }
            if let TokenTree::Group(group) = &tokens[index] {
                self.read_tokens(id, group.stream(), None);
                index += 1;
                continue;
            }
            let Some(word) = ident(&tokens, index) else {
                index += 1;
                continue;
            };
            let name = ident(&tokens, index + 1);
            match (&*word, name, folder) {
                ("use", _, _) if !is_punct(&tokens, index + 1, '<') => {
                    let end = (index..tokens.len())
                        .find(|&at| is_punct(&tokens, at, ';'))
                        .unwrap_or(tokens.len());
                    self.read_use(id, &tokens[index + 1..end], &[]);
                    index = end + 1;
                    continue;
                }
                ("mod", Some(name), Some(folder)) if is_punct(&tokens, index + 2, ';') => {
                    let file = folder.join(format!("{name}.rs"));
                    let file = if file.exists() {
                        file
                    } else {
                        folder.join(&name).join("mod.rs")
                    };
                    self.read_file(&file, name, Some(id));
                    index += 3;
                    continue;
                }
                ("mod", Some(name), _) => {
                    if let Some(body) = group(&tokens, index + 2, Delimiter::Brace) {
                        let path = self.modules[id].path.clone();
                        let folder = folder.map(|folder| folder.join(&name));
                        let child = self.add(name, path, Some(id));
                        self.read_tokens(child, body.stream(), folder.as_ref());
                        index += 3;
                        continue;
                    }
                }
                (
                    "struct" | "enum" | "union" | "trait" | "type" | "const" | "static" | "fn",
                    Some(name),
                    Some(_),
                ) => {
                    self.modules[id].items.insert(name);
                }
                _ => {}
            }
            let start = index;
            let mut path = vec![word];
            index += 1;
            while is_path_separator(&tokens, index) {
                let Some(name) = ident(&tokens, index + 2) else {
                    break;
                };
                path.push(name);
                index += 3;
            }
            let is_continued = start > 1 && is_path_separator(&tokens, start - 2);
            if path.len() > 1 && !is_continued {
                self.modules[id].paths.push((path, tokens[start].span()));
            }
        }
    }

    /// Reads paths in attributes, including those in strings: `#[serde(with =
    /// "crate::units::rate")]`.
    fn read_attribute(&mut self, id: usize, tokens: TokenStream) {
        let list: Vec<_> = tokens.clone().into_iter().collect();
        if ident(&list, 0).as_deref() == Some("doc") {
            return;
        }
        for token in list {
            match token {
                TokenTree::Group(group) => self.read_attribute(id, group.stream()),
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    let text = text.trim_matches('"');
                    let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
                    if text.contains("::") && text.chars().all(is_path) {
                        let names = text.split("::").map(str::to_owned).collect();
                        self.modules[id].paths.push((names, literal.span()));
                    }
                }
                _ => {}
            }
        }
        self.read_tokens(id, tokens, None);
    }

    /// Reads a tree of a `use` declaration below a prefix.
    fn read_use(&mut self, id: usize, tokens: &[TokenTree], prefix: &[String]) {
        let mut path = prefix.to_vec();
        let mut index = 0;
        if is_path_separator(tokens, 0) {
            // The path belongs to another crate.
            return;
        }
        while let Some(name) = ident(tokens, index) {
            path.push(name);
            if !is_path_separator(tokens, index + 1) {
                break;
            }
            index += 3;
        }
        if let Some(list) = group(tokens, index, Delimiter::Brace) {
            let list: Vec<_> = list.stream().into_iter().collect();
            for tree in list
                .split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ','))
            {
                if !tree.is_empty() {
                    self.read_use(id, tree, &path);
                }
            }
        } else if is_punct(tokens, index, '*') {
            self.modules[id].globs.push(path);
        } else if let Some(last) = tokens.get(index) {
            let span = last.span();
            let is_self = path.len() > 1 && path.last().is_some_and(|name| name == "self");
            if is_self {
                path.pop();
            }
            let is_renamed = ident(tokens, index + 1).as_deref() == Some("as");
            let name = if is_renamed {
                ident(tokens, index + 2).unwrap_or_else(|| "_".to_owned())
            } else {
                path.last().cloned().unwrap_or_default()
            };
            self.modules[id].imports.push(Import { name, path, span });
        }
    }

    /// The target of a path in a module; `None` if it belongs to another crate.
    fn resolve(
        &self,
        from: usize,
        path: &[String],
        seen: &mut Vec<(usize, String)>,
    ) -> Option<Target> {
        let mut rest = path.iter();
        let first = rest.next()?;
        let mut target = match &**first {
            "crate" => Target::Module(0),
            "self" => Target::Module(from),
            "super" => Target::Module(self.modules[from].parent?),
            name => self.lookup(from, name, seen)?,
        };
        for name in rest {
            let Target::Module(module) = target else {
                // The path names an enum's variant or an associated function.
                return Some(target);
            };
            target = if name == "super" {
                Target::Module(self.modules[module].parent?)
            } else if let Some(target) = self.lookup(module, name, seen) {
                target
            } else if self.modules[module]
                .imports
                .iter()
                .any(|it| it.name == *name)
            {
                // The path is a re-export from another crate.
                return None;
            } else {
                Target::ItemOf(module)
            };
        }
        Some(target)
    }

    /// The target of a name in a module.
    fn lookup(&self, id: usize, name: &str, seen: &mut Vec<(usize, String)>) -> Option<Target> {
        let module = &self.modules[id];
        if let Some(&child) = module.children.get(name) {
            return Some(Target::Module(child));
        }
        if module.items.contains(name) {
            return Some(Target::ItemOf(id));
        }
        let key = (id, name.to_owned());
        if seen.contains(&key) {
            return None;
        }
        seen.push(key);
        let mut imports = module.imports.iter().filter(|import| import.name == name);
        let found = imports.find_map(|import| self.resolve(id, &import.path, seen));
        let found = found.or_else(|| {
            let globs = module.globs.iter();
            let mut globs = globs.filter_map(|glob| match self.resolve(id, glob, seen)? {
                Target::Module(module) => self.lookup(module, name, seen),
                Target::ItemOf(_) => None,
            });
            globs.next()
        });
        seen.pop();
        found
    }

    /// The files of a crate that use each other, one edge per pair with its first use.
    pub(super) fn edges(&self) -> Vec<Edge> {
        let mut edges: BTreeMap<(String, String), Edge> = BTreeMap::new();
        for (id, module) in self.modules.iter().enumerate() {
            let imports = module.imports.iter().map(|it| (&it.path, it.span));
            let paths = module.paths.iter().map(|(path, span)| (path, *span));
            let globs = module.globs.iter().map(|path| (path, Span::call_site()));
            let uses = imports
                .map(|it| (it, false))
                .chain(paths.map(|it| (it, false)));
            for ((path, span), is_glob) in uses.chain(globs.map(|it| (it, true))) {
                let target = match self.resolve(id, path, &mut Vec::new()) {
                    Some(Target::ItemOf(target)) => target,
                    Some(Target::Module(target)) if is_glob => target,
                    // Naming a module alone is not a use of its definitions.
                    Some(Target::Module(_)) | None => continue,
                };
                let (from, to) = (module.path.clone(), self.modules[target].path.clone());
                if from == to {
                    continue;
                }
                edges
                    .entry((from.clone(), to.clone()))
                    .or_insert_with(|| Edge {
                        from,
                        to,
                        line: span.start().line,
                        path: path.join("::"),
                        tops: (self.top(id), self.top(target)),
                        is_family: self.contains(id, target) || self.contains(target, id),
                    });
            }
        }
        edges.into_values().collect()
    }

    /// Whether a module is another one, or contains it.
    fn contains(&self, outer: usize, inner: usize) -> bool {
        let mut at = Some(inner);
        while let Some(id) = at {
            if self.modules[id].path == self.modules[outer].path {
                return true;
            }
            at = self.modules[id].parent;
        }
        false
    }

    fn top(&self, id: usize) -> String {
        let mut at = id;
        let mut name = String::new();
        while let Some(parent) = self.modules[at].parent {
            name.clone_from(&self.modules[at].name);
            at = parent;
        }
        name
    }
}

/// The groups of nodes that can reach each other.
pub(super) fn cycles(edges: &BTreeSet<(String, String)>) -> Vec<BTreeSet<String>> {
    let reach = |start: &String| {
        let mut found = BTreeSet::new();
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            for (_, to) in edges.iter().filter(|(from, _)| from == node) {
                if found.insert(to.clone()) {
                    open.push(to);
                }
            }
        }
        found
    };
    let nodes: BTreeSet<_> = edges.iter().flat_map(|(from, to)| [from, to]).collect();
    let reached: BTreeMap<_, _> = nodes.into_iter().map(|node| (node, reach(node))).collect();
    let mut groups: Vec<BTreeSet<String>> = Vec::new();
    for (node, from_here) in &reached {
        if from_here.contains(*node) && !groups.iter().any(|group| group.contains(*node)) {
            let members = from_here.iter().filter(|it| reached[it].contains(*node));
            groups.push(members.cloned().collect());
        }
    }
    groups
}
