//! What the responder does with the packets of others: answers questions, watches over its names.

use core::cmp::Ordering;
use core::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use edge_mdns::domain::base::iana::{Opcode, Rcode};
use edge_mdns::domain::base::{Message, ToName as _};

use super::super::message::{self, Audience};
use super::super::records::{Kind, Set};
use super::super::schedule::{PROBE_RATE, RATE, Schedule};
use super::super::zone::name;
use super::{Datagram, Event, GROUP, Held, PORT, Phase, Responder};

/// No mDNS message is longer, in bytes (RFC 6762 §17).
const MAX_MESSAGE: usize = 9000;
/// Questions that are looked at in one message. Queriers ask a handful.
const MAX_QUESTIONS: usize = 32;

/// How long the loser of a simultaneous probe waits, in ms (RFC 6762 §8.2).
const DEFER: u64 = 1000;

impl Responder<'_> {
    /// Takes in one datagram that came to port 5353 from `from` to `to`. What it answers by unicast
    /// is written into `out` and returned; what is to be multicast comes from
    /// [`on_timer`](Self::on_timer). `out` needs 1024 bytes.
    pub fn on_packet(
        &mut self,
        now: u64,
        from: SocketAddrV4,
        to: IpAddr,
        packet: &[u8],
        out: &mut [u8],
    ) -> Option<Datagram> {
        let grouped = to == IpAddr::V4(GROUP);
        // Our own frames, as some access points send them back; and strangers (RFC 6762 §11).
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
            // RFC 6762 §6: no response comes from another port.
            (true, false) => None,
            (false, false) => self.answer_legacy(from, &message, out),
            (false, true) if self.is_announced() => self.answer(now, from, grouped, &message, out),
            (false, true) => {
                self.yield_to_better_probe(now, &message);
                None
            }
        }
    }

    /// Answers a resolver that knows no mDNS (RFC 6762 §6.7). Such ask one question at a time.
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

    /// Answers an mDNS querier (RFC 6762 §6).
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
            // A query to the board's own address is answered there (RFC 6762 §5.5).
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
            // RFC 6762 §5.4: what has not been multicast for a quarter of its life goes to all.
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
            // A query with proposed records is a probe: its sender waits 250 ms, no longer.
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

    /// The records that a querier says it has, with at least half of their life left
    /// (RFC 6762 §7.1).
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

    /// Listens to what others answer: for our names in other hands (RFC 6762 §9), our records about
    /// to be forgotten (§6.6, §10.1) and answers that are as good as ours (§7.4).
    fn hear(&mut self, now: u64, message: &Message<&[u8]>) {
        for (record, _) in message.iter().map_while(Result::ok) {
            let ttl = record.ttl().as_secs();
            if !self.is_announced() {
                if ttl > 0 && self.takes_our_name(&record) {
                    self.zone.rename();
                    // Records of another name: none of them has been multicast yet.
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

    /// Whether a record has one of the names that are being probed, and is not the very one that is
    /// proposed. Any type counts: the probe asks for all of them (RFC 6762 §8.1).
    fn takes_our_name(&self, record: &message::PeerRecord<'_>) -> bool {
        let owner = record.owner();
        let ours =
            owner.name_eq(&name(&self.zone.host())) || owner.name_eq(&name(&self.zone.instance()));
        ours && message::is_internet(record.class())
            && !matches!(message::counterpart(&self.zone, record), Some((_, true)))
    }

    /// Plans multicast answers to one query: at once, unless others may answer too; then within 20
    /// to 120 ms, so that not all speak at the same moment (RFC 6762 §6).
    pub(super) fn plan_answers(&mut self, now: u64, answers: Set, rate: u64) {
        let shared = answers.iter().any(Kind::is_shared);
        let delay = if shared { 20 + self.random(100) } else { 0 };
        for kind in answers.iter() {
            self.schedule.plan(kind, now + delay, rate);
        }
    }

    /// Another host probes for the same name at the same time: the greater records win
    /// (RFC 6762 §8.2). The loser asks again, and hears the winner's answer.
    fn yield_to_better_probe(&mut self, now: u64, message: &Message<&[u8]>) {
        let Ok(section) = message.authority() else {
            return;
        };
        // Each name's records in the order that they are compared in: A; TXT before SRV.
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

    /// Whether an address is in the board's own subnet.
    fn is_on_link(&self, peer: Ipv4Addr) -> bool {
        let host_bits = 32_u32.saturating_sub(self.prefix.into());
        let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
        (peer.to_bits() ^ self.zone.address().to_bits()) & mask == 0
    }
}
