//! The board's end of the cable as embassy-net's driver.

use std::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_time::Instant;

use super::board::MacAddress;
use super::cable::{End, MAX_FRAME};

/// A cable's end that a board is plugged into.
pub struct CableDriver {
    end: End,
    mac: MacAddress,
}

impl CableDriver {
    /// Plugs a board with this hardware address into `end`.
    pub fn new(end: End, mac: MacAddress) -> Self {
        Self { end, mac }
    }
}

/// Wakes the task at `at`.
pub(super) fn wake_at(at: Instant, cx: &Context<'_>) {
    embassy_time_driver::schedule_wake(at.as_ticks(), cx.waker());
}

impl Driver for CableDriver {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Outgoing<'a, Self>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Frame, Outgoing<'_, Self>)> {
        let now = Instant::now();
        let frame = self.end.receive(now).or_else(|| {
            // Once more after the waker is known: a frame may have come in between.
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

impl SendFrame for CableDriver {
    fn send(&mut self, now: Instant, frame: Vec<u8>) {
        self.end.send(now, frame);
    }
}

/// What every virtual board's link can do.
pub(super) fn capabilities() -> Capabilities {
    let mut capabilities = Capabilities::default();
    capabilities.max_transmission_unit = MAX_FRAME;
    capabilities
}

/// Something that takes whole frames.
pub trait SendFrame {
    /// Takes a frame at `now`.
    fn send(&mut self, now: Instant, frame: Vec<u8>);
}

/// A frame that has arrived.
pub struct Frame(pub(super) Vec<u8>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

/// Room for a frame to send.
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
