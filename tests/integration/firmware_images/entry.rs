//! Whether a chip's code reaches `main`: follows calls and jumps from the ELF's entry point.
//!
//! No emulator: functions are decoded instruction by instruction, from their symbol's address to
//! their end. That is enough to notice an entry routine that is cut off, as xtensa-lx-rt's `Reset`
//! was, whose blocks a newer rustc emitted in another order.

use std::collections::{BTreeMap, BTreeSet};

use object::read::elf::ElfFile32;
use object::{Architecture, Endianness, Object, ObjectSection, ObjectSymbol, SymbolKind};

/// An ELF's code, and where its functions are.
pub(crate) struct Program<'e> {
    is_xtensa: bool,
    entry: u32,
    /// Sections of code by address.
    sections: Vec<(u32, &'e [u8])>,
    /// Functions by address, with their size: 0 where the symbol has none.
    functions: BTreeMap<u32, u32>,
    /// What may be called or jumped to: functions, and labels in assembly.
    labels: BTreeSet<u32>,
    main: u32,
}

impl<'e> Program<'e> {
    pub(crate) fn of(elf: &'e [u8]) -> Self {
        let file = ElfFile32::<Endianness>::parse(elf).expect("an ELF of 32 bits");
        let address = |address: u64| u32::try_from(address).unwrap();
        let mut functions = BTreeMap::new();
        let mut labels = BTreeSet::new();
        for symbol in file.symbols() {
            let at = address(symbol.address());
            match symbol.kind() {
                SymbolKind::Text => {
                    let size = functions.entry(at).or_default();
                    *size = address(symbol.size()).max(*size);
                    labels.insert(at);
                }
                // Assembly has labels without a type.
                SymbolKind::Label | SymbolKind::Unknown => {
                    labels.insert(at);
                }
                _ => {}
            }
        }
        let main = file.symbols().find(|symbol| symbol.name() == Ok("main"));
        Self {
            is_xtensa: file.architecture() == Architecture::Xtensa,
            entry: address(file.entry()),
            sections: file
                .sections()
                .filter_map(|it| Some((address(it.address()), it.data().ok()?)))
                .filter(|(_, data)| !data.is_empty())
                .collect(),
            functions,
            labels,
            main: address(main.expect("a symbol main").address()),
        }
    }

    /// Whether calls and jumps lead from the entry point to `main`.
    pub(crate) fn reaches_main(&self) -> bool {
        self.reaches(self.entry)
    }

    fn reaches(&self, entry: u32) -> bool {
        let mut seen = BTreeSet::new();
        let mut ahead = vec![entry];
        while let Some(function) = ahead.pop() {
            if function == self.main {
                return true;
            }
            if seen.insert(function) {
                let targets = self.targets(function).into_iter();
                ahead.extend(targets.filter(|it| self.labels.contains(it)));
            }
        }
        false
    }

