//! The board's end of the link as an embassy-net driver.

use std::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_time::Instant;

use super::link::{End, MAX_FRAME};
use super::spec::MacAddress;

/// A board's network interface on a link.
pub struct LinkDriver {
    end: End,
    mac: MacAddress,
}

impl LinkDriver {
    /// The interface with this MAC address at `end`.
    pub fn new(end: End, mac: MacAddress) -> Self {
        Self { end, mac }
    }
}

/// Wakes the task at `at`.
pub(super) fn wake_at(at: Instant, cx: &Context<'_>) {
    embassy_time_driver::schedule_wake(at.as_ticks(), cx.waker());
}

impl Driver for LinkDriver {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Outgoing<'a, Self>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Frame, Outgoing<'_, Self>)> {
        let now = Instant::now();
        let frame = self.end.receive(now).or_else(|| {
            // Check again after registering the waker, because a frame may have arrived in between.
            self.end.wake(cx.waker());
            self.end.receive(now)
        });
        let Some(frame) = frame else {
            if let Some(at) = self.end.next_arrival() {
                wake_at(at, cx);
            }
            return None;
        };
        Some((Frame(frame), Outgoing { port: self, now }))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Outgoing<'_, Self>> {
        let now = Instant::now();
        if let Err(at) = self.end.room(now) {
            self.end.wake(cx.waker());
            if let Some(at) = at {
                wake_at(at, cx);
            }
            return None;
        }
        Some(Outgoing { port: self, now })
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.end.wake(cx.waker());
        if self.end.is_up() {
            LinkState::Up
        } else {
            LinkState::Down
        }
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

impl SendFrame for LinkDriver {
    fn send(&mut self, now: Instant, frame: Vec<u8>) {
        self.end.send(now, frame);
    }
}

/// Capabilities of every virtual board's interface.
pub(super) fn capabilities() -> Capabilities {
    let mut capabilities = Capabilities::default();
    capabilities.max_transmission_unit = MAX_FRAME;
    capabilities
}

/// An interface that sends whole frames.
pub trait SendFrame {
    /// Sends a frame at `now`.
    fn send(&mut self, now: Instant, frame: Vec<u8>);
}

/// A received frame.
pub struct Frame(pub(super) Vec<u8>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

/// Permission to send one frame.
pub struct Outgoing<'a, P> {
    pub(super) port: &'a mut P,
    pub(super) now: Instant,
}

impl<P: SendFrame> TxToken for Outgoing<'_, P> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.port.send(self.now, frame);
        result
    }
}
