//! A driver that counts outgoing resets, which a client that forgot the connection does not see.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, TxToken};

/// The number of TCP segments with RST that a board has sent.
#[derive(Clone, Default)]
pub(crate) struct Resets(Arc<AtomicU64>);

impl Resets {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Wraps a driver.
    pub(crate) fn watch<D: Driver>(&self, driver: D) -> Watched<D> {
        Watched {
            inner: driver,
            resets: self.clone(),
        }
    }
}

/// A driver or token that counts.
pub(crate) struct Watched<T> {
    inner: T,
    resets: Resets,
}

impl<D: Driver> Driver for Watched<D> {
    type RxToken<'a>
        = D::RxToken<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Watched<D::TxToken<'a>>
    where
        Self: 'a;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (received, inner) = self.inner.receive(cx)?;
        let resets = self.resets.clone();
        Some((received, Watched { inner, resets }))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        let inner = self.inner.transmit(cx)?;
        let resets = self.resets.clone();
        Some(Watched { inner, resets })
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.inner.link_state(cx)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.inner.hardware_address()
    }
}

impl<T: TxToken> TxToken for Watched<T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        self.inner.consume(length, |frame| {
            let result = fill(frame);
            if is_reset(frame) {
                self.resets.0.fetch_add(1, Ordering::Relaxed);
            }
            result
        })
    }
}

/// Whether an Ethernet frame carries a TCP segment with RST over IPv4.
fn is_reset(frame: &[u8]) -> bool {
    const ETHERNET_HEADER: usize = 14;
    const TCP: u8 = 6;
    const RST: u8 = 0x04;
    let flags = || {
        let packet = frame.get(ETHERNET_HEADER..)?;
        let header = usize::from(packet.first()? & 0x0f) * 4;
        let is_tcp = frame[12..14] == [0x08, 0x00] && *packet.get(9)? == TCP;
        is_tcp.then(|| packet.get(header + 13)).flatten()
    };
    flags().is_some_and(|flags| flags & RST != 0)
}
