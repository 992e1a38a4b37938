//! A server that answers before it is asked can't be held. What can be said of it is how many
//! SYNs at a time it takes without a refusal or a retransmission.

use std::time::Duration;

use super::Step;
use super::baseline::Baseline;
use super::brim;
use super::crowd::{Crowd, End, Guest, Halt};
use super::leaving::SLOW;
use super::recovery;
use crate::bench::report::{Bound, Overflow};
use tcpctl_engine::readiness::Network;

/// More than a scheduler's hiccup or a radio's sleep, less than the first repetition of a SYN or a
/// SYN-ACK.
const WELL_BEFORE_A_REPETITION: Duration = Duration::from_millis(350);
/// A burst that is worked off by then has a gap before the first repetition of a SYN-ACK, after a
/// second.
const SHORT: Duration = Duration::from_millis(550);
/// The first burst: a small server has to work off what it takes of it, and its answer says where
/// to look next.
const FIRST: usize = 8;

/// The largest burst, and what happened to the next larger.
#[derive(Debug, Clone)]
pub(super) struct Burst {
    pub(super) largest: Bound,
    pub(super) overflow: Overflow,
    pub(super) after: Option<Duration>,
    /// How that is known.
    pub(super) evidence: String,
    /// What was found instead at another time.
    pub(super) drift: Option<String>,
}

/// What became of one burst.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Clean,
    Spoiled {
        overflow: Overflow,
        after: Option<Duration>,
        /// So many of it got in,
        inside: usize,
        /// and that is where to look next.
        is_telling: bool,
    },
}

