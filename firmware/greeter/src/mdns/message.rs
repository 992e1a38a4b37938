//! DNS messages: builds responses and compares a peer's records with the board's.

use core::cmp::Ordering;

use edge_mdns::domain::base::message_builder::{PushError, RecordSectionBuilder};
use edge_mdns::domain::base::rdata::{ComposeRecordData, UnknownRecordData};
use edge_mdns::domain::base::record::ParsedRecord;
use edge_mdns::domain::base::wire::Composer;
use edge_mdns::domain::base::{
    MessageBuilder, ParsedName, Question, Rtype, StaticCompressor, ToName, iana::Class,
};
use edge_mdns::domain::rdata::{Nsec, Ptr, Srv};
use edge_mdns::{Buf, set_header};
use heapless::Vec;

use super::records::{Kind, Set};
use super::zone::{Zone, name};

/// A record from a peer.
pub(super) type PeerRecord<'p> = ParsedRecord<'p, &'p [u8]>;
/// A question from a peer.
pub(super) type PeerQuestion<'p> = Question<ParsedName<&'p [u8]>>;

/// In a question: unicast response. In a record: cache flush (RFC 6762 §18.12, §18.13).
const TOP_BIT: u16 = 0x8000;
/// Maximum bytes of a peer's data to compare: more than any of ours, so that truncated data is
/// never equal.
const MAX_PEER_DATA: usize = 264;

/// Recipients of a response, which determine its header, TTLs and cache-flush bits.
#[derive(Clone, Copy)]
pub(super) enum Audience<'q> {
    /// mDNS peers (RFC 6762 §18).
    Peers,
    /// mDNS peers, to expire the records (RFC 6762 §10.1).
    Goodbye,
    /// A legacy resolver: ID and question are repeated, TTLs are at most ten seconds, and there is no
    /// cache-flush bit (RFC 6762 §6.7).
    Legacy {
        id: u16,
        question: &'q PeerQuestion<'q>,
    },
}

impl Audience<'_> {
    fn class(self, kind: Kind) -> Class {
        match self {
            Self::Peers | Self::Goodbye if !kind.is_shared() => {
                Class::from_int(Class::IN.to_int() | TOP_BIT)
            }
            _ => Class::IN,
        }
    }

    fn ttl(self, kind: Kind) -> u32 {
        match self {
            Self::Peers => kind.ttl(),
            Self::Goodbye => 0,
            Self::Legacy { .. } => kind.ttl().min(10),
        }
    }
}

/// Writes a response. Returns its length, or `None` if it does not fit into `out`.
pub(super) fn response(
    zone: &Zone<'_>,
    audience: Audience<'_>,
    answers: Set,
    additional: Set,
    out: &mut [u8],
) -> Option<usize> {
    let target = StaticCompressor::new(Buf::new(out));
    let mut builder = MessageBuilder::from_target(target).ok()?;
    let id = if let Audience::Legacy { id, .. } = audience {
        id
    } else {
        0
    };
    set_header(&mut builder, id, true);
    let mut builder = builder.question();
    if let Audience::Legacy { question, .. } = audience {
        builder.push(question).ok()?;
    }
    let mut section = builder.answer();
    for kind in answers.iter() {
        push(&mut section, zone, kind, audience).ok()?;
    }
    let mut section = section.additional();
    for kind in additional.iter() {
        push(&mut section, zone, kind, audience).ok()?;
    }
    Some(section.finish().as_slice().len())
}

/// Writes a probe for both names, with the proposed records (RFC 6762 §8.1, §8.2).
pub(super) fn probe(zone: &Zone<'_>, out: &mut [u8]) -> Option<usize> {
    let target = StaticCompressor::new(Buf::new(out));
    let mut builder = MessageBuilder::from_target(target).ok()?;
    set_header(&mut builder, 0, false);
    let mut builder = builder.question();
    let unicast = Class::from_int(Class::IN.to_int() | TOP_BIT);
    for owner in [zone.host(), zone.instance()] {
        builder.push((name(&owner), Rtype::ANY, unicast)).ok()?;
    }
    let mut section = builder.authority();
    for kind in [Kind::Address, Kind::Service, Kind::Text] {
        let data = zone.data(kind);
        let data = UnknownRecordData::from_octets(kind.rtype(), &data[..]).ok()?;
        // No cache-flush bit, because nothing is claimed yet.
        section
            .push((name(&zone.owner(kind)), Class::IN, kind.ttl(), data))
            .ok()?;
    }
    Some(section.finish().as_slice().len())
}

fn push<Target: Composer>(
    section: &mut impl RecordSectionBuilder<Target>,
    zone: &Zone<'_>,
    kind: Kind,
    audience: Audience<'_>,
) -> Result<(), PushError> {
    let owner = zone.owner(kind);
    let data = zone.data(kind);
    let data =
        UnknownRecordData::from_octets(kind.rtype(), &data[..]).map_err(|_| PushError::ShortBuf)?;
    section.push((name(&owner), audience.class(kind), audience.ttl(kind), data))
}

