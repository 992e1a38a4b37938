//! Backtrace of a panic, from the words of its stack.
//!
//! Without frame pointers every word that could be a return address is listed, innermost first. Some
//! belong to earlier calls whose stack has not been overwritten.

use core::fmt;
use core::ops::Range;

/// Most addresses of a backtrace.
pub const MAX_ADDRESSES: usize = 16;

/// Bytes from a return address back into the call: the shortest RISC-V call. The return address
/// itself can belong to the next function if the call never returns.
const INTO_CALL: u32 = 2;

/// Addresses of the calls that the words of a stack may return to, without consecutive repeats. `code`
/// is the address range of the program.
pub fn calls<const N: usize>(
    words: impl Iterator<Item = u32> + Clone,
    code: [Range<u32>; N],
) -> impl Iterator<Item = u32> + Clone {
    let mut last = None;
    words
        .filter(|word| word % 2 == 0)
        .map(|word| word.wrapping_sub(INTO_CALL))
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

    /// In flash and in RAM.
    const CODE: [Range<u32>; 2] = [0x4200_0020..0x4200_1000, 0x4038_0000..0x4038_0100];

    fn addresses(words: &[u32]) -> Vec<u32> {
        calls(words.iter().copied(), CODE).collect()
    }

    #[test]
    fn only_addresses_behind_code_are_listed() {
        let no_code = [
            0,
            1,
            0xffff_ffff,
            0x3fc8_0000,
            0x4037_fffe,
            // Nothing comes before the first instruction that could have called.
            0x4200_0020,
            // Odd.
            0x4200_0101,
            0x4200_1002,
        ];
        assert_eq!(addresses(&no_code), []);
        // The end is what the program's last call returns to.
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
        let line = Backtrace(calls([0x4200_0102, 0, 0x4038_0010].into_iter(), CODE));
        assert_eq!(line.to_string(), "backtrace 0x42000100 0x4038000e");
        assert_eq!(line.to_string(), "backtrace 0x42000100 0x4038000e");
        let line = Backtrace(calls([].into_iter(), CODE));
        assert_eq!(line.to_string(), "backtrace none");
        let line = Backtrace([0x12].into_iter());
        assert_eq!(line.to_string(), "backtrace 0x00000012");
    }
}
