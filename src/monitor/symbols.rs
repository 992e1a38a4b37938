//! Functions and source lines of code addresses, from an ELF.

use std::path::Path;
use std::sync::Arc;

use addr2line::gimli::{DwarfSections, EndianArcSlice, LittleEndian, SectionId};
use addr2line::{Context, LookupResult};
use object::read::elf::ElfFile32;
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SectionKind};
use regex::Regex;
use serde::Serialize;

use crate::esp::image;
use crate::failure::{Failure, reason};
use crate::sanitize;

/// A function that contains an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// Number of the address in the line. Several frames of one address are inlined, the innermost
    /// first.
    #[serde(skip)]
    pub index: usize,
    /// Address, e.g. `0x42001a2c`.
    pub address: String,
    /// Function name.
    pub function: String,
    /// File and line, if the ELF has them.
    pub location: Option<String>,
}

/// The symbols of an ELF for a 32-bit chip.
pub struct Symbols {
    /// Functions and lines, if there is debug information.
    lines: Option<Context<EndianArcSlice<LittleEndian>>>,
    /// Functions of the symbol table, sorted by address.
    functions: Vec<Function>,
    address: Regex,
}

/// A function of the symbol table. Only sized functions in executable sections: the addresses of data,
/// of the ROM and of the bootloader would otherwise get the name of the nearest symbol.
struct Function {
    start: u64,
    size: u64,
    name: String,
}

impl Symbols {
    /// Reads an ELF.
    ///
    /// # Errors
    /// It is unreadable, or not an ELF for a 32-bit chip.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let name = sanitize::one_line(&path.to_string_lossy());
        let wrong = |what: String| {
            Failure::usage(format!("--elf {name}: {what}"))
                .hint("give the ELF of the board's firmware")
        };
        let file = image::contents(path)
            .map_err(|error| wrong(reason(&error)))?
            .ok_or_else(|| wrong(image::TOO_LARGE.to_owned()))?;
        let elf = ElfFile32::<Endianness>::parse(&*file).map_err(|error| wrong(reason(&error)))?;
        if !elf.is_little_endian() {
            return Err(wrong("not a program for an Espressif chip".into()));
        }
        // Code is in memory and in mapped flash, at 0x40000000 and above on every chip but the P4.
        let address = Regex::new(r"0x4[0-9a-fA-F]{7}").map_err(|error| wrong(reason(&error)))?;
        Ok(Self {
            lines: lines(&elf),
            functions: functions(&elf),
            address,
        })
    }

    /// The functions at the addresses in a line, the innermost first.
    pub fn explain(&self, line: &str) -> Vec<Frame> {
        // Addresses in the ROM's lines about the bootloader belong to other code.
        if line.starts_with("load:") || line.starts_with("entry ") {
            return Vec::new();
        }
        let addresses = self.address.find_iter(line).enumerate();
        addresses
            .flat_map(|(index, found)| self.frames(index, found.as_str()))
            .collect()
    }

    fn frames(&self, index: usize, text: &str) -> Vec<Frame> {
        let address = u64::from_str_radix(text.trim_start_matches("0x"), 16);
        let Some((address, symbol)) = address
            .ok()
            .and_then(|address| Some((address, self.function(address)?)))
        else {
            return Vec::new();
        };
        let frame = |function: String, location: Option<String>| Frame {
            index,
            address: text.to_owned(),
            function: sanitize::one_line(&function),
            location: location.map(|location| sanitize::one_line(&location)),
        };
        let mut frames = Vec::new();
        let found = self.lines.as_ref().map(|lines| lines.find_frames(address));
        // The debug information of a chip's ELF is never split into several files.
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
        if frames.is_empty() {
            let name = addr2line::demangle_auto(symbol.name.as_str().into(), None);
            frames.push(frame(name.into(), None));
        }
        frames
    }

    /// The function of the symbol table that contains an address.
    fn function(&self, address: u64) -> Option<&Function> {
        let after = self.functions.partition_point(|it| it.start <= address);
        let function = self.functions.get(after.checked_sub(1)?)?;
        (address - function.start < function.size).then_some(function)
    }
}

/// The debug information, if there is any.
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

/// The functions of the symbol table, sorted by address.
fn functions(elf: &ElfFile32<'_>) -> Vec<Function> {
    let symbols = elf.symbols();
    let mut functions: Vec<_> = symbols
        .filter(ObjectSymbol::is_definition)
        .filter(|symbol| symbol.size() > 0)
        .filter_map(|symbol| {
            let section = elf.section_by_index(symbol.section_index()?).ok()?;
            (section.kind() == SectionKind::Text).then_some(Function {
                start: symbol.address(),
                size: symbol.size(),
                name: symbol.name().ok()?.to_owned(),
            })
        })
        .collect();
    functions.sort_unstable_by_key(|function| function.start);
    functions
}
