//! The server with nothing else to do: how it answers, how soon, and so how long silence has to
//! last before it means something.

use std::time::Duration;

use super::Step;
use super::crowd::{Crowd, End, Guest, Halt, Name, Settles};
use super::finding::Reason;
use super::hold::HANDSHAKE_REPEATED;
use super::leaving::{self, Manners};
use tcpctl_engine::readiness::{Network, Release};

/// Exchanges that are wanted; fewer where they are slow.
const EXCHANGES: usize = 12;
/// So many are enough after so long,
const FAIR: (usize, Duration) = (8, Duration::from_millis(150));
/// and two after this.
const ENOUGH: Duration = Duration::from_millis(250);
/// Handshakes with a repeated SYN that are given up until there is one without.
const REPETITIONS: usize = 3;
/// Pauses before a SYN that was refused is tried again: a slot listens again by then.
const BACK_OFF: [Duration; 5] = [
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(60),
    Duration::from_millis(150),
    Duration::from_millis(300),
];
/// A path this long is not a LAN: a lost segment is to be reckoned with.
const FAR: Duration = Duration::from_millis(15);

/// How the server deals with one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Waits for a request and answers it.
    Answers,
    /// Has not answered the request in time. The request is still there.
    Mute,
    /// Answers before it is asked, and closes: it can't be held.
    Greets,
    /// Says something first and then waits: who was greeted is being served.
    Banner,
    /// Accepts and ends every connection before it is asked.
    Rejects(End),
}

/// What the baseline has shown.
#[derive(Debug, Clone)]
pub(super) struct Baseline {
    pub(super) manner: Manner,
    pub(super) closes_after_reply: Option<bool>,
    /// From request (or handshake, if it greets first) to first byte.
    pub(super) first_byte: Vec<Duration>,
    pub(super) patience: Patience,
    /// Whether the server is slow to answer, and yet quick to let go of a client that leaves.
    pub(super) lets_go_at_once: bool,
}

/// How long to wait for what, derived from what was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// The longest handshake that lost nothing: the round trip with its spread.
    pub(super) round_trip: Duration,
    /// For the answer to a SYN.
    pub(super) syn: Duration,
    /// For the answer to a request that is being served.
    pub(super) reply: Duration,
    /// For what the server does after the accept.
    pub(super) look: Duration,
    /// Whether a lost segment is to be reckoned with.
    pub(super) lossy: bool,
}

impl Patience {
    fn new(connects: &[Duration], first_bytes: &[Duration], lossy: bool) -> Self {
        let round_trip = connects.iter().max().copied().unwrap_or_default();
        let mut slowest = first_bytes.iter().max().copied().unwrap_or_default();
        // The longest may be a hiccup of this computer.
        let lossy = lossy || median(connects) > FAR;
        if lossy {
            // Or was sent again after a second: then every silence would have to last for longer,
            // and the hold would not outlast them.
            slowest = slowest.min(median(first_bytes) * 3);
        }
        let mut reply = slowest
            + (slowest / 2)
                .max(round_trip * 4)
                .max(Duration::from_millis(60));
        if lossy {
            // Linux repeats data after 200 ms and a round trip at the earliest, and so do others.
            reply += Duration::from_millis(200);
        }
        Self {
            round_trip,
            syn: (round_trip * 4 + Duration::from_millis(20))
                .clamp(Duration::from_millis(40), Duration::from_millis(900)),
            reply,
            look: (round_trip * 3).max(Duration::from_millis(60)),
            lossy,
        }
    }

    /// When a connection is surely held.
    pub(super) fn settles(self) -> Settles {
        Settles {
            after: if self.lossy {
                HANDSHAKE_REPEATED + self.look * 2
            } else {
                self.look
            },
            needs_newcomer: self.lossy,
        }
    }

