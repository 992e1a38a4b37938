//! The load engine: connections as plain state machines over a readiness interface.
//!
//! ```text
//! arrivals.rs ──> engine.rs ──> Network (kernel.rs, sim/network.rs, a test's script)
//!  what starts     one thread's   connect, read, write, wait
//!  a request       loop      │
//!                  slots.rs  │    recorder.rs ──> progress.rs
//!                  reply.rs  └──>  one thread's    all threads' account
//! ```
//!
//! It has no sockets, no clock and no sleep of its own. Each event costs the same however many
//! connections there are, and nothing is allocated for a request once there are slots enough.

mod arrivals;
mod progress;
mod recorder;
mod reply;
mod samples;
mod slots;

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use self::arrivals::{Allowance, Arrivals, BackOff};
use self::progress::Board;
use self::recorder::{Recorder, TICK};
use self::reply::{Rule, Verdict};
use self::slots::{Phase, Queue, Slots};
use super::load::{LEARNING_SILENCE, Load, Reuse, Share};
use super::measurement::{ErrorClass, Measurement};
use crate::transport::readiness::{ConnectFailure, ConnectionId, Event, Network};

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
pub fn run(network: &mut impl Network, load: &Load, observer: &mut impl Observer) -> Measurement {
    let board = Arc::new(Board::new(1));
    let engine = Engine::new(network, load, Share::WHOLE, &board);
    let mut measurement = engine.run(&mut Alone {
        board: &board,
        observer,
    });
    measurement.seconds = board.seconds();
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
    observer: &mut impl Observer,
) -> io::Result<Measurement> {
    let threads = load.threads(threads);
    if threads == 1 {
        return Ok(run(&mut make_network()?, load, observer));
    }
    let board = Arc::new(Board::new(threads));
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
        measurement.seconds = board.seconds();
        Ok(measurement)
    })
}

/// Whom an engine's thread listens to and reports to.
trait Supervisor {
    fn is_to_stop(&self) -> bool;
    fn tick(&mut self);
}

/// The only thread: the observer is asked directly.
struct Alone<'a, O> {
    board: &'a Board,
    observer: &'a mut O,
}

impl<O: Observer> Supervisor for Alone<'_, O> {
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
    /// The next of the source addresses.
    source: usize,
    /// When there was last a sign of the target.
    last_sign: u64,
    timeouts: Timeouts,
    /// Cut short.
    interrupted: bool,
}

/// The load's times, in nanoseconds.
struct Timeouts {
    connect: u64,
    reply: u64,
    silence: u64,
    gone: Option<u64>,
}

