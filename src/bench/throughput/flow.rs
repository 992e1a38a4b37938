//! A flow: so many streams to one port, for a time.
//!
//! It opens the streams, lets them run warm, and measures. A stream that is refused tries twice
//! more, later each time, and then does without; one that ends early is let go of, and the flow
//! goes on with the rest.

mod plan;
mod record;

use std::sync::LazyLock;
use std::time::Duration;

pub(super) use self::plan::FlowPlan;
pub use self::record::Record;
use super::limit::SendTimes;
use super::pattern::{self, FILLER_LENGTH};
use super::stream::{Direction, Stream};
use super::trouble::Trouble;
use super::{Observer, Progress};
use crate::sys::clocks::cpu_time;
use tcpctl_engine::readiness::{ConnectionId, Event, Network, NetworkTime, Release};

/// How often the streams are looked at.
const TICK: Duration = Duration::from_millis(100);

/// How long the other streams have when one stands: enough for a SYN to be repeated once.
const SETTLE: Duration = Duration::from_millis(1_500);

/// How often a stream is refused before it does without, and how long it waits the first time;
/// then twice as long. A server of few places may need a moment to free them.
const TRIES: u32 = 3;
const BACK_OFF: Duration = Duration::from_millis(50);

/// Runs a flow.
///
/// # Errors
/// When not one byte got through in the measured part: why.
pub(super) fn run<N: Network>(
    network: &mut N,
    plan: &FlowPlan<'_>,
    observer: &mut impl Observer,
) -> Result<Record, Trouble> {
    // It takes a moment to make, which no stream is to wait for.
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
        first_trouble: None,
        next_source: 0,
        cpu_before: None,
        buffer: vec![0; FILLER_LENGTH],
        lost_bytes: 0,
        sums: Sums::default(),
        record: Record {
            asked: plan.streams,
            is_acknowledged: true,
            ..Record::default()
        },
    };
    for _ in 0..plan.streams {
        flow.connect(1);
    }
    let ended = flow.go_on(observer);
    flow.finish(ended)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The streams are connecting.
    Opening,
    /// They run, and nothing counts yet.
    WarmingUp { until: NetworkTime },
    /// What gets through counts.
    Measuring { since: NetworkTime },
}

/// What was learned of streams as they ended.
#[derive(Default)]
struct Sums {
    retransmissions: u64,
    sending: SendTimes,
    /// Streams of which the stack told nothing.
    unknown: usize,
    /// Streams of which it told no times.
    untimed: usize,
}

struct Flow<'a, N> {
    network: &'a mut N,
    plan: &'a FlowPlan<'a>,
    start: NetworkTime,
    /// Refused streams: when they try again, and for which time.
    waiting: Vec<(NetworkTime, u32)>,
    /// SYNs on their way, and which try each is.
    connecting: Vec<(ConnectionId, u32)>,
    streams: Vec<Stream>,
    stage: Stage,
    /// When those that do not stand are given up.
    settles_at: Option<NetworkTime>,
    sampled_at: NetworkTime,
    first_trouble: Option<Trouble>,
    next_source: usize,
    cpu_before: Option<Duration>,
    buffer: Vec<u8>,
    /// Bytes in the measured part of streams that have ended.
    lost_bytes: u64,
    sums: Sums,
    record: Record,
}

