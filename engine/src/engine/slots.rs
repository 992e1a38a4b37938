//! The slots of a load: one request at a time each, and the queues in which they wait.
//!
//! Timeouts are constant in a run, so that a queue in the order of arrival is one in the order of
//! deadlines: everything is a list through the slots themselves, and nothing is more than O(1).

use super::reply::Reply;
use crate::readiness::ConnectionId;

/// No slot: the end of a list.
const NONE: usize = usize::MAX;

/// What a slot is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing, and it has no connection.
    Free,
    /// Nothing, over a kept connection.
    Idle,
    /// It has been refused, and waits before it tries again.
    BackingOff,
    /// Its SYN is on the way.
    Connecting,
    /// It sends, and waits for the reply.
    Exchanging,
}

/// What a slot waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// The handshake, until the connect timeout.
    Connect,
    /// The reply, until the reply timeout.
    Reply,
    /// The end of a first reply, until it has been silent for long enough.
    Silence,
    /// The next request, for ever.
    Idle,
}

const QUEUES: usize = 4;

/// One request after the other. About 150 bytes, all that a connection costs the engine.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) connection: Option<ConnectionId>,
    /// When the request started, or should have: nanoseconds.
    pub(super) start: u64,
    /// Bytes of the message that were sent.
    pub(super) sent: usize,
    pub(super) reply: Reply,
    pub(super) phase: Phase,
    /// Counts: it has started after the warm-up.
    pub(super) measured: bool,
    /// There may be more to read.
    pub(super) readable: bool,
    /// Failures in a row.
    pub(super) refusals: u8,
    queue: Option<Queue>,
    deadline: u64,
    before: usize,
    after: usize,
}

impl Slot {
    fn new() -> Self {
        Self {
            connection: None,
            start: 0,
            sent: 0,
            reply: Reply::default(),
            phase: Phase::Free,
            measured: false,
            readable: false,
            refusals: 0,
            queue: None,
            deadline: 0,
            before: NONE,
            after: NONE,
        }
    }
}

/// All slots, by number and by connection.
#[derive(Debug)]
pub(super) struct Slots {
    all: Vec<Slot>,
    /// The first and the last of each queue.
    ends: [(usize, usize); QUEUES],
    free: Vec<usize>,
    /// Which slot has the connection of this number.
    by_connection: Vec<usize>,
    /// Those with a request under way.
    in_flight: usize,
    /// The most that there were.
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

    /// A slot with nothing to do; they grow in number as they are needed.
    pub(super) fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.all.push(Slot::new());
            self.all.len() - 1
        })
    }

    /// Gives a slot back.
    pub(super) fn give_back(&mut self, slot: usize) {
        self.free.push(slot);
    }

    /// All there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, slot: usize) -> &Slot {
        &self.all[slot]
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> &mut Slot {
        &mut self.all[slot]
    }

    /// Those with a request under way.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The most that had a request under way at a time.
    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    /// Whether any request has a connection.
    pub(super) fn is_any_connected(&self) -> bool {
        self.front(Queue::Reply).is_some() || self.front(Queue::Silence).is_some()
    }

    /// Changes what a slot does, and leaves whatever it waited for.
    pub(super) fn enter(&mut self, slot: usize, phase: Phase) {
        let under_way = |phase| usize::from(matches!(phase, Phase::Connecting | Phase::Exchanging));
        self.in_flight = self.in_flight + under_way(phase) - under_way(self.all[slot].phase);
        self.peak = self.peak.max(self.in_flight);
        self.leave_queue(slot);
        self.all[slot].phase = phase;
    }

    /// Gives a slot its connection.
    pub(super) fn connect(&mut self, slot: usize, id: ConnectionId) {
        if self.by_connection.len() <= id.0 {
            self.by_connection.resize(id.0 + 1, NONE);
        }
        self.by_connection[id.0] = slot;
        self.all[slot].connection = Some(id);
    }

    /// Takes a slot's connection.
    pub(super) fn disconnect(&mut self, slot: usize) -> Option<ConnectionId> {
        let id = self.all[slot].connection.take()?;
        self.by_connection[id.0] = NONE;
        Some(id)
    }

    /// The slot of a connection; events of one that was released find none.
    pub(super) fn of(&self, id: ConnectionId) -> Option<usize> {
        let slot = *self.by_connection.get(id.0)?;
        (slot != NONE).then_some(slot)
    }

    /// Lets a slot wait at the end of a queue.
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

    /// The first of a queue, and its deadline.
    pub(super) fn front(&self, queue: Queue) -> Option<(usize, u64)> {
        let (first, _) = self.ends[queue as usize];
        (first != NONE).then(|| (first, self.all[first].deadline))
    }

    /// The last that has come to a queue: of idle connections, the one that is least likely to
    /// have been closed by now.
    pub(super) fn back(&self, queue: Queue) -> Option<usize> {
        let (_, last) = self.ends[queue as usize];
        (last != NONE).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_leaves_a_queue_from_wherever_it_stands() {
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
    fn a_released_connection_has_no_slot() {
        let mut slots = Slots::new();
        let slot = slots.take();
        slots.connect(slot, ConnectionId(7));
        assert_eq!(slots.of(ConnectionId(7)), Some(slot));
        assert_eq!(slots.disconnect(slot), Some(ConnectionId(7)));
        assert_eq!(slots.of(ConnectionId(7)), None);
        assert_eq!(slots.of(ConnectionId(99)), None);
    }

    #[test]
    fn a_slot_is_small() {
        assert!(size_of::<Slot>() <= 152, "{}", size_of::<Slot>());
    }
}
