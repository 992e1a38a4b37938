//! The measurements of one thread.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::interval::{CLASSES, Interval, TICK};
use super::log::{Log, TimeKind};
use super::progress::SharedProgress;
use crate::load::{Extent, Load, Pace, Reuse};
use crate::measurement::{ConnectionTotals, ErrorClass, LateStarts, Measurement, RuleUse};
use crate::readiness::ConnectionInfo;
use crate::sys::clocks::{cpu_time, run_delay};
use crate::times::Times;

const SECOND: u64 = 1_000_000_000;

/// The measurements of one thread. Times are nanoseconds on the network's clock.
pub(super) struct Recorder {
    shared: Arc<SharedProgress>,
    thread: usize,
    /// When the measured part begins.
    begin: u64,
    started_at: SystemTime,
    cpu_at_begin: Option<Duration>,
    run_delay_at_begin: Option<Duration>,
    /// When the load ends, if it has a fixed duration.
    end: Option<u64>,
    completed_in_window: u64,
    last_completion: u64,
    next_tick: u64,
    has_published: bool,
    second: usize,
    log: Log,
    interval: Interval,
    completed: u64,
    errors: [u64; CLASSES.len()],
    pub(super) late_starts: LateStarts,
    late_wake_ups: u64,
    /// Times by [`TimeKind`].
    times: [Times; TimeKind::ALL.len()],
    totals: Option<Totals>,
}

#[derive(Default)]
struct Totals {
    syn_retransmissions: u64,
    retransmissions: u64,
    receiver_limited: Sum,
    send_buffer_limited: Sum,
}

/// A sum of times, some of which are unknown.
#[derive(Default)]
struct Sum {
    nanoseconds: u64,
    is_known: bool,
}

impl Sum {
    fn add(&mut self, time: Option<Duration>) {
        self.is_known |= time.is_some();
        self.nanoseconds += time.map_or(0, super::nanos);
    }

    fn known(&self) -> Option<Duration> {
        self.is_known
            .then_some(Duration::from_nanos(self.nanoseconds))
    }
}

impl Recorder {
    pub(super) fn new(load: &Load, shared: Arc<SharedProgress>, thread: usize, now: u64) -> Self {
        let warm_up = super::nanos(load.warm_up);
        let begin = now + warm_up;
        let length = match (load.extent, load.pace) {
            (Extent::Duration(duration), _) => Some(duration),
            (Extent::Requests(requests), Pace::Open { rate, .. }) => {
                let seconds = requests.get() as f64 / rate.per_second();
                Duration::try_from_secs_f64(seconds).ok()
            }
            (Extent::Requests(_), Pace::Closed { .. }) => None,
        };
        let end = length.map(|length| begin.saturating_add(super::nanos(length)));
        Self {
            shared,
            thread,
            begin,
            started_at: SystemTime::now() + load.warm_up,
            cpu_at_begin: cpu_time(),
            run_delay_at_begin: run_delay(),
            end,
            completed_in_window: 0,
            last_completion: now,
            next_tick: now + warm_up.min(TICK),
            has_published: false,
            second: 0,
            log: Log::new(),
            interval: Interval::default(),
            completed: 0,
            errors: [0; CLASSES.len()],
            late_starts: LateStarts::default(),
            late_wake_ups: 0,
            times: Default::default(),
            totals: None,
        }
    }

    /// Postpones the measured part after the load's clock was stopped.
    pub(super) fn shift(&mut self, by: u64) {
        self.begin += by;
        self.started_at += Duration::from_nanos(by);
        self.next_tick += by;
        self.last_completion += by;
        self.end = self.end.map(|end| end + by);
    }

    /// When the measured part begins.
    pub(super) fn begin(&self) -> u64 {
        self.begin
    }

    /// When [`Self::tick`] is due.
    pub(super) fn next_tick(&self) -> u64 {
        self.next_tick
    }

    /// Publishes what happened before `now`, once per [`TICK`].
    #[inline]
    pub(super) fn tick(&mut self, now: u64, in_flight: usize) {
        if now >= self.next_tick {
            self.on_tick(now, in_flight);
        }
    }

