//! How many starts in a row came to nothing, across the resets that ended them.

use core::future::pending;

use embassy_time::Timer;
use tcpctl_greeter::boot_loop::{NO_RECORD, SETTLED, Start};
use tcpctl_greeter::driver::DriverError;
use tcpctl_greeter::reset::Reset;

use crate::raw::STARTS;
use crate::servers::Online;

/// Counts this start, which follows `reset`, until [`settle`] says that it has succeeded.
pub(crate) fn count(reset: Reset) -> Start {
    let start = Start::after(reset, STARTS.read());
    STARTS.write(start.record());
    start
}

/// The start has succeeded once the board has been on its network for a while.
#[embassy_executor::task]
pub(crate) async fn settle(online: &'static Online) {
    online
        .serve_online(async || {
            Timer::after(SETTLED).await;
            STARTS.write(NO_RECORD);
            pending::<()>().await;
        })
        .await;
}

/// Starts again, on a network of the board's own: the driver says `error` to the settings.
pub(crate) fn without_settings(error: DriverError) -> ! {
    STARTS.write(Start::rejected(error));
    esp_hal::system::software_reset()
}
