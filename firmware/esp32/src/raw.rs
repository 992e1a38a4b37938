//! The unsafe code of the firmware: stack words, records in RAM that survive a reset, and the
//! lifetime of the radio's event subscription.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::mem::{MaybeUninit, transmute};
use core::ops::Range;
use core::panic::PanicInfo;
use core::ptr::{read_volatile, write_volatile};

use esp_radio::wifi::event::EventSubscriber;
use tcpctl_greeter::{boot_loop, panic_record};

unsafe extern "C" {
    // From esp-hal's linker script: the ends of the main stack, the start of data in RAM, and the
    // code that runs from RAM.
    static _stack_end_cpu0: u32;
    static _stack_start_cpu0: u32;
    static _data_start: u32;
    static _rwtext_start: u32;
    static _rwtext_end: u32;
    // From code.x: the end of RAM with data, and the code that runs from flash.
    static _tcpctl_ram_end: u32;
    static _tcpctl_text_start: u32;
    static _tcpctl_text_end: u32;
}

/// Bytes at the end of the stack that are not painted. They contain the guard word, at offset 60.
const GUARD: usize = 1024;
/// Bytes below the stack pointer that are not painted, because they belong to the caller's frames.
const FRAMES: usize = 1024;
/// A word that no instruction, address or small number equals.
const PAINT: u32 = 0x7cc7_6bb6;

/// Address of the lowest word of the main stack above its guard.
fn bottom() -> *mut u32 {
    let end = &raw const _stack_end_cpu0;
    end.cast_mut().wrapping_byte_add(GUARD)
}

/// Paints the free part of the main stack. Call it from the main task, before there is a second one.
#[inline(never)]
pub(crate) fn paint_stack() {
    let here = 0_u32;
    let top = (&raw const here).addr().saturating_sub(FRAMES);
    let mut word = bottom();
    while word.addr() < top {
        // SAFETY: the words from `bottom` to `top` are aligned, belong to the main stack, lie above
        // its guard and below the frames in use, and nothing refers to them.
        unsafe { write_volatile(word, PAINT) };
        word = word.wrapping_add(1);
    }
}

/// Bytes of the main stack that were never used, without the guard. Call it from the main task.
pub(crate) fn unused_stack() -> usize {
    let here = 0_u32;
    let top = (&raw const here).addr();
    let mut word = bottom();
    // SAFETY: the words from `bottom` to `top` are readable RAM, see `paint_stack`.
    while word.addr() < top && unsafe { read_volatile(word) } == PAINT {
        word = word.wrapping_add(1);
    }
    word.addr() - bottom().addr()
}

/// Bytes scanned of a thread's stack, whose end is unknown: it is on the heap.
const WINDOW: usize = 2048;

/// The words of the stack that panicked, innermost first.
pub(crate) fn stack_of(panic: &PanicInfo<'_>) -> impl Iterator<Item = u32> + Clone {
    // The info is in the frame of the function that started the panic.
    let here = core::ptr::from_ref(panic).addr().next_multiple_of(4);
    let data = (&raw const _data_start).addr();
    let main = (&raw const _stack_end_cpu0).addr();
    let main_top = (&raw const _stack_start_cpu0).addr();
    let ram_end = (&raw const _tcpctl_ram_end).addr();
    // The heap has two parts, below and above the main stack.
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
        // SAFETY: the address is a multiple of 4 and, by the linker script's symbols, in RAM with
        // data: any four bytes there can be read. Volatile, because others own them.
        unsafe { read_volatile(core::ptr::with_exposed_provenance(address)) }
    })
}

/// Address ranges of code: in flash and in RAM.
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

/// `N` bytes of RAM that survive a reset by software or watchdog: neither the start-up code nor the
/// bootloader writes them. After power-on they hold anything, so records carry a checksum.
pub(crate) struct Retained<const N: usize>(UnsafeCell<MaybeUninit<[u8; N]>>);

// SAFETY: only `read` and `write` access the bytes, with interrupts disabled, and no reference to
// them is made.
unsafe impl<const N: usize> Sync for Retained<N> {}

impl<const N: usize> Retained<N> {
    const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    pub(crate) fn read(&self) -> [u8; N] {
        critical_section::with(|_| {
            // SAFETY: nothing writes meanwhile, and any bytes are a `[u8; N]`. Volatile, so that the
            // compiler assumes nothing about RAM that was never written.
            unsafe { self.0.get().cast::<[u8; N]>().read_volatile() }
        })
    }

    pub(crate) fn write(&self, bytes: [u8; N]) {
        // SAFETY: nothing reads meanwhile. Volatile, because the next run reads it.
        critical_section::with(|_| unsafe { self.0.get().cast::<[u8; N]>().write_volatile(bytes) });
    }
}

/// The last panic.
#[unsafe(link_section = ".noinit.panic_record")]
pub(crate) static PANIC_RECORD: Retained<{ panic_record::LEN }> = Retained::new();

/// Failed starts in a row.
#[unsafe(link_section = ".noinit.boot_record")]
pub(crate) static BOOT_RECORD: Retained<{ boot_loop::LEN }> = Retained::new();

/// Extends a subscription's lifetime. The caller keeps the driver until the next reset.
pub(crate) fn extend_subscriber(events: EventSubscriber<'_>) -> EventSubscriber<'static> {
    // SAFETY: it borrows the driver's event channel, which is a static. The lifetime only stands for
    // the driver.
    unsafe { transmute::<EventSubscriber<'_>, EventSubscriber<'static>>(events) }
}
