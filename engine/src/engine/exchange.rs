//! A connection from the handshake to the end of a request, and on to the next.

use std::io;

use super::reply::{Received, Silence, Surplus, Verdict};
use super::slots::{Phase, Queue};
use super::{
    Engine, FIN_WAIT, LATE_HANDSHAKE, LEARNING_LIMIT, LONG_SILENCE, SOLO_WAIT, TURNS,
    UNANSWERED_FINS,
};
use crate::load::Reuse;
use crate::measurement::ErrorClass;
use crate::readiness::{ConnectFailure, ConnectionId, Event, Network, Release, nanos};

/// How a request was completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The expected reply arrived.
    Expected,
    /// The end of the reply was learned.
    Learned,
    /// The reply differs from the learned one: the connection may hold the rest of the reply.
    Mismatch,
}

/// The outcome of a read or a write.
enum Step {
    /// More can be done now.
    Onward,
    /// Waits for an event.
    Wait,
    /// The request ended.
    Over,
}

impl<N: Network> Engine<'_, N> {
    pub(super) fn handle(&mut self, event: Event) {
        let (Event::Connected(id)
        | Event::Failed(id, _)
        | Event::Readable(id)
        | Event::Writable(id)) = event;
        let Some(slot) = self.slots.of(id) else {
            return;
        };
        match (event, self.slots.get(slot).phase) {
            (Event::Connected(_), Phase::Connecting) => {
                let now = self.recent();
                let delay = self.handshake_delay(slot, id, now);
                let this = self.slots.get_mut(slot);
                this.readable = false;
                this.send_delay = delay;
                let time = now.saturating_sub(this.start).saturating_sub(delay);
                if this.measured {
                    self.recorder.connected(time);
                }
                self.last_seen = now;
                self.exchange(slot, now);
                self.drive(slot);
            }
            (Event::Failed(_, failure), Phase::Connecting) => {
                let now = self.recent();
                self.fail(slot, class(failure), now);
            }
            (Event::Readable(_), Phase::Exchanging) => {
                self.slots.get_mut(slot).readable = true;
                self.drive(slot);
            }
            (Event::Readable(_), Phase::Idle) => self.check_idle(slot),
            (Event::Readable(_), Phase::Closing) => {
                self.slots.get_mut(slot).readable = true;
                self.check_closing(slot);
            }
            (Event::Writable(_), Phase::Exchanging) => self.drive(slot),
            // The event belongs to an earlier connection with the same number.
            _ => {}
        }
        if self.has_schedule() {
            // Check the schedule after each event, so that a batch of events does not delay it.
            let now = self.recent();
            self.start_arrivals(now);
        }
    }

    /// How long an established connection waited for this thread: the time since the attempt minus
    /// the handshake's round-trip time. The stack is asked only about slow handshakes.
    fn handshake_delay(&mut self, slot: usize, id: ConnectionId, now: u64) -> u64 {
        let time = now.saturating_sub(self.slots.get(slot).dialed_at);
        let fastest = self.fastest_handshake;
        self.fastest_handshake = Some(fastest.map_or(time, |fastest| fastest.min(time)));
        if fastest.map_or(0, |fastest| fastest + fastest / 16) + LATE_HANDSHAKE >= time {
            return 0;
        }
        let info = self.network.info(id);
        // A retransmitted SYN has no round-trip time (RFC 6298, section 3).
        let info = info.filter(|info| info.syn_retransmissions == 0);
        let round_trip = info.and_then(|info| info.smoothed_rtt);
        round_trip.map_or(0, |rtt| time.saturating_sub(nanos(rtt)))
    }

    /// Starts a request on an established connection.
    pub(super) fn exchange(&mut self, slot: usize, now: u64) {
        self.slots.enter(slot, Phase::Exchanging);
        let this = self.slots.get_mut(slot);
        this.sent = 0;
        let deadline = now.saturating_add(self.timeouts.reply);
        this.reply_by = deadline;
        if self.is_solo() {
            self.solo_until = Some(now + SOLO_WAIT);
        }
        self.wait_in(Queue::Reply, slot, deadline);
    }

    /// Advances a slot until it waits for an event, at most [`TURNS`] steps.
    pub(super) fn drive(&mut self, slot: usize) {
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
        self.look_at = 0;
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
                // The connection is broken; a read reports what arrived before, and how it ended.
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
                let now = self.recent();
                self.end_of_stream(slot, now);
                Step::Over
            }
            Ok(length) => {
                let now = self.recent();
                let arrival = self.network.arrival().map(nanos);
                self.take(slot, length, arrival, now)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                this.readable = false;
                Step::Wait
            }
            Err(error) => {
                let nothing_came = this.reply.received.bytes == 0;
                let now = self.recent();
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

    /// Handles received bytes, which are at the start of the buffer.
    fn take(&mut self, slot: usize, length: usize, arrival: Option<u64>, now: u64) -> Step {
        let this = self.slots.get_mut(slot);
        // An arrival is measured on another clock, which may have been set in between.
        let at = arrival.unwrap_or(now).min(now).max(this.start);
        let is_first = this.reply.received.bytes == 0;
        this.reply.delay = arrival.map(|_| now - at);
        this.reply.read_at = now;
        let verdict = this.reply.take(&self.buffer[..length], at, &self.rule);
        if is_first {
            if this.measured {
                self.recorder.first_byte(at - this.start);
            }
            if self.is_solo() {
                self.solo_until = Some(now + LEARNING_LIMIT + self.rule.silence());
            }
        }
        match verdict {
            Verdict::Partial => Step::Onward,
            Verdict::UntilSilence | Verdict::UntilLongSilence => {
                self.wait_for_silence(slot, verdict, now)
            }
            Verdict::Complete => {
                self.rule.matches();
                self.complete(slot, at, now, Ending::Expected);
                Step::Onward
            }
            Verdict::Mismatch => {
                self.rule.exceeded_by(&self.slots.get(slot).reply);
                self.complete(slot, at, now, Ending::Mismatch);
                Step::Onward
            }
            Verdict::Wrong => {
                self.fail(slot, ErrorClass::WrongReply, now);
                Step::Over
            }
        }
    }

    // Handles the rare cases outside the code that every request runs through.
    #[cold]
    fn wait_for_silence(&mut self, slot: usize, verdict: Verdict, now: u64) -> Step {
        if self.never_ends(slot, verdict, now) {
            return self.end_with_first_burst(slot, now);
        }
        let (queue, silence) = if verdict == Verdict::UntilSilence {
            (Queue::Silence, self.rule.silence())
        } else {
            (Queue::LongSilence, LONG_SILENCE)
        };
        self.wait_in(queue, slot, now.saturating_add(silence));
        Step::Onward
    }

    /// Whether a reply that ends by silence has taken too long.
    fn never_ends(&self, slot: usize, verdict: Verdict, now: u64) -> bool {
        let this = self.slots.get(slot);
        if now >= this.reply_by {
            return true;
        }
        let is_load_over = self.allowance.end().is_some_and(|end| now >= end);
        verdict == Verdict::UntilSilence
            && self.rule.allows_unsolicited_data()
            && now >= this.reply.first_byte.saturating_add(LEARNING_LIMIT)
            && (this.reply.first_burst.bytes > 0 || is_load_over)
    }

    /// Ends the reply of a server that does not fall silent: what it sent after its first burst is
    /// not part of the reply.
    fn end_with_first_burst(&mut self, slot: usize, now: u64) -> Step {
        let reply = &self.slots.get(slot).reply;
        let burst = reply.first_burst;
        let is_reply = burst.bytes > 0 && self.rule.allows_unsolicited_data();
        if is_reply && self.rule.end_by_silence(reply, burst) != Silence::Undecided {
            self.complete(slot, burst.last_byte, now, Ending::Mismatch);
        } else {
            self.fail(slot, ErrorClass::ReplyTimeout, now);
        }
        Step::Over
    }

    /// Ends the reply of a server that has fallen silent, unless silence does not end it.
    #[cold]
    pub(super) fn end_by_silence(&mut self, slot: usize, now: u64) {
        let reply = &self.slots.get(slot).reply;
        let Received { last_byte, .. } = reply.received;
        let ending = match self.rule.end_by_silence(reply, reply.received) {
            Silence::Match => Ending::Expected,
            Silence::Learned => Ending::Learned,
            Silence::Mismatch => Ending::Mismatch,
            Silence::Undecided => {
                let deadline = self.slots.get(slot).reply_by;
                self.wait_in(Queue::Reply, slot, deadline);
                return;
            }
        };
        self.complete(slot, last_byte, now, ending);
        // A kept connection can send its next request.
        self.drive(slot);
    }

    /// Handles the peer's FIN.
    fn end_of_stream(&mut self, slot: usize, now: u64) {
        let is_lesson = self.rule.is_learning();
        let reply = &self.slots.get(slot).reply;
        // A FIN has no arrival time. It was there when the bytes before it were read, if the thread
        // has not waited since; else it has woken the thread.
        let at = if reply.received.bytes > 0 && reply.read_at >= self.woken_at {
            reply.received.last_byte
        } else {
            now
        };
        match self.rule.end(reply) {
            Ok(()) => {
                self.record_completion(slot, at);
                if is_lesson {
                    self.end_lesson(at, now);
                }
                self.release(slot);
                self.next_request(slot, now);
            }
            Err(class) => self.fail(slot, class, now),
        }
    }

    fn record_completion(&mut self, slot: usize, at: u64) {
        let this = self.slots.get_mut(slot);
        this.refusals = 0;
        if this.measured {
            let (send_delay, is_late) = (this.send_delay, this.is_late());
            let time = at.saturating_sub(this.start);
            let in_flight = self.slots.in_flight();
            self.recorder.tick(at, in_flight);
            self.recorder.completed(time, at, in_flight);
            if is_late {
                self.recorder.late_starts.requests += 1;
                self.end_late(slot, at);
            }
            if let Some(delay) = self.slots.get(slot).reply.delay {
                self.recorder.client_delay(delay + send_delay);
            }
        }
    }

    /// Records the end of a request that started late. It is assumed to affect the server for as long
    /// again as it took.
    #[cold]
    fn end_late(&mut self, slot: usize, at: u64) {
        if let Some(since) = self.slots.get(slot).late_since {
            self.late_in_flight -= 1;
            let until = at.saturating_add(at.saturating_sub(since));
            self.late_until = self.late_until.max(until);
        }
    }

    /// Completes a request whose reply's last byte arrived at `at`.
    fn complete(&mut self, slot: usize, at: u64, now: u64, ending: Ending) {
        self.record_completion(slot, at);
        if ending != Ending::Expected {
            self.end_lesson(at, now);
        }
        // A server that replied before reading the whole message must not get the next one on this
        // connection.
        let is_unsent = self.slots.get(slot).sent < self.load.message.len();
        if ending == Ending::Mismatch || is_unsent {
            self.release(slot);
        } else if self.load.reuse == Reuse::PerRequest {
            if self.waits_for_fin() {
                self.await_fin(slot, now);
                return;
            }
            self.release(slot);
        }
        self.next_request(slot, now);
    }

    /// Whether the next connection of a closed loop has to wait until the server has closed this
    /// one. Otherwise it could arrive before the server has freed its slot.
    fn waits_for_fin(&self) -> bool {
        !self.has_schedule()
            && self.load.close == Release::Fin
            && self.unanswered_fins < UNANSWERED_FINS
    }

    #[inline(never)]
    fn await_fin(&mut self, slot: usize, now: u64) {
        if let Some(id) = self.slots.get(slot).connection {
            self.network.finish(id);
        }
        self.slots.enter(slot, Phase::Closing);
        self.wait_in(Queue::Closing, slot, now.saturating_add(FIN_WAIT));
        self.check_closing(slot);
    }

    /// Continues once the server's FIN has arrived.
    fn check_closing(&mut self, slot: usize) {
        for _ in 0..TURNS {
            let this = self.slots.get_mut(slot);
            let Some(id) = this.connection.filter(|_| this.readable) else {
                return;
            };
            match self.network.read(id, &mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => this.readable = false,
                Ok(1..) => {}
                Ok(0) | Err(_) => {
                    self.unanswered_fins = 0;
                    self.release(slot);
                    let now = self.recent();
                    self.next_request(slot, now);
                    return;
                }
            }
        }
    }

    pub(super) fn fail(&mut self, slot: usize, class: ErrorClass, now: u64) {
        let this = self.slots.get(slot);
        if this.measured {
            let is_late = this.is_late();
            self.recorder.tick(now, self.slots.in_flight());
            self.recorder.failed(class, is_late);
            if is_late {
                self.end_late(slot, now);
            }
        }
        if class == ErrorClass::ReplyTimeout && self.slots.get(slot).reply.received.bytes > 0 {
            self.rule.missed_fin();
        }
        self.solo_until = None;
        self.release(slot);
        self.detect_absence(class, now);
        // A timeout was a wait already, and a wrong reply comes from a working server: neither
        // needs a back-off.
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
            let until = self.back_off.wait(slot, refusals, now);
            self.look_at = self.look_at.min(until);
        }
    }

    /// Detects a target that went away: no successful attempt for long, and no open connection.
    fn detect_absence(&mut self, class: ErrorClass, now: u64) {
        let is_absence = matches!(
            class,
            ErrorClass::Refused | ErrorClass::ConnectTimeout | ErrorClass::Unreachable
        );
        if !is_absence || self.slots.is_any_connected() {
            self.last_seen = now;
        } else if let Some(gone) = self.timeouts.gone {
            self.target_gone |= now.saturating_sub(self.last_seen) >= gone;
            self.interrupted |= self.target_gone;
        }
    }

    /// Continues with a slot after a request.
    pub(super) fn next_request(&mut self, slot: usize, now: u64) {
        let this = self.slots.get_mut(slot);
        this.reply.clear();
        this.reply.is_repeated = this.connection.is_some();
        self.slots.enter(slot, Phase::Idle);
        let is_connected = self.slots.get(slot).connection.is_some() && self.is_usable(slot);
        match (self.has_schedule(), is_connected) {
            (true, true) => self.wait_in(Queue::Idle, slot, u64::MAX),
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

    /// Handles an idle kept connection that became readable, most likely because of a FIN.
    fn check_idle(&mut self, slot: usize) {
        self.slots.get_mut(slot).readable = true;
        if !self.is_usable(slot) {
            self.slots.enter(slot, Phase::Free);
            if self.has_schedule() {
                self.slots.give_back(slot);
            }
        }
    }

    /// Whether a slot has a usable connection; releases one that the server has closed.
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
                Ok(length @ 1..) => match self.rule.surplus() {
                    Surplus::Dropped => {}
                    Surplus::Wrong => this.reply.received.bytes += length as u64,
                    Surplus::Mismatch => {
                        self.rule.has_surplus();
                        self.release(slot);
                    }
                },
                Ok(0) | Err(_) => self.release(slot),
            }
        }
        true
    }

    /// Closes the connection of a slot, if there is one.
    pub(super) fn release(&mut self, slot: usize) {
        let this = self.slots.get(slot);
        let (measured, is_late) = (this.measured, this.is_late());
        let Some(id) = self.slots.disconnect(slot) else {
            return;
        };
        let reply = &mut self.slots.get_mut(slot).reply;
        reply.clear();
        reply.is_repeated = false;
        if measured && let Some(info) = self.network.info(id) {
            self.recorder.connection(&info, is_late);
        }
        self.network.release(id, self.load.close);
    }
}

/// The error class of a connect failure.
pub(super) fn class(failure: ConnectFailure) -> ErrorClass {
    match failure {
        ConnectFailure::Refused => ErrorClass::Refused,
        ConnectFailure::Unreachable => ErrorClass::Unreachable,
        ConnectFailure::TimedOut => ErrorClass::ConnectTimeout,
        ConnectFailure::LocalPorts => ErrorClass::LocalPorts,
        ConnectFailure::LocalFiles => ErrorClass::LocalFiles,
    }
}
