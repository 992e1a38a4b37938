//! What no safe code can do on a chip, and the only unsafe code of the firmware: raw words of the
//! main stack, and a record in RAM that a reset leaves alone.
#![allow(unsafe_code)]

use core::mem::MaybeUninit;
use core::ptr::{read_volatile, write_volatile};

use tcpctl_greeter::panic_record::LEN;

unsafe extern "C" {
    // From esp-hal's linker script: the lowest address of the main stack.
    static _stack_end_cpu0: u32;
}

/// Bytes at the stack's end that are left alone: the guard word, at 60, lies among them.
const GUARD: usize = 1024;
/// Bytes below the present stack pointer that are left alone, for the frames of who asks.
const OWN: usize = 1024;

/// The lowest word of the main stack beyond its guard.
fn bottom() -> *mut u32 {
    let end = &raw const _stack_end_cpu0;
    end.cast_mut().wrapping_byte_add(GUARD)
}

/// Writes `paint` into what of the main stack is free. To be called by the main task, before
/// there is a second one.
#[inline(never)]
pub(crate) fn paint_stack(paint: u32) {
    let here = 0_u32;
    let top = (&raw const here).addr().saturating_sub(OWN);
    let mut word = bottom();
    while word.addr() < top {
        // SAFETY: the words from `bottom` to `top` are the main stack's, beyond its guard and below
        // the frames in use (the linker script ends the stack where nothing else begins), aligned,
        // and nobody holds a reference to them.
        unsafe { write_volatile(word, paint) };
        word = word.wrapping_add(1);
    }
}

/// Bytes from the main stack's end on, its guard not counted, that still hold `paint`. To be
/// called by the main task.
pub(crate) fn painted_stack(paint: u32) -> usize {
    let here = 0_u32;
    let top = (&raw const here).addr();
    let mut word = bottom();
    // SAFETY: the words from `bottom` to `top` are readable RAM, see `paint_stack`.
    while word.addr() < top && unsafe { read_volatile(word) } == paint {
        word = word.wrapping_add(1);
    }
    word.addr() - bottom().addr()
}

/// A record that the start-up code does not clear (`.noinit`) and that the bootloader does not
/// use. Touched by [`take_record`] before there is a second task, and by the panic handler, which
/// nothing follows.
#[unsafe(link_section = ".noinit.last_words")]
static mut RECORD: MaybeUninit<[u8; LEN]> = MaybeUninit::uninit();

/// The record as the last run left it, or some bytes after a power cut; it is zeros from then on.
/// To be called before there is a second task.
pub(crate) fn take_record() -> [u8; LEN] {
    let place = (&raw mut RECORD).cast::<[u8; LEN]>();
    // SAFETY: nobody else touches the record now. RAM that was never written holds some bytes, and
    // any bytes are a `[u8; LEN]`; volatile, so that the compiler does not reason about them.
    let record = unsafe { read_volatile(place) };
    // SAFETY: as above.
    unsafe { write_volatile(place, [0; LEN]) };
    record
}

/// Keeps the record for the next run. For the panic handler alone: the last thing that a run does.
pub(crate) fn keep_record(record: [u8; LEN]) {
    // SAFETY: whoever was interrupted in `take_record` never goes on.
    unsafe { write_volatile((&raw mut RECORD).cast(), record) };
}