impl<N: Network> Flow<'_, N> {
    fn connect(&mut self, attempt: u32) {
        let sources = self.plan.sources;
        let source = (!sources.is_empty()).then(|| sources[self.next_source % sources.len()]);
        self.next_source += 1;
        match self.network.connect(self.plan.to, source) {
            Ok(id) => self.connecting.push((id, attempt)),
            Err(failure) => self.is_not_connected(failure.into(), attempt),
        }
    }

    fn is_not_connected(&mut self, trouble: Trouble, attempt: u32) {
        // Where one stands, the server is there, and may have been busy with its last client.
        let may_retry = !self.streams.is_empty() || !self.connecting.is_empty();
        if trouble == Trouble::Refused && may_retry && attempt < TRIES {
            let pause = BACK_OFF * 2_u32.pow(attempt - 1);
            self.waiting.push((self.network.now() + pause, attempt + 1));
        } else {
            self.first_trouble.get_or_insert(trouble);
            self.record.unconnected.push(trouble);
        }
    }

    /// Goes on to the flow's end, and says what ended it if that is not the clock.
    fn go_on(&mut self, observer: &mut impl Observer) -> Option<Trouble> {
        let mut events = Vec::new();
        let mut tick = self.start;
        loop {
            let now = self.network.now();
            if observer.should_stop() {
                self.record.interrupted = true;
                return Some(Trouble::Stopped);
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
                match stream.go_on(self.network, &mut self.buffer) {
                    Ok(()) => is_busy |= stream.is_ready(),
                    Err(trouble) => self.end(at, trouble),
                }
            }
            let until = if is_busy { now } else { until };
            if let Err(error) = self.network.wait(Some(until), &mut events) {
                return Some(Trouble::Wait(error.kind()));
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
                    self.is_not_connected(failure.into(), attempt);
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

    /// Tries again with those whose time has come.
    fn retry(&mut self, now: NetworkTime) {
        let due: Vec<_> = self.waiting.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, attempt) in due {
            self.connect(attempt);
        }
    }

    /// Gives up those that do not stand in time.
    fn settle(&mut self, now: NetworkTime) {
        if self.settles_at.is_none() && !self.streams.is_empty() {
            self.settles_at = Some(now + SETTLE);
        }
        let patience = self.start + self.plan.connect_timeout;
        let until = self.settles_at.map_or(patience, |at| at.min(patience));
        if now < until {
            return;
        }
        for (id, _) in std::mem::take(&mut self.connecting) {
            self.network.release(id, Release::Reset);
            self.first_trouble.get_or_insert(Trouble::NoAnswer);
            self.record.unconnected.push(Trouble::NoAnswer);
        }
        let refused = self.waiting.drain(..).map(|_| Trouble::Refused);
        self.record.unconnected.extend(refused);
    }

    /// Goes on to the next stage when it is time, and says until when there is to be waited;
    /// `None` is the end.
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
            // The next tick looks again.
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

    /// Counts what has got through, and ends streams on which nothing does any more.
    fn sample(&mut self, now: NetworkTime) {
        for stream in &mut self.streams {
            stream.count(self.network, now);
        }
        self.attribute(now);
        let silent = |stream: &Stream| now.saturating_sub(stream.moved_at) >= self.plan.silence;
        for at in (0..self.streams.len()).rev() {
            if silent(&self.streams[at]) {
                self.end(at, Trouble::Silent);
            }
        }
    }

    /// Puts what has got through since the last time into its second.
    fn attribute(&mut self, now: NetworkTime) {
        let Stage::Measuring { since } = self.stage else {
            return;
        };
        let measured: u64 = self.streams.iter().map(Stream::measured).sum();
        let bytes = self.lost_bytes + measured;
        // The second in which most of the time since then lies.
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

    /// Takes a stream out, and keeps what it leaves behind.
    fn end(&mut self, at: usize, trouble: Trouble) {
        let now = self.network.now();
        self.streams[at].count(self.network, now);
        self.attribute(now);
        self.first_trouble.get_or_insert(trouble);
        let when = match self.stage {
            Stage::Measuring { since } => now.saturating_sub(since),
            Stage::Opening | Stage::WarmingUp { .. } => Duration::ZERO,
        };
        self.record.ended.push((trouble, when));
        let stream = self.streams.swap_remove(at);
        self.lost_bytes += match self.stage {
            Stage::Measuring { .. } => stream.measured(),
            Stage::Opening | Stage::WarmingUp { .. } => 0,
        };
        self.leave(&stream);
    }

    /// Asks for the last time what the stack knows of a stream, and lets go of it.
    fn leave(&mut self, stream: &Stream) {
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

    fn progress(&self, now: NetworkTime) -> Progress<'_> {
        Progress {
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

    fn finish(mut self, ended: Option<Trouble>) -> Result<Record, Trouble> {
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
            self.leave(&stream);
        }
        let is_known = self.sums.unknown == 0;
        self.record.retransmissions = is_known.then_some(self.sums.retransmissions);
        self.record.sending = (is_known && self.sums.untimed == 0).then_some(self.sums.sending);
        if self.record.bytes > 0 && !self.record.elapsed.is_zero() {
            return Ok(self.record);
        }
        let silence = if self.record.asked > 0 {
            Trouble::Silent
        } else {
            Trouble::Stopped
        };
        Err(self.first_trouble.or(ended).unwrap_or(silence))
    }
}
