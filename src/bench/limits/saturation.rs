//! The burst that a slow server takes, measured without ever emptying it.
//!
//! Bursts from an empty server must be worked off: *n* connections that are greeted one after the
//! other, each after *s*, take *n·s*, and it takes a burst that overflows, one that does not, and
//! one that proves it. With room for 7 and *s* of 200 ms that is over four seconds.
//!
//! So the server is filled SYN by SYN, faster than it serves, until one is rejected. Accepted
//! and not greeted are then as many as it has room for. Each greeting frees a slot, into which the
//! next SYN fits and the one after it does not: another observation, for *s* instead of *n·s*.
//! (Nothing quicker is possible from outside: a connection that is closed keeps its place in a
//! queue.) In total that is *2s* for the baseline and the longer of *2s* and [`INDEPENDENT`] for
//! three observations or more: 1.1 s where *s* is 200 ms, and 2.5 s where it is 600 ms.
//!
//! Between two greetings there must be time for a pause *p* of at most *s/20*, the round trip *r*
//! of the SYN that is accepted, and the silence *a* after the one that is not: *p + r + a < s*.
//! With *a* of *2r* + 2 ms that holds where *s* is 9 ms and *r* 2 ms. A SYN that is under way when
//! a greeting arrives is answered within another round trip: if it was accepted, it has the freed
//! slot, and if not, the slot is free. Either way nothing is under way at the next greeting that
//! could hide it. So a server that is in step with the attempts cannot prevent an observation,
//! unless its workers greet in turns with less time between them. Then `burst` empties it.

use std::time::Duration;

use super::LimitsProgress;
use super::conclude::describe_drift;
use super::model::{Abort, Baseline, Burst, ConnectionEnd, ServerBehavior};
use super::pool::{ConnectionPool, Handle, HeldConnection};
use super::timing::{INDEPENDENT, SLOW_REPLY};
use crate::bench::report::{Bound, Overflow};
use tcpctl_engine::readiness::{Network, Release};

/// Identical observations needed to accept a value.
const SAME: usize = 3;
/// Minimum observations before the search gives up on values that differ.
const MIN_OBSERVATIONS: usize = 12;
/// Minimum time before the search gives up on values that differ.
const MIN_TIME: Duration = Duration::from_millis(1_500);
/// SYNs in a row that must be dropped, or accepted and ended. One more is needed if they are
/// refused, because a slot may be about to listen again.
const ATTEMPTS: u32 = 2;
/// Time to fill the server, in addition to two greetings.
const FILL_TIME: Duration = Duration::from_millis(400);
/// A faster server is measured from empty instead: what it accepts during a burst is chance.
const MIN_SERVICE_TIME: Duration = Duration::from_millis(6);

/// The timeouts that fit between two greetings.
#[derive(Debug, Clone, Copy)]
struct Pacing {
    /// Timeout for the answer to a SYN.
    syn: Duration,
    /// Timeout for the answer to a SYN if a greeting arrives in the meantime.
    syn_after_greeting: Duration,
    /// SYNs in a row that must be rejected.
    attempts: u32,
    /// Pause before the first attempt, and between refusals.
    pause: Duration,
    /// Timeout for the next greeting.
    greeting: Duration,
    /// Timeout for a rejection by the application after the accept.
    after_accept: Duration,
}

impl Pacing {
    /// The pacings that fit, the most reliable first.
    fn all(baseline: &Baseline) -> Vec<Self> {
        let timeouts = baseline.timeouts;
        let mut all = Vec::new();
        let Some(service) = baseline.first_byte.iter().copied().min() else {
            return all;
        };
        // On a lossy path a lost SYN, or a lost end of a handshake, would be miscounted.
        if baseline.behavior != ServerBehavior::GreetsAndCloses
            || timeouts.is_lossy
            || service < MIN_SERVICE_TIME
        {
            return all;
        }
        let pause = (service / 20).min(Duration::from_millis(5));
        let mut add = |syn: Duration, attempts: u32| {
            if service >= pause + timeouts.round_trip * 2 + syn * attempts {
                all.push(Self {
                    syn,
                    syn_after_greeting: timeouts.round_trip * 3 / 2 + Duration::from_millis(1),
                    attempts,
                    pause,
                    greeting: baseline.slowest_reply() * 2 + timeouts.after_accept,
                    after_accept: timeouts.after_accept.min(service / 2),
                });
            }
        };
        if service >= SLOW_REPLY.max(timeouts.syn * 5 / 2) {
            add(timeouts.syn, ATTEMPTS);
        }
        // Several workers may greet in turn, with less time between greetings.
        let least = timeouts.round_trip * 2 + Duration::from_millis(2);
        add(least.max(timeouts.syn.min(service / 5)), 1);
        all
    }
}

