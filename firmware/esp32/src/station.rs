//! STA mode: the greeter's station state machine over the chip's radio.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::task::Poll;

use embassy_futures::poll_once;
use embassy_net::Stack;
use embassy_time::{Duration, Timer, with_timeout};
use esp_radio::wifi::event::{EventInfo, EventSubscriber};
use esp_radio::wifi::{ConnectionError, WifiController};
use tcpctl_greeter::boot_loop::Start;
use tcpctl_greeter::console::Ready;
use tcpctl_greeter::station::{self, Event, Failure, Loss, NetworkChange};
use tcpctl_greeter::trial::TrialRun;
use tcpctl_settings::{Security, Settings};

use crate::boot_guard;
use crate::console::Console;
use crate::online::Online;
use crate::radio::{self, Radio};
use crate::status::ChipStatus;

/// Interval to poll link and address, because the stack's notification wakes only one waiter and is
/// in use.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The radio in station mode.
struct ChipRadio {
    controller: WifiController<'static>,
    events: EventSubscriber<'static>,
    security: &'static Security,
    stack: Stack<'static>,
    chip: &'static ChipStatus,
}

/// Parameters of a station.
pub(crate) struct Station {
    pub(crate) radio: Radio,
    pub(crate) settings: &'static Settings,
    pub(crate) stack: Stack<'static>,
    pub(crate) console: &'static Console,
    pub(crate) chip: &'static ChipStatus,
    pub(crate) online: &'static Online,
    pub(crate) start: Start,
    /// Trial of the settings.
    pub(crate) trial: &'static TrialRun,
    pub(crate) seed: u64,
}

/// Joins the network of the settings and stays on it. Restarts with the defaults where the driver
/// rejects the settings.
#[embassy_executor::task]
pub(crate) async fn stay(station: Station) {
    let Station {
        radio,
        settings,
        stack,
        console,
        chip,
        online,
        start,
        trial,
        seed,
    } = station;
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
        console.print(event);
        trial.on_event(&event);
        if let Some(is_online) = event.presence() {
            online.set(is_online);
        }
        match event {
            Event::Online(address) => console.print(Ready {
                address: SocketAddrV4::new(address, port),
            }),
            Event::Offline(_) => chip.rssi_dbm.set(None),
            Event::Joining | Event::Failed { .. } | Event::Rejected(_) => {}
        }
    })
    .await;
    if trial.open().is_some() {
        // The trial ends with a restart.
        return;
    }
    console.flush();
    boot_guard::restart_with_defaults(start, error);
}

impl ChipRadio {
    fn address(&self) -> Option<Ipv4Addr> {
        self.stack
            .config_v4()
            .map(|config| config.address.address())
    }

    /// Why joining failed or the network was lost: the driver's last reason, which it reports
    /// before it returns.
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
                Err(Failure::Driver(radio::driver_error(error)))
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
            Timer::after(POLL_INTERVAL).await;
        }
    }

    async fn next_change(&mut self, address: Ipv4Addr) -> NetworkChange {
        loop {
            Timer::after(POLL_INTERVAL).await;
            if !self.controller.is_connected() {
                return NetworkChange::Lost(Loss::Link);
            }
            match self.address() {
                None => return NetworkChange::Lost(Loss::Lease),
                Some(now) if now != address => return NetworkChange::Moved(now),
                Some(_) => {}
            }
            let rssi = self.controller.rssi().ok();
            self.chip
                .rssi_dbm
                .set(rssi.and_then(|rssi| i8::try_from(rssi).ok()));
        }
    }

    async fn leave(&mut self) {
        // An error means that there was no network to leave. After a timeout, the next join reports
        // the problem.
        let _ = with_timeout(LEAVE_TIMEOUT, self.controller.disconnect_async()).await;
    }
}
