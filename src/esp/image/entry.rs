//! Checks that a program starts: follows calls and jumps from its entry point.
//!
//! No emulator: functions are decoded instruction by instruction, from their symbol's address to their
//! end. That is enough to notice an entry routine that is cut off, as xtensa-lx-rt's `Reset` was, whose
//! blocks a newer rustc emitted in another order: it ran into an exception handler.

use std::collections::{BTreeMap, BTreeSet};

use object::read::elf::ElfFile32;
use object::{Architecture, Endianness, Object, ObjectSection, ObjectSymbol};
use object::{SectionKind, SymbolKind};

pub(super) const OUTSIDE: &str = "its entry point is outside its code";

/// Maximum instructions to decode. The firmware of a chip has about 300,000.
const MAX_INSTRUCTIONS: usize = 1 << 22;

/// A piece of a program in a chip's memory.
#[derive(Debug)]
pub(super) struct Piece<'p> {
    pub(super) address: u32,
    pub(super) data: &'p [u8],
    pub(super) is_code: bool,
}

impl<'p> Piece<'p> {
    /// The bytes from an address on; `None` if it is not in this piece.
    fn from(&self, address: u32) -> Option<&'p [u8]> {
        let at = usize::try_from(address.checked_sub(self.address)?).ok()?;
        self.data.get(at..).filter(|data| !data.is_empty())
    }
}

/// Machine code.
#[derive(Debug)]
pub(super) struct Code<'p> {
    pub(super) is_xtensa: bool,
    pub(super) pieces: Vec<Piece<'p>>,
}

