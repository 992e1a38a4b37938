//! Whom a server serves, told by leaving: a short cut for servers that are slow to answer.
//!
//! Most servers let go at once of a client that has ended its side without a word, however long
//! they would have worked on a request. Those that are being served are let go, those in a queue
//! are not, so leaving asks what a request asks, without the wait for the service. It is no proof:
//! a runtime may do it in the application's place, for connections that nobody serves. So it only
//! says where requests are to be sent, and those prove the number.

use std::time::Duration;

use super::baseline::{self, Baseline, Manner, Patience};
use super::crowd::{Crowd, Guest, Halt};
use super::served::Served;
use crate::bench::report::{Bound, Overflow};
use tcpctl_engine::readiness::{Network, Release};

/// From here on a server is slow: two silences that have to last would take longer than this way.
pub(super) const SLOW: Duration = Duration::from_millis(100);
/// A scheduler's hiccup, twice.
const HICCUP: Duration = Duration::from_millis(60);
/// Of fewer connections one that has left and keeps its place is one too many.
const LEAST_HELD: usize = 3;

/// How long to wait for a server to let go of who has left.
pub(super) fn patience(patience: Patience) -> Duration {
    patience.round_trip * 4 + HICCUP
}

/// What a slow server does with a client that says nothing, and then leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manners {
    /// Answers it all the same, when it has taken its time: so long after the handshake.
    Greets(Duration),
    /// Lets go of it at once.
    LetsGoAtOnce,
    /// Takes its time over that, too.
    TakesItsTime,
}

/// Watches the idle server with a client that stays silent for longer than an answer took, from the
/// request and, `since_handshake`, from the beginning; and then leaves.
pub(super) fn watch<N: Network>(
    crowd: &mut Crowd<'_, N>,
    round_trip: Duration,
    answer: Duration,
    since_handshake: Duration,
) -> Result<Manners, Halt> {
    let (name, _) = baseline::come_in(crowd, false)?;
    let silence = (answer * 5 / 4).max(since_handshake + HICCUP / 3) + round_trip * 4;
    let greeted = crowd.wait(silence, |crowd| {
        crowd
            .guest(name)
            .is_none_or(|guest| guest.disturbed().is_some())
    })?;
    crowd.hang_up(name);
    let is_over = |crowd: &Crowd<'_, N>| {
        crowd
            .guest(name)
            .is_none_or(|guest| guest.answered().is_some())
    };
    let at_once = crowd.wait(round_trip * 4 + HICCUP, is_over)?;
    if !at_once {
        // It may do with one at a time.
        crowd.wait(crowd.reply_timeout, is_over)?;
    }
    let spoke = crowd
        .guest(name)
        .and_then(|guest| Some(guest.first_byte?.saturating_sub(guest.connected?)));
    crowd.release(name, Release::Fin);
    Ok(match (spoke, at_once) {
        (Some(after), _) if greeted => Manners::Greets(after),
        (None, true) => Manners::LetsGoAtOnce,
        _ => Manners::TakesItsTime,
    })
}

/// Whether leaving may tell something of a full server.
pub(super) fn tells(baseline: &Baseline, overflow: Overflow, held: usize) -> bool {
    baseline.lets_go_at_once
        && baseline.manner == Manner::Answers
        // There, silence takes long to mean something in any case.
        && !baseline.patience.lossy
        && held >= LEAST_HELD
        && !matches!(
            overflow,
            Overflow::NotReached | Overflow::Evicted | Overflow::Silent
        )
}

/// One request on the last of so many that are served. `None` if it is not answered.
///
/// That no more are served has been proven by the silence of the next, in an earlier round.
pub(super) fn confirm<N: Network>(
    crowd: &mut Crowd<'_, N>,
    patience: Patience,
    served: usize,
) -> Result<Option<Served>, Halt> {
    let last = served
        .checked_sub(1)
        .and_then(|before| crowd.silents().get(before).copied());
    let Some(name) = last else { return Ok(None) };
    crowd.ask(name);
    crowd.wait(patience.reply, |crowd| {
        crowd
            .guest(name)
            .is_none_or(|guest| guest.answered().is_some())
    })?;
    let guest = crowd.guest(name).copied();
    let answered = guest.and_then(|guest| guest.answered());
    if answered.is_none() {
        return Ok(None);
    }
    let took = |guest: Guest| Some(guest.first_byte?.saturating_sub(guest.asked?));
    crowd.release(name, Release::Fin);
    Ok(Some(Served {
        workers: Bound::Exact(served),
        queue: None,
        first_byte: guest.and_then(took).into_iter().collect(),
    }))
}