    #[cold]
    fn on_tick(&mut self, now: u64, in_flight: usize) {
        self.has_published = true;
        self.publish(now, in_flight);
        if now < self.begin {
            self.next_tick = self.begin.min(self.next_tick + TICK);
            return;
        }
        if self.next_tick == self.begin {
            // The warm-up has just ended.
            self.cpu_at_begin = cpu_time();
            self.run_delay_at_begin = run_delay();
        }
        let elapsed = now - self.begin;
        self.next_tick = self.begin + (elapsed / TICK + 1) * TICK;
        let second = usize::try_from(elapsed / SECOND).unwrap_or(usize::MAX);
        while self.second < second {
            self.shared.leave(self.second);
            self.second += 1;
        }
    }

    /// Whether something was published since the last call.
    pub(super) fn take_published(&mut self) -> bool {
        std::mem::take(&mut self.has_published)
    }

    #[cold]
    fn publish(&mut self, now: u64, in_flight: usize) {
        let elapsed = Duration::from_nanos(now.saturating_sub(self.begin));
        self.log.sort_into(&mut self.interval.times);
        let (thread, second) = (self.thread, self.second);
        self.shared
            .publish(thread, second, elapsed, in_flight, &self.interval);
        for (all, times) in self.times.iter_mut().zip(&mut self.interval.times) {
            all.take(times);
        }
        self.interval.errors = [0; CLASSES.len()];
    }

    pub(super) fn connected(&mut self, time: u64) {
        self.log.push(TimeKind::Connect, time);
    }

    pub(super) fn first_byte(&mut self, time: u64) {
        self.log.push(TimeKind::FirstByte, time);
    }

    pub(super) fn completed(&mut self, time: u64, now: u64, in_flight: usize) {
        if self.log.is_full() {
            self.publish(now, in_flight);
        }
        self.completed += 1;
        self.completed_in_window += u64::from(self.end.is_none_or(|end| now <= end));
        self.last_completion = self.last_completion.max(now);
        self.log.push(TimeKind::Complete, time);
    }

    /// How long a reply had waited before it was read.
    pub(super) fn client_delay(&mut self, delay: u64) {
        self.log.push(TimeKind::ClientDelay, delay);
    }

    pub(super) fn failed(&mut self, class: ErrorClass, is_late: bool) {
        self.errors[class as usize] += 1;
        self.interval.errors[class as usize] += 1;
        self.late_starts.requests += u64::from(is_late);
        self.late_starts.failed += u64::from(is_late);
    }

    /// Records that the thread woke up at `now`, by `late` later than intended.
    pub(super) fn woken_late(&mut self, now: u64, late: u64) {
        self.late_wake_ups += late.min(now.saturating_sub(self.begin));
    }

    pub(super) fn started_late(&mut self, lateness: u64) {
        self.log.push(TimeKind::ScheduleError, lateness);
    }

    /// Adds what the stack reports about a connection, before it is closed.
    pub(super) fn connection(&mut self, info: &ConnectionInfo, is_late: bool) {
        if is_late {
            self.late_starts.syn_retransmissions += u64::from(info.syn_retransmissions);
        }
        if let Some(time) = info.smoothed_rtt {
            self.log.push(TimeKind::SmoothedRtt, super::nanos(time));
        }
        if let Some(time) = info.min_rtt {
            self.log.push(TimeKind::MinRtt, super::nanos(time));
        }
        let totals = self.totals.get_or_insert_default();
        totals.syn_retransmissions += u64::from(info.syn_retransmissions);
        totals.retransmissions += u64::from(info.retransmissions);
        totals.receiver_limited.add(info.receiver_limited);
        totals.send_buffer_limited.add(info.send_buffer_limited);
    }

