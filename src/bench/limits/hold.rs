//! Idle connections, one at a time, until the server takes no more: how many it holds, and what
//! happens to the next.

use std::time::Duration;

use super::Step;
use super::baseline::{Manner, Patience};
use super::crowd::{Crowd, End, Guest, Halt, Name};
use super::finding::{Overflow, Reason};
use crate::transport::readiness::{Network, NetworkTime, Release};

/// A SYN is refused this often in a row before that is the limit.
const REFUSALS: usize = 3;
/// And this often, if it holds nobody.
const ALONE: usize = 8;
/// Linux and smoltcp repeat a SYN after a second; the rest is for a loaded computer.
const SYN_REPEATED: Duration = Duration::from_millis(1_150);
/// A server whose SYN-ACK was answered by an ACK that got lost has no connection until it repeats
/// the SYN-ACK, after a second; and if it is full by then, it never has.
pub(super) const HANDSHAKE_REPEATED: Duration = Duration::from_millis(1_100);
/// How long to go on where the stack can't be asked whether a SYN was repeated.
const SURELY_REPEATED: Duration = Duration::from_millis(1_400);

/// A SYN so long after another that was not answered is no part of the same hiccup: a radio that
/// sleeps wakes up after 300 ms at the latest.
const MUCH_LATER: Duration = Duration::from_millis(500);

/// SYNs at a time on the way to a hold that was proven.
const AT_A_TIME: usize = 8;
/// So far from its end they go one at a time.
const WELL_SHORT: usize = 24;

/// When two SYNs in a row without an answer are the server's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// When the first has no answer either when it is repeated. The search waits for that.
    Repetition,
    /// When a SYN much later has no answer either: [`still_drops`] is to be asked then, and the
    /// time until then is free for other things.
    Later,
    /// When an earlier round, in which it was proven, has held as many.
    Earlier(usize),
}

/// A full server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    pub(super) held: usize,
    pub(super) overflow: Overflow,
    /// From the SYN (or the handshake, if it was accepted first) to the refusal.
    pub(super) after: Option<Duration>,
    /// When the first SYN without an answer was sent.
    pub(super) dropped_since: Option<NetworkTime>,
}

/// What has become of the connections, looked at as a queue.
enum Tail {
    /// All are well.
    Whole,
    /// The youngest were ended, the elder live.
    Ended(Overflow, Duration),
    /// Elder ones were ended.
    EldersEnded,
}

