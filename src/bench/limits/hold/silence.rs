//! SYNs without an answer: the server's limit, or something lost on the way.

use std::time::Duration;

use super::super::baseline::Patience;
use super::super::crowd::{Crowd, Guest, Halt, Name};
use super::{Hold, check_for_late_answers};
use tcpctl_engine::readiness::{Network, Release};

/// Linux and smoltcp repeat a SYN after a second; the rest is for a loaded computer.
pub(super) const SYN_REPEATED: Duration = Duration::from_millis(1_150);
/// How long to go on where the stack can't be asked whether a SYN was repeated.
const SURELY_REPEATED: Duration = Duration::from_millis(1_400);

/// A SYN so long after another that was not answered is no part of the same hiccup: a radio that
/// sleeps wakes up after 300 ms at the latest.
const MUCH_LATER: Duration = Duration::from_millis(500);

/// When two SYNs in a row without an answer are the server's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench::limits) enum Proof {
    /// When the first has no answer either when it is repeated. The search waits for that.
    Repetition,
    /// When a SYN much later has no answer either: [`still_drops`] is to be asked then, and the
    /// time until then is free for other things.
    Later,
    /// When an earlier round, in which it was proven, has held as many.
    Earlier(usize),
}

/// Whether SYNs without an answer are the server's doing.
pub(super) fn are_dropped<N: Network>(
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
pub(in crate::bench::limits) fn still_drops<N: Network>(
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
pub(in crate::bench::limits) fn ghosts<N: Network>(
    crowd: &mut Crowd<'_, N>,
) -> Result<usize, Halt> {
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
