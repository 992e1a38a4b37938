//! When each record was last multicast, and when it will be next (RFC 6762 §6).

use super::records::{Kind, Set};

/// Minimum time between two multicasts of one record, in ms.
pub(super) const RATE: u64 = 1000;
/// Minimum time between two multicasts of one record in reply to probes, in ms.
pub(super) const PROBE_RATE: u64 = 250;

/// The multicasts of every record. Times are milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    sent: [Option<u64>; Kind::ALL.len()],
    due: [Option<u64>; Kind::ALL.len()],
}

impl Schedule {
    /// Plans to multicast a record at `at`, or as soon as the `rate` allows.
    pub(super) fn plan(&mut self, kind: Kind, at: u64, rate: u64) {
        let allowed = self.sent[kind.index()].map_or(0, |sent| sent + rate);
        let at = at.max(allowed);
        let due = &mut self.due[kind.index()];
        *due = Some(due.map_or(at, |due| due.min(at)));
    }

    /// Cancels the multicast of one record.
    pub(super) fn cancel(&mut self, kind: Kind) {
        self.due[kind.index()] = None;
    }

    /// Cancels all multicasts.
    pub(super) fn cancel_all(&mut self) {
        self.due = Default::default();
    }

    /// The time of the next planned multicast.
    pub(super) fn next(&self) -> Option<u64> {
        self.due.into_iter().flatten().min()
    }

    /// The records that are due at `now`.
    pub(super) fn due(&self, now: u64) -> Set {
        Set::filter(|kind| self.due[kind.index()].is_some_and(|due| due <= now))
    }

    /// The records that may not be multicast again yet.
    pub(super) fn recent(&self, now: u64) -> Set {
        Set::filter(|kind| self.sent[kind.index()].is_some_and(|sent| now < sent + RATE))
    }

    /// The records that have not been multicast for a quarter of their TTL (RFC 6762 §5.4).
    pub(super) fn stale(&self, now: u64) -> Set {
        Set::filter(|kind| {
            let quarter = u64::from(kind.ttl()) * 1000 / 4;
            self.sent[kind.index()].is_none_or(|sent| now >= sent + quarter)
        })
    }

    /// Records a multicast at `now`.
    pub(super) fn mark_sent(&mut self, records: Set, now: u64) {
        for kind in records.iter() {
            self.sent[kind.index()] = Some(now);
            self.due[kind.index()] = None;
        }
    }
}
