//! Assigns workers to connections in arrival order.
//!
//! smoltcp has no listen backlog: a socket accepts one connection, and a SYN without a listening
//! socket is refused (RFC 9293 §3.10.7.1). A backlog of *b* behind *w* workers is therefore *w + b*
//! listening sockets and *w* permits. Further connections are accepted and wait here for a permit.

use core::cell::Cell;

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::semaphore::{FairSemaphore, Semaphore, SemaphoreReleaser};

/// The workers of one server, and the queue for them.
///
/// `SLOTS` bounds the number of connections.
pub struct Backlog<const SLOTS: usize> {
    permits: FairSemaphore<NoopRawMutex, SLOTS>,
    waiting: Cell<usize>,
    serving: Cell<usize>,
}

/// A busy worker, released when dropped.
pub struct Worker<'a, const SLOTS: usize> {
    backlog: &'a Backlog<SLOTS>,
    _permit: SemaphoreReleaser<'a, FairSemaphore<NoopRawMutex, SLOTS>>,
}

impl<const SLOTS: usize> Backlog<SLOTS> {
    /// A queue for this many workers.
    pub const fn new(workers: usize) -> Self {
        Self {
            permits: FairSemaphore::new(workers),
            waiting: Cell::new(0),
            serving: Cell::new(0),
        }
    }

    /// Waits for a worker, in order of arrival. Dropping the future leaves the queue.
    ///
    /// Returns `None` if more than `SLOTS` callers wait.
    pub async fn worker(&self) -> Option<Worker<'_, SLOTS>> {
        let _place = Occupied::new(&self.waiting);
        let permit = self.permits.acquire(1).await.ok()?;
        self.serving.set(self.serving.get() + 1);
        Some(Worker {
            backlog: self,
            _permit: permit,
        })
    }

    /// Connections that wait for a worker.
    pub fn waiting(&self) -> usize {
        self.waiting.get()
    }

    /// Connections that are being served by a worker.
    pub fn serving(&self) -> usize {
        self.serving.get()
    }
}

impl<const SLOTS: usize> Drop for Worker<'_, SLOTS> {
    fn drop(&mut self) {
        self.backlog.serving.set(self.backlog.serving.get() - 1);
    }
}

/// Increments a count until it is dropped.
struct Occupied<'a>(&'a Cell<usize>);

impl<'a> Occupied<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Occupied<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use core::future::Future;
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    use super::Backlog;

    fn poll<F: Future>(future: core::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn workers_are_assigned_in_arrival_order() {
        let backlog = Backlog::<4>::new(1);
        let mut first = pin!(backlog.worker());
        let mut second = pin!(backlog.worker());
        let mut third = pin!(backlog.worker());
        let Poll::Ready(Some(worker)) = poll(first.as_mut()) else {
            panic!("a free worker is assigned at once");
        };
        assert!(poll(second.as_mut()).is_pending());
        assert!(poll(third.as_mut()).is_pending());
        assert_eq!((backlog.serving(), backlog.waiting()), (1, 2));
        drop(worker);
        assert!(
            poll(third.as_mut()).is_pending(),
            "third has to wait for second"
        );
        let Poll::Ready(Some(_worker)) = poll(second.as_mut()) else {
            panic!("second is next");
        };
        assert_eq!((backlog.serving(), backlog.waiting()), (1, 1));
    }

    #[test]
    fn leaving_the_queue_frees_the_position() {
        let backlog = Backlog::<4>::new(1);
        let mut first = pin!(backlog.worker());
        let Poll::Ready(Some(worker)) = poll(first.as_mut()) else {
            panic!("a free worker is assigned at once");
        };
        let mut third = pin!(backlog.worker());
        {
            let mut second = pin!(backlog.worker());
            assert!(poll(second.as_mut()).is_pending());
            assert!(poll(third.as_mut()).is_pending());
        }
        assert_eq!(backlog.waiting(), 1);
        drop(worker);
        assert!(poll(third.as_mut()).is_ready());
    }

    #[test]
    fn without_workers_connections_wait() {
        let backlog = Backlog::<1>::new(0);
        let mut only = pin!(backlog.worker());
        assert!(poll(only.as_mut()).is_pending());
    }
}
