//! The radio: the network that the settings ask for, opened or joined.

pub(crate) mod ap;
pub(crate) mod sta;

use core::fmt;

use esp_hal::peripherals::WIFI;
use esp_radio::wifi::ap::AccessPointConfig;
use esp_radio::wifi::event::EventSubscriber;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethodConfig, Config, ControllerConfig, Interface, WifiController, WifiError,
};
use tcpctl_settings::{HostName, Mode, Network, Security, Settings, Ssid};

use crate::{chip, raw};

/// The radio under its driver.
pub(crate) struct Radio {
    controller: WifiController<'static>,
    /// What happens from the start on: the driver keeps nothing for those who listen later, and a
    /// station that knows the network may join in its first moments.
    events: EventSubscriber<'static>,
}

impl Radio {
    /// Wakes the radio. It is on no network yet.
    pub(crate) fn start(wifi: WIFI<'static>) -> Self {
        // Every key of the hardware for a station: the driver keeps half of them for ESP-NOW.
        let config = ControllerConfig::default().with_espnow_max_encrypt_num(0);
        let controller = match WifiController::new(wifi, config) {
            Ok(controller) => controller,
            // Without a radio there is no board: the console says so after each restart.
            Err(error) => panic!("the radio does not start: {error}"),
        };
        let events = match controller.subscribe() {
            Ok(events) => raw::for_good(events),
            Err(error) => panic!("the radio tells no news: {error}"),
        };
        Self { controller, events }
    }

    /// Opens the network of the settings, or gets ready to join it.
    ///
    /// # Errors
    /// What the driver does not take.
    pub(crate) fn apply(&mut self, settings: &Settings) -> Result<(), Rejected> {
        let network = &settings.network;
        let ssid = ssid(network, mac_address(network.mode()));
        if network.mode() == Mode::Station && ssid.as_bytes().contains(&0) {
            return Err(Rejected::ZeroByte);
        }
        let ssid = ssid.as_bytes().try_into()?;
        let authentication = match network.security() {
            Security::Open => AuthenticationMethodConfig::Open,
            Security::Wpa2(secret) => {
                AuthenticationMethodConfig::Wpa2Personal(secret.reveal().try_into()?)
            }
        };
        let config = match network.mode() {
            Mode::AccessPoint => Config::AccessPoint(
                AccessPointConfig::default()
                    .with_ssid(ssid)
                    .with_channel(settings.channel.get())
                    .with_max_connections(
                        settings.max_stations.get().min(chip::MAX_STATIONS).into(),
                    )
                    .with_authentication(authentication),
            ),
            Mode::Station => Config::Station(
                StationConfig::default()
                    .with_ssid(ssid)
                    .with_authentication(authentication),
            ),
        };
        Ok(self.controller.set_config(&config)?)
    }

    /// The driver itself and its news, for the task that looks after the network.
    pub(crate) fn into_parts(self) -> (WifiController<'static>, EventSubscriber<'static>) {
        (self.controller, self.events)
    }
}

/// Why settings are no good for the radio.
pub(crate) enum Rejected {
    /// The driver says so.
    Driver(WifiError),
    /// A station's SSID ends for the driver at its first zero byte: it would look for another
    /// network.
    ZeroByte,
}

impl From<WifiError> for Rejected {
    fn from(error: WifiError) -> Self {
        Self::Driver(error)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver(error) => write!(f, "the radio does not take them: {error}"),
            Self::ZeroByte => {
                f.write_str("the radio can't join a network with a zero byte in its name")
            }
        }
    }
}

/// The end of the network that frames come from.
pub(crate) fn interface(mode: Mode) -> Interface {
    match mode {
        Mode::AccessPoint => Interface::access_point(),
        Mode::Station => Interface::station(),
    }
}

/// The hardware address that others see in this mode.
pub(crate) fn mac_address(mode: Mode) -> [u8; 6] {
    // Made and let go: the stack takes it later.
    interface(mode).mac_address()
}

/// The network's name: as the settings say, or the board's own.
pub(crate) fn ssid(network: &Network, mac: [u8; 6]) -> Name {
    match network.ssid() {
        Some(ssid) => Name::Given(ssid.clone()),
        None => Name::Own(HostName::of_board(mac)),
    }
}

/// A network's name. Displays escaped.
pub(crate) enum Name {
    Given(Ssid),
    Own(HostName),
}

impl Name {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Given(ssid) => ssid.as_bytes(),
            Self::Own(name) => name.as_str().as_bytes(),
        }
    }
}

impl fmt::Display for Name {
    /// In ASCII and without a quote of its own: it stands between quotes in a console's line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().escape_ascii().fmt(f)
    }
}
