//! A reset for a network that has stopped to turn.
//!
//! The network's own task feeds it: a task that hangs, an executor that never comes round again and
//! an interrupt that never ends all leave it hungry.

use embassy_time::Timer;
use esp_hal::peripherals::TIMG0;
use esp_hal::time::Duration;
use esp_hal::timer::timg::{MwdtStage, MwdtStageAction, Wdt};

/// After so long without food the chip is reset. Long enough for a whole queue of console lines.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long the start may take, which nobody feeds: the driver makes a key of the passphrase in
/// it, 8,192 rounds of HMAC-SHA-1.
const START: Duration = Duration::from_secs(30);
/// How often it is fed, in seconds.
const MEAL: u64 = 1;

/// The running watchdog.
pub(crate) struct Watchdog(Wdt<TIMG0<'static>>);

impl Watchdog {
    /// Starts it, patient at first. Feed it before the start is over.
    pub(crate) fn start(mut timer: Wdt<TIMG0<'static>>) -> Self {
        timer.set_timeout(MwdtStage::Stage0, START);
        timer.set_stage_action(MwdtStage::Stage0, MwdtStageAction::ResetSystem);
        timer.enable();
        timer.feed();
        Self(timer)
    }

    /// Feeds it for as long as this future is polled.
    pub(crate) async fn feed(&mut self) -> ! {
        self.0.set_timeout(MwdtStage::Stage0, PATIENCE);
        loop {
            self.0.feed();
            Timer::after_secs(MEAL).await;
        }
    }
}