    /// The measurement without the seconds, which are shared by all threads.
    pub(super) fn finish(
        mut self,
        load: &Load,
        now: u64,
        connections: usize,
        interrupted: bool,
        reply_rule: RuleUse,
    ) -> Measurement {
        self.publish(now, 0);
        self.shared.end(self.second);
        let cpu = cpu_time();
        let target_rate = match load.pace {
            Pace::Open { rate, .. } => Some(rate.per_second()),
            Pace::Closed { .. } => None,
        };
        let [
            connect,
            first_byte,
            complete,
            schedule_error,
            smoothed_rtt,
            min_rtt,
            client_delay,
        ] = self.times;
        let mut end = self.end.unwrap_or(self.last_completion);
        if interrupted {
            end = end.min(now);
        }
        Measurement {
            started_at: self.started_at,
            elapsed: Duration::from_nanos(now.saturating_sub(self.begin)),
            window: Duration::from_nanos(end.saturating_sub(self.begin)),
            completed_in_window: self.completed_in_window,
            connections,
            target_rate,
            keep_alive: load.reuse == Reuse::KeepAlive,
            completed: self.completed,
            errors: CLASSES
                .into_iter()
                .zip(self.errors)
                .filter(|&(_, count)| count > 0)
                .collect(),
            connect,
            first_byte,
            complete,
            schedule_error: target_rate.map(|_| schedule_error),
            late_starts: self.late_starts,
            late_wake_ups: Duration::from_nanos(self.late_wake_ups),
            client_delay: (!client_delay.is_empty()).then_some(client_delay),
            run_delay: run_delay()
                .zip(self.run_delay_at_begin)
                .map(|(end, begin)| end.saturating_sub(begin)),
            reply_rule,
            seconds: Vec::new(),
            second_histograms: Vec::new(),
            totals: self.totals.map(|totals| ConnectionTotals {
                syn_retransmissions: totals.syn_retransmissions,
                retransmissions: totals.retransmissions,
                smoothed_rtt: (!smoothed_rtt.is_empty()).then_some(smoothed_rtt),
                min_rtt: (!min_rtt.is_empty()).then_some(min_rtt),
                receiver_limited: totals.receiver_limited.known(),
                send_buffer_limited: totals.send_buffer_limited.known(),
            }),
            client_cpu: cpu
                .zip(self.cpu_at_begin)
                .map(|(end, begin)| end.saturating_sub(begin)),
            threads: 1,
            interrupted,
            target_gone: false,
        }
    }
}

/// Adds up the measurements of several threads.
pub(super) fn merge(parts: impl IntoIterator<Item = Measurement>) -> Option<Measurement> {
    let mut parts = parts.into_iter();
    let mut sum = parts.next()?;
    for part in parts {
        sum.started_at = sum.started_at.min(part.started_at);
        sum.elapsed = sum.elapsed.max(part.elapsed);
        sum.window = sum.window.max(part.window);
        sum.completed_in_window += part.completed_in_window;
        sum.connections += part.connections;
        sum.completed += part.completed;
        for (class, count) in part.errors {
            *sum.errors.entry(class).or_default() += count;
        }
        sum.connect.add(&part.connect);
        sum.first_byte.add(&part.first_byte);
        sum.complete.add(&part.complete);
        add_known(&mut sum.schedule_error, part.schedule_error);
        let late = part.late_starts;
        sum.late_starts.requests += late.requests;
        sum.late_starts.failed += late.failed;
        sum.late_starts.syn_retransmissions += late.syn_retransmissions;
        sum.late_wake_ups += part.late_wake_ups;
        sum.totals = match (sum.totals, part.totals) {
            (Some(sum), Some(part)) => Some(add_totals(sum, part)),
            (sum, part) => sum.or(part),
        };
        add_known(&mut sum.client_delay, part.client_delay);
        let delay = sum.run_delay.zip(part.run_delay);
        sum.run_delay = delay.map(|(sum, part)| sum + part);
        // Threads may have learned different rules: the least exact one describes all of them.
        let mismatches = sum.reply_rule.mismatches + part.reply_rule.mismatches;
        if part.reply_rule.kind > sum.reply_rule.kind {
            sum.reply_rule = part.reply_rule;
        }
        sum.reply_rule.mismatches = mismatches;
        let cpu = sum.client_cpu.zip(part.client_cpu);
        sum.client_cpu = cpu.map(|(sum, part)| sum + part);
        sum.threads += part.threads;
        sum.interrupted |= part.interrupted;
        // If other threads succeeded, the target is still there even if this thread's attempts
        // failed.
        sum.target_gone &= part.target_gone;
    }
    Some(sum)
}

fn add_totals(mut sum: ConnectionTotals, part: ConnectionTotals) -> ConnectionTotals {
    let sum_known = |a: Option<Duration>, b: Option<Duration>| match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    };
    sum.syn_retransmissions += part.syn_retransmissions;
    sum.retransmissions += part.retransmissions;
    add_known(&mut sum.smoothed_rtt, part.smoothed_rtt);
    add_known(&mut sum.min_rtt, part.min_rtt);
    sum.receiver_limited = sum_known(sum.receiver_limited, part.receiver_limited);
    sum.send_buffer_limited = sum_known(sum.send_buffer_limited, part.send_buffer_limited);
    sum
}

fn add_known(sum: &mut Option<Times>, part: Option<Times>) {
    match (sum, part) {
        (Some(sum), Some(part)) => sum.add(&part),
        (sum @ None, part) => *sum = part,
        (Some(_), None) => {}
    }
}
