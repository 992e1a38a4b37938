//! A buffer of times of all kinds, in recording order.

/// The kind of a time: the variants of [`Timed`](crate::measurement::Timed) in the same order, then
/// those measured by the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeKind {
    Connect,
    FirstByte,
    Complete,
    ScheduleError,
    SmoothedRtt,
    MinRtt,
    ClientDelay,
}

impl TimeKind {
    pub(super) const ALL: [Self; 7] = [
        Self::Connect,
        Self::FirstByte,
        Self::Complete,
        Self::ScheduleError,
        Self::SmoothedRtt,
        Self::MinRtt,
        Self::ClientDelay,
    ];
}

/// Times by [`TimeKind`].
pub(super) type TimesByKind = [Vec<u64>; TimeKind::ALL.len()];

/// Capacity: maximum number of times.
const ROOM: usize = 4096;

/// Bits of an entry that hold its kind; the rest holds 73 years of nanoseconds.
const KIND_BITS: u32 = 3;

/// One buffer for all kinds. A request adds a time to each of several distributions. In one buffer
/// they take one or two cache lines; in separate lists each would be a cache miss after a wake-up.
pub(super) struct Log(Vec<u64>);

impl Log {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(ROOM))
    }

    /// Adds a time in nanoseconds.
    pub(super) fn push(&mut self, kind: TimeKind, time: u64) {
        let time = time.min(u64::MAX >> KIND_BITS);
        self.0.push(time << KIND_BITS | kind as u64);
    }

    /// Whether the next request's times may not fit.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() + TimeKind::ALL.len() > ROOM
    }

    /// Moves all times to the lists of their kinds.
    pub(super) fn sort_into(&mut self, lists: &mut TimesByKind) {
        for entry in self.0.drain(..) {
            let kind = entry & ((1 << KIND_BITS) - 1);
            if let Some(list) = usize::try_from(kind).ok().and_then(|it| lists.get_mut(it)) {
                list.push(entry >> KIND_BITS);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::Timed;

    #[test]
    fn timed_and_time_kind_agree() {
        for (timed, kind) in Timed::ALL.into_iter().zip(TimeKind::ALL) {
            assert_eq!(timed as usize, kind as usize);
            assert_eq!(format!("{timed:?}"), format!("{kind:?}"));
        }
    }

    #[test]
    fn times_are_sorted_by_kind() {
        let mut log = Log::new();
        let mut lists = TimesByKind::default();
        let mut count = 0;
        while !log.is_full() {
            for kind in TimeKind::ALL {
                log.push(kind, count * 10 + kind as u64);
            }
            count += 1;
        }
        log.push(TimeKind::MinRtt, u64::MAX);
        log.sort_into(&mut lists);
        assert!(!log.is_full());
        for (kind, list) in TimeKind::ALL.into_iter().zip(&lists) {
            let expected = (0..count).map(|at| at * 10 + kind as u64);
            let expected = expected.chain((kind == TimeKind::MinRtt).then_some(u64::MAX >> 3));
            assert!(expected.eq(list.iter().copied()), "{kind:?}");
        }
        assert!(Vec::capacity(&log.0) < 2 * ROOM, "did not reallocate");
    }
}
