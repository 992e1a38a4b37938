//! The progress of a running load, collected from its threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::serialization::{Serializer as _, V2Serializer};

use super::interval::{CLASSES, Interval};
use crate::load::Detail;
use crate::measurement::{ErrorClass, Second, SecondHistograms, Timed};
use crate::times::Times;

/// The state of a running load.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Time since the start of the measured part; zero during the warm-up.
    pub elapsed: Duration,
    /// Completed requests.
    pub completed: u64,
    /// Failed requests by class.
    pub errors: BTreeMap<ErrorClass, u64>,
    /// Requests in flight.
    pub in_flight: usize,
    /// Median of the completion times so far, nanoseconds.
    pub p50: u64,
    /// 99th percentile of the completion times so far, nanoseconds.
    pub p99: u64,
    /// Finished seconds. The current rate is `completed` of the last one.
    pub seconds: Vec<Second>,
}

/// Follows a running load. All methods are optional.
pub trait Observer {
    /// Receives the progress every 100 ms. With a single thread it is called between two waits of
    /// the engine and should return quickly.
    fn progress(&mut self, progress: &Progress) {
        let _ = progress;
    }

    /// Whether the run should end now. Called between any two waits, at least every 100 ms.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Observes nothing.
impl Observer for () {}

/// State shared by the threads of a run.
pub(super) struct SharedProgress {
    stop: AtomicBool,
    inner: Mutex<Inner>,
}

struct Inner {
    threads: usize,
    progress: Progress,
    complete: Times,
    /// Requests in flight by thread.
    in_flight: Vec<usize>,
    /// Threads that have ended.
    ended: usize,
    /// Seconds that at least one thread has not finished.
    open: std::collections::VecDeque<OpenSecond>,
    detail: Detail,
    /// Distributions of finished seconds, if [`Detail::Seconds`] is set.
    histograms: Vec<SecondHistograms>,
}

#[derive(Default)]
struct OpenSecond {
    completed: u64,
    failed: u64,
    /// Times of this second by [`Timed`].
    times: [Times; Timed::ALL.len()],
    /// Threads that have finished this second.
    finished: usize,
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

    /// The distributions in the plain V2 format. Deflating them would take ten times as long on the
    /// load's thread.
    fn histograms(&self) -> SecondHistograms {
        let pack = |times: &Times| {
            let mut bytes = Vec::new();
            if !times.is_empty() {
                // Cannot fail: writes fewer than 2^32 buckets to memory.
                let _ = V2Serializer::new().serialize(&times.histogram(), &mut bytes);
            }
            bytes
        };
        SecondHistograms(self.times.each_ref().map(pack))
    }
}

impl SharedProgress {
    pub(super) fn new(threads: usize, detail: Detail) -> Self {
        Self {
            stop: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                threads,
                progress: Progress::default(),
                complete: Times::new(),
                in_flight: vec![0; threads],
                ended: 0,
                open: std::collections::VecDeque::new(),
                detail,
                histograms: Vec::new(),
            }),
        }
    }

    /// Stops all threads.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // After a panic, the counts are still valid.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a thread's interval to second number `second`.
    pub(super) fn publish(
        &self,
        thread: usize,
        second: usize,
        elapsed: Duration,
        in_flight: usize,
        interval: &Interval,
    ) {
        let mut inner = self.inner();
        inner.progress.elapsed = inner.progress.elapsed.max(elapsed);
        inner.in_flight[thread] = in_flight;
        if interval.is_empty() {
            return;
        }
        inner.progress.completed += interval.complete().len() as u64;
        for (class, count) in CLASSES.into_iter().zip(interval.errors) {
            if count > 0 {
                *inner.progress.errors.entry(class).or_default() += count;
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

    /// Marks a second as finished for one thread.
    pub(super) fn leave(&self, second: usize) {
        let mut inner = self.inner();
        if let Some(open) = inner.open_second(second) {
            open.finished += 1;
        }
        inner.close_seconds();
    }

    /// Marks a thread as ended in this second, so that later seconds do not wait for it.
    pub(super) fn end(&self, second: usize) {
        let mut inner = self.inner();
        let passed = second.saturating_sub(inner.progress.seconds.len());
        for open in inner.open.iter_mut().skip(passed) {
            open.finished += 1;
        }
        inner.ended += 1;
        inner.close_seconds();
    }

    /// The current state.
    pub(super) fn progress(&self) -> Progress {
        let mut inner = self.inner();
        inner.progress.in_flight = inner.in_flight.iter().sum();
        let complete = &inner.complete;
        let (p50, p99) = (
            complete.value_at_quantile(0.5),
            complete.value_at_quantile(0.99),
        );
        (inner.progress.p50, inner.progress.p99) = (p50, p99);
        inner.progress.clone()
    }

    /// All seconds and, if kept, their distributions, once every thread has ended.
    pub(super) fn seconds(&self) -> (Vec<Second>, Vec<SecondHistograms>) {
        let mut inner = self.inner();
        while let Some(second) = inner.open.pop_front() {
            inner.close(&second);
        }
        let seconds = std::mem::take(&mut inner.progress.seconds);
        (seconds, std::mem::take(&mut inner.histograms))
    }
}

impl Inner {
    /// The record of an unfinished second; `None` for a finished one.
    fn open_second(&mut self, second: usize) -> Option<&mut OpenSecond> {
        let index = second.checked_sub(self.progress.seconds.len())?;
        while self.open.len() <= index {
            self.open.push_back(OpenSecond {
                finished: self.ended,
                ..OpenSecond::default()
            });
        }
        self.open.get_mut(index)
    }

    /// Closes the seconds that all threads have finished.
    fn close_seconds(&mut self) {
        while let Some(second) = self.open.pop_front_if(|open| open.finished >= self.threads) {
            self.close(&second);
        }
    }

    fn close(&mut self, second: &OpenSecond) {
        self.progress.seconds.push(second.close());
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
    fn second_ends_when_all_threads_left_it_or_ended() {
        let shared = SharedProgress::new(2, Detail::Run);
        let publish = |thread, second, count| {
            shared.publish(thread, second, Duration::ZERO, 1, &completed(count));
        };
        publish(0, 0, 3);
        shared.leave(0);
        publish(0, 1, 5);
        assert!(
            shared.progress().seconds.is_empty(),
            "the other thread is still in it"
        );
        publish(1, 0, 4);
        shared.end(0);
        let seconds: Vec<u64> = shared
            .progress()
            .seconds
            .iter()
            .map(|s| s.completed)
            .collect();
        assert_eq!(seconds, [7]);
        shared.leave(1);
        publish(0, 2, 1);
        shared.leave(2);
        shared.leave(3);
        shared.end(4);
        let (seconds, histograms) = shared.seconds();
        let seconds: Vec<u64> = seconds.iter().map(|s| s.completed).collect();
        assert_eq!(seconds, [7, 5, 1, 0]);
        assert!(histograms.is_empty(), "not requested");
    }
}
