//! The management server on the chip: its randomness, its restarts, and its tasks.

use alloc::vec::Vec;
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

/// The effects of the management server on this chip.
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

/// A management server that is ready to start.
pub(crate) struct Server {
    pub(crate) management: &'static ChipManagement,
    receive: Vec<u8>,
    send: Vec<u8>,
}

/// The management server of a chip with these settings in force; `None` if it is off or cannot run.
/// Without a server an open trial could not be confirmed, so the board rolls it back and restarts.
pub(crate) fn new(
    settings: &Settings,
    flash: SharedFlash,
    firmware: &'static ChipFirmware,
    trial: &'static TrialRun,
    mac: [u8; 6],
    host: ChipHost,
) -> Option<Server> {
    let about = About {
        firmware: crate::VERSION,
        chip: chip::NAME,
        mac,
    };
    let console = host.console;
    let management = Management::new(settings, flash, trial, about, host);
    if let Err(missing) = &management {
        console.print(format_args!("management failed reason=\"{missing}\""));
    }
    let server = management.ok().flatten().and_then(|management| {
        let Some((receive, send)) = buffers() else {
            console.print("management failed reason=\"the heap has no room for its buffers\"");
            return None;
        };
        Some(Server {
            management: crate::leak(management.with_firmware(firmware)),
            receive,
            send,
        })
    });
    if server.is_none() && trial.open().is_some() {
        // If it cannot be rolled back, the next start records the same reason.
        end_trial(flash, RollbackReason::Restarted, console);
    }
    server
}

/// Records that the trial of the settings failed before the management server started, and restarts.
pub(crate) fn end_trial(flash: SharedFlash, reason: RollbackReason, console: &Console) -> ! {
    // If it cannot be recorded, the restart records another reason.
    let _ = SettingsStore::open(flash).and_then(|mut store| store.roll_back(reason));
    console.flush();
    esp_hal::system::software_reset()
}

/// Starts the tasks of the management server.
pub(crate) fn start(
    spawner: Spawner,
    server: Server,
    stack: Stack<'static>,
    online: &'static Online,
) {
    crate::spawn(spawner, supervise(server.management));
    crate::spawn(spawner, manage(server, stack, online));
}

/// Serves one session at a time while the board is on its network.
#[embassy_executor::task]
async fn manage(server: Server, stack: Stack<'static>, online: &'static Online) {
    let Server {
        management,
        mut receive,
        mut send,
    } = server;
    online
        .serve_online(async || {
            serve(stack, management, &mut receive, &mut send).await;
            // The server was switched off, or the board is about to restart.
            pending::<()>().await;
        })
        .await;
}

/// Restarts the board when an open trial fails, and when a request asks for it, with or without a
/// network.
#[embassy_executor::task]
async fn supervise(management: &'static ChipManagement) {
    management.supervise().await;
}
