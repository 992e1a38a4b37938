//! The lease table: one place for each address of the pool.

use core::net::Ipv4Addr;

use super::Mac;

/// One row of the lease table, as a console shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The client; `None` for an address that is quarantined.
    pub mac: Option<Mac>,
    /// The address.
    pub address: Ipv4Addr,
    /// How long the state lasts, in seconds.
    pub remaining_seconds: u64,
    /// What the address is doing.
    pub state: LeaseState,
}

/// What an address of the pool is doing while it is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// Offered, and kept for the client's request.
    Offered,
    /// In use.
    Leased,
    /// Declined by a client that saw it used by somebody else.
    Quarantined,
}

/// An address's state and the second it ends at; `client` is remembered after that, so that it gets
/// the same address again (RFC 2131 §4.3.1).
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    client: Option<Mac>,
    state: Option<LeaseState>,
    until: u64,
}

/// The places of a pool of up to `N` addresses. Times are seconds on the caller's clock, which
/// never goes back.
#[derive(Clone, Debug)]
pub(super) struct Table<const N: usize> {
    places: [Place; N],
    size: usize,
}

impl<const N: usize> Table<N> {
    /// A table of `size` free addresses, or `None` if there are more of them than places.
    pub(super) fn new(size: u32) -> Option<Self> {
        let size = usize::try_from(size).ok().filter(|size| *size <= N)?;
        Some(Self {
            places: [Place::default(); N],
            size,
        })
    }

    /// Frees every address whose time is up.
    pub(super) fn expire(&mut self, now: u64) {
        for place in self.places.iter_mut().filter(|place| place.until <= now) {
            place.state = None;
        }
    }

    /// What the address at `index` is doing and for whom, if it is not free.
    pub(super) fn at(&self, index: usize) -> Option<(Option<Mac>, LeaseState)> {
        let place = self.places.get(index)?;
        place.state.map(|state| (place.client, state))
    }

    /// The place that `mac` holds now.
    pub(super) fn held_by(&self, mac: Mac) -> Option<(usize, LeaseState)> {
        self.places
            .iter()
            .enumerate()
            .find_map(|(index, place)| match place {
                Place {
                    client: Some(client),
                    state: Some(state),
                    ..
                } if *client == mac => Some((index, *state)),
                _ => None,
            })
    }

    /// The free place to offer `mac`: its last one, else the one it wishes, else one that nobody
    /// had, else the one whose lease ended longest ago.
    pub(super) fn choose(&self, mac: Mac, wish: Option<usize>) -> Option<usize> {
        let pool = self.places.iter().enumerate().take(self.size);
        let free = pool.filter(|(_, place)| place.state.is_none());
        free.min_by_key(|(index, place)| {
            let rank = match place.client {
                Some(client) if client == mac => 0,
                _ if Some(*index) == wish => 1,
                None => 2,
                Some(_) => 3,
            };
            (rank, place.until)
        })
        .map(|(index, _)| index)
    }

    /// Gives a place to `mac` until the second `until`. The caller has made sure that it is free or
    /// `mac`'s own, and that `mac` holds no other.
    pub(super) fn give(&mut self, index: usize, mac: Mac, state: LeaseState, until: u64) {
        if let Some(place) = self.places.get_mut(index) {
            *place = Place {
                client: Some(mac),
                state: Some(state),
                until,
            };
        }
    }

    /// Frees a place now; its client is remembered.
    pub(super) fn free(&mut self, index: usize, now: u64) {
        if let Some(place) = self.places.get_mut(index) {
            place.state = None;
            place.until = now;
        }
    }

    /// Keeps a place from everybody until the second `until`.
    pub(super) fn quarantine(&mut self, index: usize, until: u64) {
        if let Some(place) = self.places.get_mut(index) {
            *place = Place {
                client: None,
                state: Some(LeaseState::Quarantined),
                until,
            };
        }
    }

    /// Every place that is not free at `now`, with its index, in the pool's order.
    pub(super) fn iter(
        &self,
        now: u64,
    ) -> impl Iterator<Item = (usize, Option<Mac>, LeaseState, u64)> {
        self.places
            .iter()
            .enumerate()
            .filter_map(move |(index, place)| {
                let remaining = place.until.checked_sub(now).filter(|left| *left > 0)?;
                Some((index, place.client, place.state?, remaining))
            })
    }
}
