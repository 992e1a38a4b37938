//! Counts failed starts across resets, so that settings that crash the board are set aside.

use core::cell::Cell;
use core::future::pending;

use embassy_time::{Duration, Timer};
use tcpctl_greeter::boot_loop::{self, NO_RECORD, SETTLED, Start};
use tcpctl_greeter::driver::DriverError;
use tcpctl_greeter::reset::Reset;

use crate::flash::{AppTrial, SharedFlash};
use crate::online::Online;
use crate::raw::BOOT_RECORD;

/// Time on the network after which a new application is confirmed.
const CONFIRMED: Duration = Duration::from_secs(60);

/// Counts this start as failed until [`settle`] clears it. `sequence` is that of the stored settings.
pub(crate) fn count(reset: Reset, sequence: u32) -> Start {
    let subject = boot_loop::subject(crate::VERSION, sequence);
    let start = Start::after(reset, BOOT_RECORD.read(), subject);
    BOOT_RECORD.write(start.record());
    start
}

/// Clears the count once the board has been on its network for [`SETTLED`], and confirms a trial of
/// this application after [`CONFIRMED`].
#[embassy_executor::task]
pub(crate) async fn settle(online: &'static Online, trial: Option<AppTrial>, flash: SharedFlash) {
    let trial = Cell::new(trial);
    online
        .serve_online(async || {
            Timer::after(SETTLED).await;
            BOOT_RECORD.write(NO_RECORD);
            Timer::after(CONFIRMED - SETTLED).await;
            if let Some(trial) = trial.take() {
                flash.borrow_mut().confirm(trial);
            }
            pending::<()>().await;
        })
        .await;
}

/// Restarts with the default settings, because the driver rejects the stored ones with `error`.
pub(crate) fn restart_with_defaults(start: Start, error: DriverError) -> ! {
    BOOT_RECORD.write(start.rejected_record(error));
    esp_hal::system::software_reset()
}