/// Whether the class is IN, with or without the top bit of mDNS.
pub(super) fn is_internet(class: Class) -> bool {
    class.to_int() & !TOP_BIT == Class::IN.to_int()
}

/// Whether a question requests a reply by unicast (RFC 6762 §5.4).
pub(super) fn wants_unicast(question: &PeerQuestion<'_>) -> bool {
    question.qclass().to_int() & TOP_BIT != 0
}

/// The records that answer a question. A question for a missing type of one of our names gets an NSEC
/// record (RFC 6762 §6.1).
pub(super) fn matching(zone: &Zone<'_>, question: &PeerQuestion<'_>) -> Set {
    let class = question.qclass();
    let any_class = class.to_int() & !TOP_BIT == Class::ANY.to_int();
    if !is_internet(class) && !any_class {
        return Set::EMPTY;
    }
    let asks = |kind: Kind| question.qname().name_eq(&name(&zone.owner(kind)));
    let wants = |kind: Kind| [Rtype::ANY, kind.rtype()].contains(&question.qtype());
    let proofs = Set::of(&[Kind::OnlyAddress, Kind::OnlyService]);
    let found = Set::filter(|kind| !proofs.contains(kind) && wants(kind) && asks(kind));
    if found.is_empty() {
        return Set::filter(|kind| proofs.contains(kind) && asks(kind));
    }
    found
}

/// Our record with the name and type of a peer's record, and whether the data is equal. `None` for
/// malformed data.
pub(super) fn counterpart(zone: &Zone<'_>, record: &PeerRecord<'_>) -> Option<(Kind, bool)> {
    if !is_internet(record.class()) {
        return None;
    }
    let kind = Kind::ALL.into_iter().find(|kind| {
        kind.rtype() == record.rtype() && record.owner().name_eq(&name(&zone.owner(*kind)))
    })?;
    let theirs = peer_data(record)?;
    let ours = zone.data(kind);
    let same = match kind {
        Kind::Address | Kind::Text => ours[..] == theirs[..],
        // Priority, weight and port are numbers; the rest is a name.
        Kind::Service => same_name(&ours, &theirs, 6),
        _ => same_name(&ours, &theirs, 0),
    };
    Some((kind, same))
}

/// Whether the data of two records is equal: the first `numbers` bytes exactly, the names after them
/// without regard to case (RFC 1035 §2.3.3).
fn same_name(ours: &[u8], theirs: &[u8], numbers: usize) -> bool {
    match (
        ours.split_at_checked(numbers),
        theirs.split_at_checked(numbers),
    ) {
        (Some((a, name)), Some((b, other))) => a == b && name.eq_ignore_ascii_case(other),
        _ => false,
    }
}

/// Compares our proposed records of a name with those in a peer's probe (RFC 6762 §8.2.1): by
/// class, type and data, pair by pair. A list that ends first is less.
///
/// `ours` is in that order. At most eight records of the peer are compared.
pub(super) fn tie_break<'p>(
    zone: &Zone<'_>,
    ours: &[Kind],
    proposed: impl Iterator<Item = PeerRecord<'p>>,
) -> Ordering {
    let Some(first) = ours.first() else {
        return Ordering::Equal;
    };
    let owner = zone.owner(*first);
    let mut theirs: Vec<(u16, u16, PeerData), 8> = Vec::new();
    for record in proposed.filter(|record| record.owner().name_eq(&name(&owner))) {
        if let Some(data) = peer_data(&record) {
            let class = record.class().to_int() & !TOP_BIT;
            let record = (class, record.rtype().to_int(), data);
            // Sorted by insertion: the sort of `core` is 2 kB of the image.
            let at = theirs.partition_point(|other| *other < record);
            let _ = theirs.insert(at, record);
        }
    }
    if theirs.is_empty() {
        return Ordering::Equal;
    }
    let ours = ours.iter().map(|kind| {
        let data: PeerData = zone.data(*kind).iter().copied().collect();
        (Class::IN.to_int(), kind.rtype().to_int(), data)
    });
    ours.cmp(theirs)
}

type PeerData = Vec<u8, MAX_PEER_DATA>;

/// A peer's data with uncompressed names. `None` if malformed.
fn peer_data(record: &PeerRecord<'_>) -> Option<PeerData> {
    type Peer<'p> = ParsedName<&'p [u8]>;
    match record.rtype() {
        Rtype::SRV => compose(record.to_record::<Srv<Peer<'_>>>().ok()??.data()),
        Rtype::PTR => compose(record.to_record::<Ptr<Peer<'_>>>().ok()??.data()),
        Rtype::NSEC => compose(record.to_record::<Nsec<&[u8], Peer<'_>>>().ok()??.data()),
        _ => {
            let record = record.to_record::<UnknownRecordData<&[u8]>>().ok()??;
            let bytes = record.data().data().iter();
            Some(bytes.copied().take(MAX_PEER_DATA).collect())
        }
    }
}

fn compose(data: &impl ComposeRecordData) -> Option<PeerData> {
    let mut composed = PeerData::new();
    data.compose_rdata(&mut composed).ok()?;
    Some(composed)
}
