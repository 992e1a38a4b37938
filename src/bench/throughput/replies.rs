//! What a server's own port gives where its host has no chargen: its replies, one after the other
//! on one connection at a time.

use std::time::Duration;

use super::stream::unless_blocked;
use super::trouble::Trouble;
use super::{Observer, Progress, ThroughputPlan};
use tcpctl_engine::load::LEARNING_SILENCE;
use tcpctl_engine::readiness::{ConnectionId, Event, Network, NetworkTime, Release};

/// What is read at a time.
const BUFFER: usize = 64 * 1024;

/// A stop is noticed within this.
const TICK: Duration = Duration::from_millis(100);

/// The pause after a failure; twice as long after the next one.
const BACK_OFF: Duration = Duration::from_millis(50);

/// After so many failures in a row there is no more to be had.
const TRIES: u32 = 5;

/// The replies that came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replies {
    /// How many.
    pub count: u64,
    /// Tries that failed.
    pub failed: u64,
    /// The bytes of all replies.
    pub bytes: u64,
    /// From each connection's SYN to its reply's last byte, all together: what the waiting for
    /// more of a reply took, and the pauses, are not in it.
    pub elapsed: Duration,
    /// Whether it was stopped.
    pub interrupted: bool,
}

/// Asks for replies until the flow's time is over.
///
/// # Errors
/// When not one byte came: why.
pub(super) fn run<N: Network>(
    network: &mut N,
    plan: &ThroughputPlan,
    observer: &mut impl Observer,
) -> Result<Replies, Trouble> {
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
        replies: Replies::default(),
    };
    let mut failures = 0;
    let mut last = Trouble::Stopped;
    while asking.has_time() && failures < TRIES {
        match asking.exchange() {
            Ok(()) => failures = 0,
            Err(Trouble::Stopped) => break,
            Err(trouble) => {
                asking.replies.failed += 1;
                last = trouble;
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
    replies: Replies,
}

impl<N: Network, O: Observer> Asking<'_, N, O> {
    fn has_time(&self) -> bool {
        self.network.now() < self.ends_at && !self.observer.should_stop()
    }

    /// Connects, asks, and takes the reply.
    fn exchange(&mut self) -> Result<(), Trouble> {
        let sources = &self.plan.sources;
        let source = (!sources.is_empty()).then(|| sources[self.turns % sources.len()]);
        self.turns += 1;
        let began = self.network.now();
        let id = self.network.connect(self.plan.target, source)?;
        let result = self.converse(id, began);
        self.network.release(id, Release::Fin);
        let (bytes, last_byte) = result?;
        self.replies.count += 1;
        self.replies.bytes += bytes;
        self.replies.elapsed += last_byte.saturating_sub(began);
        Ok(())
    }

    /// The reply's length, and when its last byte came. A stop keeps what has come of it.
    fn converse(
        &mut self,
        id: ConnectionId,
        began: NetworkTime,
    ) -> Result<(u64, NetworkTime), Trouble> {
        let connect_until = began + self.plan.connect_timeout;
        loop {
            if self.network.now() >= connect_until {
                return Err(Trouble::NoAnswer);
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
                    0 if bytes == 0 => return Err(Trouble::Closed),
                    0 => return Ok((bytes, last_byte)),
                    _ => {
                        bytes += length as u64;
                        last_byte = self.network.now();
                    }
                }
                // More may be there at once, again and again.
                if last_byte >= self.ends_at || self.observer.should_stop() {
                    return Ok((bytes, last_byte));
                }
            }
            // A reply that is under way when the time is over counts as far as it has come.
            let patience = if bytes > 0 {
                LEARNING_SILENCE
            } else {
                self.plan.silence
            };
            let until = last_byte + patience;
            if self.network.now() >= until {
                return if bytes > 0 {
                    Ok((bytes, last_byte))
                } else {
                    Err(Trouble::Silent)
                };
            }
            match self.next_event(id, until) {
                Err(Trouble::Stopped) if bytes > 0 => return Ok((bytes, last_byte)),
                event => event?,
            };
        }
    }

    /// The connection's next event, or `None` at `until` or sooner.
    fn next_event(
        &mut self,
        id: ConnectionId,
        until: NetworkTime,
    ) -> Result<Option<Event>, Trouble> {
        let now = self.network.now();
        self.observer.progress(&Progress {
            what: "replies",
            streams: 1,
            elapsed: Some(now.saturating_sub(self.start)),
            bytes: self.replies.bytes,
            seconds: &[],
        });
        if self.observer.should_stop() {
            return Err(Trouble::Stopped);
        }
        self.network
            .wait(Some(until.min(now + TICK)), &mut self.events)
            .map_err(|error| Trouble::Wait(error.kind()))?;
        let about_it = |event: &Event| match event {
            Event::Connected(of)
            | Event::Failed(of, _)
            | Event::Readable(of)
            | Event::Writable(of) => *of == id,
        };
        // The handshake's end comes first; after it, what can be done is found out by doing it.
        let first = self.events.iter().copied().find(about_it);
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
