//! Places that are freed: how soon they are taken again, and when the server is as it was.

use std::time::Duration;

use super::Step;
use super::baseline::Patience;
use super::crowd::{Crowd, Guest, Halt, Name};
use super::finding::Reason;
use crate::bench::report::Overflow;
use tcpctl_engine::readiness::{Network, Release};

/// Tries to get into a freed place; the pauses between them double, the last is a second.
const TRIES: u32 = 11;
/// How long a server may take to be as before, when all have left.
pub(super) const SETTLE: Duration = Duration::from_secs(4);

/// Frees the eldest place of a full server and measures until a newcomer has it.
pub(super) fn free_one<N: Network>(
    crowd: &mut Crowd<'_, N>,
    patience: Patience,
    overflow: Overflow,
) -> Result<Option<Duration>, Halt> {
    crowd.tell(Step::Recovering);
    let Some(&eldest) = crowd.silents().first() else {
        return Ok(None);
    };
    // With a FIN: it is repeated if it is lost.
    crowd.release(eldest, Release::Fin);
    let freed = crowd.now();
    let after_accept = matches!(overflow, Overflow::Closed | Overflow::Reset);
    for step in 0..TRIES {
        let pause = Duration::from_millis(1 << step);
        let Some(name) = try_once(crowd, patience, pause)? else {
            continue;
        };
        if after_accept {
            crowd.wait(patience.look, |crowd| {
                crowd.guest(name).is_none_or(|guest| !guest.is_live())
            })?;
        }
        if let Some(Guest {
            connected: Some(at),
            ended: None,
            ..
        }) = crowd.guest(name).copied()
        {
            return Ok(Some(at.saturating_sub(freed)));
        }
        crowd.release(name, Release::Reset);
        crowd.sleep(pause)?;
    }
    Ok(None)
}

/// Fills freed places until there are `wanted` silent connections, as far as they are to be had.
pub(super) fn refill<N: Network>(
    crowd: &mut Crowd<'_, N>,
    patience: Patience,
    overflow: Overflow,
    wanted: usize,
) -> Result<Vec<Name>, Halt> {
    let turns_away = matches!(overflow, Overflow::Closed | Overflow::Reset);
    let mut newcomers = Vec::new();
    let mut failures = 0;
    loop {
        let pause = Duration::from_millis(1 << failures);
        let away = newcomers.iter().copied().find(|&name| is_away(crowd, name));
        if let Some(away) = away {
            if !turns_away || failures == 7 {
                return Ok(crowd.silents());
            }
            // The application has yet to notice that a place is free.
            crowd.release(away, Release::Reset);
            newcomers.retain(|&name| name != away);
            failures += 1;
            crowd.sleep(pause)?;
            continue;
        }
        let silents = crowd.silents();
        let is_full = silents.len() >= wanted || crowd.open() >= crowd.plan.max_connections;
        if is_full || failures == 7 {
            let is_settled = newcomers.is_empty()
                || !turns_away
                || !crowd.wait(patience.look, |crowd| {
                    newcomers.iter().any(|&name| is_away(crowd, name))
                })?;
            if is_settled {
                return Ok(silents);
            }
        } else if let Some(name) = try_once(crowd, patience, pause)? {
            newcomers.push(name);
        } else {
            failures += 1;
        }
    }
}

/// Whether one that came in silence was sent away.
fn is_away<N: Network>(crowd: &Crowd<'_, N>, name: Name) -> bool {
    crowd.guest(name).is_some_and(Guest::is_silent_and_ended)
}

/// One SYN. If there is no room, waits `pause`, so that the next one may find some.
fn try_once<N: Network>(
    crowd: &mut Crowd<'_, N>,
    patience: Patience,
    pause: Duration,
) -> Result<Option<Name>, Halt> {
    let name = crowd.connect()?;
    let told = crowd.wait(patience.round_trip * 4 + pause, |crowd| {
        crowd.guest(name).is_none_or(|guest| !guest.is_pending())
    })?;
    if crowd.guest(name).is_some_and(|it| it.connected.is_some()) {
        return Ok(Some(name));
    }
    crowd.release(name, Release::Reset);
    if told {
        crowd.sleep(pause)?;
    }
    Ok(None)
}

