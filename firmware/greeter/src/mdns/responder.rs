//! The state machine: probing, announcing, goodbye. `listen` handles received packets.

mod listen;

use core::net::{Ipv4Addr, SocketAddrV4};

use super::message::{self, Audience};
use super::records::Set;
use super::schedule::{RATE, Schedule};
use super::zone::{Identity, InvalidIdentity, Zone};

/// The port of mDNS.
pub const PORT: u16 = 5353;
/// The multicast group of mDNS.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_ADDRESS: SocketAddrV4 = SocketAddrV4::new(GROUP, PORT);

/// Number of probes (RFC 6762 §8.1).
const PROBES: u8 = 3;
/// Time between probes, and maximum time before the first one, in ms (RFC 6762 §8.1).
const PROBE_INTERVAL: u64 = 250;
/// Number of announcements (RFC 6762 §8.3).
const ANNOUNCEMENTS: u8 = 3;
/// Time between the first two announcements, in ms. It doubles for later ones (RFC 6762 §8.3).
const ANNOUNCE_INTERVAL: u64 = 1000;
/// Number of conflicts within [`CONFLICT_WINDOW`] that delays further probes (RFC 6762 §8.1).
const CONFLICTS: u8 = 15;
/// Window for counting conflicts, in ms.
const CONFLICT_WINDOW: u64 = 10_000;
/// Delay of further probes after too many conflicts, in ms.
const CONFLICT_WAIT: u64 = 5000;

/// An mDNS responder for one host and one `_tcpctl._tcp` service, without sockets or a clock.
///
/// Times are milliseconds on a monotonic clock. The caller passes every datagram to
/// [`on_packet`](Self::on_packet), calls [`on_timer`](Self::on_timer) at
/// [`next_timer`](Self::next_timer), and sends what they return.
#[derive(Clone, Debug)]
pub struct Responder<'a> {
    zone: Zone<'a>,
    prefix: u8,
    phase: Phase,
    schedule: Schedule,
    /// Replies that wait for more known answers of a querier.
    held: Option<Held>,
    conflicts: Conflicts,
    event: Option<Event>,
    random: u64,
}

/// State of the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No address.
    Offline,
    /// Probing: `sent` probes so far, the next step is `at`.
    Probing { sent: u8, at: u64 },
    /// The names are ours, with `left` announcements to send.
    Announcing { left: u8, at: u64, interval: u64 },
    /// The names are ours and announced.
    Established,
}

/// Answers for a querier whose known answers continue in further messages (RFC 6762 §7.2).
#[derive(Clone, Copy, Debug)]
struct Held {
    querier: Ipv4Addr,
    answers: Set,
    at: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Conflicts {
    since: u64,
    count: u8,
}

/// A datagram in the output buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Length in bytes.
    pub len: usize,
    /// Destination: the multicast group or one querier.
    pub to: SocketAddrV4,
}

/// A change of the host name; see [`Responder::hostname`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The name is unique and being announced.
    Announced,
    /// Another host has the name; the next one is being probed.
    Renamed,
}

impl<'a> Responder<'a> {
    /// A responder that is silent until it has an address. `seed` randomizes its delays.
    ///
    /// # Errors
    /// [`InvalidIdentity`] if the host name or the TXT record cannot be sent.
    pub fn new(identity: &Identity<'a>, seed: u64) -> Result<Self, InvalidIdentity> {
        Ok(Self {
            zone: Zone::new(identity)?,
            prefix: 32,
            phase: Phase::Offline,
            schedule: Schedule::default(),
            held: None,
            conflicts: Conflicts::default(),
            event: None,
            // A xorshift generator never leaves the state zero.
            random: seed | 1 << 63,
        })
    }

    /// The host's name without `.local`, with the number that a conflict has added.
    pub fn hostname(&self) -> &str {
        self.zone.label()
    }

    /// Whether the names have been probed.
    pub fn is_announced(&self) -> bool {
        matches!(self.phase, Phase::Announcing { .. } | Phase::Established)
    }

    /// The latest change of the name since the last call.
    pub fn take_event(&mut self) -> Option<Event> {
        self.event.take()
    }

    /// Sets the board's address and prefix, or `None` if offline. A change restarts probing (RFC 6762
    /// §8).
    pub fn set_network(&mut self, now: u64, network: Option<(Ipv4Addr, u8)>) {
        let current = match self.phase {
            Phase::Offline => None,
            _ => Some((self.zone.address(), self.prefix)),
        };
        if network == current {
            return;
        }
        self.schedule = Schedule::default();
        self.phase = Phase::Offline;
        if let Some((address, prefix)) = network {
            self.zone.set_address(address);
            self.prefix = prefix;
            self.probe_after(now, PROBE_INTERVAL, 0);
        }
    }

