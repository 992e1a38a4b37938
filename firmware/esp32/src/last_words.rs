//! A panic's message, kept across the reset that it causes.
//!
//! It stands in RAM that the start-up code does not clear (`.noinit`) and that the bootloader does
//! not use. A power cut loses it; a reset, by software or by the watchdog, does not.

use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::ptr::{read_volatile, write_volatile};

use tcpctl_greeter::panic_record::{self, LEN};

/// The record. Touched by [`take`] before there is a second task, and by the panic handler, which
/// nothing follows.
#[unsafe(link_section = ".noinit.last_words")]
static mut RECORD: MaybeUninit<[u8; LEN]> = MaybeUninit::uninit();

/// What the last run's panic said, once.
pub(crate) fn take() -> Option<[u8; LEN]> {
    let place = (&raw mut RECORD).cast::<[u8; LEN]>();
    // SAFETY: nobody else touches the record now. RAM that was never written holds some bytes, and
    // any bytes are a `[u8; LEN]`; volatile, so that the compiler does not reason about them.
    let record = unsafe { read_volatile(place) };
    // SAFETY: as above.
    unsafe { write_volatile(place, [0; LEN]) };
    panic_record::read(&record).is_some().then_some(record)
}

/// The text of what [`take`] returned.
pub(crate) fn text(record: &[u8; LEN]) -> &str {
    panic_record::read(record).unwrap_or_default()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let record = panic_record::write(info);
    // SAFETY: the last thing that this run does; whoever was interrupted in `take` never goes on.
    unsafe { write_volatile((&raw mut RECORD).cast(), record) };
    // In one word more than the console's line after the restart, so that nobody counts it twice.
    esp_println::println!(
        "\r\npanicking \"{}\"\r",
        text(&record).as_bytes().escape_ascii()
    );
    esp_hal::system::software_reset()
}