/// Fills the server.
pub(super) fn fill<N: Network>(
    crowd: &mut Crowd<'_, N>,
    manner: Manner,
    patience: Patience,
    proof: Proof,
) -> Result<Hold, Halt> {
    let mut refusals = 0;
    let mut was_full = false;
    let mut unanswered: Vec<Name> = Vec::new();
    let pause_at = match proof {
        Proof::Earlier(held) => Some(held.saturating_sub(2)),
        Proof::Repetition | Proof::Later => None,
    };
    loop {
        crowd.tell(Step::Holding { held: crowd.live() });
        if patience.lossy && pause_at == Some(crowd.live()) {
            crowd.sleep(HANDSHAKE_REPEATED)?;
        }
        if crowd.open() >= crowd.plan.max_connections {
            // SYNs that a slow accept has let drop get in when they are repeated.
            crowd.wait(SYN_REPEATED + patience.syn, |crowd| {
                !crowd.guests().iter().any(Guest::is_pending)
            })?;
            crowd.sleep(patience.look)?;
            if let Some(hold) = look(crowd, manner, patience)? {
                return Ok(hold);
            }
            if crowd.open() >= crowd.plan.max_connections {
                let hold = Hold {
                    held: crowd.live(),
                    overflow: Overflow::NotReached,
                    after: None,
                    dropped_since: None,
                };
                crowd.keep_live();
                return Ok(hold);
            }
        }
        let name = crowd.connect()?;
        crowd.wait(patience.syn, |crowd| {
            crowd.guest(name).is_none_or(|guest| !guest.is_pending())
                || crowd.guests().iter().any(|guest| is_news(guest, manner))
        })?;
        if let Some(hold) = look(crowd, manner, patience)? {
            return Ok(hold);
        }
        let Some(guest) = crowd.guest(name).copied() else {
            continue;
        };
        if guest.connected.is_some() {
            if !was_full {
                crowd.count_settled();
            }
            refusals = 0;
            unanswered.clear();
        } else if let Some((at, _)) = guest.ended {
            crowd.release(name, Release::Reset);
            was_full = true;
            refusals += 1;
            if crowd.live() == 0 {
                // Nobody inside and nobody let in: not a limit, but somebody else, or the end.
                if refusals == ALONE {
                    return Err(died(crowd));
                }
            } else if refusals >= REFUSALS {
                let hold = Hold {
                    held: crowd.live(),
                    overflow: Overflow::Refused,
                    after: Some(at.saturating_sub(guest.started)),
                    dropped_since: None,
                };
                crowd.keep_live();
                return Ok(hold);
            }
            // A slot may be about to listen again.
            let pause = patience.round_trip.max(Duration::from_millis(5));
            crowd.sleep(pause * (1 << (refusals.clamp(1, 7) - 1)))?;
        } else {
            was_full = true;
            unanswered.push(name);
            if unanswered.len() == 2 && are_dropped(crowd, &unanswered, patience, proof)? {
                let held = crowd.live();
                let first = unanswered.first().and_then(|&name| crowd.guest(name));
                let dropped_since = first.map(|guest| guest.started);
                if held == 0 {
                    return Err(died(crowd));
                }
                crowd.keep_live();
                // What has died in the meantime is not held.
                return Ok(look(crowd, manner, patience)?.unwrap_or(Hold {
                    held,
                    overflow: Overflow::Dropped,
                    after: None,
                    dropped_since,
                }));
            }
            if unanswered.len() >= 2 {
                unanswered.clear();
            }
        }
    }
}

/// The way to a hold of a size that was proven, where a round trip for each would take long:
/// several SYNs at a time, as long as they get in, and well short of the end.
///
/// Near the end they go one at a time again: there, several at once may be let in by a SYN queue
/// that then drops their ACKs.
pub(super) fn approach<N: Network>(
    crowd: &mut Crowd<'_, N>,
    patience: Patience,
    proven: usize,
) -> Result<(), Halt> {
    let most = proven.saturating_sub(WELL_SHORT);
    let mut missing = 0;
    while crowd.live() + AT_A_TIME <= most && missing <= AT_A_TIME {
        crowd.tell(Step::Holding { held: crowd.live() });
        let before = crowd.live();
        for _ in 0..AT_A_TIME {
            crowd.connect()?;
        }
        crowd.wait(patience.syn, |crowd| {
            !crowd.guests().iter().any(Guest::is_pending)
        })?;
        // Lost on the way; or, if they are many, it is another server than it was.
        missing += (before + AT_A_TIME).saturating_sub(crowd.live());
        crowd.keep_live();
    }
    Ok(())
}

/// Whether SYNs without an answer are the server's doing.
fn are_dropped<N: Network>(
    crowd: &mut Crowd<'_, N>,
    names: &[Name],
    patience: Patience,
    proof: Proof,
) -> Result<bool, Halt> {
    match proof {
        // Nobody inside: that is the end of the server rather than its limit.
        Proof::Later if crowd.live() > 0 => return Ok(true),
        Proof::Earlier(held) if held == crowd.live() => return Ok(true),
        _ => {}
    }
    let Some(first) = names.first().and_then(|&name| crowd.guest(name)).copied() else {
        return Ok(false);
    };
    let told = |crowd: &Crowd<'_, N>| {
        names
            .iter()
            .any(|&name| crowd.guest(name).is_none_or(|guest| !guest.is_pending()))
    };
    let mut until = first.started + SYN_REPEATED;
    while !crowd.until(until, told)? {
        let patient_until = match crowd.syn_retransmissions(first.name) {
            Some(0) if crowd.now() < first.started + 3 * SYN_REPEATED => {
                crowd.now() + Duration::from_millis(100)
            }
            Some(_) => first.started + SYN_REPEATED + patience.syn,
            None => first.started + SURELY_REPEATED + patience.syn,
        };
        if patient_until <= crowd.now() {
            return Ok(true);
        }
        until = patient_until;
    }
    Ok(false)
}

