//! Idle connections, one at a time, until the server takes no more: how many it holds, and what
//! happens to the next.

mod ended;
mod silence;

use std::time::Duration;

use super::Step;
use super::baseline::{Manner, Patience};
use super::crowd::{Crowd, Guest, Halt, Name};
use super::finding::Reason;
use crate::bench::report::Overflow;
use ended::{is_news, look};
pub(super) use silence::{Proof, ghosts, still_drops};
use silence::{SYN_REPEATED, are_dropped};
use tcpctl_engine::readiness::{Network, NetworkTime, Release};

/// A SYN is refused this often in a row before that is the limit.
const REFUSALS: usize = 3;
/// And this often, if it holds nobody.
const ALONE: usize = 8;
/// A server whose SYN-ACK was answered by an ACK that got lost has no connection until it repeats
/// the SYN-ACK, after a second; and if it is full by then, it never has.
pub(super) const HANDSHAKE_REPEATED: Duration = Duration::from_millis(1_100);
/// SYNs at a time on the way to a hold that was proven.
const AT_A_TIME: usize = 8;
/// So far from its end they go one at a time.
const WELL_SHORT: usize = 24;

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
            for name in unanswered.drain(..) {
                if !patience.lossy {
                    // The next one got in: the accept was slow. There is no need to wait until
                    // the SYN is repeated.
                    crowd.release(name, Release::Reset);
                }
            }
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