/// A full server, observed once.
#[derive(Debug, Clone, Copy)]
struct Observation {
    /// Connections that were accepted and not greeted.
    waiting: usize,
    at: Duration,
    overflow: Overflow,
    /// Time from the SYN to the refusal, or to the end after the accept.
    after: Option<Duration>,
}

/// The result of filling the server.
enum Filled {
    Full(Observation),
    /// The maximum number of connections was reached while all of them waited.
    NeverFull,
    /// The server serves faster than it can be filled, or other clients fill it.
    TooFast,
}

/// Keeps the server full until the same number of waiting connections was observed often enough.
/// Returns `None` if the server cannot be kept full. `best` is the largest number so far.
pub(super) fn search<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    baseline: &Baseline,
    best: &mut usize,
) -> Result<Option<Burst>, Abort> {
    for pacing in Pacing::all(baseline) {
        let found = search_at(pool, pacing, best)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn search_at<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    pacing: Pacing,
    best: &mut usize,
) -> Result<Option<Burst>, Abort> {
    let begin = pool.now();
    let mut observations: Vec<Observation> = Vec::new();
    while observations.len() < MIN_OBSERVATIONS || pool.since(begin) < MIN_TIME {
        let observation = match fill(pool, pacing)? {
            Filled::Full(observation) if observation.waiting > 0 => observation,
            Filled::NeverFull => {
                *best = waiting(pool).max(*best);
                return Ok(Some(never_full(*best)));
            }
            Filled::Full(_) | Filled::TooFast => return Ok(None),
        };
        *best = observation.waiting.max(*best);
        observations.push(observation);
        if let Some(agreed) = agreed(&observations) {
            return Ok(Some(conclude(&observations, Some(agreed), pool.late)));
        }
        pool.drop_ended();
        if !pool.wait(pacing.greeting, |pool| pool.any(HeldConnection::is_greeted))? {
            return Ok(None);
        }
    }
    // For a slow server this is the best result. A fast one may be too fast for this method.
    Ok((pacing.attempts == ATTEMPTS).then(|| conclude(&observations, None, pool.late)))
}

/// Sends one SYN after another until several in a row are rejected while no connection is
/// greeted. One must be accepted first, because the slot that a greeting frees is not free at once.
fn fill<N: Network>(pool: &mut ConnectionPool<'_, N>, pacing: Pacing) -> Result<Filled, Abort> {
    let most = pool.plan.max_connections;
    let last_connection = pool.opened + 2 * most;
    let begin = pool.now();
    let (mut max_waiting, mut since) = (0, begin);
    let mut ends_after_accept = false;
    let mut was_accepted = false;
    let mut rejected = 0;
    let timeout = pacing.greeting * 2;
    while pool.opened < last_connection
        && pool.since(since) < timeout
        && pool.since(begin) < timeout + FILL_TIME
    {
        ends_after_accept |= release_rejected(pool) > 0;
        if let Some(at) = last_greeting(pool) {
            // A connection that was accepted later has taken the slot.
            was_accepted = pool.any(|it| is_waiting(it) && it.connected >= Some(at));
            rejected = 0;
            release_greeted(pool, pacing)?;
        }
        let now_waiting = waiting(pool);
        pool.report(LimitsProgress::Saturating {
            waiting: now_waiting,
        });
        if now_waiting > max_waiting {
            (max_waiting, since) = (now_waiting, pool.now());
        }
        if pool.is_at_maximum() {
            pool.sleep(pacing.after_accept)?;
            if waiting(pool) >= most {
                return Ok(Filled::NeverFull);
            }
            pool.drop_ended();
            continue;
        }
        let handle = attempt(pool, pacing)?;
        if ends_after_accept {
            pool.wait(pacing.after_accept, |pool| {
                pool.is(handle, |it| !it.is_live())
            })?;
        }
        let Some(connection) = pool.get(handle).copied() else {
            continue;
        };
        if connection.is_live() || connection.is_greeted() {
            (was_accepted, rejected) = (true, 0);
            continue;
        }
        rejected += 1;
        let (overflow, enough) = match connection.ended {
            Some((_, ConnectionEnd::Refused)) => (Overflow::Refused, pacing.attempts + 1),
            Some((_, end)) if connection.connected.is_some() => {
                (end.after_accept(), pacing.attempts)
            }
            _ => (Overflow::Dropped, pacing.attempts),
        };
        // A later answer does not count: a server that completes more handshakes than it has room
        // for may forget its end of one.
        pool.release(handle, Release::Reset);
        if rejected < enough || !was_accepted {
            if overflow == Overflow::Refused {
                pool.sleep(pacing.pause * (1 << (rejected.min(5) - 1)))?;
            }
        } else if !pool.any(HeldConnection::is_greeted) {
            let after = connection.ended;
            return Ok(Filled::Full(Observation {
                waiting: waiting(pool),
                at: pool.now(),
                overflow,
                after: after.map(|(at, _)| at.saturating_sub(connection.started)),
            }));
        }
    }
    Ok(Filled::TooFast)
}

/// Sends one SYN and waits for its answer. If a greeting arrives in the meantime, the SYN reached
/// the server before the slot was freed or after it, and is answered within a round trip or not at
/// all.
fn attempt<N: Network>(pool: &mut ConnectionPool<'_, N>, pacing: Pacing) -> Result<Handle, Abort> {
    let handle = pool.connect()?;
    let begin = pool.now();
    let is_answered = |pool: &ConnectionPool<'_, N>| pool.is(handle, |it| !it.is_pending());
    pool.wait(pacing.syn, |pool| {
        is_answered(pool) || pool.any(HeldConnection::is_greeted)
    })?;
    if !is_answered(pool) {
        pool.until(
            begin + pacing.syn_after_greeting.min(pacing.syn),
            is_answered,
        )?;
    }
    Ok(handle)
}

fn last_greeting<N: Network>(pool: &ConnectionPool<'_, N>) -> Option<Duration> {
    pool.connections()
        .iter()
        .filter_map(|it| it.first_byte)
        .max()
}

/// Whether it was accepted, and neither greeted nor ended.
fn is_waiting(connection: &HeldConnection) -> bool {
    connection.is_live() && !connection.is_greeted()
}

fn waiting<N: Network>(pool: &ConnectionPool<'_, N>) -> usize {
    pool.count(is_waiting)
}

/// Closes the connections that were greeted, and SYNs that were rejected before that. The server
/// closes, and serves the next.
fn release_greeted<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    pacing: Pacing,
) -> Result<(), Abort> {
    pool.wait(pacing.after_accept, |pool| {
        !pool.any(|it| it.is_greeted() && it.is_live())
    })?;
    pool.sleep(pacing.pause)?;
    let greeted = pool.connections().iter().filter(|it| it.is_greeted());
    let greeted: Vec<Handle> = greeted.map(|it| it.handle).collect();
    for handle in greeted {
        pool.release(handle, Release::Fin);
    }
    pool.drop_ended();
    Ok(())
}

