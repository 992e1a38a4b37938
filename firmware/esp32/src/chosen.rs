//! The settings that the board follows: those in flash where they are of use, else the defaults.

use esp_hal::rng::Rng;
use tcpctl_greeter::console::Origin;
use tcpctl_settings::{Mode, Network, Security, Settings};

use crate::chip;
use crate::console::Console;
use crate::radio::{Name, Radio, Rejected};
use crate::stored::{self, Missing};

/// What the board follows, and why not something else.
pub(crate) struct Chosen {
    pub(crate) settings: Settings,
    missing: Option<Missing>,
    rejected: Option<Rejected>,
}

impl Chosen {
    /// Gives the radio the stored settings or, where there are none or it does not take them, the
    /// defaults: a board that can be reached under another name is better than none.
    pub(crate) fn apply(stored: Result<Settings, Missing>, radio: &mut Radio, random: Rng) -> Self {
        let (missing, rejected) = match stored {
            Ok(settings) => match radio.apply(&settings) {
                Ok(()) => {
                    return Self {
                        settings,
                        missing: None,
                        rejected: None,
                    };
                }
                Err(rejected) => (None, Some(rejected)),
            },
            Err(missing) => (Some(missing), None),
        };
        let settings = stored::defaults(random);
        if let Err(error) = radio.apply(&settings) {
            panic!("the radio takes not even the defaults: {error}");
        }
        Self {
            settings,
            missing,
            rejected,
        }
    }

    /// Where the settings come from.
    pub(crate) fn origin(&self) -> Origin {
        if self.missing.is_some() || self.rejected.is_some() {
            Origin::Default
        } else {
            Origin::Flash
        }
    }

    /// Says what became of the stored settings, and how to get into the default network.
    pub(crate) fn explain(&self, console: &Console, ssid: &Name) {
        if let Some(missing) = &self.missing {
            console.say(format_args!("settings default reason=\"{missing}\""));
        }
        if let Some(rejected) = &self.rejected {
            console.say(format_args!(
                "settings rejected reason=\"{rejected}\"; write others with `tcpctl flash`"
            ));
        }
        let most = self.settings.max_stations.get();
        if self.settings.network.mode() == Mode::AccessPoint && most > chip::MAX_STATIONS {
            console.say(format_args!(
                "settings reduced max-stations={} reason=\"the radio of {} takes no more\"",
                chip::MAX_STATIONS,
                chip::NAME
            ));
        }
        if self.origin() == Origin::Default
            && let Network::AccessPoint {
                security: Security::Wpa2(passphrase),
                ..
            } = &self.settings.network
        {
            // The one passphrase that is ever printed: nobody chose it, and the next start has
            // another.
            console.say(format_args!(
                "access point ssid=\"{ssid}\" passphrase=\"{}\"",
                passphrase.reveal()
            ));
        }
    }
}