/// Whether a server that dropped SYNs when it held so many still does, much later, when the places
/// that were freed in the meantime are taken again.
pub(super) fn still_drops<N: Network>(
    crowd: &mut Crowd<'_, N>,
    patience: Patience,
    hold: &Hold,
) -> Result<bool, Halt> {
    let Some(since) = hold.dropped_since else {
        return Ok(true);
    };
    crowd.until(since + MUCH_LATER, |_| false)?;
    while crowd.live() <= hold.held && crowd.open() < crowd.plan.max_connections {
        let name = crowd.connect()?;
        crowd.wait(patience.syn, |crowd| {
            crowd.guest(name).is_none_or(|guest| !guest.is_pending())
        })?;
        if crowd.guest(name).is_some_and(Guest::is_pending) {
            crowd.release(name, Release::Reset);
            return Ok(true);
        }
    }
    Ok(false)
}

/// Connections that are none for the server: the last ACK of the handshake was lost, and there was
/// no place any more when the handshake was repeated.
///
/// What is sent on them is never acknowledged. To be asked of a server that answers nobody.
pub(super) fn ghosts<N: Network>(crowd: &mut Crowd<'_, N>) -> Result<usize, Halt> {
    /// Linux repeats data after 200 ms, and 400 ms later once more, and a round trip each.
    const DATA_REPEATED_TWICE: Duration = Duration::from_secs(1);
    for name in crowd.silents() {
        crowd.ask(name);
    }
    crowd.sleep(DATA_REPEATED_TWICE)?;
    check_for_late_answers(crowd)?;
    let repeated = |guest: &&Guest| guest.is_live() && crowd.retransmissions(guest.name) >= Some(2);
    Ok(crowd.guests().iter().filter(repeated).count())
}

/// Whether this guest needs looking at.
fn is_news(guest: &Guest, manner: Manner) -> bool {
    match manner {
        Manner::Banner => guest.is_silent_and_ended(),
        Manner::Mute => guest.disturbed().is_some() || guest.answered().is_some(),
        _ => guest.disturbed().is_some(),
    }
}

/// Looks whether anybody was ended, and if so, by which rule.
fn look<N: Network>(
    crowd: &mut Crowd<'_, N>,
    manner: Manner,
    patience: Patience,
) -> Result<Option<Hold>, Halt> {
    check_for_late_answers(crowd)?;
    if !crowd.guests().iter().any(|guest| is_news(guest, manner)) {
        return Ok(None);
    }
    crowd.sleep(patience.look)?;
    match tail(crowd, manner) {
        Tail::Whole => Ok(None),
        Tail::Ended(overflow, after) => {
            crowd.keep_live();
            let held = crowd.live();
            if held == 0 {
                return Err(Halt::Stale(after));
            }
            // Once may be chance: the next one has to meet the same end.
            let name = crowd.connect()?;
            crowd.wait(patience.syn.max(patience.look), |crowd| {
                crowd.guest(name).is_none_or(|guest| !guest.is_pending())
            })?;
            crowd.wait(patience.look, |crowd| {
                crowd
                    .guest(name)
                    .is_none_or(|guest| guest.disturbed().is_some())
            })?;
            let same = crowd.guest(name).is_none_or(|guest| !guest.is_live());
            crowd.keep_live();
            Ok((same && crowd.live() == held).then_some(Hold {
                held,
                overflow,
                after: Some(after),
                dropped_since: None,
            }))
        }
        Tail::EldersEnded => elders(crowd, manner, patience).map(Some),
    }
}