    /// The same for a server that was seen to take `answer` for its answer.
    pub(super) fn with_answer_after(self, answer: Duration) -> Self {
        Self {
            reply: self.reply.max(answer * 3 / 2 + self.round_trip * 4),
            ..self
        }
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// A few exchanges, one after the other. A connection that was not answered stays in the crowd.
pub(super) fn measure<N: Network>(crowd: &mut Crowd<'_, N>) -> Result<Baseline, Halt> {
    let begin = crowd.now();
    let losses = crowd.losses;
    let mut connects = Vec::new();
    let mut first_bytes = Vec::new();
    let mut resent = Vec::new();
    let mut manner = Manner::Answers;
    let mut closes = None;
    let mut rejected = 0;
    let mut repeated = 0;
    let mut lets_go_at_once = false;
    let mut is_watched = false;
    let mut exchange = 0;
    while exchange < EXCHANGES {
        if is_enough(exchange, crowd.since(begin)) {
            break;
        }
        crowd.tell(Step::Baseline { exchange });
        let (name, took) = arrive(crowd, &mut connects, &mut repeated)?;
        // The first is left alone for a moment: does it speak before it is spoken to?
        if exchange == 0 || manner != Manner::Answers {
            let moment = moment(took);
            crowd.wait(moment, |crowd| {
                has(crowd, name, |it| it.disturbed().is_some())
            })?;
            if let Some(after) = greeted_after(crowd, name) {
                first_bytes.push(after);
                let over = crowd.wait(moment, |crowd| has(crowd, name, |it| !it.is_live()))?;
                manner = if over { Manner::Greets } else { Manner::Banner };
                closes = Some(over);
                crowd.release(name, Release::Fin);
                exchange += 1;
                continue;
            }
            if let Some((_, end)) = crowd.guest(name).and_then(|guest| guest.ended) {
                // Full of others' connections, or it wants nobody.
                crowd.release(name, Release::Reset);
                rejected += 1;
                if rejected == 3 {
                    manner = Manner::Rejects(end);
                    break;
                }
                crowd.sleep(BACK_OFF[rejected])?;
                continue;
            }
        }
        crowd.ask(name);
        let answered = crowd.wait(crowd.reply_timeout, |crowd| {
            has(crowd, name, |guest| guest.answered().is_some())
        })?;
        if !answered {
            if exchange == 0 {
                manner = Manner::Mute;
            }
            break;
        }
        if let Some(answer) = answered_after(crowd, name) {
            first_bytes.push(answer);
            resent.push((answer, crowd.retransmissions(name).unwrap_or_default()));
        }
        if closes != Some(false) {
            let moment = (took * 4).max(Duration::from_millis(60));
            closes = Some(crowd.wait(moment, |crowd| has(crowd, name, |it| !it.is_live()))?);
        }
        let greeted_after = greeted_after(crowd, name).unwrap_or_default();
        crowd.release(name, Release::Fin);
        // The second one is asked at once: if it is not answered sooner than the first was left
        // alone, the first may have been answered without a question.
        let answer = first_bytes.last().copied().unwrap_or_default();
        let is_slow = answer >= leaving::SLOW;
        if manner == Manner::Answers
            && !is_watched
            && (is_slow || exchange == 1 && answer >= moment(took))
        {
            is_watched = true;
            match leaving::watch(crowd, took, answer, greeted_after)? {
                Manners::Greets(after) => {
                    manner = Manner::Greets;
                    // Nobody has asked it: it began with the handshake. That makes two.
                    first_bytes = vec![greeted_after, after];
                    break;
                }
                Manners::LetsGoAtOnce => lets_go_at_once = is_slow,
                Manners::TakesItsTime => {}
            }
        }
        exchange += 1;
    }
    crowd.losses -= in_vain(&resent).min(crowd.losses - losses);
    let lossy = repeated > 0 || crowd.losses > losses;
    Ok(Baseline {
        manner,
        lets_go_at_once,
        closes_after_reply: closes,
        patience: Patience::new(&connects, &first_bytes, lossy),
        first_byte: first_bytes,
    })
}

/// A connection, and how far it is to there. A handshake with a repeated SYN is no round trip: silence
/// would be listened to for so long that a server which soon answers silence seems to greet first.
fn arrive<N: Network>(
    crowd: &mut Crowd<'_, N>,
    connects: &mut Vec<Duration>,
    repeated: &mut usize,
) -> Result<(Name, Duration), Halt> {
    loop {
        let (name, took) = come_in(crowd, connects.is_empty() && *repeated == 0)?;
        if crowd.syn_retransmissions(name).unwrap_or_default() == 0 {
            connects.push(took);
            return Ok((name, took));
        }
        *repeated += 1;
        if let Some(&last) = connects.last() {
            return Ok((name, last));
        }
        if *repeated > REPETITIONS {
            return Ok((name, took));
        }
        crowd.release(name, Release::Fin);
    }
}

/// How many requests were sent again though nothing was lost: the server acknowledges late, as lwIP
/// does after up to 250 ms, and this computer gives it 200 ms. A request that was lost is answered
/// by so much later than others. Of one alone that can't be said.
fn in_vain(resent: &[(Duration, u32)]) -> usize {
    const SOONER: Duration = Duration::from_millis(150);
    let Some(fastest) = resent.iter().map(|it| it.0).min() else {
        return 0;
    };
    let is_no_later = |it: &&(Duration, u32)| resent.len() > 1 && it.0 < fastest + SOONER;
    let counts = resent.iter().filter(is_no_later).map(|it| it.1 as usize);
    counts.sum()
}

/// Whether so many exchanges in that time say enough.
fn is_enough(exchanges: usize, elapsed: Duration) -> bool {
    let rules = [FAIR, (2, ENOUGH), (1, 4 * ENOUGH)];
    rules
        .iter()
        .any(|&(count, time)| exchanges >= count && elapsed > time)
}

/// How long to listen whether it speaks before it is spoken to.
fn moment(round_trip: Duration) -> Duration {
    (round_trip * 4).max(Duration::from_millis(30))
}

/// One connection, with patience: a slot may be about to listen again.
pub(super) fn come_in<N: Network>(
    crowd: &mut Crowd<'_, N>,
    is_first: bool,
) -> Result<(Name, Duration), Halt> {
    for pause in BACK_OFF {
        let name = crowd.connect()?;
        let told = crowd.wait(crowd.plan.connect_timeout, |crowd| {
            has(crowd, name, |guest| !guest.is_pending())
        })?;
        let guest = crowd.guest(name).copied();
        if let Some(Guest {
            connected: Some(at),
            started,
            ..
        }) = guest
        {
            return Ok((name, at.saturating_sub(started)));
        }
        let ended = guest.and_then(|guest| guest.ended);
        crowd.release(name, Release::Reset);
        if !told || ended.is_some_and(|(_, end)| end == End::TimedOut) {
            return Err(Halt::Failed(if is_first {
                Reason::NoAnswer
            } else {
                Reason::Died { held: 1 }
            }));
        }
        crowd.sleep(pause)?;
    }
    Err(Halt::Failed(if is_first {
        Reason::NothingListens
    } else {
        Reason::Died { held: 1 }
    }))
}

fn has<N: Network>(crowd: &Crowd<'_, N>, name: Name, is: impl FnOnce(&Guest) -> bool) -> bool {
    crowd.guest(name).is_none_or(is)
}

/// From the handshake to the first byte.
fn greeted_after<N: Network>(crowd: &Crowd<'_, N>, name: Name) -> Option<Duration> {
    let guest = crowd.guest(name)?;
    Some(
        guest
            .first_byte?
            .saturating_sub(guest.connected.unwrap_or_default()),
    )
}

/// From before the request was written: on loopback the answer may be here when that returns.
fn answered_after<N: Network>(crowd: &Crowd<'_, N>, name: Name) -> Option<Duration> {
    let guest = crowd.guest(name)?;
    Some(guest.answered()?.saturating_sub(guest.asked?))
}
