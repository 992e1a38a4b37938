//! Whose turn it is: a few workers, given out in arrival order.
//!
//! smoltcp has no listen backlog: one socket takes one connection, and a SYN that finds no
//! listening socket is refused at once (RFC 9293, section 3.10.7.1). So a backlog of *b* behind
//! *w* workers is *w + b* sockets, all of them listening, and *w* permits: a connection beyond
//! the first *w* is accepted and then waits here for a permit.

use core::cell::Cell;

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::semaphore::{FairSemaphore, Semaphore, SemaphoreReleaser};

/// The workers of one server, and the queue before them.
///
/// `SLOTS` bounds how many connections can wait or be served at the same time.
pub struct Backlog<const SLOTS: usize> {
    permits: FairSemaphore<NoopRawMutex, SLOTS>,
    waiting: Cell<usize>,
    serving: Cell<usize>,
}

/// One worker at work; given back when it is dropped.
pub struct Worker<'a, const SLOTS: usize> {
    backlog: &'a Backlog<SLOTS>,
    _permit: SemaphoreReleaser<'a, FairSemaphore<NoopRawMutex, SLOTS>>,
}

impl<const SLOTS: usize> Backlog<SLOTS> {
    /// A queue before `workers` workers.
    pub const fn new(workers: usize) -> Self {
        Self {
            permits: FairSemaphore::new(workers),
            waiting: Cell::new(0),
            serving: Cell::new(0),
        }
    }

    /// Waits for a worker; those who asked earlier come first. Dropping the future leaves the
    /// queue.
    ///
    /// Returns `None` when more than `SLOTS` callers wait, which a server with `SLOTS` slots
    /// never sees.
    pub async fn worker(&self) -> Option<Worker<'_, SLOTS>> {
        let _place = Occupied::new(&self.waiting);
        let permit = self.permits.acquire(1).await.ok()?;
        self.serving.set(self.serving.get() + 1);
        Some(Worker {
            backlog: self,
            _permit: permit,
        })
    }

    /// Connections that have been accepted and wait for a worker.
    pub fn waiting(&self) -> usize {
        self.waiting.get()
    }

    /// Connections that a worker is serving.
    pub fn serving(&self) -> usize {
        self.serving.get()
    }
}

impl<const SLOTS: usize> Drop for Worker<'_, SLOTS> {
    fn drop(&mut self) {
        self.backlog.serving.set(self.backlog.serving.get() - 1);
    }
}

/// Counts itself for as long as it lives.
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
    fn workers_are_given_out_in_arrival_order() {
        let backlog = Backlog::<4>::new(1);
        let mut first = pin!(backlog.worker());
        let mut second = pin!(backlog.worker());
        let mut third = pin!(backlog.worker());
        let Poll::Ready(Some(worker)) = poll(first.as_mut()) else {
            panic!("a free worker is given at once");
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
    fn one_who_leaves_the_queue_loses_the_place_to_the_next() {
        let backlog = Backlog::<4>::new(1);
        let mut first = pin!(backlog.worker());
        let Poll::Ready(Some(worker)) = poll(first.as_mut()) else {
            panic!("a free worker is given at once");
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
    fn no_worker_at_all_serves_nobody() {
        let backlog = Backlog::<1>::new(0);
        let mut only = pin!(backlog.worker());
        assert!(poll(only.as_mut()).is_pending());
    }
}