/// Closes the connections that were accepted and ended without a byte; returns their number.
fn release_rejected<N: Network>(pool: &mut ConnectionPool<'_, N>) -> usize {
    let is_rejected = |it: &&HeldConnection| it.connected.is_some() && it.is_rejected();
    let rejected = pool.connections().iter().filter(is_rejected);
    let rejected: Vec<Handle> = rejected.map(|it| it.handle).collect();
    for &handle in &rejected {
        pool.release(handle, Release::Reset);
    }
    rejected.len()
}

/// The number observed often enough, over long enough, and more often than any other.
fn agreed(observations: &[Observation]) -> Option<usize> {
    let last = observations.last()?;
    let same = || observations.iter().filter(|it| it.waiting == last.waiting);
    let first = same().next()?;
    let count = same().count();
    let is_proven = count >= SAME && last.at.saturating_sub(first.at) >= INDEPENDENT;
    (is_proven && count * 2 > observations.len()).then_some(last.waiting)
}

fn never_full(waiting: usize) -> Burst {
    Burst {
        largest: Bound::at_least(waiting),
        overflow: Overflow::NotReached,
        after: None,
        detail: "this many waited for their greeting; no more were opened".to_owned(),
        drift: None,
    }
}

fn conclude(observations: &[Observation], agreed: Option<usize>, late: Duration) -> Burst {
    let most = observations.iter().map(|it| it.waiting).max();
    let most = most.unwrap_or_default();
    let drift = drift(observations, most);
    let drift = drift.map(|numbers| describe_drift(&numbers, late));
    let times = observations.len();
    let last = observations.last();
    let differ = drift.as_deref().map_or(String::new(), |drift| {
        format!("; the numbers differ: {drift}")
    });
    Burst {
        // Other clients take slots and never add any.
        largest: if agreed == Some(most) {
            Bound::Exact(most)
        } else {
            Bound::at_least(most)
        },
        overflow: last.map_or(Overflow::NotReached, |it| it.overflow),
        after: last.and_then(|it| it.after),
        detail: format!(
            "this many waited for their greeting when the next was rejected, {times} times, one \
             greeting apart{differ}"
        ),
        drift,
    }
}

