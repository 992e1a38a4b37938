//! How much of the main stack was never used: it is painted at the start, and what is still paint
//! later was never written.

use core::ptr::{read_volatile, write_volatile};

/// No instruction, address or small number is likely to look like this.
const PAINT: u32 = 0x7cc7_6bb6;
/// Bytes at the stack's end that are left alone: the guard word, at 60, lies among them.
const GUARD: usize = 1024;
/// Bytes below the present stack pointer that are left alone, for this function's own frame.
const OWN: usize = 1024;

unsafe extern "C" {
    // From esp-hal's linker script: the lowest address of the main stack.
    static _stack_end_cpu0: u32;
}

/// The lowest painted word.
fn bottom() -> *mut u32 {
    let end = &raw const _stack_end_cpu0;
    end.cast_mut().wrapping_byte_add(GUARD)
}

/// Paints what of the stack is free. Call it once, early.
#[inline(never)]
pub(crate) fn paint() {
    let here = 0_u32;
    let top = (&raw const here).addr().saturating_sub(OWN);
    let mut word = bottom();
    while word.addr() < top {
        // SAFETY: the words from `bottom` to `top` are the main stack's, beyond its guard and below
        // the frames in use (the linker script ends the stack where nothing else begins), aligned,
        // and nobody holds a reference to them.
        unsafe { write_volatile(word, PAINT) };
        word = word.wrapping_add(1);
    }
}

/// Bytes of the main stack that were never used, the guard not counted.
pub(crate) fn lowest() -> usize {
    let here = 0_u32;
    let top = (&raw const here).addr();
    let mut word = bottom();
    // SAFETY: the words from `bottom` to `top` are readable RAM, see `paint`.
    while word.addr() < top && unsafe { read_volatile(word) } == PAINT {
        word = word.wrapping_add(1);
    }
    word.addr() - bottom().addr()
}
