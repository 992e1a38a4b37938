//! Memory that a reset leaves alone.
//!
//! It is RAM that the start-up code does not clear and that the bootloader does not use. A power
//! cut loses it; a reset, by software or by the watchdog, does not.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

/// `N` bytes that outlive a reset. Put it into the section `.noinit`.
///
/// At power-on they hold anything: what stands in them has to say by itself that it is whole.
pub(crate) struct Retained<const N: usize>(UnsafeCell<MaybeUninit<[u8; N]>>);

// SAFETY: only `read` and `write` reach the bytes, each with interrupts held back, and no reference
// to them is ever made.
unsafe impl<const N: usize> Sync for Retained<N> {}

impl<const N: usize> Retained<N> {
    /// Whatever the last run has left.
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// The bytes.
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
