//! Gives the servers their turn between frames.
//!
//! The stack takes frames for as long as there are any before it lets go of the processor. A peer
//! that answers each refusal with another SYN could keep it at that, while the slots that have
//! just become free never come to listen again. [`Bursts`] wraps any driver, hands over a bounded
//! number of frames and then says once that there are none.

use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};

/// A driver that pauses after a number of received frames.
pub struct Bursts<D> {
    inner: D,
    longest: usize,
    length: usize,
}

impl<D: Driver> Bursts<D> {
    /// Hands over at most `longest` frames of `inner` at a time. Not zero, or none ever comes.
    pub fn new(inner: D, longest: usize) -> Self {
        Self {
            inner,
            longest,
            length: 0,
        }
    }
}

impl<D: Driver> Driver for Bursts<D> {
    type RxToken<'a>
        = D::RxToken<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = D::TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        if self.length == self.longest {
            self.length = 0;
            // Who is woken already comes first, the stack after them.
            cx.waker().wake_by_ref();
            return None;
        }
        let tokens = self.inner.receive(cx);
        self.length = if tokens.is_some() { self.length + 1 } else { 0 };
        tokens
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        self.inner.transmit(cx)
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

#[cfg(test)]
mod tests {
    extern crate std;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use embassy_net_driver::{RxToken, TxToken};

    use super::*;

    /// A link on which `left` frames have come.
    struct Link {
        left: usize,
    }

    struct Token;

    impl RxToken for Token {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
            f(&mut [])
        }
    }

    impl TxToken for Token {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, _length: usize, f: F) -> R {
            f(&mut [])
        }
    }

    impl Driver for Link {
        type RxToken<'a> = Token;
        type TxToken<'a> = Token;

        fn receive(&mut self, _cx: &mut Context<'_>) -> Option<(Token, Token)> {
            self.left = self.left.checked_sub(1)?;
            Some((Token, Token))
        }

        fn transmit(&mut self, _cx: &mut Context<'_>) -> Option<Token> {
            Some(Token)
        }

        fn link_state(&mut self, _cx: &mut Context<'_>) -> LinkState {
            LinkState::Up
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities::default()
        }

        fn hardware_address(&self) -> HardwareAddress {
            HardwareAddress::Ip
        }
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What a stack does: takes frames until there are none. Returns how many, and whether it is
    /// woken for more.
    fn poll(bursts: &mut Bursts<Link>) -> (usize, bool) {
        let counted = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&counted));
        let mut cx = Context::from_waker(&waker);
        let mut frames = 0;
        while bursts.receive(&mut cx).is_some() {
            frames += 1;
        }
        (frames, counted.0.load(Ordering::Relaxed) > 0)
    }

    #[test]
    fn a_flood_comes_in_bursts_and_nothing_is_forgotten() {
        let mut bursts = Bursts::new(Link { left: 5 }, 2);
        assert_eq!(poll(&mut bursts), (2, true));
        assert_eq!(poll(&mut bursts), (2, true));
        assert_eq!(poll(&mut bursts), (1, false));
        assert_eq!(poll(&mut bursts), (0, false), "an idle link wakes nobody");
    }

    #[test]
    fn separate_frames_are_no_burst() {
        let mut bursts = Bursts::new(Link { left: 0 }, 2);
        for _ in 0..10 {
            bursts.inner.left = 1;
            assert_eq!(poll(&mut bursts), (1, false));
        }
    }
}
