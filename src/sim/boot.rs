//! Runs a virtual board: starts with the settings in its flash, and runs its servers until it
//! restarts or is stopped.

use std::cell::RefCell;
use std::io;
use std::pin::pin;

use embassy_net_driver::Driver;
use tcpctl_greeter::presence::Presence;
use tcpctl_greeter::reset::Reset;
use tcpctl_greeter::settings_store::SettingsStore;
use tcpctl_greeter::trial::TrialRun;
use tcpctl_settings::{MANAGEMENT_PORT, Network, Security, Settings};

use super::event::{BoardEvent, EventConsole};
use super::firmware;
use super::flash::VirtualFlash;
use super::networks::Networks;
use super::servers::{self, Ended, Neighbors, Run, Summary};
use super::spec::{MacAddress, Spec};

/// The parts of a board that outlive a restart.
#[derive(Debug)]
pub struct Hardware {
    /// MAC address.
    pub mac: MacAddress,
    /// Flash.
    pub flash: VirtualFlash,
    /// Chip whose images the board accepts, if any.
    pub chip: Option<&'static str>,
    /// Wi-Fi networks around the board.
    pub networks: Networks,
    /// Port at which clients reach the management channel.
    pub management_port: u16,
}

impl Hardware {
    /// A new board in memory, near the network of its settings.
    ///
    /// # Errors
    /// See [`VirtualFlash::in_memory`].
    pub fn new(spec: &Spec) -> io::Result<Self> {
        let settings = spec.settings();
        let mut flash = VirtualFlash::in_memory(spec.mac(), &settings)?;
        let chip = firmware::prepare(&mut flash, spec.chip).map_err(io::Error::other)?;
        Ok(Self {
            mac: spec.mac(),
            flash,
            chip,
            networks: Networks::of(&settings.network),
            management_port: MANAGEMENT_PORT,
        })
    }
}

/// A board that was stopped.
#[derive(Debug)]
pub struct Stopped {
    /// Counters of the board.
    pub summary: Summary,
    /// Flash, to start the board again.
    pub flash: VirtualFlash,
}

/// Runs a board over `driver` until `stop` completes.
pub async fn run(
    spec: &Spec,
    hardware: Hardware,
    mut driver: impl Driver,
    neighbors: Neighbors,
    console: EventConsole,
    stop: impl Future<Output = ()>,
) -> Stopped {
    let Hardware {
        mac,
        flash,
        chip,
        networks,
        management_port,
    } = hardware;
    let flash = RefCell::new(flash);
    let networks = RefCell::new(networks);
    let mut stop = pin!(stop);
    let mut summary = Summary::default();
    let mut reset = Reset::PowerOn;
    loop {
        let Some(firmware) = firmware::start(&flash, chip, reset) else {
            console.emit(BoardEvent::Lost {
                reason: Some("the flash holds no firmware to start".to_owned()),
            });
            stop.await;
            break;
        };
        reset = Reset::Software;
        let presence = Presence::new();
        let selected = SettingsStore::open(&flash).and_then(|mut store| store.begin());
        let trial = TrialRun::new(selected.as_ref().ok());
        let settings = match &selected {
            Ok(selected) => selected.record.settings.clone(),
            Err(_) => defaults(),
        };
        let run = Run {
            spec,
            settings: &settings,
            flash: &flash,
            presence: &presence,
            firmware: &firmware,
            chip,
            trial: &trial,
            mac,
            networks: &networks,
            management_port,
            neighbors,
            console: &console,
        };
        let (counters, ended) = servers::serve(&run, &mut driver, stop.as_mut()).await;
        summary.add(counters);
        if ended == Ended::Stopped {
            break;
        }
        console.emit(BoardEvent::Lost {
            reason: Some("restart".to_owned()),
        });
    }
    Stopped {
        summary: Summary {
            events_dropped: console.dropped(),
            ..summary
        },
        flash: flash.into_inner(),
    }
}

/// The settings of a board with blank flash.
fn defaults() -> Settings {
    Settings::new(Network::AccessPoint {
        ssid: None,
        security: Security::Open,
    })
}