    /// The time of the next call of [`on_timer`](Self::on_timer).
    pub fn next_timer(&self) -> Option<u64> {
        let phase = match self.phase {
            Phase::Offline => return None,
            Phase::Established => None,
            Phase::Probing { at, .. } | Phase::Announcing { at, .. } => Some(at),
        };
        let held = self.held.map(|held| held.at);
        phase
            .into_iter()
            .chain(held)
            .chain(self.schedule.next())
            .min()
    }

    /// Performs the actions that are due at `now`: at most one multicast, written into `out`. Call
    /// it until [`next_timer`](Self::next_timer) is in the future. `out` needs 1024 bytes.
    pub fn on_timer(&mut self, now: u64, out: &mut [u8]) -> Option<Datagram> {
        match self.phase {
            Phase::Offline => None,
            Phase::Probing { at, .. } if now < at => None,
            Phase::Probing { sent, .. } if sent < PROBES => {
                self.phase = Phase::Probing {
                    sent: sent + 1,
                    at: now + PROBE_INTERVAL,
                };
                let len = message::probe(&self.zone, out)?;
                Some(Datagram {
                    len,
                    to: GROUP_ADDRESS,
                })
            }
            Phase::Probing { .. } => {
                self.event = Some(Event::Announced);
                self.announce(now, ANNOUNCEMENTS, ANNOUNCE_INTERVAL, out)
            }
            Phase::Announcing { left, at, interval } if at <= now => {
                self.announce(now, left, interval, out)
            }
            Phase::Announcing { .. } | Phase::Established => self.send_due(now, out),
        }
    }

    /// Goes offline until [`set_network`](Self::set_network), with a goodbye (RFC 6762 §10.1) if the
    /// records were announced.
    pub fn goodbye(&mut self, out: &mut [u8]) -> Option<Datagram> {
        let announced = self.is_announced();
        self.phase = Phase::Offline;
        if !announced {
            return None;
        }
        let len = message::response(&self.zone, Audience::Goodbye, Set::GOODBYE, Set::EMPTY, out)?;
        Some(Datagram {
            len,
            to: GROUP_ADDRESS,
        })
    }

    /// Probes the current name, after a conflict or again.
    fn conflict(&mut self, now: u64) {
        let Conflicts { since, count } = self.conflicts;
        // Keep the rate low until a name is established, where `announce` resets the conflicts.
        self.conflicts = if count < CONFLICTS && now.saturating_sub(since) > CONFLICT_WINDOW {
            Conflicts {
                since: now,
                count: 1,
            }
        } else {
            Conflicts {
                since,
                count: count.saturating_add(1),
            }
        };
        let wait = if self.conflicts.count >= CONFLICTS {
            CONFLICT_WAIT
        } else {
            0
        };
        self.probe_after(now, PROBE_INTERVAL, wait);
    }

    /// Starts to probe after `wait` ms and up to `spread` more.
    fn probe_after(&mut self, now: u64, spread: u64, wait: u64) {
        self.schedule.cancel_all();
        self.held = None;
        self.phase = Phase::Probing {
            sent: 0,
            at: now + wait + self.random(spread),
        };
    }

    /// Multicasts all records, and plans the next announcement.
    fn announce(&mut self, now: u64, left: u8, interval: u64, out: &mut [u8]) -> Option<Datagram> {
        self.phase = if left > 1 {
            let at = now + interval;
            Phase::Announcing {
                left: left - 1,
                at,
                interval: interval * 2,
            }
        } else {
            self.conflicts = Conflicts::default();
            Phase::Established
        };
        self.multicast(now, Set::ALL.without(self.schedule.recent(now)), out)
    }

    /// Multicasts the answers that are due.
    fn send_due(&mut self, now: u64, out: &mut [u8]) -> Option<Datagram> {
        if let Some(held) = self.held.filter(|held| held.at <= now) {
            self.held = None;
            self.plan_answers(now, held.answers, RATE);
        }
        let answers = self.schedule.due(now);
        self.multicast(now, answers, out)
    }

    fn multicast(&mut self, now: u64, answers: Set, out: &mut [u8]) -> Option<Datagram> {
        if answers.is_empty() {
            return None;
        }
        let additional = answers.additional().without(self.schedule.recent(now));
        self.schedule.mark_sent(answers.with(additional), now);
        let len = message::response(&self.zone, Audience::Peers, answers, additional, out)?;
        Some(Datagram {
            len,
            to: GROUP_ADDRESS,
        })
    }

    /// A random number below `limit`, which is not zero (xorshift64).
    fn random(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) % limit
    }

    /// Sets the random state.
    #[cfg(test)]
    pub(super) fn random_state(&mut self, seed: u64) {
        self.random = seed | 1 << 63;
    }
}
