//! The burst that a slow server takes, without ever emptying it.
//!
//! Bursts from an empty server have to be worked off: `n` connections greeted one after the other,
//! each after `s`, take `n * s`, and it takes one burst that is spoiled, one that is not, and one
//! that proves it. With seven places and `s` of 200 ms that is over four seconds.
//!
//! So the server is filled SYN by SYN, sooner than it serves, until one is turned away: inside are
//! all that were let in and not greeted. Each greeting then frees a place, in which the next SYN
//! has to get in, and the one after it not: the same is seen again, for one `s` instead of `n * s`.
//! Nothing quicker can be had from outside, for whoever leaves a queue keeps the place in it. In
//! all that is `2 s` for the baseline and the longer of `2 s` and [`APART`] for three sightings or
//! more, however many places there are: 1.1 s where `s` is 200 ms, and 2.5 s where it is 600 ms.
//!
//! In between two greetings there have to fit a pause `p` of at most `s / 20`, the round trip `r` of
//! the SYN that gets in, and the silence `a` after the one that does not: `p + r + a < s`. With `a`
//! of `2 r + 2 ms` that is so where `s` is 9 ms and `r` 2 ms. A SYN that is under way when a greeting
//! comes has its answer within another round trip: if it got in, it has the place, and else a place
//! is free; either way the next greeting finds nothing under way that could hide it. So no server
//! that keeps step with the attempts can keep them from seeing it, unless its workers greet in
//! turns with less than that in between. Then it is emptied.

use std::time::Duration;

use super::Step;
use super::baseline::{Baseline, Manner};
use super::burst::{Burst, is_turned_away};
use super::crowd::{Crowd, End, Guest, Halt, Name};
use super::leaving::SLOW;
use crate::bench::report::{Bound, Overflow};
use tcpctl_engine::readiness::{Network, Release};

/// The same number is to be seen so often,
const SAME: usize = 3;
/// and over so long: a radio that sleeps wakes up sooner.
const APART: Duration = Duration::from_millis(500);
/// So often it is looked at where the numbers differ, or for so long,
const SIGHTINGS: usize = 12;
/// whichever is more.
const LONG: Duration = Duration::from_millis(1_500);
/// Attempts in a row that are let in and ended, or have no answer; and one more that is refused, for
/// a slot may be about to listen again.
const ATTEMPTS: u32 = 2;
/// To fill it may take so much longer than two greetings.
const FILLING: Duration = Duration::from_millis(400);
/// A quicker server is better emptied: what it takes while a burst comes is a chance.
const QUICKEST: Duration = Duration::from_millis(6);

/// What fits in between two greetings.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// For the answer to a SYN.
    attempt: Duration,
    /// For the same, where a greeting has come meanwhile.
    answer: Duration,
    /// How many of those are turned away for good.
    attempts: u32,
    /// Before the first attempt, and between refusals.
    pause: Duration,
    /// For the next greeting.
    greeting: Duration,
    /// For what an application does after the accept.
    look: Duration,
}

impl Pace {
    /// Those that fit, the surest first.
    fn all(baseline: &Baseline) -> Vec<Self> {
        let patience = baseline.patience;
        let mut paces = Vec::new();
        let times = || baseline.first_byte.iter().copied();
        let (Some(service), Some(slowest)) = (times().min(), times().max()) else {
            return paces;
        };
        // A SYN or the end of a handshake that is lost would be counted wrongly.
        if baseline.manner != Manner::Greets || patience.lossy || service < QUICKEST {
            return paces;
        }
        let pause = (service / 20).min(Duration::from_millis(5));
        let mut add = |attempt: Duration, attempts: u32| {
            if service >= pause + patience.round_trip * 2 + attempt * attempts {
                paces.push(Self {
                    attempt,
                    answer: patience.round_trip * 3 / 2 + Duration::from_millis(1),
                    attempts,
                    pause,
                    greeting: slowest * 2 + patience.look,
                    look: patience.look.min(service / 2),
                });
            }
        };
        if service >= SLOW.max(patience.syn * 5 / 2) {
            add(patience.syn, ATTEMPTS);
        }
        // Several may greet in turns, and leave less time in between.
        let least = patience.round_trip * 2 + Duration::from_millis(2);
        add(least.max(patience.syn.min(service / 5)), 1);
        paces
    }
}

