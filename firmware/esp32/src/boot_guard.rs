//! Counts failed starts across resets, so that settings that crash the board are ignored.

use embassy_futures::join::join;
use embassy_time::Timer;
use tcpctl_greeter::boot_loop::{self, NO_RECORD, SETTLED, Start};
use tcpctl_greeter::driver::DriverError;
use tcpctl_greeter::reset::Reset;

use crate::console::Console;
use crate::flash::ChipFirmware;
use crate::online::Online;
use crate::raw::BOOT_RECORD;

/// Counts this start as failed until [`settle`] clears it. `sequence` is that of the stored settings.
pub(crate) fn count(reset: Reset, sequence: u32) -> Start {
    let subject = boot_loop::subject(crate::VERSION, sequence);
    let start = Start::after(reset, BOOT_RECORD.read(), subject);
    BOOT_RECORD.write(start.record());
    start
}

/// Clears the count once the board has been on its network for [`SETTLED`], and confirms a trial of
/// this application after a minute there.
#[embassy_executor::task]
pub(crate) async fn settle(online: &'static Online, firmware: &'static ChipFirmware) {
    online
        .serve_online(async || {
            let settle = async {
                Timer::after(SETTLED).await;
                BOOT_RECORD.write(NO_RECORD);
            };
            join(settle, firmware.confirm_when_served()).await;
        })
        .await;
}

/// Restarts with the previous application if the trial of this one is not confirmed in time.
#[embassy_executor::task]
pub(crate) async fn end_trial(firmware: &'static ChipFirmware, console: &'static Console) {
    firmware.trial_failed().await;
    console.print("update failed reason=\"not confirmed\"");
    console.flush();
    esp_hal::system::software_reset()
}

/// Restarts with the default settings, because the driver rejects the stored ones with `error`.
pub(crate) fn restart_with_defaults(start: Start, error: DriverError) -> ! {
    BOOT_RECORD.write(start.rejected_record(error));
    esp_hal::system::software_reset()
}
