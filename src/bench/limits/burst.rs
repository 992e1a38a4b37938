//! A server that answers before it is asked can't be held. What can be said of it is how many
//! SYNs at a time it takes without a refusal or a retransmission.

use std::time::Duration;

use super::Step;
use super::baseline::Baseline;
use super::crowd::{Crowd, End, Guest, Halt};
use super::finding::{Known, Overflow};
use super::recovery;
use crate::transport::readiness::Network;

/// More than a scheduler's hiccup, less than the first repetition of a SYN or a SYN-ACK.
const WELL_BEFORE_A_REPETITION: Duration = Duration::from_millis(500);

/// The largest burst, and what happened to the next larger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Burst {
    pub(super) largest: Known,
    pub(super) overflow: Overflow,
    pub(super) after: Option<Duration>,
}

/// What became of one burst.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Clean,
    Spoiled(Overflow, Option<Duration>),
}

/// Doubles until one is spoiled twice, then bisects. `best` is what has been seen so far.
pub(super) fn search<N: Network>(
    crowd: &mut Crowd<'_, N>,
    baseline: &Baseline,
    best: &mut usize,
) -> Result<Burst, Halt> {
    let most = crowd.plan.max_connections;
    let mut spoiled = most + 1;
    let mut last = (Overflow::NotReached, None);
    *best = 1;
    while *best + 1 < spoiled {
        let size = if spoiled > most {
            (*best * 2).min(most)
        } else {
            usize::midpoint(*best, spoiled)
        };
        let mut fate = burst(crowd, baseline, size)?;
        if matches!(fate, Fate::Spoiled(..)) {
            // Once may be chance.
            fate = burst(crowd, baseline, size)?;
        }
        match fate {
            Fate::Clean => *best = size,
            Fate::Spoiled(overflow, after) => {
                spoiled = size;
                last = (overflow, after);
            }
        }
    }
    Ok(Burst {
        largest: if spoiled > most {
            Known::AtLeast(*best)
        } else {
            Known::Exactly(*best)
        },
        overflow: last.0,
        after: last.1,
    })
}

/// One burst, and the server's peace afterwards.
fn burst<N: Network>(
    crowd: &mut Crowd<'_, N>,
    baseline: &Baseline,
    size: usize,
) -> Result<Fate, Halt> {
    crowd.tell(Step::Bursting { size });
    for _ in 0..size {
        crowd.connect()?;
    }
    let patience = baseline.patience;
    let slowest = baseline.first_byte.iter().max().copied();
    let each = slowest.unwrap_or_default() + patience.round_trip * 2;
    // A handshake needs no worker: one that is not complete by then has lost its SYN.
    crowd.wait(WELL_BEFORE_A_REPETITION, |crowd| {
        !crowd.guests().iter().any(Guest::is_pending) || crowd.guests().iter().any(is_turned_away)
    })?;
    let is_dropped = crowd.guests().iter().any(Guest::is_pending);
    let served = if is_dropped {
        0
    } else {
        greeted(crowd, size, WELL_BEFORE_A_REPETITION + each)?
    };
    let repeated = crowd
        .guests()
        .iter()
        .any(|guest| crowd.syn_retransmissions(guest.name).unwrap_or_default() > 0);
    let fate = crowd
        .guests()
        .iter()
        .find(|guest| is_turned_away(guest))
        .map(|guest| {
            let after = guest.ended.map(|(at, _)| at.saturating_sub(guest.started));
            match guest.ended {
                Some((_, End::Refused)) => Fate::Spoiled(Overflow::Refused, after),
                Some((_, End::Reset)) => Fate::Spoiled(Overflow::Reset, after),
                Some((_, End::Fin)) => Fate::Spoiled(Overflow::Closed, after),
                _ => Fate::Spoiled(Overflow::Dropped, None),
            }
        });
    let fate = match fate {
        Some(fate) => fate,
        None if repeated || served < size => Fate::Spoiled(Overflow::Dropped, None),
        None => Fate::Clean,
    };
    crowd.release_all();
    recovery::settle(crowd, patience)?;
    Ok(fate)
}

/// How many of a burst are greeted, until nobody is for `patience` or somebody is turned away.
///
/// Served one at a time, each is served in its turn; a gap is a repetition.
fn greeted<N: Network>(
    crowd: &mut Crowd<'_, N>,
    size: usize,
    patience: Duration,
) -> Result<usize, Halt> {
    let count = |crowd: &Crowd<'_, N>| {
        let greeted = |guest: &&Guest| guest.first_byte.is_some();
        crowd.guests().iter().filter(greeted).count()
    };
    let mut served = 0;
    loop {
        let more = crowd.wait(patience, |crowd| {
            count(crowd) > served || crowd.guests().iter().any(is_turned_away)
        })?;
        served = count(crowd);
        if !more || served == size || crowd.guests().iter().any(is_turned_away) {
            return Ok(served);
        }
    }
}

/// Refused, or ended without a word.
fn is_turned_away(guest: &Guest) -> bool {
    guest.ended.is_some() && guest.first_byte.is_none()
}