/// Doubles until one is spoiled; how many of that got in says where to look for one that is not.
/// The end is one that is not, next to one that is, and was by another one as well. `best` is what
/// has been seen so
/// far.
pub(super) fn search<N: Network>(
    crowd: &mut Crowd<'_, N>,
    baseline: &Baseline,
    best: &mut usize,
) -> Result<Burst, Halt> {
    if let Some(burst) = brim::search(crowd, baseline, best)? {
        return Ok(burst);
    }
    if crowd.open() > 0 {
        work_off(crowd, baseline)?;
    }
    let most = crowd.plan.max_connections;
    // Sizes next to each other at the end; above the maximum is not known to be spoiled.
    let mut spoiled = most + 1;
    let mut is_sure = false;
    let (mut hint, mut got_in) = (0, 0);
    let mut last = (Overflow::NotReached, None);
    *best = 1.max(*best);
    while *best < most && (*best + 1 < spoiled || !is_sure) {
        let size = if spoiled > most {
            (*best * 2).clamp(FIRST.min(most), most)
        } else if *best + 1 == spoiled {
            spoiled
        } else {
            hint.clamp(*best + 1, spoiled - 1)
        };
        match burst(crowd, baseline, size)? {
            Fate::Clean => {
                *best = size;
                if size == spoiled {
                    // That was chance.
                    spoiled = most + 1;
                }
                hint = if size == got_in {
                    size + 1
                } else {
                    usize::midpoint(*best, spoiled)
                };
            }
            Fate::Spoiled {
                overflow,
                after,
                inside,
                is_telling,
            } => {
                // The same seen twice: here, or in a larger one of which no more than that got in.
                is_sure = size == spoiled || (size == *best + 1 && got_in == *best);
                spoiled = size;
                got_in = inside;
                hint = if is_telling {
                    inside
                } else {
                    usize::midpoint(*best, spoiled)
                };
                last = (overflow, after);
            }
        }
    }
    let (largest, evidence) = if spoiled > most {
        let evidence =
            "simultaneous SYNs without a refusal or a retransmission; no larger burst was tried";
        (Bound::at_least(*best), evidence)
    } else {
        let evidence = "the next larger burst was refused or retransmitted twice";
        (Bound::Exact(*best), evidence)
    };
    let evidence = match baseline.first_byte.iter().max() {
        Some(&each) if each >= SLOW => {
            format!("{evidence}; each burst had to be worked off, {each:.0?} for each connection")
        }
        _ => evidence.to_owned(),
    };
    Ok(Burst {
        largest,
        overflow: last.0,
        after: last.1,
        evidence,
        drift: None,
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
    let is_told = |crowd: &Crowd<'_, N>| {
        !crowd.guests().iter().any(Guest::is_pending) || crowd.guests().iter().any(is_turned_away)
    };
    let begin = crowd.now();
    if !crowd.wait(patience.syn * 3, is_told)?
        && (patience.lossy || crowd.guests().iter().all(Guest::is_pending))
    {
        // One may be lost, or a radio asleep.
        crowd.until(begin + WELL_BEFORE_A_REPETITION, is_told)?;
    }
    let is_dropped = crowd.guests().iter().any(Guest::is_pending);
    let takes = each.saturating_mul(u32::try_from(size).unwrap_or(u32::MAX));
    let has_no_place = !is_dropped && takes > SHORT && has_no_place(crowd, size)?;
    let is_dropped = is_dropped || has_no_place;
    let served = if is_dropped {
        0
    } else {
        greeted(crowd, size, WELL_BEFORE_A_REPETITION + each)?
    };
    let repeated = crowd.guests().iter().any(|it| is_repeated(crowd, it));
    let away = crowd.guests().iter().copied().find(is_turned_away);
    let spoiled = match away.map(|guest| (guest, guest.ended)) {
        Some((guest, Some((at, end)))) => {
            let after = at.saturating_sub(guest.started);
            Some(match end {
                End::Refused => (Overflow::Refused, Some(after)),
                End::Reset => (Overflow::Reset, Some(after)),
                End::Fin => (Overflow::Closed, Some(after)),
                End::TimedOut => (Overflow::Dropped, None),
            })
        }
        _ => (repeated || served < size).then_some((Overflow::Dropped, None)),
    };
    let fate = match spoiled {
        None => Fate::Clean,
        Some((overflow, after)) => {
            // The others may be on their way still.
            crowd.wait(patience.syn, |crowd| {
                !crowd.guests().iter().any(Guest::is_pending)
            })?;
            let got_in = |guest: &&Guest| {
                guest.connected.is_some() && !is_turned_away(guest) && !is_repeated(crowd, guest)
            };
            let got_in = crowd.guests().iter().filter(got_in).count();
            // More handshakes may be answered than there are places, but no more are greeted.
            let by_greetings = away.is_none() && !is_dropped;
            let inside = if by_greetings {
                served.min(got_in)
            } else {
                got_in
            };
            Fate::Spoiled {
                overflow,
                after,
                inside,
                // If nearly all of it got in, the queue took more than it has places for.
                is_telling: by_greetings || has_no_place || inside + 1 < size,
            }
        }
    };
    work_off(crowd, baseline)?;
    Ok(fate)
}

/// Lets go of all, and waits until the server has done with them. One that has a queue may greet
/// each of them first.
pub(super) fn work_off<N: Network>(
    crowd: &mut Crowd<'_, N>,
    baseline: &Baseline,
) -> Result<(), Halt> {
    let inside = u32::try_from(crowd.live()).unwrap_or(u32::MAX);
    let each = baseline.first_byte.iter().max().copied();
    let longest = recovery::SETTLE + each.unwrap_or_default().saturating_mul(inside);
    crowd.release_all();
    recovery::settle_within(crowd, baseline.patience, longest).map(|_| ())
}

/// Whether some of a burst have had their SYN answered, and yet no place.
///
/// SYNs that come together may all be answered before the queue is full, and the handshakes that
/// don't fit wait until they are repeated by the server: unseen, unless its greetings stop until
/// then. A slow server's do not. Data on such a connection is not acknowledged, and is repeated.
fn has_no_place<N: Network>(crowd: &mut Crowd<'_, N>, size: usize) -> Result<bool, Halt> {
    for name in crowd.silents() {
        crowd.ask(name);
    }
    let all = |crowd: &Crowd<'_, N>| crowd.guests().iter().all(|it| it.first_byte.is_some());
    crowd.wait(WELL_BEFORE_A_REPETITION, all)?;
    Ok(size > 1 && crowd.guests().iter().any(|it| is_repeated(crowd, it)))
}

/// Whether something on a connection had to be sent again.
fn is_repeated<N: Network>(crowd: &Crowd<'_, N>, guest: &Guest) -> bool {
    let syns = crowd.syn_retransmissions(guest.name).unwrap_or_default();
    syns + crowd.retransmissions(guest.name).unwrap_or_default() > 0
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
pub(super) fn is_turned_away(guest: &Guest) -> bool {
    guest.ended.is_some() && guest.first_byte.is_none()
}
