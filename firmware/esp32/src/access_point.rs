//! AP mode: stations that join and leave.

use esp_radio::wifi::event::EventInfo;
use tcpctl_greeter::access_point::Stations;

use crate::console::Console;
use crate::radio::Radio;
use crate::status::ChipStatus;

/// Maximum stations to track: at least as many as any of the radios accepts.
const MAX_STATIONS: usize = 16;

/// Prints and counts stations. Owns `radio`, and with it the network.
#[embassy_executor::task]
pub(crate) async fn watch(radio: Radio, console: &'static Console, chip: &'static ChipStatus) {
    let (controller, mut events) = radio.into_parts();
    let mut stations = Stations::<MAX_STATIONS>::new();
    loop {
        chip.stations.set(Some(stations.count()));
        let change = match events.next_event_pure().await {
            EventInfo::AccessPointStationConnected { mac, .. } => stations.joined(mac),
            EventInfo::AccessPointStationDisconnected { mac, .. } => stations.left(mac),
            _ => None,
        };
        if let Some(line) = change {
            console.print(line);
        }
        // Dropping the controller would close the network.
        let _ = &controller;
    }
}
