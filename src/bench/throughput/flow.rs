//! A flow: several streams to one port, for a fixed time.
//!
//! It opens the streams, warms up, and measures. A stream that is refused is tried twice more,
//! later each time. A stream that ends early is released, and the flow continues with the rest.

mod plan;

use std::sync::LazyLock;
use std::time::Duration;

pub(super) use self::plan::FlowPlan;
pub use self::plan::FlowRecord;
use super::error::StreamError;
use super::limit::SendTimes;
use super::pattern::{self, FILLER_LENGTH};
use super::stream::{Direction, Stream};
use super::{Observer, ThroughputProgress};
use crate::sys::clocks::cpu_time;
use tcpctl_engine::readiness::{ConnectionId, Event, Network, NetworkTime, Release};

/// Interval of progress and of checks for stalled streams.
const TICK: Duration = Duration::from_millis(100);

/// Time limit for the other streams once one is connected: enough for one retransmitted SYN.
const SETTLE: Duration = Duration::from_millis(1_500);

/// Maximum attempts of a refused stream: a small server may need a moment to free its slots.
const TRIES: u32 = 3;
/// Pause before the second attempt. It doubles for each further one.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Runs a flow.
///
/// # Errors
/// Why no byte moved in the measured part.
pub(super) fn run<N: Network>(
    network: &mut N,
    plan: &FlowPlan<'_>,
    observer: &mut impl Observer,
) -> Result<FlowRecord, StreamError> {
    // Generates the filler now, so that no stream waits for it.
    LazyLock::force(&pattern::FILLER);
    let mut flow = Flow {
        start: network.now(),
        network,
        plan,
        waiting: Vec::new(),
        connecting: Vec::new(),
        streams: Vec::new(),
        stage: Stage::Opening,
        settles_at: None,
        sampled_at: Duration::ZERO,
        first_error: None,
        next_source: 0,
        cpu_before: None,
        buffer: vec![0; FILLER_LENGTH],
        ended_bytes: 0,
        sums: Sums::default(),
        record: FlowRecord {
            requested: plan.streams,
            is_acknowledged: true,
            ..FlowRecord::default()
        },
    };
    for _ in 0..plan.streams {
        flow.connect(1);
    }
    let ended = flow.run(observer);
    flow.finish(ended)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Streams are connecting.
    Opening,
    /// Streams run, but are not measured yet.
    WarmingUp { until: NetworkTime },
    /// Streams are measured.
    Measuring { since: NetworkTime },
}

/// Totals of the streams that have ended.
#[derive(Default)]
struct Sums {
    retransmissions: u64,
    sending: SendTimes,
    /// Streams without any information from the stack.
    unknown: usize,
    /// Streams without send times from the stack.
    untimed: usize,
}

struct Flow<'a, N> {
    network: &'a mut N,
    plan: &'a FlowPlan<'a>,
    start: NetworkTime,
    /// Refused streams: when to retry, and the number of the attempt.
    waiting: Vec<(NetworkTime, u32)>,
    /// Pending SYNs, with the number of the attempt.
    connecting: Vec<(ConnectionId, u32)>,
    streams: Vec<Stream>,
    stage: Stage,
    /// When streams that are not connected are given up.
    settles_at: Option<NetworkTime>,
    sampled_at: NetworkTime,
    first_error: Option<StreamError>,
    next_source: usize,
    cpu_before: Option<Duration>,
    buffer: Vec<u8>,
    /// Bytes of ended streams in the measured part.
    ended_bytes: u64,
    sums: Sums,
    record: FlowRecord,
}

