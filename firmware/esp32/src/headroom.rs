//! How much of the main stack was never used: it is painted at the start, and what is still paint
//! later was never written.

use crate::raw;

/// No instruction, address or small number is likely to look like this.
const PAINT: u32 = 0x7cc7_6bb6;

/// Paints what of the stack is free. Call it once, early.
pub(crate) fn paint() {
    raw::paint_stack(PAINT);
}

/// Bytes of the main stack that were never used, the guard not counted.
pub(crate) fn lowest() -> usize {
    raw::painted_stack(PAINT)
}
