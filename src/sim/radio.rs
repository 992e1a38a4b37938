//! The radio of a virtual board: joins the networks that exist. Its link is up while it is joined.

use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::task::{Context, Waker};

use embassy_net::Stack;
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use embassy_time::{Duration, Timer};
use tcpctl_greeter::station::{self, Failure, Loss, NetworkChange};
use tcpctl_settings::Network;

use super::networks::Networks;

/// How often the file of networks is read.
const FILE_CHECK: Duration = Duration::from_secs(1);
/// How often the address is checked, because the stack does not report that DHCP replaced it.
const ADDRESS_CHECK: Duration = Duration::from_secs(60);

/// Whether the radio is on a network.
#[derive(Debug, Default)]
pub struct Association {
    is_up: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Association {
    /// Sets whether the radio is on a network, and wakes the stack.
    pub fn set(&self, is_up: bool) {
        self.is_up.set(is_up);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A driver whose link is up only while the radio is on a network.
pub struct Associated<'a, D> {
    inner: D,
    association: &'a Association,
}

impl<'a, D: Driver> Associated<'a, D> {
    /// Wraps `inner`.
    pub fn new(inner: D, association: &'a Association) -> Self {
        Self { inner, association }
    }
}

impl<D: Driver> Driver for Associated<'_, D> {
    type RxToken<'a>
        = D::RxToken<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = D::TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        if !self.association.is_up.get() {
            // Discard frames of other stations.
            while self.inner.receive(cx).is_some() {}
            return None;
        }
        self.inner.receive(cx)
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        let token = self.inner.transmit(cx)?;
        self.association.is_up.get().then_some(token)
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.association.waker.replace(Some(cx.waker().clone()));
        let inner = self.inner.link_state(cx);
        if self.association.is_up.get() {
            inner
        } else {
            LinkState::Down
        }
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.inner.hardware_address()
    }
}

/// A radio in station mode.
pub struct StationRadio<'a> {
    /// The network in the settings.
    pub network: &'a Network,
    /// The networks that exist.
    pub networks: &'a RefCell<Networks>,
    /// Whether the radio is on a network.
    pub association: &'a Association,
    /// The network stack above the radio.
    pub stack: Stack<'a>,
}

impl StationRadio<'_> {
    /// Fails if the network in the settings cannot be joined now.
    fn check(&self) -> Result<(), Failure> {
        let mut networks = self.networks.borrow_mut();
        networks.refresh();
        match self.network {
            Network::Station { ssid, security } => networks.join(ssid, security),
            Network::AccessPoint { .. } => Err(Failure::NoSuchNetwork),
        }
    }

    fn address(&self) -> Option<Ipv4Addr> {
        let config = self.stack.config_v4();
        config.map(|config| config.address.address())
    }
}

impl station::Radio for StationRadio<'_> {
    async fn join(&mut self) -> Result<(), Failure> {
        self.check()?;
        self.association.set(true);
        Ok(())
    }

    async fn lease(&mut self) -> Result<Ipv4Addr, Failure> {
        loop {
            self.stack.wait_config_up().await;
            if let Some(address) = self.address() {
                return Ok(address);
            }
        }
    }

    async fn next_change(&mut self, address: Ipv4Addr) -> NetworkChange {
        loop {
            let can_change = self.networks.borrow().can_change();
            let pause = if can_change {
                FILE_CHECK
            } else {
                ADDRESS_CHECK
            };
            tokio::select! {
                () = self.stack.wait_link_down() => {}
                () = self.stack.wait_config_down() => {}
                () = Timer::after(pause) => {}
            }
            let vanished = can_change && self.check().is_err();
            if vanished || !self.stack.is_link_up() {
                return NetworkChange::Lost(Loss::Link);
            }
            match self.address() {
                None => return NetworkChange::Lost(Loss::Lease),
                Some(now) if now != address => return NetworkChange::Moved(now),
                Some(_) => {}
            }
        }
    }

    async fn leave(&mut self) {
        self.association.set(false);
    }
}
