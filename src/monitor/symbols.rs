//! Addresses of a program as its functions and lines, from its ELF.

use std::path::Path;
use std::sync::Arc;

use addr2line::gimli::{DwarfSections, EndianArcSlice, LittleEndian, SectionId};
use addr2line::{Context, LookupResult};
use object::read::elf::ElfFile32;
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SymbolKind};
use regex::Regex;
use serde::Serialize;

use crate::esp::image;
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

/// An ELF's symbols: of the 32-bit chips that are flashed here.
pub struct Symbols {
    /// Functions and lines, where there is debug information.
    lines: Option<Context<EndianArcSlice<LittleEndian>>>,
    /// By address.
    functions: Vec<Function>,
    address: Regex,
}

/// A function of the symbol table.
struct Function {
    start: u64,
    size: u64,
    name: String,
}

impl Symbols {
    /// Reads an ELF.
    ///
    /// # Errors
    /// It can't be read, or is no ELF of a 32-bit chip.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let name = sanitize::one_line(&path.to_string_lossy());
        let wrong = |what: String| {
            Failure::usage(format!("--elf {name}: {what}"))
                .hint("give the ELF that the board's firmware was made from")
        };
        let file = image::contents(path)
            .map_err(|error| wrong(error.to_string()))?
            .ok_or_else(|| wrong(image::TOO_LARGE.to_owned()))?;
        let elf = ElfFile32::<Endianness>::parse(&*file)
            .map_err(|error| wrong(sanitize::one_line(&error.to_string())))?;
        if !elf.is_little_endian() {
            return Err(wrong("no program for a chip that is flashed here".into()));
        }
        // Code is in memory and in mapped flash, at 0x40000000 and above on every chip but the P4.
        let address = Regex::new(r"0x4[0-9a-fA-F]{7}").map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            lines: lines(&elf),
            functions: functions(&elf),
            address,
        })
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
        let found = self.lines.as_ref().map(|lines| lines.find_frames(address));
        // Lookups never ask for more files: nothing of a chip's is split.
        if let Some(Ok(mut found)) = found.map(LookupResult::skip_all_loads) {
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
            && let Some(function) = self.function(address)
        {
            let name = addr2line::demangle_auto(function.name.as_str().into(), None);
            frames.push(frame(name.into(), None));
        }
        frames
    }

    /// The function of the symbol table that an address is in.
    fn function(&self, address: u64) -> Option<&Function> {
        let after = self.functions.partition_point(|it| it.start <= address);
        let function = self.functions.get(after.checked_sub(1)?)?;
        // Written by hand in assembly, it may have no size: then it reaches to the next.
        (function.size == 0 || address - function.start < function.size).then_some(function)
    }
}

/// The debug information, if there is some that can be read.
fn lines(elf: &ElfFile32<'_>) -> Option<Context<EndianArcSlice<LittleEndian>>> {
    let sections = DwarfSections::load(|id: SectionId| {
        let section = elf.section_by_name(id.name());
        section.map_or(Ok(Vec::new().into()), |section| {
            section.uncompressed_data().map(|data| Arc::from(&*data))
        })
    });
    let sections: DwarfSections<Arc<[u8]>> = sections.ok()?;
    let dwarf = sections.borrow(|data| EndianArcSlice::new(Arc::clone(data), LittleEndian));
    Context::from_dwarf(dwarf).ok()
}

/// The functions of the symbol table, by address.
fn functions(elf: &ElfFile32<'_>) -> Vec<Function> {
    let symbols = elf.symbols();
    let mut functions: Vec<_> = symbols
        .filter(ObjectSymbol::is_definition)
        .filter_map(|symbol| {
            let name = symbol.name().ok()?;
            let is_function = match symbol.kind() {
                SymbolKind::Text => true,
                // Assembly, but for what an assembler puts there for itself.
                SymbolKind::Unknown | SymbolKind::Label => !name.starts_with(['$', '.']),
                _ => false,
            };
            is_function.then(|| Function {
                start: symbol.address(),
                size: symbol.size(),
                name: name.to_owned(),
            })
        })
        .collect();
    functions.sort_unstable_by_key(|function| function.start);
    functions
}
