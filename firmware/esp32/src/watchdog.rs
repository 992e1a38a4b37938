//! Resets the board when its network task no longer runs.
//!
//! That task feeds the watchdog, so a task that never yields, a stuck executor and an endless
//! interrupt all end in a reset.

use embassy_time::Timer;
use esp_hal::peripherals::TIMG0;
use esp_hal::time::Duration;
use esp_hal::timer::timg::{MwdtStage, MwdtStageAction, Wdt};

/// Watchdog timeout. Longer than printing a full console queue takes.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Timeout until the first feed. The driver derives a key from the passphrase in this time, with
/// 8,192 rounds of HMAC-SHA-1.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const FEED_INTERVAL_S: u64 = 1;

/// The running watchdog.
pub(crate) struct Watchdog(Wdt<TIMG0<'static>>);

impl Watchdog {
    /// Starts the watchdog with [`START_TIMEOUT`].
    pub(crate) fn start(mut timer: Wdt<TIMG0<'static>>) -> Self {
        timer.set_timeout(MwdtStage::Stage0, START_TIMEOUT);
        timer.set_stage_action(MwdtStage::Stage0, MwdtStageAction::ResetSystem);
        timer.enable();
        timer.feed();
        Self(timer)
    }

    /// Feeds the watchdog as long as this future is polled.
    pub(crate) async fn feed(&mut self) -> ! {
        self.0.set_timeout(MwdtStage::Stage0, TIMEOUT);
        loop {
            self.0.feed();
            Timer::after_secs(FEED_INTERVAL_S).await;
        }
    }
}
