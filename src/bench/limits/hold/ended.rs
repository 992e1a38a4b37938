//! Connections that the server ends while it is filled: the youngest of them, by a cap, or elder ones
//! for a newcomer or for their age.

use std::time::Duration;

use super::super::baseline::{Manner, Patience};
use super::super::crowd::{Crowd, End, Guest, Halt};
use super::{Hold, check_for_late_answers};
use crate::bench::report::Overflow;
use tcpctl_engine::readiness::Network;

/// So often a server is looked at whether it still ends connections.
const LOOKS: usize = 8;

/// What has become of the connections, looked at as a queue.
enum Tail {
    /// All are well.
    Whole,
    /// The youngest were ended, the elder live.
    Ended(Overflow, Duration),
    /// Elder ones were ended.
    EldersEnded,
}

/// Whether this guest needs looking at.
pub(super) fn is_news(guest: &Guest, manner: Manner) -> bool {
    match manner {
        Manner::Banner => guest.is_silent_and_ended(),
        Manner::Mute => guest.disturbed().is_some() || guest.answered().is_some(),
        _ => guest.disturbed().is_some(),
    }
}

/// Looks whether anybody was ended, and if so, by which rule.
pub(super) fn look<N: Network>(
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
    // Without a newcomer nobody is evicted; but the last that came may wait for a busy server still.
    let mut held = usize::MAX;
    for _ in 0..LOOKS {
        crowd.keep_live();
        if crowd.live() == held {
            break;
        }
        held = crowd.live();
        crowd.sleep(patience.look)?;
    }
    if crowd.live() < held || held == 0 {
        return Err(stale);
    }
    let mut turned_away = Vec::new();
    for _ in 0..2 {
        let name = crowd.connect()?;
        crowd.wait(patience.syn.max(patience.look), |crowd| {
            crowd.guest(name).is_none_or(|guest| !guest.is_pending())
        })?;
        crowd.wait(patience.look * 4, |crowd| crowd.live() <= held)?;
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

impl End {
    /// What such an end after the accept is called.
    pub(in crate::bench::limits) const fn after_accept(self) -> Overflow {
        match self {
            Self::Reset => Overflow::Reset,
            Self::Refused | Self::TimedOut | Self::Fin => Overflow::Closed,
        }
    }
}
