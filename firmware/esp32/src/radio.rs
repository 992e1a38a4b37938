//! The Wi-Fi driver: started, and configured with the network of the settings.

use esp_hal::peripherals::WIFI;
use esp_radio::wifi::ap::AccessPointConfig;
use esp_radio::wifi::event::EventSubscriber;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethodConfig, Config, ControllerConfig, Interface, WifiController, WifiError,
};
use tcpctl_greeter::active_settings;
use tcpctl_greeter::driver::DriverError;
use tcpctl_greeter::radio_config::RadioConfig;
use tcpctl_settings::{Mode, Security};

use crate::{chip, raw};

/// The Wi-Fi driver.
pub(crate) struct Radio {
    controller: WifiController<'static>,
    /// Subscribed before the start: the driver keeps no events for late subscribers, and a station
    /// may join at once.
    events: EventSubscriber<'static>,
}

impl Radio {
    /// Starts the driver without a network. Panics if the radio does not start.
    pub(crate) fn start(wifi: WIFI<'static>) -> Self {
        // Use all hardware keys for stations: by default half of them are reserved for ESP-NOW.
        let config = ControllerConfig::default()
            .with_espnow_max_encrypt_num(0)
            .with_rx_queue_size(chip::MEMORY.rx_queue);
        let controller = match WifiController::new(wifi, config) {
            Ok(controller) => controller,
            Err(error) => panic!("cannot start the radio: {error}"),
        };
        let events = match controller.subscribe() {
            Ok(events) => raw::extend_subscriber(events),
            Err(error) => panic!("cannot subscribe to radio events: {error}"),
        };
        Self { controller, events }
    }

    fn configure(&mut self, config: &RadioConfig<'_>) -> Result<(), WifiError> {
        let ssid = config.ssid.as_bytes().try_into()?;
        let authentication = match config.security {
            Security::Open => AuthenticationMethodConfig::Open,
            Security::Wpa2(secret) => {
                AuthenticationMethodConfig::Wpa2Personal(secret.reveal().try_into()?)
            }
        };
        self.controller.set_config(&match config.mode {
            Mode::AccessPoint => Config::AccessPoint(
                AccessPointConfig::default()
                    .with_ssid(ssid)
                    .with_channel(config.channel)
                    .with_max_connections(config.stations.into())
                    .with_authentication(authentication),
            ),
            Mode::Station => Config::Station(
                StationConfig::default()
                    .with_ssid(ssid)
                    .with_authentication(authentication),
            ),
        })
    }

    /// The driver and its events, for the task that owns the network.
    pub(crate) fn into_parts(self) -> (WifiController<'static>, EventSubscriber<'static>) {
        (self.controller, self.events)
    }
}

impl active_settings::Radio for Radio {
    fn mac_address(&self, mode: Mode) -> [u8; 6] {
        interface(mode).mac_address()
    }

    fn apply(&mut self, config: &RadioConfig<'_>) -> Result<(), DriverError> {
        self.configure(config).map_err(driver_error)
    }
}

/// Maps a driver error to that of the greeter.
pub(crate) fn driver_error(error: WifiError) -> DriverError {
    match error {
        WifiError::InvalidSsid => DriverError::Ssid,
        WifiError::InvalidPassword => DriverError::Passphrase,
        WifiError::InvalidArguments => DriverError::Arguments,
        WifiError::OutOfMemory => DriverError::Memory,
        _ => DriverError::Other,
    }
}

/// The network interface of a mode.
pub(crate) fn interface(mode: Mode) -> Interface {
    match mode {
        Mode::AccessPoint => Interface::access_point(),
        Mode::Station => Interface::station(),
    }
}
