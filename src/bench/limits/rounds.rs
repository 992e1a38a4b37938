//! One round: fill the server, take a place that is freed, ask who is served, leave. And the
//! rounds together: what they agree on.

use std::time::Duration;

use super::Step;
use super::baseline::{Baseline, Manner};
use super::crowd::{Crowd, Halt};
use super::finding::{Finding, Round};
use super::hold::{self, Hold, Proof};
use super::leaving;
use super::recovery;
use super::served::{self, By, Queue, Range, Served};
use super::sources;
use crate::bench::report::{Bound, Overflow};
use tcpctl_engine::readiness::Network;

/// Rounds at most, where they disagree.
const ROUNDS: usize = 5;
/// Two rounds that take no longer may have met the same other client; there is a third.
const BRIEF: Duration = Duration::from_millis(400);
/// A hold that falls apart at once may meet an application that still counts those that have left:
/// so long, doubled for each time, it is left alone before the next round.
const STILL_COUNTED: Duration = Duration::from_millis(50);
/// Holds that fall apart before the search gives up on them.
const STALE: usize = 3;

/// How the rounds ended, when nothing halted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As many as were needed.
    Enough,
    /// Only one: a place can't be freed, or the server is busy for long with those that left.
    OnlyOne(OnlyOne),
    /// The server ends or answers silent connections before it can be filled.
    CannotHold,
}

/// Why there was one round only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnlyOne {
    /// It answers nobody, so nobody's place is freed.
    Mute,
    /// It works off those that have left.
    Busy,
}

/// As many rounds as it takes for two to agree, with a majority; a third where they were brief.
pub(super) fn run<N: Network>(
    crowd: &mut Crowd<'_, N>,
    baseline: &mut Baseline,
    finding: &mut Finding,
) -> Result<Outcome, Halt> {
    let begin = crowd.now();
    let mut stale = 0;
    let mut queue = None;
    loop {
        crowd.tell(Step::Round {
            round: finding.rounds.len() + 1,
        });
        let before = finding.rounds.len();
        match round(crowd, baseline, finding, &mut queue) {
            Ok(()) => {}
            Err(Halt::Stale(age)) => {
                stale += 1;
                // Once may be chance, twice at the same age is a rule.
                let earlier = finding.silence_ends_after.replace(age);
                crowd.silence_ends_after = earlier
                    .filter(|&earlier| age.abs_diff(earlier) < earlier / 5)
                    .map(|earlier| earlier.min(age));
                finding.rounds.truncate(before);
            }
            Err(halt) => return Err(halt),
        }
        if baseline.manner == Manner::Mute {
            return Ok(Outcome::OnlyOne(OnlyOne::Mute));
        }
        let settled = recovery::see_off(crowd, baseline.patience)?;
        if stale > 0 {
            crowd.sleep(STILL_COUNTED * (1 << stale))?;
        }
        if stale == STALE {
            return Ok(if finding.rounds.is_empty() {
                Outcome::CannotHold
            } else {
                Outcome::Enough
            });
        }
        if !settled && !finding.rounds.is_empty() {
            return Ok(Outcome::OnlyOne(OnlyOne::Busy));
        }
        let rounds = &finding.rounds;
        let agreed = majority(rounds, |it| Some(it.held)).is_some()
            && majority(rounds, |it| it.served.exact()).is_some()
            && majority(rounds, |it| Some(it.overflow as usize)).is_some();
        let enough = rounds.len() >= 3 || crowd.since(begin) >= BRIEF;
        if agreed && enough || rounds.len() == ROUNDS {
            return Ok(Outcome::Enough);
        }
    }
}

