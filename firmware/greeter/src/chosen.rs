//! The settings that the board follows: the stored ones where they are of use, else the defaults. A
//! board that can be reached under another name is better than none.

use core::fmt::Display;

use tcpctl_settings::{HostName, Mode, Network, Passphrase, Security, Settings, Ssid};

use crate::console::{Banner, Mac, Origin};
use crate::driver::DriverError;
use crate::plan::{Limits, Plan, Rejected, ssid};
use crate::reset::Reset;
use crate::server::Config;
use crate::stored::Missing;

/// A radio that is on no network yet.
pub trait Radio {
    /// The hardware address that others see in this mode.
    fn mac_address(&self, mode: Mode) -> [u8; 6];
    /// Opens the network of `plan`, or gets ready to join it. A radio that did not take a plan can
    /// be given another.
    ///
    /// # Errors
    /// What the driver says to it.
    fn apply(&mut self, plan: &Plan<'_>) -> Result<(), DriverError>;
}

/// What the board follows, and why not something else.
#[derive(Debug)]
pub struct Chosen {
    /// The settings.
    pub settings: Settings,
    /// The board's hardware address on its network.
    pub mac: [u8; 6],
    ssid: Ssid,
    instead: Option<Instead>,
    limits: Limits,
}

/// Why the defaults.
#[derive(Debug, Clone, Copy)]
enum Instead {
    /// There are no others.
    Missing(Missing),
    /// The radio can't follow them.
    Rejected(Rejected),
}

impl Chosen {
    /// Gives the radio the stored settings or, where there are none or it does not take them, the
    /// defaults, under a passphrase out of `random`: that is asked first, for a chip's random numbers
    /// are the radio's noise, and a driver that refuses settings switches the radio off.
    ///
    /// # Errors
    /// It takes not even the defaults.
    pub fn apply(
        stored: Result<Settings, Missing>,
        radio: &mut impl Radio,
        limits: Limits,
        random: impl FnMut() -> u32,
    ) -> Result<Self, Rejected> {
        let defaults = defaults(random);
        let instead = match stored {
            Ok(settings) => match give(&settings, radio, &limits) {
                Ok(()) => return Ok(Self::new(settings, radio, limits, None)),
                Err(rejected) => Instead::Rejected(rejected),
            },
            Err(missing) => Instead::Missing(missing),
        };
        give(&defaults, radio, &limits)?;
        Ok(Self::new(defaults, radio, limits, Some(instead)))
    }

    fn new(
        settings: Settings,
        radio: &impl Radio,
        limits: Limits,
        instead: Option<Instead>,
    ) -> Self {
        let mac = radio.mac_address(settings.network.mode());
        Self {
            mac,
            ssid: ssid(&settings.network, mac),
            settings,
            instead,
            limits,
        }
    }

    /// The first line.
    pub fn banner<'b>(&'b self, firmware: &'b str, reset: Reset) -> Banner<'b> {
        let network = &self.settings.network;
        Banner {
            firmware,
            chip: self.limits.chip,
            mac: Mac(self.mac),
            mode: match network.mode() {
                Mode::AccessPoint => "ap",
                Mode::Station => "sta",
            },
            settings: match self.instead {
                None => Origin::Flash,
                Some(_) => Origin::Default,
            },
            reset,
            ssid: self.ssid.as_bytes(),
            open: *network.security() == Security::Open,
        }
    }

    /// The board's name in DHCP and mDNS: `tcpctl-XXXX` unless the settings have one.
    pub fn host_name(&self) -> HostName {
        let given = self.settings.host_name.clone();
        given.unwrap_or_else(|| HostName::of_board(self.mac))
    }

    /// The greeting server as the settings want it and as the chip has room for it.
    pub fn server(&self) -> Config<'_> {
        Config::of(&self.settings.server).within(self.limits.slots)
    }

    /// Says what became of the stored settings, and how to get into the default network, a line at a
    /// time.
    pub fn explain(&self, mut say: impl FnMut(&dyn Display)) {
        match self.instead {
            None => {}
            Some(Instead::Missing(missing)) => {
                say(&format_args!("settings default reason=\"{missing}\""));
            }
            Some(Instead::Rejected(rejected)) => say(&format_args!(
                "settings rejected reason=\"{rejected}\"; write others with `tcpctl flash`"
            )),
        }
        let Limits {
            chip,
            stations,
            slots,
        } = self.limits;
        let network = &self.settings.network;
        if network.mode() == Mode::AccessPoint && self.settings.max_stations.get() > stations {
            say(&format_args!(
                "settings reduced max-stations={stations} reason=\"the radio of {chip} takes no more\""
            ));
        }
        let server = self.server();
        if server.slots() < Config::of(&self.settings.server).slots() {
            say(&format_args!(
                "settings reduced workers={} backlog={} reason=\"{chip} has room for {slots} connections\"",
                server.workers, server.backlog
            ));
        }
        if let (
            Some(_),
            Network::AccessPoint {
                security: Security::Wpa2(passphrase),
                ..
            },
        ) = (self.instead, network)
        {
            // The one passphrase that is ever printed: nobody chose it, and the next start has
            // another.
            say(&format_args!(
                "access point ssid=\"{}\" passphrase=\"{}\"",
                self.ssid.as_bytes().escape_ascii(),
                passphrase.reveal()
            ));
        }
    }
}

/// Gives the radio the network of `settings`.
fn give(settings: &Settings, radio: &mut impl Radio, limits: &Limits) -> Result<(), Rejected> {
    let mac = radio.mac_address(settings.network.mode());
    let plan = Plan::new(settings, mac, limits)?;
    Ok(radio.apply(&plan)?)
}

/// What a board does that was told nothing: a network of its own, under a passphrase that nobody
/// else has.
fn defaults(random: impl FnMut() -> u32) -> Settings {
    Settings::new(Network::AccessPoint {
        ssid: None,
        security: Security::Wpa2(Passphrase::random(random)),
    })
}

#[cfg(test)]
mod tests;
