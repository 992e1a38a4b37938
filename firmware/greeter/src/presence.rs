//! Whether the board is on a network, for servers that run only then.

use core::cell::Cell;
use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Poll, Waker};

use embassy_futures::select::select;

/// Whether the board is on a network. `N` is the maximum number of waiting servers.
///
/// The stack's own notifications wake only one waiter. This one wakes all of them.
#[derive(Debug)]
pub struct Presence<const N: usize> {
    online: Cell<bool>,
    waiting: RefCell<heapless::Vec<Waker, N>>,
}

impl<const N: usize> Presence<N> {
    /// Offline.
    pub const fn new() -> Self {
        Self {
            online: Cell::new(false),
            waiting: RefCell::new(heapless::Vec::new()),
        }
    }

    /// Sets whether the board is on a network.
    pub fn set(&self, online: bool) {
        if self.online.replace(online) != online {
            let waiting = core::mem::take(&mut *self.waiting.borrow_mut());
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Whether the board is on a network.
    pub fn is_online(&self) -> bool {
        self.online.get()
    }

    /// Waits until the board is online, or offline.
    async fn wait(&self, online: bool) {
        poll_fn(|cx| {
            if self.online.get() == online {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|known| known.will_wake(cx.waker()))
                && let Err(waker) = waiting.push(cx.waker().clone())
            {
                // There is no room for another waiter, so this one polls.
                waker.wake();
            }
            Poll::Pending
        })
        .await;
    }

    /// Runs `serve` while the board is on a network. Drops it with its sockets when the network is
    /// lost, and starts it again on the next one.
    pub async fn serve_online(&self, mut serve: impl AsyncFnMut()) -> ! {
        loop {
            self.wait(true).await;
            select(serve(), self.wait(false)).await;
        }
    }
}

impl<const N: usize> Default for Presence<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use core::future::{Future, pending};
    use core::pin::pin;
    use core::task::Context;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts live sockets.
    struct Socket<'c>(&'c Cell<i32>);

    impl Drop for Socket<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }

    #[test]
    fn sockets_exist_only_while_online() {
        let presence = Presence::<2>::new();
        let sockets = Cell::new(0);
        let serve = async || {
            sockets.set(sockets.get() + 1);
            let _socket = Socket(&sockets);
            pending::<()>().await;
        };
        let mut first = pin!(presence.serve_online(serve));
        let mut second = pin!(presence.serve_online(serve));
        let counts = [Arc::new(Wakes::default()), Arc::new(Wakes::default())];
        let mut poll = || {
            let wakers = counts.clone().map(Waker::from);
            assert!(
                first
                    .as_mut()
                    .poll(&mut Context::from_waker(&wakers[0]))
                    .is_pending()
            );
            assert!(
                second
                    .as_mut()
                    .poll(&mut Context::from_waker(&wakers[1]))
                    .is_pending()
            );
        };
        let woken = || {
            counts
                .clone()
                .map(|wakes| wakes.0.swap(0, Ordering::Relaxed) > 0)
        };

        poll();
        assert_eq!(sockets.get(), 0);
        for _ in 0..3 {
            presence.set(true);
            assert_eq!(woken(), [true, true], "all are woken");
            poll();
            poll();
            assert_eq!(sockets.get(), 2);
            presence.set(true);
            assert_eq!(woken(), [false, false], "no change");
            presence.set(false);
            assert_eq!(woken(), [true, true]);
            poll();
            assert_eq!(sockets.get(), 0, "no socket survives its network");
        }
    }

    #[test]
    fn excess_waiter_polls() {
        let presence = Presence::<0>::new();
        let count = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut waiting = pin!(presence.wait(true));
        assert!(
            waiting
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
