//! A network of the board's own: who comes and who goes.

use core::cell::RefCell;

use esp_radio::wifi::WifiController;
use esp_radio::wifi::event::EventInfo;
use tcpctl_greeter::access_point::Stations;
use tcpctl_greeter::console::{Lease, Station};
use tcpctl_greeter::dhcp::LeaseEvent;

use crate::console::Console;
use crate::vitals::Chip;

/// As many stations as any of the radios takes.
const MOST: usize = 16;

/// The stations of this network. The radio and the DHCP server know of them.
pub(crate) struct Guests {
    stations: RefCell<Stations<MOST>>,
    console: &'static Console,
    chip: &'static Chip,
}

impl Guests {
    /// Nobody yet.
    pub(crate) fn new(console: &'static Console, chip: &'static Chip) -> Self {
        chip.stations.set(Some(0));
        Self {
            stations: RefCell::new(Stations::new()),
            console,
            chip,
        }
    }

    /// Says what the DHCP server did, and first who that is for, if the radio has not.
    pub(crate) fn leased(&self, event: LeaseEvent) {
        self.hear(|stations| stations.leased(&event));
        self.console.say(Lease(event));
    }

    /// Says what is news, and counts.
    fn hear(&self, news: impl FnOnce(&mut Stations<MOST>) -> Option<Station>) {
        let mut stations = self.stations.borrow_mut();
        let said = news(&mut stations);
        self.chip.stations.set(Some(stations.count()));
        if let Some(line) = said {
            self.console.say(line);
        }
    }
}

/// Says who joins and who leaves. The network lasts as long as `controller`.
#[embassy_executor::task]
pub(crate) async fn watch(controller: WifiController<'static>, guests: &'static Guests) {
    let mut events = match controller.subscribe() {
        Ok(events) => events,
        Err(error) => {
            guests.console.say(format_args!(
                "network failed reason=\"no news of stations: {error}\""
            ));
            // Without news the network is there all the same.
            return core::future::pending().await;
        }
    };
    loop {
        match events.next_event_pure().await {
            EventInfo::AccessPointStationConnected { mac, .. } => {
                guests.hear(|stations| stations.joined(mac));
            }
            EventInfo::AccessPointStationDisconnected { mac, .. } => {
                guests.hear(|stations| stations.left(mac));
            }
            _ => {}
        }
    }
}
