//! The settings in force: the stored ones if they are usable, else the defaults, so that the board
//! stays reachable.

use core::fmt::Display;

use tcpctl_settings::{HostName, Mode, Network, Passphrase, Security, Services, Settings, Ssid};

use crate::console::{Banner, Mac, Origin};
use crate::driver::DriverError;
use crate::memory::{Capacity, MAX_SERVICE_STREAMS};
use crate::radio_config::{Limits, RadioConfig, Rejected, ssid};
use crate::reset::Reset;
use crate::server::Config;
use crate::status::Reduced;
use crate::stored::Missing;
use crate::trial::TrialRun;

/// A radio before it has a network.
pub trait Radio {
    /// The MAC address in this mode.
    fn mac_address(&self, mode: Mode) -> [u8; 6];
    /// Opens the network of `config`, or prepares to join it. After a failure, another
    /// configuration can be applied.
    ///
    /// # Errors
    /// The driver refuses it.
    fn apply(&mut self, config: &RadioConfig<'_>) -> Result<(), DriverError>;
}

/// The settings in force, and why they are not the stored ones.
#[derive(Debug)]
pub struct ActiveSettings {
    /// The settings.
    pub settings: Settings,
    /// The MAC address on its network.
    pub mac: [u8; 6],
    ssid: Ssid,
    fallback: Option<Fallback>,
    limits: Limits,
}

/// Why the defaults are in force.
#[derive(Debug, Clone, Copy)]
enum Fallback {
    /// No usable settings are stored.
    Missing(Missing),
    /// The radio refuses the stored ones.
    Rejected(Rejected),
}

impl ActiveSettings {
    /// Configures the radio with the stored settings or, if there are none or it refuses them, with
    /// the defaults and a passphrase from `random`.
    ///
    /// The random numbers are taken first: they come from the radio's noise, and a driver that
    /// refuses settings switches the radio off.
    ///
    /// # Errors
    /// The radio refuses even the defaults.
    pub fn apply(
        stored: Result<Settings, Missing>,
        radio: &mut impl Radio,
        limits: Limits,
        random: impl FnMut() -> u32,
    ) -> Result<Self, Rejected> {
        let defaults = defaults(random);
        let fallback = match stored {
            Ok(settings) => match configure(&settings, radio, &limits) {
                Ok(()) => return Ok(Self::new(settings, radio, limits, None)),
                Err(rejected) => Fallback::Rejected(rejected),
            },
            Err(missing) => Fallback::Missing(missing),
        };
        configure(&defaults, radio, &limits)?;
        Ok(Self::new(defaults, radio, limits, Some(fallback)))
    }

    fn new(
        settings: Settings,
        radio: &impl Radio,
        limits: Limits,
        fallback: Option<Fallback>,
    ) -> Self {
        let mac = radio.mac_address(settings.network.mode());
        Self {
            mac,
            ssid: ssid(&settings.network, mac),
            settings,
            fallback,
            limits,
        }
    }

    /// Whether the radio refuses the stored settings.
    pub const fn is_rejected(&self) -> bool {
        matches!(self.fallback, Some(Fallback::Rejected(_)))
    }

    /// The first console line.
    pub fn banner<'b>(&'b self, firmware: &'b str, reset: Reset, trial: &TrialRun) -> Banner<'b> {
        let network = &self.settings.network;
        Banner {
            firmware,
            chip: self.limits.memory.chip,
            mac: Mac(self.mac),
            mode: network.mode().name(),
            settings: match self.fallback {
                None if trial.open().is_some() => Origin::Trial,
                None => Origin::Flash,
                Some(_) => Origin::Default,
            },
            reset,
            ssid: self.ssid.as_bytes(),
            open: *network.security() == Security::Open,
        }
    }

    /// The host name in DHCP and mDNS: `tcpctl-XXXX` unless the settings have one.
    pub fn host_name(&self) -> HostName {
        let given = self.settings.host_name.clone();
        given.unwrap_or_else(|| HostName::of_board(self.mac))
    }

    /// The greeting server's configuration, within the memory of the chip.
    pub fn server(&self) -> Config<'_> {
        Config::from_settings(&self.settings.server).within(self.capacity().slots)
    }

    /// The connections that fit the memory of the chip.
    pub fn capacity(&self) -> Capacity {
        let slots = Config::from_settings(&self.settings.server).slots();
        self.limits.memory.capacity(slots, self.wanted_streams())
    }

    /// The limits of the chip that are lower than the settings request.
    pub fn reduced(&self) -> Reduced {
        let wanted = Config::from_settings(&self.settings.server).slots();
        let capacity = self.capacity();
        Reduced {
            max_stations: self.settings.network.mode() == Mode::AccessPoint
                && self.settings.max_stations.get() > self.limits.stations,
            slots: capacity.slots < wanted,
            services: capacity.service_streams < self.wanted_streams(),
        }
    }

    fn wanted_streams(&self) -> usize {
        match self.settings.server.services() {
            Services::On => MAX_SERVICE_STREAMS,
            Services::Off => 0,
        }
    }

    /// Emits console lines: why the stored settings are not in force, which limits were reduced,
    /// and the passphrase of the default network.
    pub fn describe(&self, mut emit: impl FnMut(&dyn Display)) {
        match self.fallback {
            None => {}
            Some(Fallback::Missing(missing)) => {
                emit(&format_args!("settings default reason=\"{missing}\""));
            }
            Some(Fallback::Rejected(rejected)) => {
                emit(&format_args!("settings rejected reason=\"{rejected}\""));
            }
        }
        let Limits { stations, memory } = self.limits;
        let chip = memory.chip;
        let network = &self.settings.network;
        let reduced = self.reduced();
        let capacity = self.capacity();
        if reduced.max_stations {
            emit(&format_args!(
                "settings reduced max-stations={stations} reason=\"limit of the {chip} radio\""
            ));
        }
        if reduced.slots {
            let server = self.server();
            emit(&format_args!(
                "settings reduced workers={} backlog={} reason=\"{chip} has memory for {} connections\"",
                server.workers, server.backlog, capacity.slots
            ));
        }
        if reduced.services {
            emit(&format_args!(
                "services reduced connections={} reason=\"memory of the {chip}\"",
                capacity.service_streams
            ));
        }
        if let (
            Some(_),
            Network::AccessPoint {
                security: Security::Wpa2(passphrase),
                ..
            },
        ) = (self.fallback, network)
        {
            // The only passphrase that is ever printed. It is random and new at each start.
            emit(&format_args!(
                "access point ssid=\"{}\" passphrase=\"{}\"",
                self.ssid.as_bytes().escape_ascii(),
                passphrase.reveal()
            ));
        }
    }
}

/// Configures the radio for the network of `settings`.
fn configure(settings: &Settings, radio: &mut impl Radio, limits: &Limits) -> Result<(), Rejected> {
    let mac = radio.mac_address(settings.network.mode());
    let config = RadioConfig::new(settings, mac, limits)?;
    Ok(radio.apply(&config)?)
}

/// The default settings: an access point with a random passphrase.
fn defaults(random: impl FnMut() -> u32) -> Settings {
    Settings::new(Network::AccessPoint {
        ssid: None,
        security: Security::Wpa2(Passphrase::random(random)),
    })
}

#[cfg(test)]
mod tests;