impl<'p> Code<'p> {
    /// The code from an address on; `None` if there is none.
    pub(super) fn at(&self, address: u32) -> Option<&'p [u8]> {
        let mut pieces = self.pieces.iter().filter(|piece| piece.is_code);
        pieces.find_map(|piece| piece.from(address))
    }

    fn word(&self, address: u32) -> Option<u32> {
        let bytes = self.pieces.iter().find_map(|piece| piece.from(address))?;
        bytes.first_chunk().map(|word| u32::from_le_bytes(*word))
    }

    /// The targets of calls and jumps in the first `length` bytes of the code at `start`. `left` is
    /// the number of instructions that may still be decoded.
    pub(super) fn targets(&self, start: u32, length: u32, left: &mut usize) -> Vec<u32> {
        let mut code = self.at(start).unwrap_or_default();
        code = code.get(..length as usize).unwrap_or(code);
        let mut targets = Vec::new();
        // Values loaded into registers.
        let mut registers = [0; 32];
        let mut at = start;
        while let Some(first) = code.first()
            && *left > 0
        {
            let size: u8 = match (self.is_xtensa, first) {
                (true, first) if first & 0xf >= 8 => 2,
                (true, _) => 3,
                (false, first) if first & 3 == 3 => 4,
                (false, _) => 2,
            };
            let Some((bytes, rest)) = code.split_at_checked(size.into()) else {
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
            code = rest;
            at = at.wrapping_add(size.into());
            *left -= 1;
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
                let literal = (at.wrapping_add(3) & !3).wrapping_add((back | 0xffff_0000) << 2);
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

/// An ELF's code, and where its functions are.
#[derive(Debug)]
pub struct Program<'e> {
    code: Code<'e>,
    entry: u32,
    /// Functions by address, with their size; 0 if the symbol has none.
    functions: BTreeMap<u32, u32>,
    /// Addresses that may be called or jumped to: functions, and labels in assembly.
    labels: BTreeSet<u32>,
    main: Option<u32>,
}

impl<'e> Program<'e> {
    /// Reads an ELF for a 32-bit chip; `None` if it is not one.
    pub fn parse(elf: &'e [u8]) -> Option<Self> {
        let file = ElfFile32::<Endianness>::parse(elf).ok()?;
        let address = |address: u64| u32::try_from(address).unwrap_or_default();
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
        let pieces = file.sections().filter_map(|section| {
            Some(Piece {
                address: address(section.address()),
                data: section.data().ok()?,
                is_code: section.kind() == SectionKind::Text,
            })
        });
        Some(Self {
            code: Code {
                is_xtensa: file.architecture() == Architecture::Xtensa,
                pieces: pieces.filter(|piece| piece.address > 0).collect(),
            },
            entry: address(file.entry()),
            functions,
            labels,
            main: main.map(|main| address(main.address())),
        })
    }

    /// Checks that calls and jumps lead from the entry point to `main`.
    ///
    /// # Errors
    /// What is wrong with the start of the program.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.main.is_none() {
            Err("the ELF has no symbol main: it was stripped")
        } else if self.code.at(self.entry).is_none() {
            Err(OUTSIDE)
        } else if !self.reaches_main(self.entry) {
            Err("its entry point does not lead to main: the board would not start")
        } else {
            Ok(())
        }
    }

    /// Whether calls and jumps lead from this address to `main`.
    pub fn reaches_main(&self, start: u32) -> bool {
        let mut seen = BTreeSet::new();
        let mut ahead = vec![start];
        let mut left = MAX_INSTRUCTIONS;
        while let Some(function) = ahead.pop() {
            if Some(function) == self.main {
                return true;
            }
            if seen.insert(function) {
                let length = self.length(function);
                let targets = self.code.targets(function, length, &mut left).into_iter();
                ahead.extend(targets.filter(|it| self.labels.contains(it)));
            }
        }
        false
    }

    /// Bytes from an address to the end of its function.
    fn length(&self, start: u32) -> u32 {
        let after = start.saturating_add(1)..;
        match self.functions.get(&start) {
            Some(size) if *size > 0 => *size,
            _ => match self.functions.range(after).next() {
                Some((next, _)) => next - start,
                None => 4096,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program with these instructions, its functions by offset and size, the last one `main`.
    fn program(is_xtensa: bool, data: &[u8], functions: [(u32, u32); 2]) -> Program<'_> {
        const BASE: u32 = 0x4000_0000;
        let functions: BTreeMap<_, _> = functions.map(|(at, size)| (BASE + at, size)).into();
        Program {
            code: Code {
                is_xtensa,
                pieces: vec![Piece {
                    address: BASE,
                    data,
                    is_code: true,
                }],
            },
            entry: BASE,
            labels: functions.keys().copied().collect(),
            main: functions.keys().last().copied(),
            functions,
        }
    }

    /// Each start routine leads to `main`, and none does with its end cut off.
    #[test]
    fn cut_off_start_routine_is_found() {
        for (name, is_xtensa, start, call, length) in [
            // auipc t0, 0; jalr 16(t0)
            (
                "riscv",
                false,
                &[0x97, 2, 0, 0][..],
                &[0xe7, 0x80, 2, 1][..],
                8,
            ),
            // nop; jal 12
            ("riscv jal", false, &[0x13, 0, 0, 0], &[0xef, 0, 0xc0, 0], 8),
            // nop; c.j 12
            ("riscv c.j", false, &[0x13, 0, 0, 0], &[0x31, 0xa0], 6),
            // nop.n; call4 12 from the word before
            ("xtensa", true, &[0x3d, 0xf0, 0x3d, 0xf0], &[0x95, 0, 0], 7),
            // nop.n; j 12
            (
                "xtensa j",
                true,
                &[0x3d, 0xf0, 0x3d, 0xf0],
                &[0x06, 2, 0],
                7,
            ),
        ] {
            let mut code = [start, call].concat();
            code.resize(20, 0);
            let whole = program(is_xtensa, &code, [(0, length), (16, 4)]);
            assert_eq!(whole.check(), Ok(()), "{name}");
            let cut = program(is_xtensa, &code, [(0, 4), (16, 4)]);
            let problem = cut.check().unwrap_err();
            assert!(problem.contains("does not lead to main"), "{name}");
        }
    }

    #[test]
    fn start_outside_of_code_is_found() {
        let mut program = program(false, &[0x6f, 0, 0, 1], [(0, 4), (16, 4)]);
        program.code.pieces[0].is_code = false;
        assert_eq!(program.check(), Err(OUTSIDE));
        program.main = None;
        assert!(program.check().unwrap_err().contains("no symbol main"));
    }

    #[test]
    fn instructions_are_bounded() {
        let mut left = 3;
        let data = [0x01; 20];
        let program = program(false, &data, [(0, 20), (20, 0)]);
        program.code.targets(program.entry, 20, &mut left);
        assert_eq!(left, 0);
    }
}
