//! The load engine: connections as state machines over a readiness interface.
//!
//! ```text
//! arrivals.rs ──> starts.rs ──> exchange.rs ──> Network
//!  schedule,      due requests   connections    kernel sockets,
//!  back-off       and timeouts                  virtual link, script
//!                        slots.rs, reply.rs
//!                             │
//!                             └──> recorder.rs, log.rs ──> progress.rs
//!                                        one thread        all threads
//! ```
//!
//! An event costs the same for any number of connections, and a request allocates nothing once
//! enough slots exist.

mod arrivals;
mod exchange;
mod interval;
mod log;
mod progress;
mod recorder;
mod reply;
mod slots;
mod starts;

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use self::arrivals::{Allowance, Arrivals, BackOff};
use self::interval::TICK;
use self::progress::SharedProgress;
use self::recorder::Recorder;
use self::reply::Rule;
use self::slots::Slots;
use crate::load::{Load, Share};
use crate::measurement::Measurement;
use crate::readiness::{Event, Network, nanos};

pub use self::progress::{Observer, Progress};

/// Read buffer size. All connections share one buffer, so an idle connection needs none.
const BUFFER: usize = 64 * 1024;

/// Maximum connections started between two waits, so that a thousand do not overflow the listen
/// queue.
const BURST: usize = 64;

/// Maximum consecutive steps of one connection while others are ready.
const TURNS: usize = 32;

/// Maximum wait for the first byte of the first exchange while the reply rule is unknown,
/// nanoseconds. After it, other connections start as well.
const SOLO_WAIT: u64 = 300_000_000;

/// How long a server may keep sending before its first burst is taken as the whole reply,
/// nanoseconds.
const LEARNING_LIMIT: u64 = 2_000_000_000;

/// Silence that ends a reply shorter than the learned length, nanoseconds. Longer than a first
/// retransmission takes.
const LONG_SILENCE: u64 = 2_000_000_000;

/// How long to wait for the server's FIN after ours, nanoseconds.
const FIN_WAIT: u64 = 250_000_000;

/// After this many FINs in a row without an answer, the engine no longer waits for the server's
/// FIN.
const UNANSWERED_FINS: u32 = 2;

/// A handshake that takes this much longer than the fastest one may have been handled late,
/// nanoseconds.
const LATE_HANDSHAKE: u64 = 100_000;

/// A wake-up that is later than this may have missed events, nanoseconds.
const LATE_WAKE_UP: u64 = 2_000_000;

/// A scheduled request that starts later than this is late, nanoseconds. Clients that have nothing to
/// catch up on rarely connect within a millisecond of each other.
const LATE_START: u64 = 1_000_000;

/// A scheduled request that is later than this is counted as missed instead of started,
/// nanoseconds.
const TOO_LATE_TO_START: u64 = 50_000_000;

/// Runs a load over one network, on this thread.
///
/// Blocks until the load ends or `observer` stops it. The measurement covers what happened until
/// then.
pub fn run(
    network: &mut impl Network,
    load: &Load,
    observer: &mut (impl Observer + ?Sized),
) -> Measurement {
    let shared = Arc::new(SharedProgress::new(1, load.detail));
    let engine = Engine::new(network, load, Share::WHOLE, &shared);
    let mut measurement = engine.run(&mut SingleThread {
        shared: &shared,
        observer,
    });
    (measurement.seconds, measurement.second_histograms) = shared.seconds();
    measurement
}

