//! The board's records and sets of them.

use edge_mdns::domain::base::Rtype;

/// TTL of records that contain a host's name or address, in seconds (RFC 6762 §10).
const HOST_TTL: u32 = 120;
/// TTL of all other records, in seconds (RFC 6762 §10): 75 minutes.
const OTHER_TTL: u32 = 75 * 60;

/// A record of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A: the host's address.
    Address,
    /// SRV: host and port of the service.
    Service,
    /// TXT: attributes of the service.
    Text,
    /// PTR from the service type to the instance, shared with other boards.
    Instance,
    /// PTR from the list of all types to this one (RFC 6763 §9), shared with other boards.
    Type,
    /// PTR from the address to the host.
    Reverse,
    /// NSEC: the host has an IPv4 address and nothing else (RFC 6762 §6.1).
    OnlyAddress,
    /// NSEC: the instance has SRV and TXT and nothing else.
    OnlyService,
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::Address,
        Self::Service,
        Self::Text,
        Self::Instance,
        Self::Type,
        Self::Reverse,
        Self::OnlyAddress,
        Self::OnlyService,
    ];

    pub(super) const fn index(self) -> usize {
        self as usize
    }

    pub(super) const fn rtype(self) -> Rtype {
        match self {
            Self::Address => Rtype::A,
            Self::Service => Rtype::SRV,
            Self::Text => Rtype::TXT,
            Self::Instance | Self::Type | Self::Reverse => Rtype::PTR,
            Self::OnlyAddress | Self::OnlyService => Rtype::NSEC,
        }
    }

    /// TTL in seconds.
    pub(super) const fn ttl(self) -> u32 {
        match self {
            Self::Text | Self::Instance | Self::Type => OTHER_TTL,
            Self::Address
            | Self::Service
            | Self::Reverse
            | Self::OnlyAddress
            | Self::OnlyService => HOST_TTL,
        }
    }

    /// Whether others may have records of the same name and type (RFC 6762 §2).
    pub(super) const fn is_shared(self) -> bool {
        matches!(self, Self::Instance | Self::Type)
    }
}

/// A set of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Set(u8);

impl Set {
    pub(super) const EMPTY: Self = Self(0);
    pub(super) const ALL: Self = Self(u8::MAX);
    /// The records of a goodbye. The record of the service type is shared, so it stays.
    pub(super) const GOODBYE: Self = Self::of(&[
        Kind::Address,
        Kind::Service,
        Kind::Text,
        Kind::Instance,
        Kind::Reverse,
    ]);

    pub(super) const fn of(kinds: &[Kind]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < kinds.len() {
            bits |= 1 << kinds[at].index();
            at += 1;
        }
        Self(bits)
    }

    pub(super) fn filter(mut wanted: impl FnMut(Kind) -> bool) -> Self {
        let mut set = Self::EMPTY;
        for kind in Kind::ALL {
            if wanted(kind) {
                set.insert(kind);
            }
        }
        set
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn contains(self, kind: Kind) -> bool {
        self.0 & Self::of(&[kind]).0 != 0
    }

    pub(super) fn insert(&mut self, kind: Kind) {
        self.0 |= Self::of(&[kind]).0;
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL
            .into_iter()
            .filter(move |kind| self.contains(*kind))
    }

    /// Additional records that a querier needs next (RFC 6763 §12, RFC 6762 §6.1).
    pub(super) fn additional(self) -> Self {
        let mut more = Self::EMPTY;
        if self.contains(Kind::Instance) {
            more = more.with(Self::of(&[Kind::Service, Kind::Text]));
        }
        if self.with(more).contains(Kind::Service) || self.contains(Kind::OnlyAddress) {
            more.insert(Kind::Address);
        }
        if self.with(more).contains(Kind::Address) {
            more.insert(Kind::OnlyAddress);
        }
        more.without(self)
    }
}
