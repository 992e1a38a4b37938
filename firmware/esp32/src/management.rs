//! The management server on the chip: its randomness, its restarts, and its tasks.

use core::fmt::Display;
use core::future::pending;

use embassy_executor::Spawner;
use embassy_net::Stack;
use esp_hal::rng::Rng;
use tcpctl_greeter::management::{About, Host, Management, buffers, serve};
use tcpctl_greeter::settings_store::SettingsStore;
use tcpctl_greeter::trial::TrialRun;
use tcpctl_settings::sectors::RollbackReason;
use tcpctl_settings::{ServerSettings, Settings};

use crate::chip;
use crate::console::Console;
use crate::flash::{ChipFirmware, SharedFlash};
use crate::online::Online;

/// What the management server changes on this chip.
pub(crate) struct ChipHost {
    /// Applies settings to the greeting server.
    pub(crate) apply: &'static dyn Fn(&ServerSettings),
    pub(crate) console: &'static Console,
}

/// The management of this chip.
pub(crate) type ChipManagement = Management<'static, SharedFlash, ChipHost>;

impl Host for ChipHost {
    fn random(&self) -> [u8; 32] {
        // The radio is on, so the generator has true randomness (data sheet of each chip, "Random
        // Number Generator").
        let mut bytes = [0; 32];
        Rng::new().read(&mut bytes);
        bytes
    }

    fn apply(&self, server: &ServerSettings) {
        (self.apply)(server);
    }

    fn restart(&self) {
        self.console.flush();
        esp_hal::system::software_reset()
    }

    fn print(&self, line: &dyn Display) {
        self.console.print(line);
    }
}

/// The management of a chip with these settings in force; `None` where it is off.
pub(crate) fn new(
    settings: &Settings,
    flash: SharedFlash,
    firmware: &'static ChipFirmware,
    trial: &'static TrialRun,
    mac: [u8; 6],
    host: ChipHost,
) -> Option<&'static ChipManagement> {
    let about = About {
        firmware: crate::VERSION,
        chip: chip::NAME,
        mac,
    };
    let console = host.console;
    match Management::new(settings, flash, trial, about, host) {
        Ok(management) => management.map(|it| crate::leak(it.with_firmware(firmware))),
        Err(missing) => {
            console.print(format_args!("management failed reason=\"{missing}\""));
            None
        }
    }
}

/// Records that the trial of the settings failed before the servers started, and restarts.
pub(crate) fn end_trial(flash: SharedFlash, reason: RollbackReason, console: &Console) -> ! {
    // If it cannot be recorded, the restart records another reason.
    let _ = SettingsStore::open(flash).and_then(|mut store| store.roll_back(reason));
    console.flush();
    esp_hal::system::software_reset()
}

/// Starts the tasks of the management server.
pub(crate) fn start(
    spawner: Spawner,
    management: &'static ChipManagement,
    stack: Stack<'static>,
    online: &'static Online,
    console: &'static Console,
) {
    crate::spawn(spawner, manage(management, stack, online, console));
    crate::spawn(spawner, roll_back(management));
}

/// Serves one session at a time while the board is on its network.
#[embassy_executor::task]
async fn manage(
    management: &'static ChipManagement,
    stack: Stack<'static>,
    online: &'static Online,
    console: &'static Console,
) {
    let Some((mut receive, mut send)) = buffers() else {
        console.print("management failed reason=\"the heap has no room for its buffers\"");
        return;
    };
    online
        .serve_online(async || {
            serve(stack, management, &mut receive, &mut send).await;
            // It was switched off.
            pending::<()>().await;
        })
        .await;
}

/// Ends an open trial when it fails.
#[embassy_executor::task]
async fn roll_back(management: &'static ChipManagement) {
    let reason = management.trial().rollback_due().await;
    management.roll_back(reason);
}
