//! The slots of a load, with one request at a time each, and the queues in which they wait.
//!
//! Timeouts are constant in a run, so arrival order is deadline order: each queue is a linked list
//! through the slots, and all operations are O(1).

use super::reply::Reply;
use crate::readiness::ConnectionId;

/// The end of a list.
const NONE: usize = usize::MAX;

/// The state of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No request and no connection.
    Free,
    /// No request, with a kept connection.
    Idle,
    /// Refused, and waiting before the next attempt.
    BackingOff,
    /// Waiting for the handshake.
    Connecting,
    /// Sending the request or waiting for the reply.
    Exchanging,
    /// The request has ended, and the connection waits for the server's FIN.
    Closing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// The handshake, until the connect timeout.
    Connect,
    /// The reply, until the reply timeout.
    Reply,
    /// The end of a reply, by silence.
    Silence,
    /// The end of a reply that is shorter than learned, by long silence.
    LongSilence,
    /// The server's FIN after ours.
    Closing,
    /// The next request, without a deadline.
    Idle,
}

const QUEUES: usize = 6;

/// One request at a time. All that a connection costs the engine: about 250 bytes.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) connection: Option<ConnectionId>,
    /// Start of the request (the intended one in an open loop), nanoseconds.
    pub(super) start: u64,
    /// When the connection attempt was made, nanoseconds.
    pub(super) dialed_at: u64,
    /// How long the established connection had waited before the request was sent, nanoseconds.
    pub(super) send_delay: u64,
    /// Bytes of the message that were sent so far.
    pub(super) sent: usize,
    pub(super) reply: Reply,
    /// Deadline of the reply timeout, nanoseconds.
    pub(super) reply_by: u64,
    pub(super) phase: Phase,
    /// Whether the request started after the warm-up and counts.
    pub(super) measured: bool,
    /// When the request of an open loop was started, if late, nanoseconds.
    pub(super) late_since: Option<u64>,
    /// Whether the request was started soon after one that was late.
    pub(super) is_near_late: bool,
    /// Whether more bytes may be readable.
    pub(super) readable: bool,
    /// Consecutive failures.
    pub(super) refusals: u8,
    queue: Option<Queue>,
    deadline: u64,
    before: usize,
    after: usize,
}

impl Slot {
    /// Whether the outcome may be due to late starts, of this request or of those before it.
    pub(super) fn is_late(&self) -> bool {
        self.late_since.is_some() || self.is_near_late
    }

    fn new() -> Self {
        Self {
            connection: None,
            start: 0,
            dialed_at: 0,
            send_delay: 0,
            sent: 0,
            reply: Reply::default(),
            reply_by: 0,
            phase: Phase::Free,
            measured: false,
            late_since: None,
            is_near_late: false,
            readable: false,
            refusals: 0,
            queue: None,
            deadline: 0,
            before: NONE,
            after: NONE,
        }
    }
}