/// Elder connections were ended: for a newcomer (eviction), or for their age.
fn elders<N: Network>(
    crowd: &mut Crowd<'_, N>,
    manner: Manner,
    patience: Patience,
) -> Result<Hold, Halt> {
    let age = crowd
        .guests()
        .iter()
        .find_map(|guest| Some(guest.disturbed()?.saturating_sub(guest.connected?)));
    let stale = Halt::Stale(age.unwrap_or_default());
    let after = crowd
        .guests()
        .iter()
        .filter_map(Guest::disturbed)
        .max()
        .zip(crowd.guests().iter().filter_map(|it| it.connected).max())
        .map(|(ended, came)| ended.saturating_sub(came));
    let greeted = |crowd: &Crowd<'_, N>| {
        manner != Manner::Banner
            && crowd
                .guests()
                .iter()
                .any(|it| it.asked.is_none() && it.first_byte.is_some())
    };
    if greeted(crowd) {
        return Err(stale);
    }
    crowd.keep_live();
    let held = crowd.live();
    // Without a newcomer nobody is evicted.
    crowd.sleep(patience.look)?;
    if crowd.live() < held || held == 0 {
        return Err(stale);
    }
    let mut turned_away = Vec::new();
    for _ in 0..2 {
        let name = crowd.connect()?;
        crowd.wait(patience.syn.max(patience.look), |crowd| {
            crowd.guest(name).is_none_or(|guest| !guest.is_pending())
        })?;
        crowd.sleep(patience.look)?;
        let newcomer = crowd.guest(name).copied();
        if greeted(crowd) || crowd.live() != held {
            return Err(stale);
        }
        if let Some(Guest {
            connected: Some(came),
            ended: Some((at, end)),
            ..
        }) = newcomer
        {
            turned_away.push((end.after_accept(), at.saturating_sub(came)));
        } else if !newcomer.is_some_and(|it| it.is_live()) {
            return Err(stale);
        }
        crowd.keep_live();
    }
    match turned_away[..] {
        [] => {}
        // A cap after all: the handshake of an elder was completed later than it seemed.
        [_, (overflow, after)] => {
            return Ok(Hold {
                held,
                overflow,
                after: Some(after),
                dropped_since: None,
            });
        }
        _ => return Err(stale),
    }
    Ok(Hold {
        held,
        overflow: Overflow::Evicted,
        after,
        dropped_since: None,
    })
}

/// Who has been ended, and where in the queue.
fn tail<N: Network>(crowd: &Crowd<'_, N>, manner: Manner) -> Tail {
    let mut ended = None;
    for guest in crowd.guests().iter().filter(|it| it.connected.is_some()) {
        let is_ended = is_news(guest, manner);
        match (ended, is_ended) {
            (None, true) => ended = Some(guest),
            (Some(_), false) => return Tail::EldersEnded,
            _ => {}
        }
    }
    let Some(guest) = ended else {
        return Tail::Whole;
    };
    let (Some(came), Some((at, end))) = (guest.connected, guest.ended) else {
        // Answered, and not ended: no cap does that.
        return Tail::EldersEnded;
    };
    Tail::Ended(end.after_accept(), at.saturating_sub(came))
}

/// An answer to a request that was given up on.
fn check_for_late_answers<N: Network>(crowd: &Crowd<'_, N>) -> Result<(), Halt> {
    let late = crowd.guests().iter().find_map(|guest| {
        let at = guest.answered()?;
        Some(at.saturating_sub(guest.asked?))
    });
    late.map_or(Ok(()), |after| Err(Halt::Late(after)))
}

fn died<N: Network>(crowd: &Crowd<'_, N>) -> Halt {
    Halt::Failed(Reason::Died {
        held: crowd.most_live,
    })
}

impl End {
    /// What such an end after the accept is called.
    pub(super) const fn after_accept(self) -> Overflow {
        match self {
            Self::Reset => Overflow::Reset,
            Self::Refused | Self::TimedOut | Self::Fin => Overflow::Closed,
        }
    }
}
