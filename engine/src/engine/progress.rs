//! How a run stands while it goes on, put together from its threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::serialization::{Serializer as _, V2Serializer};

use super::recorder::{CLASSES, Interval};
use crate::load::Detail;
use crate::measurement::{ErrorClass, Second, SecondHistograms, Timed};
use crate::times::Times;

/// How a run stands.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Since the start of the measured part; zero during the warm-up.
    pub elapsed: Duration,
    /// Requests that were completed as expected.
    pub completed: u64,
    /// Requests that failed, by class.
    pub errors: BTreeMap<ErrorClass, u64>,
    /// Requests on their way.
    pub in_flight: usize,
    /// The median of the complete times so far, nanoseconds.
    pub p50: u64,
    /// Their 99th percentile, nanoseconds.
    pub p99: u64,
    /// The seconds that are over. The rate of the last one is its `completed`.
    pub seconds: Vec<Second>,
}

/// Who follows a run. Nothing has to be done.
pub trait Observer {
    /// Takes note of how the run stands: every 100 ms, between two waits of the engine's thread
    /// where there is one thread, so that it should be quick.
    fn progress(&mut self, progress: &Progress) {
        let _ = progress;
    }

    /// Whether the run is to end now, as it stands. Asked between any two waits, and so at least
    /// every 100 ms.
    fn is_to_stop(&self) -> bool {
        false
    }
}

/// Nobody follows.
impl Observer for () {}

/// What the threads of a run have in common.
pub(super) struct Board {
    stop: AtomicBool,
    inner: Mutex<Inner>,
}

struct Inner {
    threads: usize,
    so_far: Progress,
    complete: Times,
    /// Requests on their way, by thread.
    in_flight: Vec<usize>,
    /// Threads that have come to their end.
    ended: usize,
    /// Seconds that not all threads have left yet.
    open: std::collections::VecDeque<OpenSecond>,
    detail: Detail,
    /// The distributions of those that all have left, where they are kept.
    histograms: Vec<SecondHistograms>,
}

#[derive(Default)]
struct OpenSecond {
    completed: u64,
    failed: u64,
    /// Times, by [`Timed`].
    times: [Times; Timed::ALL.len()],
    /// Threads that have left it.
    left: usize,
}

impl OpenSecond {
    fn close(&self) -> Second {
        let complete = &self.times[Timed::Complete as usize];
        Second {
            completed: self.completed,
            failed: self.failed,
            p50: complete.value_at_quantile(0.5),
            p99: complete.value_at_quantile(0.99),
        }
    }

    /// Not deflated: that would take a load's thread ten times as long.
    fn histograms(&self) -> SecondHistograms {
        let pack = |times: &Times| {
            let mut bytes = Vec::new();
            if !times.is_empty() {
                // Into memory, of a histogram with fewer than 2^32 buckets: it can't fail.
                let _ = V2Serializer::new().serialize(&times.histogram(), &mut bytes);
            }
            bytes
        };
        SecondHistograms(self.times.each_ref().map(pack))
    }
}

