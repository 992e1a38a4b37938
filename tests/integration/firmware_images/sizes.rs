//! What is in an ELF, by section and by symbol.

use std::fmt::Write as _;

use object::elf::SHF_ALLOC;
use object::read::elf::ElfFile32;
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, SymbolKind};

/// An ELF's sizes, in bytes.
pub(crate) struct Sizes {
    sections: Vec<(String, u64)>,
    symbols: Vec<(String, u64)>,
    /// The heap's regions.
    pub(crate) heap: usize,
    /// The main stack.
    pub(crate) stack: usize,
    /// The tasks that each serve a connection.
    pub(crate) slots: usize,
    /// Static RAM without heap and stack.
    pub(crate) ram: usize,
}

impl Sizes {
    pub(crate) fn of(elf: &[u8]) -> Self {
        let file = ElfFile32::<object::Endianness>::parse(elf).expect("an ELF of 32 bits");
        let sections: Vec<_> = file
            .sections()
            .filter(|section| {
                matches!(section.flags(), SectionFlags::Elf { sh_flags, .. } if sh_flags.0 & SHF_ALLOC.0 != 0)
            })
            .map(|section| (section.name().unwrap_or("?"), section.size(), section.kind()))
            // A dummy mirrors another section.
            .filter(|(name, size, _)| *size > 0 && !name.ends_with("_dummy"))
            .map(|(name, size, kind)| (name.to_owned(), size, kind))
            .collect();
        let mut symbols: Vec<_> = file
            .symbols()
            .filter(|symbol| matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data))
            .map(|symbol| {
                let name = symbol.name().unwrap_or("?");
                (
                    format!("{:#}", rustc_demangle::demangle(name)),
                    symbol.size(),
                )
            })
            .collect();
        symbols.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        let sum = |what: &dyn Fn(&str) -> bool| -> usize {
            let sizes = symbols.iter().filter(|(name, _)| what(name));
            usize::try_from(sizes.map(|(_, size)| size).sum::<u64>()).unwrap()
        };
        let heap = sum(&|name| name.ends_with("chip::init_heap::HEAP"));
        let slots = sum(&|name| name.ends_with("servers::slot::POOL"));
        let section = |wanted: &str| {
            let found = sections.iter().find(|(name, ..)| name == wanted);
            found.map_or(0, |(_, size, _)| usize::try_from(*size).unwrap())
        };
        let reclaimed = section(".dram2_uninit");
        let ram = [
            ".data",
            ".data.wifi",
            ".bss",
            ".noinit",
            ".trap",
            ".vectors",
            ".rwtext",
            ".rwtext.wifi",
        ];
        let ram = ram.map(section).iter().sum::<usize>();
        Self {
            heap,
            slots,
            stack: section(".stack"),
            ram: ram + reclaimed - heap,
            sections: sections
                .into_iter()
                .filter(|(_, _, kind)| *kind != SectionKind::Note)
                .map(|(name, size, _)| (name, size))
                .collect(),
            symbols,
        }
    }

    pub(crate) fn symbol_names(&self) -> impl Iterator<Item = &str> {
        self.symbols.iter().map(|(name, _)| name.as_str())
    }

    /// Sections, memory and the ten largest symbols as text.
    pub(crate) fn table(&self, chip: &str, application: u32) -> String {
        let mut table = format!("{chip}: application image {application} bytes\n");
        let mut row = |size: &dyn std::fmt::Display, name: &str| {
            let _ = writeln!(table, "  {size:>8}  {name}");
        };
        for (name, size) in &self.sections {
            row(size, name);
        }
        row(
            &self.ram,
            "= RAM, code in it included, without heap and stack",
        );
        row(&self.heap, "= heap");
        row(&self.stack, "= main stack");
        row(&"", "the ten largest symbols:");
        for (name, size) in self.symbols.iter().take(10) {
            row(size, name);
        }
        table
    }
}
