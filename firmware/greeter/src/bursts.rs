//! Bounds how many frames the stack processes before the servers run.
//!
//! The stack processes frames as long as there are any. A peer that answers each refusal with
//! another SYN could keep it busy while freed slots never listen again. [`Bursts`] wraps a driver and
//! reports no frame after a bounded number of them.

use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};

/// A driver that pauses after a number of received frames.
pub struct Bursts<D> {
    inner: D,
    longest: usize,
    length: usize,
}

impl<D: Driver> Bursts<D> {
    /// Passes at most `longest` frames of `inner` at a time. `longest` must not be zero.
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
            // Tasks that are already woken run before the stack.
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

    /// A link with `left` received frames.
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

    /// Receives frames until there are none, as a stack does. Returns how many, and whether it was
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
    fn flood_is_split_into_bursts() {
        let mut bursts = Bursts::new(Link { left: 5 }, 2);
        assert_eq!(poll(&mut bursts), (2, true));
        assert_eq!(poll(&mut bursts), (2, true));
        assert_eq!(poll(&mut bursts), (1, false));
        assert_eq!(poll(&mut bursts), (0, false), "an idle link wakes no task");
    }

    #[test]
    fn separate_frames_are_not_delayed() {
        let mut bursts = Bursts::new(Link { left: 0 }, 2);
        for _ in 0..10 {
            bursts.inner.left = 1;
            assert_eq!(poll(&mut bursts), (1, false));
        }
    }
}