/// Other numbers that were observed. One in many may be this computer's own delay.
fn drift(observations: &[Observation], most: usize) -> Option<String> {
    const MANY: usize = 10;
    let count = |number: usize| {
        observations
            .iter()
            .filter(|it| it.waiting == number)
            .count()
    };
    if (observations.len() - count(most)) * MANY < observations.len() {
        return None;
    }
    let numbers = (0..=most).map(|number| (number, count(number)));
    let list: Vec<String> = numbers
        .filter(|&(_, times)| times > 0)
        .map(|(number, times)| format!("{number} ({times}x)"))
        .collect();
    let list = list.join(", ");
    Some(format!("burst {list}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observations(numbers: &[usize]) -> Vec<Observation> {
        let observation = |(at, &waiting)| Observation {
            waiting,
            at: Duration::from_millis(200) * at,
            overflow: Overflow::Dropped,
            after: None,
        };
        (0..).zip(numbers).map(observation).collect()
    }

    #[test]
    fn a_number_is_accepted_after_identical_observations() {
        let agreed = |numbers: &[usize]| agreed(&observations(numbers));
        assert_eq!(agreed(&[]), None);
        assert_eq!(agreed(&[7, 7, 7]), None, "400 ms");
        assert_eq!(agreed(&[7, 7, 7, 7]), Some(7));
        assert_eq!(agreed(&[6, 7, 7, 7]), None);
        assert_eq!(agreed(&[6, 7, 7, 7, 7]), Some(7));
        assert_eq!(agreed(&[7, 6, 7, 6, 7, 6]), None, "only half");
    }

    #[test]
    fn number_below_the_largest_is_not_a_limit() {
        let conclude = |numbers: &[usize], agreed| {
            conclude(&observations(numbers), Some(agreed), Duration::ZERO)
        };
        let burst = conclude(&[7, 7, 7, 7], 7);
        assert_eq!((burst.largest, burst.drift), (Bound::Exact(7), None));
        let burst = conclude(&[6, 7, 7, 7, 7], 7);
        assert_eq!(burst.largest, Bound::Exact(7));
        assert!(burst.drift.is_some());
        let many: Vec<usize> = std::iter::once(6).chain([7; 20]).collect();
        assert_eq!(conclude(&many, 7).drift, None);
        assert_eq!(conclude(&[7, 6, 6, 6, 6], 6).largest, Bound::at_least(7));
    }
}