/// Runs a load on several threads, each with its own network and its share of the connections and
/// of the schedule, and adds up the results. Uses fewer threads when there are fewer connections or
/// requests.
///
/// In an open loop, `connections` is the sum of the threads' maxima, which may have occurred at
/// different times.
///
/// # Errors
/// The error of `make_network`; it ends the load.
pub fn run_threads<N: Network>(
    load: &Load,
    threads: NonZeroUsize,
    make_network: impl Fn() -> io::Result<N> + Sync,
    observer: &mut (impl Observer + ?Sized),
) -> io::Result<Measurement> {
    let threads = load.threads(threads);
    if threads == 1 {
        return Ok(run(&mut make_network()?, load, observer));
    }
    let shared = Arc::new(SharedProgress::new(threads, load.detail));
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for index in 0..threads {
            let (sender, shared, make_network) =
                (sender.clone(), Arc::clone(&shared), &make_network);
            let share = Share { index, of: threads };
            scope.spawn(move || {
                let result = make_network().map(|mut network| {
                    let engine = Engine::new(&mut network, load, share, &shared);
                    engine.run(&mut OneOfSeveral { shared: &shared })
                });
                if result.is_err() {
                    shared.stop();
                }
                // The receiver waits for all threads.
                let _ = sender.send(result);
            });
        }
        drop(sender);
        let mut parts = Vec::new();
        loop {
            match results.recv_timeout(Duration::from_nanos(TICK)) {
                Ok(result) => parts.push(result?),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    observer.progress(&shared.progress());
                    if observer.should_stop() {
                        shared.stop();
                    }
                }
                // A thread that panicked sends nothing; the scope propagates its panic.
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        let sum = recorder::merge(parts);
        let mut measurement = sum.ok_or(io::ErrorKind::Other)?;
        (measurement.seconds, measurement.second_histograms) = shared.seconds();
        Ok(measurement)
    })
}

/// Stops an engine thread and receives its progress.
trait Supervisor {
    fn should_stop(&self) -> bool;
    fn tick(&mut self);
}

/// The supervisor of a single thread: asks the observer directly.
struct SingleThread<'a, O: ?Sized> {
    shared: &'a SharedProgress,
    observer: &'a mut O,
}

impl<O: Observer + ?Sized> Supervisor for SingleThread<'_, O> {
    fn should_stop(&self) -> bool {
        self.observer.should_stop()
    }

    fn tick(&mut self) {
        self.observer.progress(&self.shared.progress());
    }
}

/// The supervisor of one of several threads: the waiting main thread asks the observer.
struct OneOfSeveral<'a> {
    shared: &'a SharedProgress,
}

impl Supervisor for OneOfSeveral<'_> {
    fn should_stop(&self) -> bool {
        self.shared.is_stopped()
    }

    fn tick(&mut self) {}
}

struct Engine<'a, N> {
    network: &'a mut N,
    load: &'a Load,
    rule: Rule,
    slots: Slots,
    arrivals: Arrivals,
    allowance: Allowance,
    back_off: BackOff,
    recorder: Recorder,
    /// Slots that used up their steps and can continue.
    again: Vec<usize>,
    buffer: Vec<u8>,
    /// The next time to check timers and the schedule. It may be too early, because a timeout can
    /// be canceled.
    look_at: u64,
    /// Until this time, one connection alone learns the reply rule.
    solo_until: Option<u64>,
    /// FINs in a row that the server did not answer.
    unanswered_fins: u32,
    /// The shortest handshake so far, nanoseconds.
    fastest_handshake: Option<u64>,
    /// When the last wait ended.
    woken_at: u64,
    /// Whether a request could have started when the schedule was last checked.
    had_room: bool,
    /// Requests in flight that were started late.
    late_in_flight: usize,
    /// Until this time, late requests that have ended may still affect the server.
    late_until: u64,
    /// Index of the next source address.
    source: usize,
    /// When the target last accepted a connection or sent something.
    last_seen: u64,
    timeouts: Timeouts,
    /// Whether the run ended early.
    interrupted: bool,
    /// Whether the run ended early because the target stopped accepting connections.
    target_gone: bool,
}

/// The load's timeouts in nanoseconds.
struct Timeouts {
    connect: u64,
    reply: u64,
    gone: Option<u64>,
}

