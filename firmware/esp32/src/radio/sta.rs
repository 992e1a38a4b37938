//! A network of somebody else's: greeter's station machine over the chip's radio.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::task::Poll;

use embassy_futures::poll_once;
use embassy_net::Stack;
use embassy_time::{Duration, Timer, with_timeout};
use esp_radio::wifi::event::{EventInfo, EventSubscriber};
use esp_radio::wifi::{ConnectionError, WifiController};
use tcpctl_greeter::console::Ready;
use tcpctl_greeter::station::{self, Event, Failure, Loss, News};
use tcpctl_settings::{Security, Settings};

use super::Radio;
use crate::console::Console;
use crate::servers::Online;
use crate::starts;
use crate::vitals::Chip;

/// How often link and address are looked at while the board waits for one of them to change. The
/// stack's own notice wakes one waiter only, and it has others.
const LOOK: Duration = Duration::from_millis(100);
/// How long the driver may take to leave a network.
const LEAVE: Duration = Duration::from_secs(2);

/// The radio in station mode.
struct ChipRadio {
    controller: WifiController<'static>,
    /// What the driver tells, reasons as numbers among it.
    events: EventSubscriber<'static>,
    security: &'static Security,
    stack: Stack<'static>,
    chip: &'static Chip,
}

/// Joins the network of the settings and stays on it. Where the driver does not take them the board
/// starts again without them.
#[embassy_executor::task]
pub(crate) async fn stay(
    radio: Radio,
    settings: &'static Settings,
    stack: Stack<'static>,
    console: &'static Console,
    chip: &'static Chip,
    online: &'static Online,
    seed: u64,
) {
    let (controller, events) = radio.into_parts();
    let mut radio = ChipRadio {
        controller,
        events,
        security: settings.network.security(),
        stack,
        chip,
    };
    let port = settings.server.port().get();
    let error = station::run(&mut radio, seed, |event| {
        console.say(event);
        if let Some(is_online) = event.presence() {
            online.set(is_online);
        }
        match event {
            Event::Online(address) => console.say(Ready {
                address: SocketAddrV4::new(address, port),
            }),
            Event::Offline(_) => chip.rssi_dbm.set(None),
            Event::Joining | Event::Failed { .. } | Event::GivenUp(_) => {}
        }
    })
    .await;
    console.flush();
    starts::without_settings(error);
}

impl ChipRadio {
    /// The address, if the stack has one now.
    fn address(&self) -> Option<Ipv4Addr> {
        self.stack
            .config_v4()
            .map(|config| config.address.address())
    }

    /// Why the network was not joined, or is lost: the number that the driver told last. It is not
    /// awaited, since the driver tells it first.
    fn failure(&mut self) -> Failure {
        let mut last = None;
        while let Poll::Ready(event) = poll_once(self.events.next_event_pure()) {
            if let EventInfo::StationDisconnected { reason, .. } = event {
                last = Some(reason);
            }
        }
        last.map_or(Failure::NoAnswer, |reason| {
            Failure::from_reason(reason, self.security)
        })
    }
}

impl station::Radio for ChipRadio {
    async fn join(&mut self) -> Result<(), Failure> {
        match self.controller.connect_async().await {
            Ok(_) => Ok(()),
            Err(ConnectionError::WifiError(error)) => {
                Err(Failure::Driver(super::driver_error(error)))
            }
            Err(_) => Err(self.failure()),
        }
    }

    async fn lease(&mut self) -> Result<Ipv4Addr, Failure> {
        loop {
            if let Some(address) = self.address() {
                return Ok(address);
            }
            if !self.controller.is_connected() {
                return Err(self.failure());
            }
            Timer::after(LOOK).await;
        }
    }

    async fn news(&mut self, address: Ipv4Addr) -> News {
        loop {
            Timer::after(LOOK).await;
            if !self.controller.is_connected() {
                return News::Lost(Loss::Link);
            }
            match self.address() {
                None => return News::Lost(Loss::Lease),
                // The servers listen on whatever the board has.
                Some(now) if now != address => return News::Moved(now),
                Some(_) => {}
            }
            let rssi = self.controller.rssi().ok();
            self.chip
                .rssi_dbm
                .set(rssi.and_then(|rssi| i8::try_from(rssi).ok()));
        }
    }

    async fn leave(&mut self) {
        // An error is that there is nothing to leave; a driver that takes too long is asked to join
        // anew, and then says what is wrong.
        let _ = with_timeout(LEAVE, self.controller.disconnect_async()).await;
    }
}
