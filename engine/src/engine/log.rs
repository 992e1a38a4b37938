//! The times of requests, in the order in which they were taken.

/// What a time is of: what is [`Timed`](crate::measurement::Timed), in that order, and what the
/// stack has measured itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    Connect,
    FirstByte,
    Complete,
    ScheduleError,
    SmoothedRtt,
    MinRtt,
}

impl Noted {
    pub(super) const ALL: [Self; 6] = [
        Self::Connect,
        Self::FirstByte,
        Self::Complete,
        Self::ScheduleError,
        Self::SmoothedRtt,
        Self::MinRtt,
    ];
}

/// Times by what they are of.
pub(super) type ByKind = [Vec<u64>; Noted::ALL.len()];

/// How many times it is to hold at most.
const ROOM: usize = 4096;

/// Bits of an entry that say what it is of; the others are for 73 years of nanoseconds.
const KIND_BITS: u32 = 3;

/// A list of times of all kinds.
///
/// A request adds a time to each of five distributions. Here those are one cache line or two; in
/// lists of their own they would be ten, and a thread that was just woken finds each of them cold.
pub(super) struct Log(Vec<u64>);

impl Log {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(ROOM))
    }

    /// Notes a time in nanoseconds.
    pub(super) fn note(&mut self, noted: Noted, time: u64) {
        let time = time.min(u64::MAX >> KIND_BITS);
        self.0.push(time << KIND_BITS | noted as u64);
    }

    /// Whether it has as many as it is to hold.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() + Noted::ALL.len() > ROOM
    }

    /// Moves all times behind those of `lists`.
    pub(super) fn sort_into(&mut self, lists: &mut ByKind) {
        for entry in self.0.drain(..) {
            let kind = entry & ((1 << KIND_BITS) - 1);
            // A kind was put in as one.
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
    fn what_is_timed_has_its_own_place() {
        for (timed, noted) in Timed::ALL.into_iter().zip(Noted::ALL) {
            assert_eq!(timed as usize, noted as usize);
            assert_eq!(format!("{timed:?}"), format!("{noted:?}"));
        }
    }

    #[test]
    fn every_time_gets_into_the_list_of_its_kind() {
        let mut log = Log::new();
        let mut lists = ByKind::default();
        let mut count = 0;
        while !log.is_full() {
            for noted in Noted::ALL {
                log.note(noted, count * 10 + noted as u64);
            }
            count += 1;
        }
        log.note(Noted::MinRtt, u64::MAX);
        log.sort_into(&mut lists);
        assert!(!log.is_full());
        for (noted, list) in Noted::ALL.into_iter().zip(&lists) {
            let expected = (0..count).map(|at| at * 10 + noted as u64);
            let expected = expected.chain((noted == Noted::MinRtt).then_some(u64::MAX >> 3));
            assert!(expected.eq(list.iter().copied()), "{noted:?}");
        }
        assert!(Vec::capacity(&log.0) < 2 * ROOM, "never grown");
    }
}