impl<N: Network> Flow<'_, N> {
    fn connect(&mut self, attempt: u32) {
        let sources = self.plan.sources;
        let source = (!sources.is_empty()).then(|| sources[self.next_source % sources.len()]);
        self.next_source += 1;
        match self.network.connect(self.plan.to, source) {
            Ok(id) => self.connecting.push((id, attempt)),
            Err(failure) => self.handle_failure(failure.into(), attempt),
        }
    }

    fn handle_failure(&mut self, error: StreamError, attempt: u32) {
        // If another stream connects, the server is there and may have been busy with its last
        // client.
        let may_retry = !self.streams.is_empty() || !self.connecting.is_empty();
        if error == StreamError::Refused && may_retry && attempt < TRIES {
            let pause = BACK_OFF * 2_u32.pow(attempt - 1);
            self.waiting.push((self.network.now() + pause, attempt + 1));
        } else {
            self.first_error.get_or_insert(error);
            self.record.unconnected.push(error);
        }
    }

    /// Runs the flow to its end. Returns the error that ended it early, if any.
    fn run(&mut self, observer: &mut impl Observer) -> Option<StreamError> {
        let mut events = Vec::new();
        let mut tick = self.start;
        loop {
            let now = self.network.now();
            if observer.should_stop() {
                self.record.interrupted = true;
                return Some(StreamError::Stopped);
            }
            if now >= tick {
                tick = now + TICK;
                self.sample(now);
                observer.progress(&self.progress(now));
            }
            self.retry(now);
            self.settle(now);
            let until = match self.advance(now) {
                Some(until) => until.min(tick),
                None => return None,
            };
            let mut is_busy = false;
            for at in (0..self.streams.len()).rev() {
                let stream = &mut self.streams[at];
                match stream.run(self.network, &mut self.buffer) {
                    Ok(()) => is_busy |= stream.is_ready(),
                    Err(error) => self.end(at, error),
                }
            }
            let until = if is_busy { now } else { until };
            if let Err(error) = self.network.wait(Some(until), &mut events) {
                return Some(StreamError::Wait(error.kind()));
            }
            for event in events.drain(..) {
                self.handle(event);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let (Event::Connected(id)
        | Event::Failed(id, _)
        | Event::Readable(id)
        | Event::Writable(id)) = event;
        match event {
            Event::Connected(_) | Event::Failed(..) => {
                let Some(at) = self.connecting.iter().position(|(known, _)| *known == id) else {
                    return;
                };
                let (_, attempt) = self.connecting.swap_remove(at);
                if let Event::Failed(_, failure) = event {
                    self.network.release(id, Release::Reset);
                    self.handle_failure(failure.into(), attempt);
                } else {
                    let now = self.network.now();
                    let mut stream = Stream::new(id, self.plan.direction, now);
                    if let Stage::Measuring { .. } = self.stage {
                        stream.begin(self.network, now);
                    }
                    self.streams.push(stream);
                }
            }
            Event::Readable(_) | Event::Writable(_) => {
                let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) else {
                    return;
                };
                if matches!(event, Event::Readable(_)) {
                    stream.can_read = true;
                } else {
                    stream.can_write = true;
                }
            }
        }
    }

    /// Retries refused streams that are due.
    fn retry(&mut self, now: NetworkTime) {
        let due: Vec<_> = self.waiting.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, attempt) in due {
            self.connect(attempt);
        }
    }

    /// Gives up streams that did not connect in time.
    fn settle(&mut self, now: NetworkTime) {
        if self.settles_at.is_none() && !self.streams.is_empty() {
            self.settles_at = Some(now + SETTLE);
        }
        let timeout = self.start + self.plan.connect_timeout;
        let until = self.settles_at.map_or(timeout, |at| at.min(timeout));
        if now < until {
            return;
        }
        for (id, _) in std::mem::take(&mut self.connecting) {
            self.network.release(id, Release::Reset);
            self.first_error.get_or_insert(StreamError::NoAnswer);
            self.record.unconnected.push(StreamError::NoAnswer);
        }
        let refused = self.waiting.drain(..).map(|_| StreamError::Refused);
        self.record.unconnected.extend(refused);
    }

    /// Enters the next stage when it is due. Returns until when to wait; `None` at the end.
    fn advance(&mut self, now: NetworkTime) -> Option<NetworkTime> {
        let is_open = self.connecting.is_empty() && self.waiting.is_empty();
        if is_open && self.streams.is_empty() {
            return None;
        }
        if self.stage == Stage::Opening && is_open {
            let until = now + self.plan.warm_up;
            self.stage = Stage::WarmingUp { until };
        }
        if let Stage::WarmingUp { until } = self.stage
            && now >= until
        {
            self.stage = Stage::Measuring { since: now };
            self.sampled_at = now;
            self.cpu_before = cpu_time();
            for stream in &mut self.streams {
                stream.begin(self.network, now);
            }
        }
        match self.stage {
            Stage::Opening => {
                let next = self.waiting.iter().map(|(at, _)| *at).min();
                Some(next.unwrap_or(now + TICK))
            }
            Stage::WarmingUp { until } => Some(until),
            Stage::Measuring { since } => {
                let until = since + self.plan.duration;
                (now < until).then_some(until)
            }
        }
    }

    /// Counts moved bytes, and ends stalled streams.
    fn sample(&mut self, now: NetworkTime) {
        for stream in &mut self.streams {
            stream.count(self.network, now);
        }
        self.attribute(now);
        let silent = |stream: &Stream| now.saturating_sub(stream.moved_at) >= self.plan.silence;
        for at in (0..self.streams.len()).rev() {
            if silent(&self.streams[at]) {
                self.end(at, StreamError::Silent);
            }
        }
    }

    /// Adds the bytes moved since the last sample to their second.
    fn attribute(&mut self, now: NetworkTime) {
        let Stage::Measuring { since } = self.stage else {
            return;
        };
        let measured: u64 = self.streams.iter().map(Stream::measured).sum();
        let bytes = self.ended_bytes + measured;
        // Choose the second that contains most of the time since the last sample.
        let middle = (self.sampled_at.max(since) + now) / 2;
        let second = usize::try_from(middle.saturating_sub(since).as_secs()).unwrap_or(usize::MAX);
        let seconds = &mut self.record.seconds;
        if now > since && seconds.len() <= second {
            seconds.resize(second + 1, 0);
        }
        if let Some(last) = seconds.last_mut() {
            *last += bytes - self.record.bytes;
            self.record.bytes = bytes;
        }
        self.sampled_at = now;
    }

    /// Removes a stream and keeps its totals.
    fn end(&mut self, at: usize, error: StreamError) {
        let now = self.network.now();
        self.streams[at].count(self.network, now);
        self.attribute(now);
        self.first_error.get_or_insert(error);
        let when = match self.stage {
            Stage::Measuring { since } => now.saturating_sub(since),
            Stage::Opening | Stage::WarmingUp { .. } => Duration::ZERO,
        };
        self.record.ended.push((error, when));
        let stream = self.streams.swap_remove(at);
        self.ended_bytes += match self.stage {
            Stage::Measuring { .. } => stream.measured(),
            Stage::Opening | Stage::WarmingUp { .. } => 0,
        };
        self.release(&stream);
    }

    /// Adds a stream's totals from the stack, and releases it.
    fn release(&mut self, stream: &Stream) {
        let info = self.network.info(stream.id);
        match (info, stream.info_before) {
            (Some(info), before) => {
                let before = before.unwrap_or_default();
                let resent = info.retransmissions.saturating_sub(before.retransmissions);
                self.sums.retransmissions += u64::from(resent);
                match SendTimes::between(&before, &info) {
                    Some(times) => self.sums.sending += times,
                    None => self.sums.untimed += 1,
                }
                let known = [self.record.min_rtt, info.min_rtt];
                self.record.min_rtt = known.into_iter().flatten().min();
            }
            (None, _) => self.sums.unknown += 1,
        }
        let is_acknowledged = self.network.unacknowledged(stream.id).is_some();
        self.record.is_acknowledged &= is_acknowledged || self.plan.direction != Direction::Up;
        if matches!(self.stage, Stage::Measuring { .. }) {
            match stream.measured() {
                0 => self.record.idle += 1,
                _ => self.record.streams += 1,
            }
        }
        if self.plan.direction == Direction::Down && !stream.beginning.is_empty() {
            let is_chargen = pattern::is_chargen(&stream.beginning);
            self.record.is_chargen = Some(self.record.is_chargen.unwrap_or(true) && is_chargen);
        }
        self.network.release(stream.id, Release::Reset);
    }

    fn progress(&self, now: NetworkTime) -> ThroughputProgress<'_> {
        ThroughputProgress {
            what: self.plan.name,
            streams: self.streams.len(),
            elapsed: match self.stage {
                Stage::Measuring { since } => Some(now.saturating_sub(since)),
                Stage::Opening | Stage::WarmingUp { .. } => None,
            },
            bytes: self.record.bytes,
            seconds: &self.record.seconds,
        }
    }

    fn finish(mut self, ended: Option<StreamError>) -> Result<FlowRecord, StreamError> {
        let now = self.network.now();
        for (id, _) in std::mem::take(&mut self.connecting) {
            self.network.release(id, Release::Reset);
        }
        for stream in &mut self.streams {
            stream.count(self.network, now);
        }
        self.attribute(now);
        if let Stage::Measuring { since } = self.stage {
            self.record.elapsed = now.saturating_sub(since);
        }
        let cpu = (cpu_time(), self.cpu_before);
        self.record.cpu = match cpu {
            (Some(after), Some(before)) => Some(after.saturating_sub(before)),
            _ => None,
        };
        for stream in std::mem::take(&mut self.streams) {
            self.release(&stream);
        }
        let is_known = self.sums.unknown == 0;
        self.record.retransmissions = is_known.then_some(self.sums.retransmissions);
        self.record.sending = (is_known && self.sums.untimed == 0).then_some(self.sums.sending);
        if self.record.bytes > 0 && !self.record.elapsed.is_zero() {
            return Ok(self.record);
        }
        Err(self.first_error.or(ended).unwrap_or(StreamError::Silent))
    }
}