/// A full server.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    inside: usize,
    at: Duration,
    overflow: Overflow,
    /// From the SYN to the refusal, or to the end after the accept.
    after: Option<Duration>,
}

/// What came of filling it.
enum Filled {
    Full(Sighting),
    /// As many are inside as are allowed.
    NeverFull,
    /// It serves sooner than it can be filled, or others do that.
    InVain,
}

/// Keeps the server full until the same number was inside often enough. `None` if it can't be kept
/// full. `best` is what has been seen so far.
pub(super) fn search<N: Network>(
    crowd: &mut Crowd<'_, N>,
    baseline: &Baseline,
    best: &mut usize,
) -> Result<Option<Burst>, Halt> {
    for pace in Pace::all(baseline) {
        let found = at_pace(crowd, pace, best)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn at_pace<N: Network>(
    crowd: &mut Crowd<'_, N>,
    pace: Pace,
    best: &mut usize,
) -> Result<Option<Burst>, Halt> {
    let begin = crowd.now();
    let mut seen: Vec<Sighting> = Vec::new();
    while seen.len() < SIGHTINGS || crowd.since(begin) < LONG {
        let sighting = match fill(crowd, pace)? {
            Filled::Full(sighting) if sighting.inside > 0 => sighting,
            Filled::NeverFull => {
                *best = inside(crowd).max(*best);
                return Ok(Some(never_full(*best)));
            }
            Filled::Full(_) | Filled::InVain => return Ok(None),
        };
        *best = sighting.inside.max(*best);
        seen.push(sighting);
        if let Some(agreed) = agreed(&seen) {
            return Ok(Some(conclude(&seen, Some(agreed))));
        }
        crowd.keep_live();
        let is_greeted = |crowd: &Crowd<'_, N>| crowd.guests().iter().any(is_greeted);
        if !crowd.wait(pace.greeting, is_greeted)? {
            return Ok(None);
        }
    }
    // Of a slow one nothing better can be had; a quick one may be too quick for this.
    Ok((pace.attempts == ATTEMPTS).then(|| conclude(&seen, None)))
}

/// SYN by SYN, until several in a row are turned away while nobody is greeted. One has to get in
/// first: the place that a greeting frees is not free in the same moment.
fn fill<N: Network>(crowd: &mut Crowd<'_, N>, pace: Pace) -> Result<Filled, Halt> {
    let most = crowd.plan.max_connections;
    let in_vain = crowd.opened + 2 * most;
    let begin = crowd.now();
    let (mut most_inside, mut since) = (0, begin);
    let mut ends_after_accept = false;
    let mut was_let_in = false;
    let mut turned_away = 0;
    let patience = pace.greeting * 2;
    while crowd.opened < in_vain
        && crowd.since(since) < patience
        && crowd.since(begin) < patience + FILLING
    {
        ends_after_accept |= forget_turned_away(crowd) > 0;
        if let Some(at) = last_greeting(crowd) {
            // One that got in after that has the place.
            was_let_in = crowd
                .guests()
                .iter()
                .any(|it| it.is_live() && !is_greeted(it) && it.connected >= Some(at));
            turned_away = 0;
            forget_greeted(crowd, pace)?;
        }
        let now_inside = inside(crowd);
        crowd.tell(Step::ToppingUp { inside: now_inside });
        if now_inside > most_inside {
            (most_inside, since) = (now_inside, crowd.now());
        }
        if crowd.open() >= most {
            crowd.sleep(pace.look)?;
            if inside(crowd) >= most {
                return Ok(Filled::NeverFull);
            }
            crowd.keep_live();
            continue;
        }
        let name = attempt(crowd, pace)?;
        if ends_after_accept {
            crowd.wait(pace.look, |crowd| {
                crowd.guest(name).is_none_or(|it| !it.is_live())
            })?;
        }
        let Some(guest) = crowd.guest(name).copied() else {
            continue;
        };
        if guest.is_live() || is_greeted(&guest) {
            (was_let_in, turned_away) = (true, 0);
            continue;
        }
        turned_away += 1;
        let (overflow, enough) = match guest.ended {
            Some((_, End::Refused)) => (Overflow::Refused, pace.attempts + 1),
            Some((_, end)) if guest.connected.is_some() => (end.after_accept(), pace.attempts),
            _ => (Overflow::Dropped, pace.attempts),
        };
        // An answer that comes later is none: a server that takes more handshakes than it has
        // places for may forget its end of one.
        crowd.release(name, Release::Reset);
        if turned_away < enough || !was_let_in {
            if overflow == Overflow::Refused {
                crowd.sleep(pace.pause * (1 << (turned_away.min(5) - 1)))?;
            }
        } else if !crowd.guests().iter().any(is_greeted) {
            let after = guest.ended.map(|(at, _)| at.saturating_sub(guest.started));
            return Ok(Filled::Full(Sighting {
                inside: inside(crowd),
                at: crowd.now(),
                overflow,
                after,
            }));
        }
    }
    Ok(Filled::InVain)
}

/// One SYN, and its answer. If a greeting comes meanwhile, the SYN came to the server before the
/// place was freed or after, and there is an answer within a round trip or none.
fn attempt<N: Network>(crowd: &mut Crowd<'_, N>, pace: Pace) -> Result<Name, Halt> {
    let name = crowd.connect()?;
    let begin = crowd.now();
    let is_told = |crowd: &Crowd<'_, N>| crowd.guest(name).is_none_or(|it| !it.is_pending());
    crowd.wait(pace.attempt, |crowd| {
        is_told(crowd) || crowd.guests().iter().any(is_greeted)
    })?;
    if !is_told(crowd) {
        crowd.until(begin + pace.answer.min(pace.attempt), is_told)?;
    }
    Ok(name)
}

/// When the latest greeting came.
fn last_greeting<N: Network>(crowd: &Crowd<'_, N>) -> Option<Duration> {
    crowd.guests().iter().filter_map(|it| it.first_byte).max()
}

/// Let in, and neither greeted nor sent away.
fn inside<N: Network>(crowd: &Crowd<'_, N>) -> usize {
    let is_inside = |guest: &&Guest| guest.is_live() && !is_greeted(guest);
    crowd.guests().iter().filter(is_inside).count()
}

fn is_greeted(guest: &Guest) -> bool {
    guest.first_byte.is_some()
}

/// Lets go of those that have had what they came for, and of SYNs that found no room before that.
/// The server closes, and takes the next.
fn forget_greeted<N: Network>(crowd: &mut Crowd<'_, N>, pace: Pace) -> Result<(), Halt> {
    crowd.wait(pace.look, |crowd| {
        !crowd
            .guests()
            .iter()
            .any(|it| is_greeted(it) && it.is_live())
    })?;
    crowd.sleep(pace.pause)?;
    let greeted: Vec<_> = crowd
        .guests()
        .iter()
        .filter(|it| is_greeted(it))
        .map(|it| it.name)
        .collect();
    for name in greeted {
        crowd.release(name, Release::Fin);
    }
    crowd.keep_live();
    Ok(())
}

/// Lets go of those that were accepted and ended without a word.
fn forget_turned_away<N: Network>(crowd: &mut Crowd<'_, N>) -> usize {
    let away: Vec<_> = crowd
        .guests()
        .iter()
        .filter(|it| it.connected.is_some() && is_turned_away(it))
        .map(|it| it.name)
        .collect();
    for &name in &away {
        crowd.release(name, Release::Reset);
    }
    away.len()
}

/// The number that was seen often enough, over long enough, and more often than any other.
fn agreed(seen: &[Sighting]) -> Option<usize> {
    let last = seen.last()?;
    let same = || seen.iter().filter(|it| it.inside == last.inside);
    let first = same().next()?;
    let count = same().count();
    let is_proven = count >= SAME && last.at.saturating_sub(first.at) >= APART;
    (is_proven && count * 2 > seen.len()).then_some(last.inside)
}

fn never_full(inside: usize) -> Burst {
    let evidence = "this many connections waited to be greeted; no more were tried";
    Burst {
        largest: Bound::at_least(inside),
        overflow: Overflow::NotReached,
        after: None,
        evidence: evidence.to_owned(),
        drift: None,
    }
}

fn conclude(seen: &[Sighting], agreed: Option<usize>) -> Burst {
    let most = seen.iter().map(|it| it.inside).max().unwrap_or_default();
    let drift = drift(seen, most);
    let times = seen.len();
    let last = seen.last();
    // Other clients take places and never give any.
    let is_exact = agreed == Some(most);
    let differ = drift.as_deref().map_or(String::new(), |drift| {
        format!("; the numbers differ: {drift}")
    });
    Burst {
        largest: if is_exact {
            Bound::Exact(most)
        } else {
            Bound::at_least(most)
        },
        overflow: last.map_or(Overflow::NotReached, |it| it.overflow),
        after: last.and_then(|it| it.after),
        evidence: format!(
            "so many were waiting to be greeted when the next was turned away, {times} \
             times, one greeting apart{differ}; it works off those that were let go"
        ),
        drift,
    }
}

/// What else was seen; one in many may be this computer's own lateness.
fn drift(seen: &[Sighting], most: usize) -> Option<String> {
    const MANY: usize = 10;
    let count = |number: usize| seen.iter().filter(|it| it.inside == number).count();
    if (seen.len() - count(most)) * MANY < seen.len() {
        return None;
    }
    let numbers = (0..=most).map(|number| (number, count(number)));
    let list: Vec<String> = numbers
        .filter(|&(_, times)| times > 0)
        .map(|(number, times)| format!("{number} ({times}x)"))
        .collect();
    let list = list.join(", ");
    Some(format!(
        "burst {list} (other clients are on the server, or the path loses segments)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(numbers: &[usize]) -> Vec<Sighting> {
        let sighting = |(at, &inside)| Sighting {
            inside,
            at: Duration::from_millis(200) * at,
            overflow: Overflow::Dropped,
            after: None,
        };
        (0..).zip(numbers).map(sighting).collect()
    }

    #[test]
    fn a_number_is_agreed_on_when_it_was_seen_often_and_for_long() {
        assert_eq!(agreed(&seen(&[])), None);
        assert_eq!(agreed(&seen(&[7, 7, 7])), None, "400 ms");
        assert_eq!(agreed(&seen(&[7, 7, 7, 7])), Some(7));
        assert_eq!(agreed(&seen(&[6, 7, 7, 7])), None);
        assert_eq!(agreed(&seen(&[6, 7, 7, 7, 7])), Some(7));
        assert_eq!(agreed(&seen(&[7, 6, 7, 6, 7, 6])), None, "only half");
    }

    #[test]
    fn numbers_that_differ_are_told_and_fewer_are_no_limit() {
        let burst = conclude(&seen(&[7, 7, 7, 7]), Some(7));
        assert_eq!((burst.largest, burst.drift), (Bound::Exact(7), None));
        let burst = conclude(&seen(&[6, 7, 7, 7, 7]), Some(7));
        assert_eq!(burst.largest, Bound::Exact(7));
        let drift = burst.drift.unwrap_or_default();
        assert!(drift.starts_with("burst 6 (1x), 7 (4x) ("), "{drift}");
        let many: Vec<usize> = std::iter::once(6).chain([7; 20]).collect();
        assert_eq!(conclude(&seen(&many), Some(7)).drift, None);
        let burst = conclude(&seen(&[7, 6, 6, 6, 6]), Some(6));
        assert_eq!(burst.largest, Bound::at_least(7));
    }
}
