//! A panic's message, kept across the reset that it causes.
//!
//! A power cut loses it; a reset, by software or by the watchdog, does not.

use core::panic::PanicInfo;

use tcpctl_greeter::backtrace::{Backtrace, calls};
use tcpctl_greeter::panic_record::{self, LEN};

use crate::raw::{self, LAST_WORDS};

/// What the last run's panic said, once.
pub(crate) fn take() -> Option<[u8; LEN]> {
    let record = LAST_WORDS.read();
    LAST_WORDS.write([0; LEN]);
    panic_record::read(&record).is_some().then_some(record)
}

/// The text of what [`take`] returned.
pub(crate) fn text(record: &[u8; LEN]) -> &str {
    panic_record::read(record).unwrap_or_default()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let record = panic_record::write(info);
    LAST_WORDS.write(record);
    // In one word more than the console's line after the restart, so that nobody counts it twice.
    esp_println::println!(
        "\r\npanicking \"{}\"\r",
        text(&record).as_bytes().escape_ascii()
    );
    // On Xtensa a return address has other bits at its top, and few of them are on the stack.
    if cfg!(target_arch = "riscv32") {
        let calls = calls(raw::stack_of(info), raw::code());
        esp_println::println!("{}\r", Backtrace(calls));
    }
    esp_hal::system::software_reset()
}