    fn bytes(&self, address: u32, length: u32) -> Option<&'e [u8]> {
        self.sections.iter().find_map(|(start, data)| {
            let at = address.checked_sub(*start)? as usize;
            data.get(at..at + length as usize)
        })
    }

    fn word(&self, address: u32) -> Option<u32> {
        let bytes = self.bytes(address, 4)?;
        Some(u32::from_le_bytes(bytes.try_into().unwrap()))
    }

    /// What the function at this address calls or jumps to.
    fn targets(&self, start: u32) -> Vec<u32> {
        let next = self.functions.range(start + 1..).next().map(|(at, _)| *at);
        let end = match self.functions.get(&start) {
            Some(size) if *size > 0 => start + size,
            _ => next.unwrap_or(start + 4096),
        };
        let mut targets = Vec::new();
        // Values that registers were loaded with.
        let mut registers = [0_u32; 32];
        let mut at = start;
        while at < end {
            let Some(bytes) = self.bytes(at, 2) else {
                break;
            };
            let length = if self.is_xtensa {
                if bytes[0] & 0xf >= 8 { 2 } else { 3 }
            } else if bytes[0] & 3 == 3 {
                4
            } else {
                2
            };
            let Some(bytes) = self.bytes(at, length) else {
                break;
            };
            let mut padded = [0; 4];
            padded[..bytes.len()].copy_from_slice(bytes);
            let instruction = u32::from_le_bytes(padded);
            targets.extend(if self.is_xtensa {
                self.xtensa(instruction, at, &mut registers)
            } else {
                riscv(instruction, at, &mut registers)
            });
            at += length;
        }
        targets
    }

    /// The target of a call or jump (Xtensa ISA reference, "Instruction Formats").
    fn xtensa(&self, instruction: u32, at: u32, registers: &mut [u32; 32]) -> Option<u32> {
        let [low, ..] = instruction.to_le_bytes();
        let field = |shift: u32| ((instruction >> shift) & 0xf) as usize;
        match low & 0xf {
            // l32r at, label
            1 => {
                let back = (instruction >> 8) & 0xffff;
                let literal = ((at + 3) & !3).wrapping_add((back | 0xffff_0000) << 2);
                registers[field(4)] = self.word(literal).unwrap_or_default();
                None
            }
            // call0, call4, call8, call12
            5 => {
                let words = signed(instruction >> 6, 18);
                Some((at & !3).wrapping_add((words << 2).wrapping_add(4)))
            }
            // j
            6 if low & 0x30 == 0 => {
                Some(at.wrapping_add(signed(instruction >> 6, 18).wrapping_add(4)))
            }
            // callx0 to callx12, jx
            0 if instruction & 0xff_f00f == 0 && (low & 0xc0 == 0xc0 || low & 0xf0 == 0xa0) => {
                Some(registers[field(8)])
            }
            _ => None,
        }
    }
}

/// The target of a call or jump (RISC-V ISA manual, "RV32I" and "C").
fn riscv(instruction: u32, at: u32, registers: &mut [u32; 32]) -> Option<u32> {
    let bit = |from: u32, to: u32, length: u32| ((instruction >> from) & ((1 << length) - 1)) << to;
    let register = |shift: u32| ((instruction >> shift) & 31) as usize;
    if instruction & 3 != 3 {
        // c.j and c.jal
        let is_jump = instruction & 3 == 1 && matches!((instruction >> 13) & 7, 1 | 5);
        let offset = bit(12, 11, 1)
            | bit(11, 4, 1)
            | bit(9, 8, 2)
            | bit(8, 10, 1)
            | bit(7, 6, 1)
            | bit(6, 7, 1)
            | bit(3, 1, 3)
            | bit(2, 5, 1);
        return is_jump.then(|| at.wrapping_add(signed(offset, 12)));
    }
    let upper = instruction & 0xffff_f000;
    let lower = signed(instruction >> 20, 12);
    match instruction & 0x7f {
        // auipc, lui
        0x17 => registers[register(7)] = at.wrapping_add(upper),
        0x37 => registers[register(7)] = upper,
        // addi, as `la` ends
        0x13 if (instruction >> 12).is_multiple_of(8) => {
            registers[register(7)] = registers[register(15)].wrapping_add(lower);
        }
        // jalr
        0x67 => return Some(registers[register(15)].wrapping_add(lower)),
        // jal
        0x6f => {
            let offset = bit(31, 20, 1) | bit(21, 1, 10) | bit(20, 11, 1) | bit(12, 12, 8);
            return Some(at.wrapping_add(signed(offset, 21)));
        }
        _ => {}
    }
    None
}

/// The lowest `bits` of a number in two's complement.
fn signed(number: u32, bits: u32) -> u32 {
    let unused = 32 - bits;
    ((number << unused).cast_signed() >> unused).cast_unsigned()
}

/// Whether xtensa-lx-rt's `Reset` does not reach `main`. Where it does, `xtensa_start.rs` can go.
pub(crate) fn is_crates_reset_cut_off(elf: &[u8]) -> bool {
    let file = ElfFile32::<Endianness>::parse(elf).expect("an ELF of 32 bits");
    let reset = file.symbols().find(|symbol| symbol.name() == Ok("Reset"));
    let program = Program::of(elf);
    reset.is_some_and(|reset| !program.reaches(u32::try_from(reset.address()).unwrap()))
}
