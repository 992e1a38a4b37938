//! What no safe code can do on a chip, and the only unsafe code of the firmware: raw words of a
//! stack, records in RAM that a reset leaves alone, and the radio's news beside its driver.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::mem::{MaybeUninit, transmute};
use core::ops::Range;
use core::panic::PanicInfo;
use core::ptr::{read_volatile, write_volatile};

use esp_radio::wifi::event::EventSubscriber;
use tcpctl_greeter::{boot_loop, panic_record};

unsafe extern "C" {
    // From esp-hal's linker script: the lowest address of the main stack, and what follows its
    // highest; the lowest address of data in RAM; and the code that runs from RAM.
    static _stack_end_cpu0: u32;
    static _stack_start_cpu0: u32;
    static _data_start: u32;
    static _rwtext_start: u32;
    static _rwtext_end: u32;
    // From code.x: the end of the RAM that data are in, and the code that runs from flash.
    static _tcpctl_ram_end: u32;
    static _tcpctl_text_start: u32;
    static _tcpctl_text_end: u32;
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

/// Bytes that are looked at of a stack whose end nobody tells: a task's, which is on the heap.
const WINDOW: usize = 2048;

/// The words of the stack that panicked, the innermost first, from the frame on that told of the
/// panic.
pub(crate) fn stack_of(panic: &PanicInfo<'_>) -> impl Iterator<Item = u32> + Clone {
    // What started the panic keeps it in its own frame.
    let here = core::ptr::from_ref(panic).addr().next_multiple_of(4);
    let data = (&raw const _data_start).addr();
    let main = (&raw const _stack_end_cpu0).addr();
    let main_top = (&raw const _stack_start_cpu0).addr();
    let ram_end = (&raw const _tcpctl_ram_end).addr();
    // The heap is in two parts, below the main stack and above it.
    let end = if (data..main).contains(&here) {
        main.min(here + WINDOW)
    } else if (main..main_top).contains(&here) {
        main_top
    } else if (main_top..ram_end).contains(&here) {
        ram_end.min(here + WINDOW)
    } else {
        here
    };
    (here..end).step_by(4).map(|address| {
        // SAFETY: the address is a multiple of 4 and in the RAM that data are in, by the linker
        // scripts' addresses: any four bytes of it can be read, and are a number. Volatile, because
        // others own them.
        unsafe { read_volatile(core::ptr::with_exposed_provenance(address)) }
    })
}

/// Where the program's code is: in flash, and in RAM.
pub(crate) fn code() -> [Range<u32>; 2] {
    let range = |start: *const u32, end: *const u32| {
        let address = |at: *const u32| u32::try_from(at.addr()).unwrap_or_default();
        address(start)..address(end)
    };
    [
        range(&raw const _tcpctl_text_start, &raw const _tcpctl_text_end),
        range(&raw const _rwtext_start, &raw const _rwtext_end),
    ]
}

/// `N` bytes of RAM that outlive a reset, by software or by the watchdog: the start-up code does not
/// clear them and the bootloader does not use them. A power cut loses them.
///
/// At power-on they hold anything: what stands in them has to say by itself that it is whole.
pub(crate) struct Retained<const N: usize>(UnsafeCell<MaybeUninit<[u8; N]>>);

// SAFETY: only `read` and `write` reach the bytes, each with interrupts held back, and no reference
// to them is ever made.
unsafe impl<const N: usize> Sync for Retained<N> {}

impl<const N: usize> Retained<N> {
    const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// The bytes, as the last run or this one has left them.
    pub(crate) fn read(&self) -> [u8; N] {
        critical_section::with(|_| {
            // SAFETY: nobody writes meanwhile. RAM that was never written holds some bytes, and any
            // bytes are a `[u8; N]`; volatile, so that the compiler does not reason about them.
            unsafe { self.0.get().cast::<[u8; N]>().read_volatile() }
        })
    }

    /// Replaces the bytes.
    pub(crate) fn write(&self, bytes: [u8; N]) {
        // SAFETY: nobody reads meanwhile; volatile, because the next run reads it.
        critical_section::with(|_| unsafe { self.0.get().cast::<[u8; N]>().write_volatile(bytes) });
    }
}

/// What the last run's panic said.
#[unsafe(link_section = ".noinit.last_words")]
pub(crate) static LAST_WORDS: Retained<{ panic_record::LEN }> = Retained::new();

/// How many starts in a row came to nothing.
#[unsafe(link_section = ".noinit.starts")]
pub(crate) static STARTS: Retained<{ boot_loop::LEN }> = Retained::new();

/// The radio's news for as long as the board runs. The driver must be there for as long, which never
/// ends before a reset: whoever looks after the network holds both.
pub(crate) fn for_good(news: EventSubscriber<'_>) -> EventSubscriber<'static> {
    // SAFETY: it borrows the driver's channel, which is a static; its lifetime stands for the driver
    // and lays out nothing.
    unsafe { transmute::<EventSubscriber<'_>, EventSubscriber<'static>>(news) }
}
