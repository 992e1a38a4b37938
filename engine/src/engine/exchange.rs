//! A connection from the handshake to the end of a request, and on to the next.

use std::io;

use super::reply::Verdict;
use super::slots::{Phase, Queue};
use super::{Engine, TURNS};
use crate::load::Reuse;
use crate::measurement::ErrorClass;
use crate::readiness::{ConnectFailure, ConnectionId, Event, Network};

/// The outcome of a read or a write.
enum Step {
    /// More can be done now.
    Onward,
    /// Waits for an event.
    Wait,
    /// The request has ended.
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
                let this = self.slots.get_mut(slot);
                this.readable = false;
                let time = now.saturating_sub(this.start);
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
            (Event::Writable(_), Phase::Exchanging) => self.drive(slot),
            // An event of an earlier connection with the same number.
            _ => {}
        }
        if self.has_schedule() {
            // A batch of events must not delay the schedule.
            let now = self.recent();
            self.start_arrivals(now);
        }
    }

    /// Starts a request on an established connection.
    pub(super) fn exchange(&mut self, slot: usize, now: u64) {
        self.slots.enter(slot, Phase::Exchanging);
        let this = self.slots.get_mut(slot);
        this.sent = 0;
        let deadline = now.saturating_add(self.timeouts.reply);
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
                self.take(slot, length, now)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                this.readable = false;
                Step::Wait
            }
            Err(error) => {
                let nothing_came = this.reply.received == 0;
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
    fn take(&mut self, slot: usize, length: usize, now: u64) -> Step {
        let this = self.slots.get_mut(slot);
        if this.reply.received == 0 && this.measured {
            self.recorder.first_byte(now.saturating_sub(this.start));
        }
        match this.reply.take(&self.buffer[..length], now, &self.rule) {
            Verdict::Partial => Step::Onward,
            Verdict::Learning => {
                let deadline = now.saturating_add(self.timeouts.silence);
                self.wait_in(Queue::Silence, slot, deadline);
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

    /// Handles the peer's FIN.
    fn end_of_stream(&mut self, slot: usize, now: u64) {
        // A connection closed without a reply does not show how replies end.
        if self.slots.get(slot).reply.received > 0 {
            self.rule.learn_close();
        }
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

    /// Completes a request. A reply that ended by silence was complete with its last byte.
    pub(super) fn complete(&mut self, slot: usize, now: u64) {
        let last_byte = self.slots.get(slot).reply.last_byte;
        self.record_completion(slot, last_byte);
        // A server that replied before reading the whole message must not get the next one.
        let is_unsent = self.slots.get(slot).sent < self.load.message.len();
        if self.load.reuse == Reuse::PerRequest || is_unsent {
            self.release(slot);
        }
        self.next_request(slot, now);
    }

    pub(super) fn fail(&mut self, slot: usize, class: ErrorClass, now: u64) {
        if self.slots.get(slot).measured {
            self.recorder.tick(now, self.slots.in_flight());
            self.recorder.failed(class);
        }
        self.release(slot);
        self.detect_absence(class, now);
        // Timeouts have waited already, and wrong replies come from a working server.
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
    fn next_request(&mut self, slot: usize, now: u64) {
        self.slots.get_mut(slot).reply.clear();
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

    /// An idle kept connection is readable, most likely because of a FIN.
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
                // The rest of a matched reply.
                Ok(1..) if self.rule.is_pattern() => {}
                // Unexpected bytes make the next reply too long, and therefore wrong.
                Ok(length @ 1..) => this.reply.received += length as u64,
                Ok(0) | Err(_) => self.release(slot),
            }
        }
        true
    }

    /// Closes a slot's connection, if it has one.
    pub(super) fn release(&mut self, slot: usize) {
        let measured = self.slots.get(slot).measured;
        let Some(id) = self.slots.disconnect(slot) else {
            return;
        };
        self.slots.get_mut(slot).reply.clear();
        self.close(id, measured);
    }

    fn close(&mut self, id: ConnectionId, measured: bool) {
        if measured && let Some(info) = self.network.info(id) {
            self.recorder.connection(&info);
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
