//! The lease table: one entry per address of the pool.

use core::net::Ipv4Addr;

use super::Mac;

/// A lease, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Client; `None` for a quarantined address.
    pub mac: Option<Mac>,
    /// The address.
    pub address: Ipv4Addr,
    /// How long the state lasts, in seconds.
    pub remaining_seconds: u64,
    /// State of the address.
    pub state: LeaseState,
}

/// State of an address that is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// Offered and reserved.
    Offered,
    /// In use.
    Leased,
    /// Declined, because another host uses it.
    Quarantined,
}

/// State of an address until second `until`. The client is remembered after that, so that it gets
/// the same address again (RFC 2131 §4.3.1).
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    client: Option<Mac>,
    state: Option<LeaseState>,
    until: u64,
}

/// The entries of a pool of up to `N` addresses. Times are seconds on a monotonic clock.
#[derive(Clone, Debug)]
pub(super) struct Table<const N: usize> {
    entries: [Entry; N],
    size: usize,
}

impl<const N: usize> Table<N> {
    /// A table of `size` free addresses, or `None` if `N` is too small.
    pub(super) fn new(size: u32) -> Option<Self> {
        let size = usize::try_from(size).ok().filter(|size| *size <= N)?;
        Some(Self {
            entries: [Entry::default(); N],
            size,
        })
    }

    /// Frees every expired address.
    pub(super) fn expire(&mut self, now: u64) {
        for entry in self.entries.iter_mut().filter(|entry| entry.until <= now) {
            entry.state = None;
        }
    }

    /// Client and state of the address at `index`, if it is not free.
    pub(super) fn at(&self, index: usize) -> Option<(Option<Mac>, LeaseState)> {
        let entry = self.entries.get(index)?;
        entry.state.map(|state| (entry.client, state))
    }

    /// The entry that belongs to `mac`.
    pub(super) fn held_by(&self, mac: Mac) -> Option<(usize, LeaseState)> {
        self.entries
            .iter()
            .enumerate()
            .find_map(|(index, entry)| match entry {
                Entry {
                    client: Some(client),
                    state: Some(state),
                    ..
                } if *client == mac => Some((index, *state)),
                _ => None,
            })
    }

    /// The free entry to offer `mac`: its previous one, else the requested one, else an unused one,
    /// else the one whose lease ended longest ago.
    pub(super) fn choose(&self, mac: Mac, requested: Option<usize>) -> Option<usize> {
        let pool = self.entries.iter().enumerate().take(self.size);
        let free = pool.filter(|(_, entry)| entry.state.is_none());
        free.min_by_key(|(index, entry)| {
            let rank = match entry.client {
                Some(client) if client == mac => 0,
                _ if Some(*index) == requested => 1,
                None => 2,
                Some(_) => 3,
            };
            (rank, entry.until)
        })
        .map(|(index, _)| index)
    }

    /// Assigns an entry to `mac` until second `until`. The caller ensures that it is free or
    /// already belongs to `mac`, and that `mac` has no other.
    pub(super) fn give(&mut self, index: usize, mac: Mac, state: LeaseState, until: u64) {
        if let Some(entry) = self.entries.get_mut(index) {
            *entry = Entry {
                client: Some(mac),
                state: Some(state),
                until,
            };
        }
    }

    /// Frees an entry and remembers its client.
    pub(super) fn free(&mut self, index: usize, now: u64) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.state = None;
            entry.until = now;
        }
    }

    /// Quarantines an entry until second `until`.
    pub(super) fn quarantine(&mut self, index: usize, until: u64) {
        if let Some(entry) = self.entries.get_mut(index) {
            *entry = Entry {
                client: None,
                state: Some(LeaseState::Quarantined),
                until,
            };
        }
    }

    /// Every entry that is not free at `now`, with its index.
    pub(super) fn iter(
        &self,
        now: u64,
    ) -> impl Iterator<Item = (usize, Option<Mac>, LeaseState, u64)> {
        self.entries
            .iter()
            .enumerate()
            .filter_map(move |(index, entry)| {
                let remaining = entry.until.checked_sub(now).filter(|left| *left > 0)?;
                Some((index, entry.client, entry.state?, remaining))
            })
    }
}
