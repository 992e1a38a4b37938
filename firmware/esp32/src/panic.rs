//! The panic handler. The message is kept in RAM that a reset does not clear; a power cut loses it.

use core::panic::PanicInfo;

use tcpctl_greeter::backtrace::{Backtrace, ReturnAddress, calls};
use tcpctl_greeter::panic_record::{self, LEN};

use crate::raw::{self, PANIC_RECORD};

/// Takes the record of the panic that ended the last run, if one did.
pub(crate) fn take_record() -> Option<[u8; LEN]> {
    let record = PANIC_RECORD.read();
    PANIC_RECORD.write([0; LEN]);
    panic_record::read(&record).is_some().then_some(record)
}

/// The message in a record.
pub(crate) fn message(record: &[u8; LEN]) -> &str {
    panic_record::read(record).unwrap_or_default()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let record = panic_record::write(info);
    PANIC_RECORD.write(record);
    // Do not print `panic`, which the console prints after the restart: readers count those lines.
    esp_println::println!(
        "\r\npanicking \"{}\"\r",
        message(&record).as_bytes().escape_ascii()
    );
    // The calls for printing were deep enough that Xtensa's register windows are on the stack by
    // now.
    let form = if cfg!(target_arch = "xtensa") {
        ReturnAddress::XtensaWindowed
    } else {
        ReturnAddress::RiscV
    };
    let calls = calls(raw::stack_of(info), form, raw::code());
    esp_println::println!("{}\r", Backtrace(calls));
    esp_hal::system::software_reset()
}
