//! Starts of requests, and timeouts.

use super::arrivals::Arrivals;
use super::exchange::class;
use super::slots::{Phase, Queue};
use super::{BURST, Engine, LATE_START, SOLO_WAIT, TOO_LATE_TO_START};
use crate::measurement::ErrorClass;
use crate::readiness::Network;

impl<N: Network> Engine<'_, N> {
    /// The next time at which something is due without an event.
    pub(super) fn next_time(&self, now: u64) -> u64 {
        if !self.again.is_empty() || self.can_start_now() {
            return 0;
        }
        let front = |queue| self.slots.front(queue).map(|(_, deadline)| deadline);
        let times = [
            front(Queue::Connect),
            front(Queue::Reply),
            front(Queue::Silence),
            front(Queue::LongSilence),
            front(Queue::Closing),
            self.solo_until,
            self.back_off.next(),
            self.next_arrival(),
            self.allowance.end().filter(|&end| end > now),
        ];
        let mut next = self.recorder.next_tick();
        for time in times {
            next = next.min(time.unwrap_or(u64::MAX));
        }
        next
    }

    /// Puts a slot into a queue, until its deadline at the latest.
    pub(super) fn wait_in(&mut self, queue: Queue, slot: usize, deadline: u64) {
        self.look_at = self.look_at.min(deadline);
        self.slots.wait_in(queue, slot, deadline);
    }

    pub(super) fn has_schedule(&self) -> bool {
        matches!(self.arrivals, Arrivals::Open { .. })
    }

    /// Whether a closed loop has connections that were never started.
    pub(super) fn can_start_now(&self) -> bool {
        let is_alone = self.is_solo() && self.slots.count() > 0;
        !is_alone && matches!(self.arrivals, Arrivals::Closed { unstarted: 1.. })
    }

    /// Whether one connection alone is learning the reply rule.
    pub(super) fn is_solo(&self) -> bool {
        self.solo_until.is_some()
    }

    /// Whether the schedule can start another request.
    fn has_room(&self) -> bool {
        let Arrivals::Open { max_in_flight, .. } = self.arrivals else {
            return false;
        };
        let limit = if self.is_solo() { 1 } else { max_in_flight };
        self.slots.in_flight() < limit
    }

    /// The next scheduled start, if a request can start.
    pub(super) fn next_arrival(&self) -> Option<u64> {
        match &self.arrivals {
            Arrivals::Open { schedule, .. } if self.has_room() => {
                let at = schedule.next();
                self.allowance.allows(at).then_some(at)
            }
            _ => None,
        }
    }

    /// Whether no request is in flight and none will start.
    pub(super) fn is_over(&mut self, now: u64) -> bool {
        let over = match &self.arrivals {
            Arrivals::Closed { .. } => !self.allowance.allows(now.max(self.recorder.begin())),
            // An open loop lasts until the end of its schedule, not until its last request.
            Arrivals::Open { schedule, .. } => {
                !self.allowance.allows(schedule.next())
                    && self.allowance.end().is_none_or(|end| now >= end)
            }
        };
        if over {
            return self.slots.in_flight() == 0;
        }
        // Overdue requests that wait for a free slot get as long as one started at the end.
        let grace = self.timeouts.connect.saturating_add(self.timeouts.reply);
        let end = self.allowance.end();
        self.interrupted |= end.is_some_and(|end| now >= end.saturating_add(grace));
        self.interrupted
    }

    /// Fails requests whose deadline has passed.
    pub(super) fn expire(&mut self, now: u64) {
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
        for queue in [Queue::Silence, Queue::LongSilence] {
            while let Some((slot, deadline)) = self.slots.front(queue)
                && deadline <= now
            {
                self.end_by_silence(slot, now);
            }
        }
        while let Some((slot, deadline)) = self.slots.front(Queue::Closing)
            && deadline <= now
        {
            self.unanswered_fins += 1;
            self.release(slot);
            self.next_request(slot, now);
        }
    }

    /// Starts the requests that are due.
    pub(super) fn start(&mut self, now: u64) {
        while let Some(slot) = self.back_off.pop(now) {
            self.begin_or_rest(slot, now);
        }
        if let Arrivals::Closed { unstarted } = &mut self.arrivals {
            let burst = match self.solo_until {
                Some(_) => usize::from(self.slots.count() == 0),
                None => BURST.min(*unstarted),
            };
            *unstarted -= burst;
            for _ in 0..burst {
                let slot = self.slots.take();
                self.begin_or_rest(slot, now);
            }
        }
        self.start_arrivals(now);
    }

    /// Starts the scheduled requests that are due.
    pub(super) fn start_arrivals(&mut self, now: u64) {
        while let Some(at) = self.next_arrival()
            && at <= now
        {
            if let Arrivals::Open { schedule, .. } = &mut self.arrivals {
                schedule.advance();
            }
            // A start is this late only if the client did not run.
            if self.had_room && now - at > TOO_LATE_TO_START {
                self.miss(at);
                continue;
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
        if let Some(at) = self.next_arrival() {
            self.look_at = self.look_at.min(at);
        }
        self.had_room = self.has_room();
    }

    /// Counts a request that was not started at its time, `at`.
    #[cold]
    fn miss(&mut self, at: u64) {
        if at >= self.recorder.begin() {
            self.allowance.spend();
            self.recorder.failed(ErrorClass::LocalLate, true);
        }
    }

    /// Stops the load's clock for the time in which one connection alone learned the reply rule.
    /// The last byte of its reply arrived at `at`.
    #[cold]
    pub(super) fn end_lesson(&mut self, at: u64, now: u64) {
        if !self.is_solo() {
            return;
        }
        let time = match &mut self.arrivals {
            Arrivals::Closed { .. } => now.saturating_sub(at),
            Arrivals::Open { schedule, .. } => {
                let time = now.saturating_sub(schedule.next());
                schedule.shift(time);
                time
            }
        };
        self.recorder.shift(time);
        self.allowance.shift(time);
        self.solo_until = self.rule.is_learning().then_some(now + SOLO_WAIT);
        self.look_at = 0;
    }

    /// Starts the slot's next request in a closed loop, if there is one.
    pub(super) fn begin_or_rest(&mut self, slot: usize, now: u64) {
        if self.allowance.allows(now) {
            self.begin(slot, now, now);
        } else {
            self.slots.enter(slot, Phase::Free);
        }
    }

    /// Records the start of a request, intended for `at`.
    pub(super) fn count_start(&mut self, slot: usize, at: u64) {
        let measured = at >= self.recorder.begin();
        let mut late_since = None;
        let mut is_near_late = false;
        if measured {
            self.allowance.spend();
            if self.has_schedule() {
                let now = self.now();
                let lateness = now.saturating_sub(at);
                self.recorder.started_late(lateness);
                late_since = (lateness > LATE_START).then_some(now);
                is_near_late = self.late_in_flight > 0 || now < self.late_until;
                self.late_in_flight += usize::from(late_since.is_some());
            }
        }
        let slot = self.slots.get_mut(slot);
        slot.late_since = late_since;
        slot.is_near_late = is_near_late;
        slot.start = at;
        slot.send_delay = 0;
        slot.measured = measured;
    }

    /// Starts a request on a new connection.
    pub(super) fn begin(&mut self, slot: usize, at: u64, now: u64) {
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
                self.slots.get_mut(slot).dialed_at = now;
                let deadline = now.saturating_add(self.timeouts.connect);
                self.wait_in(Queue::Connect, slot, deadline);
            }
            Err(failure) => {
                let now = self.recent();
                self.fail(slot, class(failure), now);
            }
        }
    }
}