impl<'a, N: Network> Engine<'a, N> {
    fn new(network: &'a mut N, load: &'a Load, share: Share, shared: &Arc<SharedProgress>) -> Self {
        let now = nanos(network.now());
        let recorder = Recorder::new(load, Arc::clone(shared), share.index, now);
        let rule = Rule::new(load);
        Self {
            solo_until: rule.is_learning().then_some(now + SOLO_WAIT),
            rule,
            unanswered_fins: 0,
            fastest_handshake: None,
            woken_at: now,
            had_room: true,
            late_in_flight: 0,
            late_until: 0,
            slots: Slots::new(),
            arrivals: Arrivals::new(load, share, now),
            allowance: Allowance::new(load, share, recorder.begin()),
            back_off: BackOff::new(share),
            recorder,
            again: Vec::new(),
            buffer: vec![0; BUFFER],
            look_at: now,
            // Threads start with different sources.
            source: share.index,
            last_seen: now,
            timeouts: Timeouts {
                connect: nanos(load.connect_timeout).max(1),
                reply: nanos(load.reply_timeout).max(1),
                gone: load.gone_after.map(nanos),
            },
            interrupted: false,
            target_gone: false,
            network,
            load,
        }
    }

    fn now(&self) -> u64 {
        nanos(self.network.now())
    }

    fn recent(&self) -> u64 {
        nanos(self.network.recent())
    }

    fn run(mut self, supervisor: &mut impl Supervisor) -> Measurement {
        let mut events = Vec::new();
        loop {
            let now = self.now();
            self.interrupted |= supervisor.should_stop();
            let is_due = now >= self.look_at || self.slots.in_flight() == 0;
            if (is_due || self.interrupted) && !self.should_continue(now, supervisor) {
                break;
            }
            let until = Some(Duration::from_nanos(self.look_at));
            if self.network.wait(until, &mut events).is_err() {
                self.interrupted = true;
                break;
            }
            self.woken_at = self.recent();
            let late = match self.look_at {
                0 => 0,
                look_at => self.woken_at.saturating_sub(look_at),
            };
            for event in events.drain(..) {
                self.handle(event);
            }
            if late > LATE_WAKE_UP {
                self.recorder.woken_late(self.woken_at, late);
                // The client could not notice the target during that time.
                self.last_seen += late;
                self.drain_events(&mut events);
            }
        }
        self.finish()
    }

    /// Handles what happened while this thread could not run, before timeouts are judged.
    #[cold]
    fn drain_events(&mut self, events: &mut Vec<Event>) {
        for _ in 0..TURNS {
            if self.network.wait(Some(Duration::ZERO), events).is_err() || events.is_empty() {
                return;
            }
            for event in events.drain(..) {
                self.handle(event);
            }
        }
    }

    /// Runs what is due; returns whether the load continues.
    fn should_continue(&mut self, mut now: u64, supervisor: &mut impl Supervisor) -> bool {
        self.recorder.tick(now, self.slots.in_flight());
        if self.recorder.take_published() {
            supervisor.tick();
            // The time may have changed: the supervisor may have drawn on a terminal.
            now = self.now();
        }
        if self.solo_until.is_some_and(|until| now >= until) {
            self.solo_until = None;
        }
        self.expire(now);
        if !self.interrupted {
            self.start(now);
        }
        if self.interrupted || self.is_over(now) {
            return false;
        }
        for slot in std::mem::take(&mut self.again) {
            self.drive(slot);
        }
        self.look_at = self.next_time(now);
        true
    }

    /// Closes all connections. Requests in flight count neither as completed nor as failed.
    fn finish(mut self) -> Measurement {
        let now = self.now();
        let closed = !self.has_schedule();
        let connections = if closed {
            self.slots.count()
        } else {
            self.slots.peak()
        };
        for slot in 0..self.slots.count() {
            self.release(slot);
        }
        let measured = self.recorder.finish(
            self.load,
            now,
            connections,
            self.interrupted,
            self.rule.usage(),
        );
        Measurement {
            target_gone: self.target_gone,
            ..measured
        }
    }
}