/// What came of a read or a write.
enum Step {
    /// There is more to do.
    Onward,
    /// The network has to say something first.
    Wait,
    /// The request is over, and so is what this slot can do now.
    Over,
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
            network,
            load,
        }
    }

    fn now(&self) -> u64 {
        nanos(self.network.now())
    }

    fn run(mut self, supervisor: &mut impl Supervisor) -> Measurement {
        let mut events = Vec::new();
        loop {
            let now = self.now();
            self.recorder.tick(now, self.slots.in_flight());
            if self.recorder.take_news() {
                supervisor.tick();
            }
            self.interrupted |= supervisor.is_to_stop();
            self.expire(now);
            self.start(now);
            if self.interrupted || self.is_over(now) {
                break;
            }
            for slot in std::mem::take(&mut self.again) {
                self.drive(slot);
            }
            let until = self.next_time(now);
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

    /// When to look again if nothing happens; `None` is when something does.
    fn next_time(&self, now: u64) -> Option<Duration> {
        if !self.again.is_empty() || self.can_start_now() {
            return Some(Duration::ZERO);
        }
        let queues = [Queue::Connect, Queue::Reply, Queue::Silence];
        let timeouts = queues
            .into_iter()
            .filter_map(|queue| self.slots.front(queue));
        let times = timeouts
            .map(|(_, deadline)| deadline)
            .chain(self.back_off.next())
            .chain(self.next_arrival())
            .chain(self.allowance.end().filter(|&end| end > now))
            .chain([self.recorder.next_tick()]);
        times.min().map(Duration::from_nanos)
    }

    fn has_schedule(&self) -> bool {
        matches!(self.arrivals, Arrivals::Open { .. })
    }

    /// Whether there are connections of a closed loop that were never started.
    fn can_start_now(&self) -> bool {
        matches!(self.arrivals, Arrivals::Closed { unstarted: 1.. })
    }

    /// When the schedule starts a request, if there is one that can.
    fn next_arrival(&self) -> Option<u64> {
        match &self.arrivals {
            Arrivals::Open {
                schedule,
                max_in_flight,
            } if self.slots.in_flight() < *max_in_flight => {
                let at = schedule.next();
                self.allowance.allows(at).then_some(at)
            }
            _ => None,
        }
    }

    /// Whether no request is on its way and none will be.
    fn is_over(&mut self, now: u64) -> bool {
        let over = match &self.arrivals {
            Arrivals::Closed { .. } => !self.allowance.allows(now.max(self.recorder.begin())),
            // To the end of the schedule, and not to its last request.
            Arrivals::Open { schedule, .. } => {
                !self.allowance.allows(schedule.next())
                    && self.allowance.end().is_none_or(|end| now >= end)
            }
        };
        if over {
            return self.slots.in_flight() == 0;
        }
        // Requests that should have started before the end, and wait for others to end: they
        // get as long as one that had started then.
        let patience = self.timeouts.connect.saturating_add(self.timeouts.reply);
        let end = self.allowance.end();
        self.interrupted |= end.is_some_and(|end| now >= end.saturating_add(patience));
        self.interrupted
    }

    /// Ends what was to be over by now.
    fn expire(&mut self, now: u64) {
        while let Some((slot, deadline)) = self.slots.front(Queue::Connect)
            && deadline <= now
        {
            self.fail(slot, ErrorClass::ConnectTimeout, now);
        }
        while let Some((slot, deadline)) = self.slots.front(Queue::Reply)
            && deadline <= now
        {
            self.fail(slot, ErrorClass::ReplyTimeout, now);
        }
        while let Some((slot, deadline)) = self.slots.front(Queue::Silence)
            && deadline <= now
        {
            self.rule.learn_length(&self.slots.get(slot).reply);
            match self.rule.judge_silent(&self.slots.get(slot).reply) {
                Some(Ok(())) => self.complete(slot, now),
                Some(Err(class)) => self.fail(slot, class, now),
                None => {
                    let deadline = now + self.timeouts.reply;
                    self.slots.wait_in(Queue::Reply, slot, deadline);
                    continue;
                }
            }
            // A kept connection has its next request to send.
            self.drive(slot);
        }
    }

    /// Starts what is to start by now.
    fn start(&mut self, now: u64) {
        while let Some(slot) = self.back_off.pop(now) {
            self.begin_or_rest(slot, now);
        }
        if let Arrivals::Closed { unstarted } = &mut self.arrivals {
            let burst = BURST.min(*unstarted);
            *unstarted -= burst;
            for _ in 0..burst {
                let slot = self.slots.take();
                self.begin_or_rest(slot, now);
            }
        }
        self.start_arrivals(now);
    }

    /// Starts what the schedule has for now.
    fn start_arrivals(&mut self, now: u64) {
        while let Some(at) = self.next_arrival()
            && at <= now
        {
            if let Arrivals::Open { schedule, .. } = &mut self.arrivals {
                schedule.advance();
            }
            if let Some(slot) = self.slots.back(Queue::Idle) {
                self.count_start(slot, at);
                self.exchange(slot, now);
                self.drive(slot);
            } else {
                let slot = self.slots.take();
                self.begin(slot, at, now);
            }
        }
    }

    /// In a closed loop: the slot's next request, or nothing more.
    fn begin_or_rest(&mut self, slot: usize, now: u64) {
        if self.allowance.allows(now) {
            self.begin(slot, now, now);
        } else {
            self.slots.enter(slot, Phase::Free);
        }
    }

    /// Notes the start of a request that is to start, or was to, `at`.
    fn count_start(&mut self, slot: usize, at: u64) {
        let measured = at >= self.recorder.begin();
        if measured {
            self.allowance.spend();
            if self.has_schedule() {
                let lateness = self.now().saturating_sub(at);
                self.recorder.started_late(lateness);
            }
        }
        let slot = self.slots.get_mut(slot);
        slot.start = at;
        slot.measured = measured;
    }

    /// Starts a request on a new connection.
    fn begin(&mut self, slot: usize, at: u64, now: u64) {
        self.count_start(slot, at);
        self.slots.enter(slot, Phase::Connecting);
        let source = match self.load.sources.len() {
            0 => None,
            count => {
                self.source = (self.source + 1) % count;
                Some(self.load.sources[self.source])
            }
        };
        match self.network.connect(self.load.target, source) {
            Ok(id) => {
                self.slots.connect(slot, id);
                let deadline = now.saturating_add(self.timeouts.connect);
                self.slots.wait_in(Queue::Connect, slot, deadline);
            }
            Err(failure) => {
                let now = self.now();
                self.fail(slot, class(failure), now);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let (Event::Connected(id)
        | Event::Failed(id, _)
        | Event::Readable(id)
        | Event::Writable(id)) = event;
        let Some(slot) = self.slots.of(id) else {
            return;
        };
        match (event, self.slots.get(slot).phase) {
            (Event::Connected(_), Phase::Connecting) => {
                let now = self.now();
                let this = self.slots.get_mut(slot);
                this.readable = false;
                let time = now.saturating_sub(this.start);
                if this.measured {
                    self.recorder.connected(time);
                }
                self.last_sign = now;
                self.exchange(slot, now);
                self.drive(slot);
            }
            (Event::Failed(_, failure), Phase::Connecting) => {
                let now = self.now();
                self.fail(slot, class(failure), now);
            }
            (Event::Readable(_), Phase::Exchanging) => {
                self.slots.get_mut(slot).readable = true;
                self.drive(slot);
            }
            (Event::Readable(_), Phase::Idle) => self.look_at_idle(slot),
            (Event::Writable(_), Phase::Exchanging) => self.drive(slot),
            // About a connection of this number that was released while the event was waiting.
            _ => {}
        }
        if self.has_schedule() {
            // A batch of events is not to delay the schedule.
            let now = self.now();
            self.start_arrivals(now);
        }
    }

    /// Starts to send over a connection.
    fn exchange(&mut self, slot: usize, now: u64) {
        self.slots.enter(slot, Phase::Exchanging);
        let this = self.slots.get_mut(slot);
        this.sent = 0;
        let deadline = now.saturating_add(self.timeouts.reply);
        self.slots.wait_in(Queue::Reply, slot, deadline);
    }

    /// Goes on with a slot for as long as it needs no wait, within its turns.
    fn drive(&mut self, slot: usize) {
        for _ in 0..TURNS {
            if self.slots.get(slot).phase != Phase::Exchanging {
                return;
            }
            let mut step = Step::Wait;
            if self.slots.get(slot).sent < self.load.message.len() {
                step = self.send(slot);
            }
            if matches!(step, Step::Wait) && self.slots.get(slot).readable {
                step = self.receive(slot);
            }
            match step {
                Step::Onward => {}
                Step::Wait | Step::Over => return,
            }
        }
        self.again.push(slot);
    }

    fn send(&mut self, slot: usize) -> Step {
        let this = self.slots.get_mut(slot);
        let Some(id) = this.connection else {
            return Step::Over;
        };
        match self.network.write(id, &self.load.message[this.sent..]) {
            Ok(length) => {
                this.sent += length;
                if this.sent < self.load.message.len() {
                    Step::Wait
                } else {
                    Step::Onward
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Wait,
            Err(_) => {
                // The connection is gone. What came before, and how it went, is there to read.
                this.sent = self.load.message.len();
                this.readable = true;
                Step::Onward
            }
        }
    }

    fn receive(&mut self, slot: usize) -> Step {
        let this = self.slots.get_mut(slot);
        let Some(id) = this.connection else {
            return Step::Over;
        };
        match self.network.read(id, &mut self.buffer) {
            Ok(0) => {
                let now = self.now();
                self.end_of_stream(slot, now);
                Step::Over
            }
            Ok(length) => {
                let now = self.now();
                self.take(slot, length, now)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                this.readable = false;
                Step::Wait
            }
            Err(error) => {
                let nothing_came = this.reply.received == 0;
                let now = self.now();
                let class = match error.kind() {
                    io::ErrorKind::TimedOut => ErrorClass::ReplyTimeout,
                    io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                        ErrorClass::Unreachable
                    }
                    _ if nothing_came => ErrorClass::ResetBeforeReply,
                    _ => ErrorClass::ResetInReply,
                };
                self.fail(slot, class, now);
                Step::Over
            }
        }
    }

    /// Takes bytes of the reply, which are at the start of the buffer.
    fn take(&mut self, slot: usize, length: usize, now: u64) -> Step {
        let this = self.slots.get_mut(slot);
        if this.reply.received == 0 && this.measured {
            self.recorder.first_byte(now.saturating_sub(this.start));
        }
        match this.reply.take(&self.buffer[..length], now, &self.rule) {
            Verdict::Partial => Step::Onward,
            Verdict::Learning => {
                let deadline = now.saturating_add(self.timeouts.silence);
                self.slots.wait_in(Queue::Silence, slot, deadline);
                Step::Onward
            }
            Verdict::Complete => {
                self.complete(slot, now);
                Step::Onward
            }
            Verdict::Wrong => {
                self.fail(slot, ErrorClass::WrongReply, now);
                Step::Over
            }
        }
    }

    /// The peer's FIN.
    fn end_of_stream(&mut self, slot: usize, now: u64) {
        self.rule.learn_close();
        match self.slots.get(slot).reply.end(&self.rule) {
            Ok(()) => {
                self.record_completion(slot, now);
                self.release(slot);
                self.next_request(slot, now);
            }
            Err(class) => self.fail(slot, class, now),
        }
    }

    fn record_completion(&mut self, slot: usize, now: u64) {
        let this = self.slots.get_mut(slot);
        this.refusals = 0;
        if this.measured {
            let time = now.saturating_sub(this.start);
            let in_flight = self.slots.in_flight();
            self.recorder.tick(now, in_flight);
            self.recorder.completed(time, now, in_flight);
        }
    }

    /// The reply is complete. What it has learned by silence was complete with its last byte.
    fn complete(&mut self, slot: usize, now: u64) {
        let last_byte = self.slots.get(slot).reply.last_byte;
        self.record_completion(slot, last_byte);
        // A server that has answered before it has read everything is not to get the next.
        let is_unsent = self.slots.get(slot).sent < self.load.message.len();
        if self.load.reuse == Reuse::PerRequest || is_unsent {
            self.release(slot);
        }
        self.next_request(slot, now);
    }

    fn fail(&mut self, slot: usize, class: ErrorClass, now: u64) {
        if self.slots.get(slot).measured {
            self.recorder.tick(now, self.slots.in_flight());
            self.recorder.failed(class);
        }
        self.release(slot);
        self.look_for_signs(class, now);
        // A timeout has waited already, and a wrong reply is one.
        let backs_off = !matches!(
            class,
            ErrorClass::ConnectTimeout | ErrorClass::ReplyTimeout | ErrorClass::WrongReply
        );
        if self.has_schedule() || !backs_off {
            self.next_request(slot, now);
        } else {
            self.slots.enter(slot, Phase::BackingOff);
            let this = self.slots.get_mut(slot);
            this.refusals = this.refusals.saturating_add(1);
            let refusals = this.refusals;
            self.back_off.wait(slot, refusals, now);
        }
    }

    /// Whether the target has gone away: no connection for long, and none that still stands.
    fn look_for_signs(&mut self, class: ErrorClass, now: u64) {
        let is_absence = matches!(
            class,
            ErrorClass::Refused | ErrorClass::ConnectTimeout | ErrorClass::Unreachable
        );
        if !is_absence || self.slots.is_any_connected() {
            self.last_sign = now;
        } else if let Some(gone) = self.timeouts.gone {
            self.interrupted |= now.saturating_sub(self.last_sign) >= gone;
        }
    }

    /// What a slot does after a request.
    fn next_request(&mut self, slot: usize, now: u64) {
        self.slots.get_mut(slot).reply.clear();
        self.slots.enter(slot, Phase::Idle);
        let is_connected = self.is_usable(slot);
        match (self.has_schedule(), is_connected) {
            (true, true) => self.slots.wait_in(Queue::Idle, slot, u64::MAX),
            (true, false) => {
                self.slots.enter(slot, Phase::Free);
                self.slots.give_back(slot);
            }
            (false, true) if self.allowance.allows(now) => {
                self.count_start(slot, now);
                self.exchange(slot, now);
            }
            (false, true) => {}
            (false, false) => self.begin_or_rest(slot, now),
        }
    }

    /// A kept connection with no request has something to read: the server's FIN, most likely.
    fn look_at_idle(&mut self, slot: usize) {
        self.slots.get_mut(slot).readable = true;
        if !self.is_usable(slot) {
            self.slots.enter(slot, Phase::Free);
            if self.has_schedule() {
                self.slots.give_back(slot);
            }
        }
    }

    /// Whether a slot has a connection for the next request; lets go of one that the server has
    /// closed.
    fn is_usable(&mut self, slot: usize) -> bool {
        for _ in 0..TURNS {
            let this = self.slots.get_mut(slot);
            let Some(id) = this.connection else {
                return false;
            };
            if !this.readable {
                return true;
            }
            match self.network.read(id, &mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => this.readable = false,
                // The rest of a reply that has matched.
                Ok(1..) if self.rule.is_pattern() => {}
                // Out of step: it makes the next reply too long, and so a wrong one.
                Ok(length @ 1..) => this.reply.received += length as u64,
                Ok(0) | Err(_) => self.release(slot),
            }
        }
        true
    }

    /// Lets go of a slot's connection, if it has one.
    fn release(&mut self, slot: usize) {
        let measured = self.slots.get(slot).measured;
        let Some(id) = self.slots.disconnect(slot) else {
            return;
        };
        self.slots.get_mut(slot).reply.clear();
        self.let_go(id, measured);
    }

    fn let_go(&mut self, id: ConnectionId, measured: bool) {
        if measured && let Some(info) = self.network.info(id) {
            self.recorder.connection(&info);
        }
        self.network.release(id, self.load.close);
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
        self.recorder
            .finish(self.load, now, connections, self.interrupted)
    }
}

/// The failure's class, in the report's words.
fn class(failure: ConnectFailure) -> ErrorClass {
    match failure {
        ConnectFailure::Refused => ErrorClass::Refused,
        ConnectFailure::Unreachable => ErrorClass::Unreachable,
        ConnectFailure::TimedOut => ErrorClass::ConnectTimeout,
        ConnectFailure::LocalPorts => ErrorClass::LocalPorts,
        ConnectFailure::LocalFiles => ErrorClass::LocalFiles,
    }
}

/// A time as the engine counts: 584 years of it.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