fn round<N: Network>(
    crowd: &mut Crowd<'_, N>,
    baseline: &mut Baseline,
    finding: &mut Finding,
    queue: &mut Option<Queue>,
) -> Result<(), Halt> {
    let &mut Baseline {
        manner, patience, ..
    } = baseline;
    let begin = crowd.now();
    let last = finding.rounds.last().copied();
    let proof = match last {
        Some(round) => Proof::Earlier(round.held),
        // One that has not answered yet may do so while the proof is waited for.
        None if patience.lossy || manner == Manner::Mute => Proof::Repetition,
        None => Proof::Later,
    };
    if let Some(last) = last
        && patience.lossy
    {
        let never_full = matches!(last.overflow, Overflow::NotReached | Overflow::Silent);
        let proven = if never_full {
            crowd.plan.max_connections
        } else {
            last.held
        };
        hold::approach(crowd, patience, proven)?;
    }
    let hold = hold::fill(crowd, manner, patience, proof)?;
    let Hold {
        mut held,
        overflow,
        after,
        ..
    } = hold;
    if manner == Manner::Mute && overflow == Overflow::Dropped && patience.lossy {
        held -= hold::ghosts(crowd)?;
    }
    finding.rounds.push(Round {
        held,
        served: Bound::Unknown,
        overflow,
    });
    finding.overflow_after.extend(after);
    if last.is_none() {
        finding.per_client = sources::ask_others(crowd, patience, overflow, held)?;
    }
    let served = if manner == Manner::Mute {
        Served {
            workers: Bound::Exact(0),
            queue: None,
            first_byte: Vec::new(),
        }
    } else {
        let last_came = crowd.guests().iter().filter_map(|it| it.connected).max();
        if !matches!(overflow, Overflow::NotReached | Overflow::Evicted) {
            let took = recovery::free_one(crowd, patience, overflow)?;
            finding.recovery.extend(took);
        }
        if patience.lossy {
            // The newcomer is the last in the order, so its own handshake changes nothing; and
            // where half-open connections count, it is none too many. A hold does not last for ever.
            let since = last_came.filter(|_| overflow == Overflow::Refused);
            let since = since.unwrap_or_else(|| crowd.now());
            crowd.until(since + hold::HANDSHAKE_REPEATED, |_| false)?;
            if matches!(overflow, Overflow::Closed | Overflow::Reset) {
                // Some were turned away later than it seemed, when their handshake was repeated.
                crowd.keep_live();
                held = held.min(crowd.live());
                if held == 0 {
                    return Err(Halt::Stale(crowd.since(begin)));
                }
            }
        }
        ask(crowd, baseline, overflow, held, last, *queue)?
    };
    if baseline.lets_go_at_once && served.workers.exact().is_none() {
        // Those that have left and keep their places were too many.
        finding.rounds.pop();
        baseline.lets_go_at_once = false;
        return Ok(());
    }
    if proof == Proof::Later && !hold::still_drops(crowd, patience, &hold)? {
        // A SYN was answered late: this path needs more patience.
        finding.rounds.pop();
        baseline.patience.lossy = true;
        return Ok(());
    }
    if !patience.lossy {
        *queue = served.queue.or(*queue);
    }
    finding.served_first_byte.extend(served.first_byte);
    let overflow = match (overflow, served.queue) {
        (Overflow::NotReached, Some(Queue::Unserved)) => Overflow::Silent,
        (overflow, _) => overflow,
    };
    if let Some(Queue::ServedAfter(after)) = served.queue {
        finding.queued_first_byte.push(after);
    }
    if let Some(round) = finding.rounds.last_mut() {
        *round = Round {
            held: match (overflow, served.workers) {
                (Overflow::Silent, Bound::Exact(workers)) => workers,
                _ => held,
            },
            served: served.workers,
            overflow,
        };
    }
    Ok(())
}

/// Who is served; after the first round only whether it is the same number again, and if it is
/// not, from the beginning.
fn ask<N: Network>(
    crowd: &mut Crowd<'_, N>,
    baseline: &Baseline,
    overflow: Overflow,
    held: usize,
    last: Option<Round>,
    queue: Option<Queue>,
) -> Result<Served, Halt> {
    let all = Range {
        least: 1,
        most: held,
    };
    let near = |expected: usize| Range {
        least: expected.saturating_sub(1).clamp(1, held),
        most: (expected + 1).min(held),
    };
    let can_leave = leaving::tells(baseline, overflow, held) && queue != Some(Queue::Unserved);
    let mut search = |range, by| served::search(crowd, baseline, overflow, range, queue, by);
    let expected = match last.map(|round| round.served) {
        Some(Bound::Exact(expected)) => {
            let again = can_leave && {
                let left = search(near(expected), By::Leaving)?;
                left.workers == Bound::Exact(expected)
            };
            if again && let Some(served) = leaving::confirm(crowd, baseline.patience, expected)? {
                return Ok(served);
            }
            expected
        }
        _ if can_leave => match search(all, By::Leaving)?.workers {
            Bound::Exact(expected) => expected,
            _ => return search(all, By::Request),
        },
        _ => return search(all, By::Request),
    };
    let near = near(expected);
    let mut search = |range| served::search(crowd, baseline, overflow, range, queue, By::Request);
    let again = search(near)?;
    match again.workers {
        // That was looked for among all; and places have been freed since.
        _ if again.queue == Some(Queue::Unserved) => Ok(again),
        Bound::Exact(workers) if workers != expected && workers == near.least => {
            let below = Range {
                most: workers,
                ..all
            };
            search(below)
        }
        Bound::Exact(workers) if workers != expected && workers == near.most => {
            let above = Range {
                least: workers,
                ..all
            };
            search(above)
        }
        _ => Ok(again),
    }
}

/// The number that at least two rounds and more than half of them have found.
pub(super) fn majority(
    rounds: &[Round],
    number: impl Fn(&Round) -> Option<usize>,
) -> Option<usize> {
    let numbers: Vec<usize> = rounds.iter().filter_map(number).collect();
    numbers.iter().copied().find(|candidate| {
        let count = numbers.iter().filter(|&number| number == candidate).count();
        count >= 2 && count * 2 > rounds.len()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_two_and_more_than_half() {
        let found = |held: &[usize]| {
            let rounds: Vec<Round> = held
                .iter()
                .map(|&held| Round {
                    held,
                    served: Bound::Exact(1),
                    overflow: Overflow::Refused,
                })
                .collect();
            majority(&rounds, |round| Some(round.held))
        };
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[4]), None);
        assert_eq!(found(&[4, 4]), Some(4));
        assert_eq!(found(&[4, 5]), None);
        assert_eq!(found(&[4, 5, 4]), Some(4));
        assert_eq!(found(&[4, 5, 4, 5]), None);
        assert_eq!(found(&[4, 5, 4, 5, 5]), Some(5));
    }
}