impl Board {
    pub(super) fn new(threads: usize, detail: Detail) -> Self {
        Self {
            stop: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                threads,
                so_far: Progress::default(),
                complete: Times::new(),
                in_flight: vec![0; threads],
                ended: 0,
                open: std::collections::VecDeque::new(),
                detail,
                histograms: Vec::new(),
            }),
        }
    }

    /// Ends the run in all its threads.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked ends the run; what it has left here are numbers all the same.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what a thread has seen since it was last here, in second number `second`.
    pub(super) fn publish(
        &self,
        thread: usize,
        second: usize,
        elapsed: Duration,
        in_flight: usize,
        interval: &Interval,
    ) {
        let mut inner = self.inner();
        inner.so_far.elapsed = inner.so_far.elapsed.max(elapsed);
        inner.in_flight[thread] = in_flight;
        if interval.is_empty() {
            return;
        }
        inner.so_far.completed += interval.complete().len() as u64;
        for (class, count) in CLASSES.into_iter().zip(interval.errors) {
            if count > 0 {
                *inner.so_far.errors.entry(class).or_default() += count;
            }
        }
        inner.complete.take(&mut interval.complete().to_vec());
        let detail = inner.detail;
        if let Some(open) = inner.open_second(second) {
            open.completed += interval.complete().len() as u64;
            open.failed += interval.errors.iter().sum::<u64>();
            for timed in Timed::ALL {
                if timed == Timed::Complete || detail == Detail::Seconds {
                    let mut times = interval.times[timed as usize].clone();
                    open.times[timed as usize].take(&mut times);
                }
            }
        }
    }

    /// A thread will publish nothing more for this second.
    pub(super) fn leave(&self, second: usize) {
        let mut inner = self.inner();
        if let Some(open) = inner.open_second(second) {
            open.left += 1;
        }
        inner.close_seconds();
    }

    /// A thread has come to its end in this second: it will publish nothing more, and hold up
    /// no second that the others are in.
    pub(super) fn end(&self, second: usize) {
        let mut inner = self.inner();
        let passed = second.saturating_sub(inner.so_far.seconds.len());
        for open in inner.open.iter_mut().skip(passed) {
            open.left += 1;
        }
        inner.ended += 1;
        inner.close_seconds();
    }

    /// How the run stands.
    pub(super) fn progress(&self) -> Progress {
        let mut inner = self.inner();
        inner.so_far.in_flight = inner.in_flight.iter().sum();
        let complete = &inner.complete;
        let (p50, p99) = (
            complete.value_at_quantile(0.5),
            complete.value_at_quantile(0.99),
        );
        (inner.so_far.p50, inner.so_far.p99) = (p50, p99);
        inner.so_far.clone()
    }

    /// The record of all seconds, and their distributions where they are kept, when every thread
    /// has ended.
    pub(super) fn seconds(&self) -> (Vec<Second>, Vec<SecondHistograms>) {
        let mut inner = self.inner();
        while let Some(second) = inner.open.pop_front() {
            inner.close(&second);
        }
        let seconds = std::mem::take(&mut inner.so_far.seconds);
        (seconds, std::mem::take(&mut inner.histograms))
    }
}

impl Inner {
    /// The record of a second that is not over; `None` for one that is.
    fn open_second(&mut self, second: usize) -> Option<&mut OpenSecond> {
        let index = second.checked_sub(self.so_far.seconds.len())?;
        while self.open.len() <= index {
            self.open.push_back(OpenSecond {
                left: self.ended,
                ..OpenSecond::default()
            });
        }
        self.open.get_mut(index)
    }

    /// Takes those into the record that all threads have left.
    fn close_seconds(&mut self) {
        while let Some(second) = self.open.pop_front_if(|open| open.left >= self.threads) {
            self.close(&second);
        }
    }

    fn close(&mut self, second: &OpenSecond) {
        self.so_far.seconds.push(second.close());
        if self.detail == Detail::Seconds {
            self.histograms.push(second.histograms());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(count: u64) -> Interval {
        let mut interval = Interval::default();
        interval.times[Timed::Complete as usize] = (1..=count).collect();
        interval
    }

    #[test]
    fn a_second_is_over_when_all_threads_have_left_it_or_ended() {
        let board = Board::new(2, Detail::Run);
        let publish = |thread, second, count| {
            board.publish(thread, second, Duration::ZERO, 1, &completed(count));
        };
        publish(0, 0, 3);
        board.leave(0);
        publish(0, 1, 5);
        assert!(board.progress().seconds.is_empty(), "the other is in it");
        publish(1, 0, 4);
        board.end(0);
        let seconds: Vec<u64> = board
            .progress()
            .seconds
            .iter()
            .map(|s| s.completed)
            .collect();
        assert_eq!(seconds, [7]);
        board.leave(1);
        publish(0, 2, 1);
        board.leave(2);
        board.leave(3);
        board.end(4);
        let (seconds, histograms) = board.seconds();
        let seconds: Vec<u64> = seconds.iter().map(|s| s.completed).collect();
        assert_eq!(seconds, [7, 5, 1, 0]);
        assert!(histograms.is_empty(), "nobody asked for them");
    }
}