#[derive(Debug)]
pub(super) struct Slots {
    all: Vec<Slot>,
    /// First and last slot of each queue.
    ends: [(usize, usize); QUEUES],
    free: Vec<usize>,
    /// Slots by connection number.
    by_connection: Vec<usize>,
    /// Slots with a request in flight.
    in_flight: usize,
    /// Maximum of `in_flight`.
    peak: usize,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            all: Vec::new(),
            ends: [(NONE, NONE); QUEUES],
            free: Vec::new(),
            by_connection: Vec::new(),
            in_flight: 0,
            peak: 0,
        }
    }

    /// A free slot; their number grows as needed.
    pub(super) fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.all.push(Slot::new());
            self.all.len() - 1
        })
    }

    pub(super) fn give_back(&mut self, slot: usize) {
        self.free.push(slot);
    }

    /// The number of slots.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, slot: usize) -> &Slot {
        &self.all[slot]
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> &mut Slot {
        &mut self.all[slot]
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The maximum number of requests in flight.
    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    /// Whether any request has an established connection.
    pub(super) fn is_any_connected(&self) -> bool {
        [Queue::Reply, Queue::Silence, Queue::LongSilence]
            .into_iter()
            .any(|queue| self.front(queue).is_some())
    }

    /// Changes a slot's phase and removes it from its queue.
    pub(super) fn enter(&mut self, slot: usize, phase: Phase) {
        let in_flight = |phase| usize::from(matches!(phase, Phase::Connecting | Phase::Exchanging));
        self.in_flight = self.in_flight + in_flight(phase) - in_flight(self.all[slot].phase);
        self.peak = self.peak.max(self.in_flight);
        self.leave_queue(slot);
        self.all[slot].phase = phase;
    }

    pub(super) fn connect(&mut self, slot: usize, id: ConnectionId) {
        if self.by_connection.len() <= id.0 {
            self.by_connection.resize(id.0 + 1, NONE);
        }
        self.by_connection[id.0] = slot;
        self.all[slot].connection = Some(id);
    }

    pub(super) fn disconnect(&mut self, slot: usize) -> Option<ConnectionId> {
        let id = self.all[slot].connection.take()?;
        self.by_connection[id.0] = NONE;
        Some(id)
    }

    /// The slot of a connection; `None` for a released one.
    pub(super) fn of(&self, id: ConnectionId) -> Option<usize> {
        let slot = *self.by_connection.get(id.0)?;
        (slot != NONE).then_some(slot)
    }

    /// Appends a slot to a queue.
    pub(super) fn wait_in(&mut self, queue: Queue, slot: usize, deadline: u64) {
        self.leave_queue(slot);
        let (first, last) = self.ends[queue as usize];
        let this = &mut self.all[slot];
        this.queue = Some(queue);
        this.deadline = deadline;
        this.before = last;
        this.after = NONE;
        self.ends[queue as usize] = if last == NONE {
            (slot, slot)
        } else {
            self.all[last].after = slot;
            (first, slot)
        };
    }

    fn leave_queue(&mut self, slot: usize) {
        let this = &mut self.all[slot];
        let Some(queue) = this.queue.take() else {
            return;
        };
        let (before, after) = (this.before, this.after);
        let ends = &mut self.ends[queue as usize];
        if before == NONE {
            ends.0 = after;
        } else {
            self.all[before].after = after;
        }
        if after == NONE {
            ends.1 = before;
        } else {
            self.all[after].before = before;
        }
    }

    /// The first slot of a queue, with its deadline.
    pub(super) fn front(&self, queue: Queue) -> Option<(usize, u64)> {
        let (first, _) = self.ends[queue as usize];
        (first != NONE).then(|| (first, self.all[first].deadline))
    }

    /// The last slot of a queue: of idle connections, the one least likely to have been closed.
    pub(super) fn back(&self, queue: Queue) -> Option<usize> {
        let (_, last) = self.ends[queue as usize];
        (last != NONE).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_leaves_a_queue_from_any_position() {
        let mut slots = Slots::new();
        for deadline in 0..5 {
            let slot = slots.take();
            slots.wait_in(Queue::Reply, slot, deadline);
        }
        for leaving in [2, 0, 4] {
            slots.leave_queue(leaving);
        }
        assert_eq!(slots.front(Queue::Reply), Some((1, 1)));
        assert_eq!(slots.back(Queue::Reply), Some(3));
        slots.wait_in(Queue::Reply, 1, 9);
        assert_eq!(slots.front(Queue::Reply), Some((3, 3)));
        assert_eq!(slots.back(Queue::Reply), Some(1));
        slots.leave_queue(1);
        slots.leave_queue(3);
        assert_eq!(slots.front(Queue::Reply), None);
    }

    #[test]
    fn released_connection_has_no_slot() {
        let mut slots = Slots::new();
        let slot = slots.take();
        slots.connect(slot, ConnectionId(7));
        assert_eq!(slots.of(ConnectionId(7)), Some(slot));
        assert_eq!(slots.disconnect(slot), Some(ConnectionId(7)));
        assert_eq!(slots.of(ConnectionId(7)), None);
        assert_eq!(slots.of(ConnectionId(99)), None);
    }

    #[test]
    fn slot_is_small() {
        assert!(size_of::<Slot>() <= 256, "{}", size_of::<Slot>());
    }
}
