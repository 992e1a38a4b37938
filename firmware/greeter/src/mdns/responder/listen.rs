//! Handles received packets: replies to questions and defends the names.

use core::cmp::Ordering;
use core::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use edge_mdns::domain::base::iana::{Opcode, Rcode};
use edge_mdns::domain::base::{Message, ToName as _};

use super::super::message::{self, Audience};
use super::super::records::{Kind, Set};
use super::super::schedule::{PROBE_RATE, RATE, Schedule};
use super::super::zone::name;
use super::{Datagram, Event, GROUP, Held, PORT, Phase, Responder};

/// Maximum length of an mDNS message, in bytes (RFC 6762 §17).
const MAX_MESSAGE: usize = 9000;
/// Maximum questions to process per message.
const MAX_QUESTIONS: usize = 32;

/// Delay after losing a simultaneous probe, in ms (RFC 6762 §8.2).
const DEFER: u64 = 1000;

impl Responder<'_> {
    /// Processes a datagram to port 5353. A unicast reply is written into `out` and returned.
    /// Multicasts come from [`on_timer`](Self::on_timer). `out` needs 1024 bytes.
    pub fn on_packet(
        &mut self,
        now: u64,
        from: SocketAddrV4,
        to: IpAddr,
        packet: &[u8],
        out: &mut [u8],
    ) -> Option<Datagram> {
        let grouped = to == IpAddr::V4(GROUP);
        // Ignore own frames, which some access points send back, and other networks (RFC 6762 §11).
        let foreign = !grouped && !self.is_on_link(*from.ip());
        if self.phase == Phase::Offline || *from.ip() == self.zone.address() || foreign {
            return None;
        }
        let packet = Some(packet).filter(|packet| packet.len() <= MAX_MESSAGE)?;
        let message = Message::from_octets(packet).ok()?;
        let header = message.header();
        if header.opcode() != Opcode::QUERY || header.rcode() != Rcode::NOERROR {
            return None;
        }
        match (header.qr(), from.port() == PORT) {
            (true, true) => {
                self.hear(now, &message);
                None
            }
            // Responses come from port 5353 (RFC 6762 §6).
            (true, false) => None,
            (false, false) => self.answer_legacy(from, &message, out),
            (false, true) if self.is_announced() => self.answer(now, from, grouped, &message, out),
            (false, true) => {
                self.yield_to_better_probe(now, &message);
                None
            }
        }
    }

    /// Replies to a legacy resolver (RFC 6762 §6.7), which asks one question at a time.
    fn answer_legacy(
        &self,
        from: SocketAddrV4,
        message: &Message<&[u8]>,
        out: &mut [u8],
    ) -> Option<Datagram> {
        if !self.is_announced() || !self.is_on_link(*from.ip()) {
            return None;
        }
        let question = message.sole_question().ok()?;
        let answers = message::matching(&self.zone, &question);
        let audience = Audience::Legacy {
            id: message.header().id(),
            question: &question,
        };
        self.unicast(from, audience, answers, out)
    }

    /// Replies to an mDNS querier (RFC 6762 §6).
    fn answer(
        &mut self,
        now: u64,
        from: SocketAddrV4,
        grouped: bool,
        message: &Message<&[u8]>,
        out: &mut [u8],
    ) -> Option<Datagram> {
        let mut multicast = Set::EMPTY;
        let mut unicast = Set::EMPTY;
        for question in message.question().take(MAX_QUESTIONS) {
            let question = question.ok()?;
            let found = message::matching(&self.zone, &question);
            // A unicast query gets a unicast reply (RFC 6762 §5.5).
            if !grouped || (message::wants_unicast(&question) && self.is_on_link(*from.ip())) {
                unicast = unicast.with(found);
            } else {
                multicast = multicast.with(found);
            }
        }
        let known = self.known_answers(message);
        if let Some(held) = self.held.as_mut().filter(|held| held.querier == *from.ip()) {
            held.answers = held.answers.without(known);
        }
        multicast = multicast.without(known);
        unicast = unicast.without(known).without(multicast);
        if grouped {
            // Records that were not multicast for a quarter of their TTL are multicast (RFC 6762
            // §5.4).
            multicast = multicast.with(unicast.intersection(self.schedule.stale(now)));
            unicast = unicast.without(multicast);
        }
        if message.header().tc() && self.held.is_none() {
            let at = now + 400 + self.random(100);
            self.held = Some(Held {
                querier: *from.ip(),
                answers: multicast,
                at,
            });
        } else {
            // A query with proposed records is a probe, whose sender waits only 250 ms.
            let is_probe = message.header_counts().nscount() > 0;
            self.plan_answers(now, multicast, if is_probe { PROBE_RATE } else { RATE });
        }
        self.unicast(from, Audience::Peers, unicast, out)
    }

    fn unicast(
        &self,
        to: SocketAddrV4,
        audience: Audience<'_>,
        answers: Set,
        out: &mut [u8],
    ) -> Option<Datagram> {
        if answers.is_empty() {
            return None;
        }
        let len = message::response(&self.zone, audience, answers, answers.additional(), out)?;
        Some(Datagram { len, to })
    }

    /// Known answers of a querier with at least half of their TTL left (RFC 6762 §7.1).
    fn known_answers(&self, message: &Message<&[u8]>) -> Set {
        let mut known = Set::EMPTY;
        let Ok(section) = message.answer() else {
            return known;
        };
        for record in section.map_while(Result::ok) {
            if let Some((kind, true)) = message::counterpart(&self.zone, &record)
                && record.ttl().as_secs() >= kind.ttl() / 2
            {
                known.insert(kind);
            }
        }
        known
    }

    /// Processes a response: conflicts (RFC 6762 §9), goodbyes for our records (§6.6, §10.1) and
    /// duplicate answers (§7.4).
    fn hear(&mut self, now: u64, message: &Message<&[u8]>) {
        for (record, _) in message.iter().map_while(Result::ok) {
            let ttl = record.ttl().as_secs();
            if !self.is_announced() {
                if ttl > 0 && self.takes_our_name(&record) {
                    self.zone.rename();
                    // Records of a new name have not been multicast yet.
                    self.schedule = Schedule::default();
                    self.event = Some(Event::Renamed);
                    return self.conflict(now);
                }
                continue;
            }
            match message::counterpart(&self.zone, &record) {
                Some((kind, true)) if ttl < kind.ttl() / 2 => self.schedule.plan(kind, now, RATE),
                Some((Kind::Type, true)) if ttl >= Kind::Type.ttl() => {
                    self.schedule.cancel(Kind::Type);
                }
                Some((Kind::Address | Kind::Service | Kind::Text, false)) if ttl > 0 => {
                    return self.conflict(now);
                }
                _ => {}
            }
        }
    }

    /// Whether a record has a probed name and differs from the proposed one. Any type counts, because
    /// the probe asks for all of them (RFC 6762 §8.1).
    fn takes_our_name(&self, record: &message::PeerRecord<'_>) -> bool {
        let owner = record.owner();
        let ours =
            owner.name_eq(&name(&self.zone.host())) || owner.name_eq(&name(&self.zone.instance()));
        ours && message::is_internet(record.class())
            && !matches!(message::counterpart(&self.zone, record), Some((_, true)))
    }

    /// Schedules multicast answers: at once for unique records, after 20 to 120 ms for shared ones
    /// (RFC 6762 §6).
    pub(super) fn plan_answers(&mut self, now: u64, answers: Set, rate: u64) {
        let shared = answers.iter().any(Kind::is_shared);
        let delay = if shared { 20 + self.random(100) } else { 0 };
        for kind in answers.iter() {
            self.schedule.plan(kind, now + delay, rate);
        }
    }

    /// Resolves a simultaneous probe: the lexicographically later records win, and the loser probes
    /// again (RFC 6762 §8.2).
    fn yield_to_better_probe(&mut self, now: u64, message: &Message<&[u8]>) {
        let Ok(section) = message.authority() else {
            return;
        };
        // Records of each name in the order of comparison: A; TXT before SRV.
        for ours in [&[Kind::Address][..], &[Kind::Text, Kind::Service]] {
            let theirs = section.map_while(Result::ok);
            if message::tie_break(&self.zone, ours, theirs) == Ordering::Less {
                self.phase = Phase::Probing {
                    sent: 0,
                    at: now + DEFER,
                };
                return;
            }
        }
    }

    /// Whether an address is in the board's subnet.
    fn is_on_link(&self, peer: Ipv4Addr) -> bool {
        let host_bits = 32_u32.saturating_sub(self.prefix.into());
        let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
        (peer.to_bits() ^ self.zone.address().to_bits()) & mask == 0
    }
}
