//! Addresses of a program as its functions and lines, from its ELF.

use std::path::Path;

use addr2line::Loader;
use regex::Regex;
use serde::Serialize;

use crate::failure::Failure;
use crate::sanitize;

/// Where an address is in the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// The address, e.g. `0x42001a2c`.
    pub address: String,
    /// The function.
    pub function: String,
    /// The file and line, where the ELF tells.
    pub location: Option<String>,
}

/// An ELF's symbols.
pub struct Symbols {
    loader: Loader,
    address: Regex,
}

impl Symbols {
    /// Reads an ELF.
    ///
    /// # Errors
    /// It can't be read, or is no ELF.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let name = sanitize::one_line(&path.to_string_lossy());
        let wrong = |what: String| {
            Failure::usage(format!("--elf {name}: {what}"))
                .hint("give the ELF that the board's firmware was made from")
        };
        let loader =
            Loader::new(path).map_err(|error| wrong(sanitize::one_line(&error.to_string())))?;
        // Code is in memory and in mapped flash, at 0x40000000 and above on every chip but the P4.
        let address = Regex::new(r"0x4[0-9a-fA-F]{7}").map_err(|error| wrong(error.to_string()))?;
        Ok(Self { loader, address })
    }

    /// The addresses in a line that are in the program, innermost function first.
    pub fn explain(&self, line: &str) -> Vec<Frame> {
        let found = self.address.find_iter(line);
        found
            .flat_map(|found| self.frames(found.as_str()))
            .collect()
    }

    fn frames(&self, text: &str) -> Vec<Frame> {
        let Ok(address) = u64::from_str_radix(text.trim_start_matches("0x"), 16) else {
            return Vec::new();
        };
        let frame = |function: String, location: Option<String>| Frame {
            address: text.to_owned(),
            function: sanitize::one_line(&function),
            location: location.map(|location| sanitize::one_line(&location)),
        };
        let mut frames = Vec::new();
        if let Ok(mut found) = self.loader.find_frames(address) {
            while let Ok(Some(inner)) = found.next() {
                let Some(function) = &inner.function else {
                    continue;
                };
                let function = function
                    .demangle()
                    .map_or_else(|_| "?".to_owned(), Into::into);
                let location = inner.location.and_then(|location| {
                    let file = location.file?;
                    Some(match location.line {
                        Some(line) => format!("{file}:{line}"),
                        None => file.to_owned(),
                    })
                });
                frames.push(frame(function, location));
            }
        }
        if frames.is_empty()
            && let Some(symbol) = self.loader.find_symbol(address)
        {
            frames.push(frame(
                addr2line::demangle_auto(symbol.into(), None).into(),
                None,
            ));
        }
        frames
    }
}
