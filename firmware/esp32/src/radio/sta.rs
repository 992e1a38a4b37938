//! A network of somebody else's: greeter's station machine over the chip's radio.

use core::net::{Ipv4Addr, SocketAddrV4};

use embassy_net::Stack;
use embassy_time::{Duration, Timer, with_timeout};
use esp_radio::wifi::sta::DisconnectedInfo;
use esp_radio::wifi::{ConnectionError, DisconnectReason, WifiController};
use tcpctl_greeter::console::Ready;
use tcpctl_greeter::station::{self, Event, Failure, Loss, News, Radio};

use crate::console::Console;
use crate::servers::Online;
use crate::vitals::Chip;

/// How often link and address are looked at while the board waits for one of them to change. The
/// stack's own notice wakes one waiter only, and it has others.
const LOOK: Duration = Duration::from_millis(100);
/// How long the driver may take to leave a network.
const LEAVE: Duration = Duration::from_secs(2);

/// The radio in station mode.
struct ChipRadio {
    controller: WifiController<'static>,
    stack: Stack<'static>,
    chip: &'static Chip,
}

/// Joins the network of the settings and stays on it.
#[embassy_executor::task]
pub(crate) async fn stay(
    controller: WifiController<'static>,
    stack: Stack<'static>,
    console: &'static Console,
    chip: &'static Chip,
    online: &'static Online,
    port: u16,
    seed: u64,
) {
    let mut radio = ChipRadio {
        controller,
        stack,
        chip,
    };
    station::run(&mut radio, seed, |event| {
        console.say(event);
        match event {
            Event::Online(address) => {
                online.set(true);
                console.say(Ready {
                    address: SocketAddrV4::new(address, port),
                });
            }
            Event::Offline(_) => {
                online.set(false);
                chip.rssi_dbm.set(None);
            }
            Event::Joining | Event::Failed { .. } => {}
        }
    })
    .await;
}

impl ChipRadio {
    /// The address, if the stack has one now.
    fn address(&self) -> Option<Ipv4Addr> {
        self.stack
            .config_v4()
            .map(|config| config.address.address())
    }
}

impl Radio for ChipRadio {
    async fn join(&mut self) -> Result<(), Failure> {
        match self.controller.connect_async().await {
            Ok(_) => Ok(()),
            Err(ConnectionError::Failed(DisconnectedInfo { reason, .. })) => Err(failure(reason)),
            Err(_) => Err(Failure::Radio),
        }
    }

    async fn lease(&mut self) -> Ipv4Addr {
        loop {
            if let Some(address) = self.address() {
                return address;
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

/// What a driver's reason means to a person.
fn failure(reason: DisconnectReason) -> Failure {
    use DisconnectReason as Reason;
    match reason {
        Reason::NoAccessPointFound | Reason::NoAccessPointFoundInRssiThreshold => {
            Failure::NoSuchNetwork
        }
        // How a wrong passphrase shows: the access point drops the handshake, or never ends it.
        Reason::FourWayHandshakeTimeout
        | Reason::HandshakeTimeout
        | Reason::AuthenticationFailed
        | Reason::MicFailure => Failure::WrongPassphrase,
        Reason::NoAccessPointFoundWithCompatibleSecurity
        | Reason::NoAccessPointFoundInAuthmodeThreshold
        | Reason::CipherSuiteRejected
        | Reason::AkmpInvalid => Failure::OtherSecurity,
        Reason::AssociationTooMany => Failure::Full,
        Reason::Timeout
        | Reason::BeaconTimeout
        | Reason::AuthenticationExpired
        | Reason::ConnectionFailed => Failure::NoAnswer,
        _ => Failure::Refused,
    }
}
