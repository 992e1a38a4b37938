//! The load engine: connections as plain state machines over a readiness interface.
//!
//! ```text
//! arrivals.rs ──> starts.rs ──> exchange.rs ──> Network
//!  a schedule,     when it       what happens    kernel.rs, tcpctl's cable,
//!  or the slots    is time       on each         a test's script
//!                        slots.rs, reply.rs
//!                             │
//!                             └──> recorder.rs, log.rs ──> progress.rs
//!                                        one thread        all threads
//! ```
//!
//! It has no sockets, no clock and no sleep of its own. Each event costs the same however many
//! connections there are, and nothing is allocated for a request once there are slots enough.

mod arrivals;
mod exchange;
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
use self::progress::Board;
use self::recorder::{Recorder, TICK};
use self::reply::Rule;
use self::slots::Slots;
use crate::load::{LEARNING_SILENCE, Load, Share};
use crate::measurement::Measurement;
use crate::readiness::{Network, nanos};

pub use self::progress::{Observer, Progress};

/// What is read at a time. All connections share it: an idle one has no buffer.
const BUFFER: usize = 64 * 1024;

/// Connections that are started between two waits, so that a thousand do not come as one burst
/// that no listen queue takes.
const BURST: usize = 64;

/// Reads, writes and requests in which one connection may go on without a wait, while others are
/// ready too.
const TURNS: usize = 32;

/// Runs a load over one network, on this thread.
///
/// Blocks until the load is over, or `observer` stops it. Whatever has happened until then is in
/// the measurement.
pub fn run(
    network: &mut impl Network,
    load: &Load,
    observer: &mut (impl Observer + ?Sized),
) -> Measurement {
    let board = Arc::new(Board::new(1, load.detail));
    let engine = Engine::new(network, load, Share::WHOLE, &board);
    let mut measurement = engine.run(&mut Alone {
        board: &board,
        observer,
    });
    (measurement.seconds, measurement.second_histograms) = board.seconds();
    measurement
}

/// Runs a load on several threads, each with a network of its own and its part of the connections
/// and of the schedule, and adds up what they have measured. Fewer threads than `threads` where
/// there are fewer connections or requests.
///
/// The account of `connections` in an open loop is then the sum of what was the most on each
/// thread, at whatever time that was.
///
/// # Errors
/// What `make_network` fails with; the load has ended then.
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
    let board = Arc::new(Board::new(threads, load.detail));
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for index in 0..threads {
            let (sender, board, make_network) = (sender.clone(), Arc::clone(&board), &make_network);
            let share = Share { index, of: threads };
            scope.spawn(move || {
                let result = make_network().map(|mut network| {
                    let engine = Engine::new(&mut network, load, share, &board);
                    engine.run(&mut OneOfMany { board: &board })
                });
                if result.is_err() {
                    board.stop();
                }
                // Whoever waits for it waits for all of them.
                let _ = sender.send(result);
            });
        }
        drop(sender);
        let mut parts = Vec::new();
        loop {
            match results.recv_timeout(Duration::from_nanos(TICK)) {
                Ok(result) => parts.push(result?),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    observer.progress(&board.progress());
                    if observer.is_to_stop() {
                        board.stop();
                    }
                }
                // A thread that panicked has sent nothing; the scope passes its panic on.
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        let sum = recorder::merge(parts);
        let mut measurement = sum.ok_or(io::ErrorKind::Other)?;
        (measurement.seconds, measurement.second_histograms) = board.seconds();
        Ok(measurement)
    })
}

/// Whom an engine's thread listens to and reports to.
trait Supervisor {
    fn is_to_stop(&self) -> bool;
    fn tick(&mut self);
}

/// The only thread: the observer is asked directly.
struct Alone<'a, O: ?Sized> {
    board: &'a Board,
    observer: &'a mut O,
}

impl<O: Observer + ?Sized> Supervisor for Alone<'_, O> {
    fn is_to_stop(&self) -> bool {
        self.observer.is_to_stop()
    }

    fn tick(&mut self) {
        self.observer.progress(&self.board.progress());
    }
}

/// One of several threads: the observer is asked by the thread that waits for them.
struct OneOfMany<'a> {
    board: &'a Board,
}

impl Supervisor for OneOfMany<'_> {
    fn is_to_stop(&self) -> bool {
        self.board.is_stopped()
    }

    fn tick(&mut self) {}
}

/// One thread of a load.
struct Engine<'a, N> {
    network: &'a mut N,
    load: &'a Load,
    rule: Rule,
    slots: Slots,
    arrivals: Arrivals,
    allowance: Allowance,
    back_off: BackOff,
    recorder: Recorder,
    /// Slots that had their turns and can go on.
    again: Vec<usize>,
    buffer: Vec<u8>,
    /// When to look at what is to be done at some time, at the latest. It may be too early, for a
    /// timeout that was not needed any more: that costs one look.
    look_at: u64,
    /// The next of the source addresses.
    source: usize,
    /// When there was last a sign of the target.
    last_sign: u64,
    timeouts: Timeouts,
    /// Cut short.
    interrupted: bool,
    /// Cut short, for there was no sign of the target any more.
    target_gone: bool,
}

/// The load's times, in nanoseconds.
struct Timeouts {
    connect: u64,
    reply: u64,
    silence: u64,
    gone: Option<u64>,
}

impl<'a, N: Network> Engine<'a, N> {
    fn new(network: &'a mut N, load: &'a Load, share: Share, board: &Arc<Board>) -> Self {
        let now = nanos(network.now());
        let recorder = Recorder::new(load, Arc::clone(board), share.index, now);
        Self {
            rule: Rule::new(load.expect.clone()),
            slots: Slots::new(),
            arrivals: Arrivals::new(load, share, now),
            allowance: Allowance::new(load, share, recorder.begin()),
            back_off: BackOff::new(share),
            recorder,
            again: Vec::new(),
            buffer: vec![0; BUFFER],
            look_at: now,
            // The threads do not all start with the same source.
            source: share.index,
            last_sign: now,
            timeouts: Timeouts {
                connect: nanos(load.connect_timeout).max(1),
                reply: nanos(load.reply_timeout).max(1),
                silence: nanos(LEARNING_SILENCE),
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
            self.interrupted |= supervisor.is_to_stop();
            let is_due = now >= self.look_at || self.slots.in_flight() == 0;
            if (is_due || self.interrupted) && !self.goes_on(now, supervisor) {
                break;
            }
            let until = Some(Duration::from_nanos(self.look_at));
            if self.network.wait(until, &mut events).is_err() {
                self.interrupted = true;
                break;
            }
            for event in events.drain(..) {
                self.handle(event);
            }
        }
        self.finish()
    }

    /// Does what it is time for, and says whether there will be more.
    fn goes_on(&mut self, mut now: u64, supervisor: &mut impl Supervisor) -> bool {
        self.recorder.tick(now, self.slots.in_flight());
        if self.recorder.take_news() {
            supervisor.tick();
            // It may have drawn on a terminal.
            now = self.now();
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

    /// Lets go of all connections. Requests that were under way are neither completed nor failed.
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
        let measured = self
            .recorder
            .finish(self.load, now, connections, self.interrupted);
        Measurement {
            target_gone: self.target_gone,
            ..measured
        }
    }
}