/// Everybody leaves a server that is to be filled again. `true` when it is as before: it has
/// ended every connection, those that waited for their answer after it; or else it answers a
/// newcomer.
pub(super) fn see_off<N: Network>(
    crowd: &mut Crowd<'_, N>,
    patience: Patience,
) -> Result<bool, Halt> {
    crowd.tell(Step::Settling);
    let pause = (patience.round_trip * 2).max(Duration::from_millis(2));
    // A FIN that got lost is repeated late: there, a newcomer is quicker.
    if !patience.lossy {
        crowd.finish_silent();
        let begin = crowd.now();
        let mut left = crowd.live();
        while left > 0 && crowd.since(begin) < SETTLE {
            let fewer = crowd.wait(patience.reply, |crowd| {
                crowd.live() < left || crowd.guests().iter().any(is_done_with)
            })?;
            if !fewer {
                break;
            }
            let done: Vec<Name> = crowd
                .guests()
                .iter()
                .filter(|guest| is_done_with(guest))
                .map(|guest| guest.name)
                .collect();
            for name in done {
                crowd.release(name, Release::Fin);
            }
            left = crowd.live();
        }
        if left == 0 {
            crowd.release_all();
            crowd.sleep(pause)?;
            return Ok(true);
        }
    }
    crowd.disband(pause)?;
    settle(crowd, patience)
}

/// Answered, and kept open by the server.
fn is_done_with(guest: &Guest) -> bool {
    guest.is_live() && guest.answered().is_some()
}

/// Waits until the server answers a newcomer again, after all have left.
///
/// `false` if it lets newcomers in and has not answered one in time: it is busy with those that
/// left.
pub(super) fn settle<N: Network>(
    crowd: &mut Crowd<'_, N>,
    patience: Patience,
) -> Result<bool, Halt> {
    settle_within(crowd, patience, SETTLE)
}

/// The same for a server that has `longest` to work off those that have left.
pub(super) fn settle_within<N: Network>(
    crowd: &mut Crowd<'_, N>,
    patience: Patience,
    longest: Duration,
) -> Result<bool, Halt> {
    crowd.tell(Step::Settling);
    let begin = crowd.now();
    let mut pause = (patience.round_trip * 2).max(Duration::from_millis(2));
    let mut was_let_in = false;
    while crowd.since(begin) < longest {
        let name = crowd.connect()?;
        // As long as a SYN that is repeated, if the first was dropped.
        crowd.wait(patience.syn.max(Duration::from_millis(250)), |crowd| {
            crowd.guest(name).is_none_or(|guest| !guest.is_pending())
        })?;
        if crowd.guest(name).is_some_and(|it| it.connected.is_some()) {
            was_let_in = true;
            crowd.ask(name);
            let answered = crowd.wait(longest.saturating_sub(crowd.since(begin)), |crowd| {
                crowd
                    .guest(name)
                    .is_none_or(|guest| guest.answered().is_some())
            })?;
            let replied = crowd
                .guest(name)
                .is_some_and(|guest| guest.first_byte.is_some());
            if answered && replied {
                // Let it close first, as it does.
                crowd.wait(
                    patience.round_trip * 2 + Duration::from_millis(2),
                    |crowd| crowd.guest(name).is_none_or(|guest| !guest.is_live()),
                )?;
                crowd.release(name, Release::Fin);
                crowd.sleep((patience.round_trip * 2).max(Duration::from_millis(2)))?;
                return Ok(true);
            }
        }
        crowd.leave(name);
        crowd.sleep(pause)?;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
    if was_let_in {
        Ok(false)
    } else {
        Err(Halt::Failed(Reason::Died {
            held: crowd.most_live,
        }))
    }
}
