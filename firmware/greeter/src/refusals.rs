//! Counts the SYNs that the stack refused.
//!
//! smoltcp answers a SYN without a listening socket with a reset, and reports it nowhere. In the
//! driver it is visible: an outgoing segment with RST and ACK and sequence number zero answers a SYN
//! (RFC 9293 §3.10.7.1). [`Refusals`] wraps a driver and counts those.

use core::cell::Cell;
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, TxToken};

/// A driver that counts refused SYNs to one port.
pub struct Refusals<'a, D> {
    inner: D,
    port: u16,
    count: &'a Cell<u32>,
}

impl<'a, D: Driver> Refusals<'a, D> {
    /// Wraps `inner` and counts resets that answer a SYN to `port`.
    pub fn new(inner: D, port: u16, count: &'a Cell<u32>) -> Self {
        Self { inner, port, count }
    }
}

impl<D: Driver> Driver for Refusals<'_, D> {
    type RxToken<'a>
        = D::RxToken<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Watched<'a, D::TxToken<'a>>
    where
        Self: 'a;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (rx, inner) = self.inner.receive(cx)?;
        let watched = Watched {
            inner,
            port: self.port,
            count: self.count,
        };
        Some((rx, watched))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        let inner = self.inner.transmit(cx)?;
        Some(Watched {
            inner,
            port: self.port,
            count: self.count,
        })
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

/// A frame to send, which is inspected.
pub struct Watched<'a, T> {
    inner: T,
    port: u16,
    count: &'a Cell<u32>,
}

impl<T: TxToken> TxToken for Watched<'_, T> {
    fn consume<R, F>(self, len: usize, f: F) -> R
    where
        F: FnOnce(&mut [u8]) -> R,
    {
        self.inner.consume(len, |frame| {
            let result = f(frame);
            if is_refusal(frame, self.port) {
                self.count.set(self.count.get().wrapping_add(1));
            }
            result
        })
    }
}

/// Whether an Ethernet frame carries the reset that refuses a SYN to `port`, over IPv4.
fn is_refusal(frame: &[u8], port: u16) -> bool {
    const ETHERNET_HEADER: usize = 14;
    const IPV4: [u8; 2] = [0x08, 0x00];
    const TCP: u8 = 6;
    const RST_ACK: u8 = 0x14;
    const FLAGS: u8 = 0x3f;

    let parse = || {
        let (ethernet, packet) = frame.split_at_checked(ETHERNET_HEADER)?;
        if ethernet.get(12..14)? != IPV4 || *packet.get(9)? != TCP {
            return None;
        }
        let segment = packet.get(usize::from(packet.first()? & 0x0f) * 4..)?;
        let source = segment.get(0..2)?;
        let sequence = segment.get(4..8)?;
        let flags = *segment.get(13)? & FLAGS;
        Some(source == port.to_be_bytes() && sequence == [0; 4] && flags == RST_ACK)
    };
    parse().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::is_refusal;

    /// An Ethernet frame with an IPv4 packet and a TCP header: port 3000, RST and ACK, sequence 0.
    fn refusal() -> [u8; 54] {
        let mut frame = [0; 54];
        frame[12] = 0x08;
        frame[14] = 0x45;
        frame[23] = 6;
        frame[34..36].copy_from_slice(&3000_u16.to_be_bytes());
        frame[47] = 0x14;
        frame
    }

    #[test]
    fn only_resets_that_answer_a_syn_count() {
        assert!(is_refusal(&refusal(), 3000));
        assert!(!is_refusal(&refusal(), 3001));
        let mut in_the_middle = refusal();
        in_the_middle[41] = 1;
        assert!(
            !is_refusal(&in_the_middle, 3000),
            "a sequence number: an established connection"
        );
        let mut syn_ack = refusal();
        syn_ack[47] = 0x12;
        assert!(!is_refusal(&syn_ack, 3000));
        let mut udp = refusal();
        udp[23] = 17;
        assert!(!is_refusal(&udp, 3000));
    }

    #[test]
    fn truncated_frames_do_not_count() {
        let mut frame = refusal();
        for end in 0..48 {
            assert!(!is_refusal(&frame[..end], 3000), "{end}");
        }
        // An IPv4 header length that points past the end.
        frame[14] = 0x4f;
        assert!(!is_refusal(&frame, 3000));
    }
}
