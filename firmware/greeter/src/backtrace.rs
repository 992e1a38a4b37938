//! Where a panic came from, as far as its stack tells.
//!
//! Without frame pointers nobody knows which words of a stack are return addresses. So all that
//! could be are told, the innermost first: those of the calls that led here, and among them some of
//! calls that returned earlier and whose words nothing has overwritten.

use core::fmt;
use core::ops::Range;

/// The most addresses that are told.
pub const MOST: usize = 16;

/// Bytes from a return address back into the call before it: the least that a RISC-V call takes. The
/// return address itself can be the next function's, where a call never returns.
const INTO_CALL: u32 = 2;

/// The calls that the words of a stack may return to, each as an address within the call's
/// instruction; repeats in a row once, and [`MOST`] at the most. `code` is where the program is.
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
        .take(MOST)
}

/// The console's line of them: `backtrace 0x42001234 0x420056f0`, as `tcpctl monitor --elf` explains
/// it, or `backtrace none`.
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

    fn told(words: &[u32]) -> Vec<u32> {
        calls(words.iter().copied(), CODE).collect()
    }

    #[test]
    fn only_what_follows_code_can_be_returned_to() {
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
        assert_eq!(told(&no_code), []);
        // The end is what the program's last call returns to.
        let code = [0x4200_0022, 0x4200_1000, 0x4038_0002, 0x4038_0100];
        let calls = [0x4200_0020, 0x4200_0ffe, 0x4038_0000, 0x4038_00fe];
        assert_eq!(told(&code), calls);
    }

    #[test]
    fn repeats_in_a_row_are_told_once_whatever_is_between_that_is_no_code() {
        let words = [
            0x4200_0102,
            0x4200_0102,
            7,
            0x4200_0102,
            0x4200_0202,
            0x4200_0102,
        ];
        assert_eq!(told(&words), [0x4200_0100, 0x4200_0200, 0x4200_0100]);
    }

    #[test]
    fn a_deep_stack_is_cut_at_its_outer_end() {
        let words: Vec<_> = (1..100).map(|call| 0x4200_0100 + 4 * call).collect();
        let told = told(&words);
        assert_eq!(told.len(), MOST);
        assert_eq!(told[0], 0x4200_0102);
    }

    #[test]
    fn the_line_has_all_eight_digits_of_each() {
        let line = Backtrace(calls([0x4200_0102, 0, 0x4038_0010].into_iter(), CODE));
        assert_eq!(line.to_string(), "backtrace 0x42000100 0x4038000e");
        // The same again: printing takes nothing away.
        assert_eq!(line.to_string(), "backtrace 0x42000100 0x4038000e");
        let line = Backtrace(calls([].into_iter(), CODE));
        assert_eq!(line.to_string(), "backtrace none");
        let line = Backtrace([0x12].into_iter());
        assert_eq!(line.to_string(), "backtrace 0x00000012");
    }
}
