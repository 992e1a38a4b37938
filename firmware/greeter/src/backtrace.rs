//! Backtrace of a panic, from the words of its stack.
//!
//! Without frame pointers every word that could be a return address is listed, innermost first. Some
//! belong to earlier calls whose stack has not been overwritten.

use core::fmt;
use core::ops::Range;

/// Maximum addresses of a backtrace.
pub const MAX_ADDRESSES: usize = 16;

/// How a processor stores return addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnAddress {
    /// The address itself.
    RiscV,
    /// The top two bits are the window size of the call, 1 to 3 (Xtensa ISA reference, "Windowed
    /// Register Option"). Code is between `0x4000_0000` and `0x8000_0000`.
    XtensaWindowed,
}

impl ReturnAddress {
    /// An address within the call that returns to `word`: the length of the shortest call before
    /// it. The return address itself can belong to the next function if the call never returns.
    fn call(self, word: u32) -> Option<u32> {
        match self {
            Self::RiscV => word.is_multiple_of(2).then(|| word.wrapping_sub(2)),
            Self::XtensaWindowed => {
                (word >> 30 != 0).then_some((word & 0x3fff_ffff | 0x4000_0000) - 3)
            }
        }
    }
}

/// Addresses of the calls that the words of a stack may return to, without consecutive repeats. `code`
/// is the address range of the program.
pub fn calls<const N: usize>(
    words: impl Iterator<Item = u32> + Clone,
    form: ReturnAddress,
    code: [Range<u32>; N],
) -> impl Iterator<Item = u32> + Clone {
    let mut last = None;
    words
        .filter_map(move |word| form.call(word))
        .filter(move |call| code.iter().any(|range| range.contains(call)))
        .filter(move |&call| last.replace(call) != Some(call))
        .take(MAX_ADDRESSES)
}

/// Displays as `backtrace 0x42001234 0x420056f0`, which `tcpctl monitor --elf` resolves, or as
/// `backtrace none`.
pub struct Backtrace<I>(pub I);

impl<I: Iterator<Item = u32> + Clone> fmt::Display for Backtrace<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("backtrace")?;
        let mut calls = self.0.clone().peekable();
        if calls.peek().is_none() {
            return f.write_str(" none");
        }
        calls.try_for_each(|call| write!(f, " {call:#010x}"))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;
    use std::vec::Vec;

    use super::*;

    /// Code is in flash and in RAM.
    const CODE: [Range<u32>; 2] = [0x4200_0020..0x4200_1000, 0x4038_0000..0x4038_0100];

    fn addresses(words: &[u32]) -> Vec<u32> {
        calls(words.iter().copied(), ReturnAddress::RiscV, CODE).collect()
    }

    #[test]
    fn only_addresses_behind_code_are_listed() {
        let no_code = [
            0,
            1,
            0xffff_ffff,
            0x3fc8_0000,
            0x4037_fffe,
            // No call fits before the first instruction.
            0x4200_0020,
            // An odd address is not a return address.
            0x4200_0101,
            0x4200_1002,
        ];
        assert_eq!(addresses(&no_code), []);
        // The last call of a program returns to the end of its code.
        let code = [0x4200_0022, 0x4200_1000, 0x4038_0002, 0x4038_0100];
        let calls = [0x4200_0020, 0x4200_0ffe, 0x4038_0000, 0x4038_00fe];
        assert_eq!(addresses(&code), calls);
    }

    #[test]
    fn consecutive_repeats_are_listed_once() {
        let words = [
            0x4200_0102,
            0x4200_0102,
            7,
            0x4200_0102,
            0x4200_0202,
            0x4200_0102,
        ];
        assert_eq!(addresses(&words), [0x4200_0100, 0x4200_0200, 0x4200_0100]);
    }

    #[test]
    fn deep_stack_is_truncated() {
        let words: Vec<_> = (1..100).map(|call| 0x4200_0100 + 4 * call).collect();
        let found = addresses(&words);
        assert_eq!(found.len(), MAX_ADDRESSES);
        assert_eq!(found[0], 0x4200_0102);
    }

    #[test]
    fn addresses_have_eight_digits() {
        let words = [0x4200_0102, 0, 0x4038_0010].into_iter();
        let line = Backtrace(calls(words, ReturnAddress::RiscV, CODE));
        assert_eq!(line.to_string(), "backtrace 0x42000100 0x4038000e");
        assert_eq!(line.to_string(), "backtrace 0x42000100 0x4038000e");
        let line = Backtrace(calls([].into_iter(), ReturnAddress::RiscV, CODE));
        assert_eq!(line.to_string(), "backtrace none");
        let line = Backtrace([0x12].into_iter());
        assert_eq!(line.to_string(), "backtrace 0x00000012");
    }

    #[test]
    fn xtensa_return_addresses_lose_their_window_size() {
        let code = [0x400d_0020..0x4020_0000, 0x4008_0400..0x400a_0000];
        // call8, call4 and call12; no window size; data.
        let words = [
            0x800d_1235,
            0x4008_0503,
            0xc00d_2001,
            0x000d_1235,
            0x3ffb_0000,
        ];
        let found: Vec<_> = calls(words.into_iter(), ReturnAddress::XtensaWindowed, code).collect();
        assert_eq!(found, [0x400d_1232, 0x4008_0500, 0x400d_1ffe]);
    }
}
