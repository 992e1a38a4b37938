//! Downloads from the server's own port if its host has no chargen: replies, one after another, on
//! one connection at a time.

use std::time::Duration;

use super::error::StreamError;
use super::stream::unless_blocked;
use super::{Observer, ThroughputPlan, ThroughputProgress};
use tcpctl_engine::load::LEARNING_SILENCE;
use tcpctl_engine::readiness::{ConnectionId, Event, Network, NetworkTime, Release};

/// Bytes per read.
const BUFFER: usize = 64 * 1024;

/// Interval at which the stop flag is checked.
const TICK: Duration = Duration::from_millis(100);

/// Pause after a failure. It doubles with each further one.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Failures in a row that end the measurement.
const TRIES: u32 = 5;

/// The received replies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replies {
    /// Number of replies.
    pub count: u64,
    /// Failed attempts.
    pub failed: u64,
    /// Bytes of all replies.
    pub bytes: u64,
    /// The sum of the times from each connection's SYN to the last byte of its reply. Waiting for
    /// the end of a reply and pauses are not included.
    pub elapsed: Duration,
    /// Whether the measurement was stopped.
    pub interrupted: bool,
}

/// Requests replies until the flow's duration is over.
///
/// # Errors
/// Why no byte was received.
pub(super) fn run<N: Network>(
    network: &mut N,
    plan: &ThroughputPlan,
    observer: &mut impl Observer,
) -> Result<Replies, StreamError> {
    let start = network.now();
    let mut asking = Asking {
        ends_at: start + plan.duration,
        start,
        network,
        plan,
        observer,
        events: Vec::new(),
        buffer: vec![0; BUFFER],
        turns: 0,
        report_at: start,
        replies: Replies::default(),
    };
    let mut failures = 0;
    let mut last = StreamError::Stopped;
    while asking.has_time() && failures < TRIES {
        match asking.exchange() {
            Ok(()) => failures = 0,
            Err(StreamError::Stopped) => break,
            Err(error) => {
                asking.replies.failed += 1;
                last = error;
                asking.pause(BACK_OFF * 2_u32.pow(failures));
                failures += 1;
            }
        }
    }
    asking.replies.interrupted = asking.observer.should_stop();
    if asking.replies.bytes == 0 {
        return Err(last);
    }
    Ok(asking.replies)
}

struct Asking<'a, N, O> {
    network: &'a mut N,
    plan: &'a ThroughputPlan,
    observer: &'a mut O,
    start: NetworkTime,
    ends_at: NetworkTime,
    events: Vec<Event>,
    buffer: Vec<u8>,
    turns: usize,
    /// When the observer is called next.
    report_at: NetworkTime,
    replies: Replies,
}

impl<N: Network, O: Observer> Asking<'_, N, O> {
    fn has_time(&self) -> bool {
        self.network.now() < self.ends_at && !self.observer.should_stop()
    }

    /// Connects, sends the request, and reads the reply.
    fn exchange(&mut self) -> Result<(), StreamError> {
        let sources = &self.plan.sources;
        let source = (!sources.is_empty()).then(|| sources[self.turns % sources.len()]);
        self.turns += 1;
        let began = self.network.now();
        let id = self.network.connect(self.plan.target, source)?;
        let result = self.send_and_read(id, began);
        self.network.release(id, Release::Fin);
        let (bytes, last_byte) = result?;
        self.replies.count += 1;
        self.replies.bytes += bytes;
        self.replies.elapsed += last_byte.saturating_sub(began);
        Ok(())
    }

    /// Sends the request and reads the reply. Returns its length and when its last byte arrived.
    /// After a stop it returns the part that arrived.
    fn send_and_read(
        &mut self,
        id: ConnectionId,
        began: NetworkTime,
    ) -> Result<(u64, NetworkTime), StreamError> {
        let connect_until = began + self.plan.connect_timeout;
        loop {
            if self.network.now() >= connect_until {
                return Err(StreamError::NoAnswer);
            }
            match self.next_event(id, connect_until)? {
                Some(Event::Connected(_)) => break,
                Some(Event::Failed(_, failure)) => return Err(failure.into()),
                _ => {}
            }
        }
        let mut rest = self.plan.message.as_slice();
        let (mut bytes, mut last_byte) = (0, self.network.now());
        loop {
            while !rest.is_empty() {
                match unless_blocked(self.network.write(id, rest))? {
                    Some(length) => rest = &rest[length..],
                    None => break,
                }
            }
            while let Some(length) = unless_blocked(self.network.read(id, &mut self.buffer))? {
                match length {
                    0 if bytes == 0 => return Err(StreamError::Closed),
                    0 => return Ok((bytes, last_byte)),
                    _ => {
                        bytes += length as u64;
                        last_byte = self.network.now();
                    }
                }
                // A fast server may always have more bytes ready.
                if last_byte >= self.ends_at || self.observer.should_stop() {
                    return Ok((bytes, last_byte));
                }
            }
            // A reply that is incomplete at the end of the duration counts as far as it has
            // arrived.
            let timeout = if bytes > 0 {
                LEARNING_SILENCE
            } else {
                self.plan.silence
            };
            let until = last_byte + timeout;
            if self.network.now() >= until {
                return if bytes > 0 {
                    Ok((bytes, last_byte))
                } else {
                    Err(StreamError::Silent)
                };
            }
            match self.next_event(id, until) {
                Err(StreamError::Stopped) if bytes > 0 => return Ok((bytes, last_byte)),
                event => event?,
            };
        }
    }

    /// The next event of the connection; `None` at `until` or earlier.
    fn next_event(
        &mut self,
        id: ConnectionId,
        until: NetworkTime,
    ) -> Result<Option<Event>, StreamError> {
        let now = self.network.now();
        if now >= self.report_at {
            self.report_at = now + TICK;
            self.observer.progress(&ThroughputProgress {
                what: "replies",
                streams: 1,
                elapsed: Some(now.saturating_sub(self.start)),
                bytes: self.replies.bytes,
                seconds: &[],
            });
        }
        if self.observer.should_stop() {
            return Err(StreamError::Stopped);
        }
        self.network
            .wait(Some(until.min(now + TICK)), &mut self.events)
            .map_err(|error| StreamError::Wait(error.kind()))?;
        let is_ours = |event: &Event| match event {
            Event::Connected(of)
            | Event::Failed(of, _)
            | Event::Readable(of)
            | Event::Writable(of) => *of == id,
        };
        let first = self.events.iter().copied().find(is_ours);
        self.events.clear();
        Ok(first)
    }

    fn pause(&mut self, time: Duration) {
        let until = self.network.now() + time;
        while self.network.now() < until && !self.observer.should_stop() {
            let next = until.min(self.network.now() + TICK);
            if self.network.wait(Some(next), &mut self.events).is_err() {
                return;
            }
            self.events.clear();
        }
    }
}
