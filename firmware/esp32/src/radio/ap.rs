//! A network of the board's own: who comes and who goes.

use esp_radio::wifi::event::EventInfo;
use tcpctl_greeter::access_point::Stations;

use super::Radio;
use crate::console::Console;
use crate::vitals::Chip;

/// As many stations as any of the radios takes.
const MOST: usize = 16;

/// Says who joins and who leaves, and counts them. The network lasts as long as `radio`.
#[embassy_executor::task]
pub(crate) async fn watch(radio: Radio, console: &'static Console, chip: &'static Chip) {
    let (controller, mut events) = radio.into_parts();
    let mut stations = Stations::<MOST>::new();
    loop {
        chip.stations.set(Some(stations.count()));
        let said = match events.next_event_pure().await {
            EventInfo::AccessPointStationConnected { mac, .. } => stations.joined(mac),
            EventInfo::AccessPointStationDisconnected { mac, .. } => stations.left(mac),
            _ => None,
        };
        if let Some(line) = said {
            console.say(line);
        }
        // Held to the end of time, and with it the driver.
        let _ = &controller;
    }
}
