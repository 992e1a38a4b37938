//! The radio: the network that the settings ask for, opened or joined.

pub(crate) mod ap;
pub(crate) mod sta;

use esp_hal::peripherals::WIFI;
use esp_radio::wifi::ap::AccessPointConfig;
use esp_radio::wifi::event::EventSubscriber;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethodConfig, Config, ControllerConfig, Interface, WifiController, WifiError,
};
use tcpctl_greeter::chosen;
use tcpctl_greeter::driver::DriverError;
use tcpctl_greeter::plan::Plan;
use tcpctl_settings::{Mode, Security};

use crate::raw;

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

    /// Tells the driver a plan, field by field.
    fn configure(&mut self, plan: &Plan<'_>) -> Result<(), WifiError> {
        let ssid = plan.ssid.as_bytes().try_into()?;
        let authentication = match plan.security {
            Security::Open => AuthenticationMethodConfig::Open,
            Security::Wpa2(secret) => {
                AuthenticationMethodConfig::Wpa2Personal(secret.reveal().try_into()?)
            }
        };
        self.controller.set_config(&match plan.mode {
            Mode::AccessPoint => Config::AccessPoint(
                AccessPointConfig::default()
                    .with_ssid(ssid)
                    .with_channel(plan.channel)
                    .with_max_connections(plan.stations.into())
                    .with_authentication(authentication),
            ),
            Mode::Station => Config::Station(
                StationConfig::default()
                    .with_ssid(ssid)
                    .with_authentication(authentication),
            ),
        })
    }

    /// The driver itself and its news, for the task that looks after the network.
    pub(crate) fn into_parts(self) -> (WifiController<'static>, EventSubscriber<'static>) {
        (self.controller, self.events)
    }
}

impl chosen::Radio for Radio {
    fn mac_address(&self, mode: Mode) -> [u8; 6] {
        // Made and let go: the stack takes it later.
        interface(mode).mac_address()
    }

    fn apply(&mut self, plan: &Plan<'_>) -> Result<(), DriverError> {
        self.configure(plan).map_err(driver_error)
    }
}

/// The driver's error by the greeter's name for it.
pub(crate) fn driver_error(error: WifiError) -> DriverError {
    match error {
        WifiError::InvalidSsid => DriverError::Ssid,
        WifiError::InvalidPassword => DriverError::Passphrase,
        WifiError::InvalidArguments => DriverError::Arguments,
        WifiError::OutOfMemory => DriverError::Memory,
        _ => DriverError::Other,
    }
}

/// The end of the network that frames come from.
pub(crate) fn interface(mode: Mode) -> Interface {
    match mode {
        Mode::AccessPoint => Interface::access_point(),
        Mode::Station => Interface::station(),
    }
}
