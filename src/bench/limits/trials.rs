//! Trials: fill the server, reuse a freed slot, find out which connections are served, close all;
//! until two trials agree.

use std::time::Duration;

use super::LimitsProgress;
use super::concurrency::{self, Probe, Range};
use super::fill::{self, DropCheck};
use super::fin_probe;
use super::model::{
    Abort, Baseline, Concurrency, FullServer, LimitsFinding, QueueOutcome, ServerBehavior, Trial,
};
use super::pool::ConnectionPool;
use super::recovery;
use super::sources;
use super::timing::{ACCEPT_TIMER, SLOW_RECOVERY, SYN_ACK_RETRANSMITTED};
use crate::bench::report::{Bound, Overflow};
use tcpctl_engine::readiness::Network;

/// Maximum number of trials.
const MAX_TRIALS: usize = 5;
/// Trials that are closer together than this may have met the same other client, so a third one
/// follows.
const BRIEF: Duration = Duration::from_millis(400);
/// Pause after a hold that was lost at once, because the application may still count closed
/// connections. Doubled each time.
const STILL_COUNTED: Duration = Duration::from_millis(50);
/// Maximum number of lost holds before the search gives up holding.
const MAX_LOST: usize = 3;

/// How the trials ended, unless they were aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrialsEnd {
    /// There were enough trials.
    Enough,
    /// There can be only one.
    OnlyOne(OnlyOne),
    /// The server closes or answers silent connections before it can be filled.
    CannotHold,
}

/// Why there can be only one trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnlyOne {
    /// The server never replies, so no slot can be freed.
    NeverReplies,
    /// It is busy with the connections that were closed.
    Busy,
}

/// Results of earlier holds.
#[derive(Debug, Default)]
struct Known {
    /// The outcome for requests that wait.
    queue: Option<QueueOutcome>,
    /// The range of the number of workers, if the hold was lost before it was found.
    range: Option<Range>,
}

/// Runs trials until a majority of at least two agrees. Adds a third if the first two were brief.
pub(super) fn run<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    baseline: &mut Baseline,
    finding: &mut LimitsFinding,
) -> Result<TrialsEnd, Abort> {
    let begin = pool.now();
    let mut lost = 0;
    let mut known = Known::default();
    loop {
        pool.report(LimitsProgress::Trial {
            trial: finding.trials.len() + 1,
        });
        let before = finding.trials.len();
        let range_before = known.range;
        match run_one(pool, baseline, finding, &mut known) {
            Ok(()) => known.range = None,
            Err(Abort::HoldLost(age)) => {
                // If this hold narrowed the range, the next hold continues there.
                lost += usize::from(known.range == range_before);
                // A single event may be chance; two at the same age are a rule.
                let earlier = finding.silence_ends_after.replace(age);
                pool.silence_ends_after = earlier
                    .filter(|&earlier| age.abs_diff(earlier) < earlier / 5)
                    .map(|earlier| earlier.min(age));
                finding.trials.truncate(before);
            }
            Err(abort) => return Err(abort),
        }
        if baseline.behavior == ServerBehavior::NeverReplies {
            return Ok(TrialsEnd::OnlyOne(OnlyOne::NeverReplies));
        }
        let is_idle = recovery::close_and_settle(pool, baseline.timeouts)?;
        if lost > 0 {
            pool.sleep(STILL_COUNTED * (1 << lost))?;
        }
        if baseline.has_accept_timer {
            pool.sleep(ACCEPT_TIMER)?;
        }
        if lost == MAX_LOST {
            return Ok(if finding.trials.is_empty() {
                TrialsEnd::CannotHold
            } else {
                TrialsEnd::Enough
            });
        }
        if !is_idle && !finding.trials.is_empty() {
            return Ok(TrialsEnd::OnlyOne(OnlyOne::Busy));
        }
        let trials = &finding.trials;
        let has_agreed = majority(trials, |it| Some(it.held)).is_some()
            && majority(trials, |it| it.served.exact()).is_some()
            && majority(trials, |it| Some(it.overflow as usize)).is_some();
        let are_enough = trials.len() >= 3 || pool.since(begin) >= BRIEF;
        if has_agreed && are_enough || trials.len() == MAX_TRIALS {
            return Ok(TrialsEnd::Enough);
        }
    }
}

fn run_one<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    baseline: &mut Baseline,
    finding: &mut LimitsFinding,
    known: &mut Known,
) -> Result<(), Abort> {
    let &mut Baseline {
        behavior, timeouts, ..
    } = baseline;
    let begin = pool.now();
    let last = finding.trials.last().copied();
    let (full, drop_check) = fill_server(pool, baseline, last)?;
    let FullServer {
        mut held, overflow, ..
    } = full;
    finding.trials.push(Trial {
        held,
        served: Bound::Unknown,
        overflow,
    });
    finding.overflow_after.extend(full.after);
    if full.rejection.is_some() {
        finding.rejection.clone_from(&full.rejection);
    }
    if last.is_none() {
        finding.per_client = sources::compare(pool, timeouts, overflow, held)?;
    }
    let concurrency = if behavior == ServerBehavior::NeverReplies {
        Concurrency {
            workers: Bound::Exact(0),
            queue: None,
            first_byte: Vec::new(),
        }
    } else {
        let last_handshake = pool
            .connections()
            .iter()
            .filter_map(|it| it.connected)
            .max();
        if !matches!(overflow, Overflow::NotReached | Overflow::Evicted) {
            let took = recovery::measure(pool, timeouts, overflow)?;
            finding.recovery.extend(took);
            if took.is_some_and(|took| is_slow_recovery(baseline, overflow, took)) {
                // Silences proved less than it seemed, and the server may have been paused when it
                // was filled.
                baseline.timeouts = timeouts.with_accept_timer();
                baseline.has_accept_timer = true;
                finding.trials.clear();
                return Ok(());
            }
        }
        if timeouts.is_lossy {
            // The new connection is the last in the order, so its handshake changes nothing, and if
            // half-open connections count, it is not one too many. A hold does not last forever.
            let since = last_handshake.filter(|_| overflow == Overflow::Refused);
            let since = since.unwrap_or_else(|| pool.now());
            pool.until(since + SYN_ACK_RETRANSMITTED, |_| false)?;
            if matches!(overflow, Overflow::Closed | Overflow::Reset) {
                // Some were rejected later than it seemed, after their handshake was repeated.
                pool.drop_ended();
                held = held.min(pool.live());
                if held == 0 {
                    return Err(Abort::HoldLost(pool.since(begin)));
                }
            }
        }
        find_concurrency(pool, baseline, overflow, held, last, known)?
    };
    if baseline.closes_on_fin && concurrency.workers.exact().is_none() {
        // The count included connections that keep their slots after a FIN.
        finding.trials.pop();
        baseline.closes_on_fin = false;
        return Ok(());
    }
    if drop_check == DropCheck::ProbeLater && !fill::still_drops(pool, timeouts, &full)? {
        // A SYN was answered late: this path needs longer timeouts.
        finding.trials.pop();
        baseline.timeouts.is_lossy = true;
        return Ok(());
    }
    if !timeouts.is_lossy {
        known.queue = concurrency.queue.or(known.queue);
    }
    finding.served_first_byte.extend(concurrency.first_byte);
    let overflow = match (overflow, concurrency.queue) {
        (Overflow::NotReached, Some(QueueOutcome::Unserved)) => Overflow::Silent,
        (overflow, _) => overflow,
    };
    if let Some(QueueOutcome::ServedAfter(after)) = concurrency.queue {
        finding.queued_first_byte.push(after);
    }
    if let Some(trial) = finding.trials.last_mut() {
        *trial = Trial {
            held: match (overflow, concurrency.workers) {
                (Overflow::Silent, Bound::Exact(workers)) => workers,
                _ => held,
            },
            served: concurrency.workers,
            overflow,
        };
    }
    Ok(())
}

/// Fills the server. Also returns how dropped SYNs were checked.
fn fill_server<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    baseline: &Baseline,
    last: Option<Trial>,
) -> Result<(FullServer, DropCheck), Abort> {
    let &Baseline {
        behavior, timeouts, ..
    } = baseline;
    let never_replies = behavior == ServerBehavior::NeverReplies;
    let drop_check = match last {
        Some(trial) => DropCheck::AsBefore(trial.held),
        // A server that has not replied yet may do so while we wait.
        None if timeouts.is_lossy || never_replies => DropCheck::WaitForRetransmission,
        None => DropCheck::ProbeLater,
    };
    if let Some(last) = last
        && timeouts.is_lossy
    {
        let was_never_full = matches!(last.overflow, Overflow::NotReached | Overflow::Silent);
        let held_before = if was_never_full {
            pool.plan.max_connections
        } else {
            last.held
        };
        fill::approach(pool, timeouts, held_before)?;
    }
    let mut full = fill::fill(pool, behavior, timeouts, drop_check)?;
    if never_replies && full.overflow == Overflow::Dropped && timeouts.is_lossy {
        full.held -= fill::count_half_open(pool)?;
    }
    Ok((full, drop_check))
}

/// Whether a freed slot was reused so late that the server seems to poll for free slots on a timer.
/// If the application rejects connections, a timer cannot be told from its own delay.
fn is_slow_recovery(baseline: &Baseline, overflow: Overflow, took: Duration) -> bool {
    let quick = SLOW_RECOVERY + baseline.timeouts.round_trip * 4;
    // The closed connection had to be served first.
    let service = if baseline.serves_fin {
        baseline.slowest_reply() * 3 / 2
    } else {
        Duration::ZERO
    };
    !baseline.has_accept_timer
        && matches!(overflow, Overflow::Dropped | Overflow::Refused)
        && took > quick + service
}

/// Finds how many connections are served at once. After the first trial it only checks for the same
/// number, and repeats the search if that differs.
fn find_concurrency<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    baseline: &mut Baseline,
    overflow: Overflow,
    held: usize,
    last: Option<Trial>,
    known: &mut Known,
) -> Result<Concurrency, Abort> {
    let queue = known.queue;
    let all = Range {
        least: 1,
        most: held,
    };
    let near = |expected: usize| Range {
        least: expected.saturating_sub(1).clamp(1, held),
        most: (expected + 1).min(held),
    };
    if overflow == Overflow::Evicted {
        // Such a server rarely queues: one reply to the newest proves that all are served.
        recovery::refill(pool, baseline.timeouts, overflow, held)?;
        if let Some(concurrency) = fin_probe::confirm(pool, baseline.timeouts, held)? {
            return Ok(concurrency);
        }
    }
    let can_use_fin =
        fin_probe::is_useful(baseline, overflow, held) && queue != Some(QueueOutcome::Unserved);
    let mut search =
        |mut range, probe| concurrency::search(pool, baseline, overflow, &mut range, queue, probe);
    let expected = match last.map(|trial| trial.served) {
        Some(Bound::Exact(expected)) => {
            let is_same = can_use_fin && {
                let found = search(near(expected), Probe::Fin)?;
                found.workers == Bound::Exact(expected)
            };
            if is_same && let Some(found) = fin_probe::confirm(pool, baseline.timeouts, expected)? {
                return Ok(found);
            }
            Some(expected)
        }
        _ if can_use_fin => search(all, Probe::Fin)?.workers.exact(),
        _ => None,
    };
    let measured = baseline.clone();
    let mut search = |range: &mut Range| {
        concurrency::search(pool, &measured, overflow, range, queue, Probe::Request)
    };
    let Some(expected) = expected else {
        let mut range = known.range.filter(|it| it.most <= held).unwrap_or(all);
        let found = search(&mut range);
        known.range = Some(range).filter(|range| *range != all);
        return found;
    };
    let mut near = near(expected);
    let Range { least, most } = near;
    let found = search(&mut near)?;
    if last.is_none() && found.workers != Bound::Exact(expected) {
        // This server does not react to a FIN.
        baseline.closes_on_fin = false;
    }
    match found.workers {
        // The search covered all connections, and slots have been freed since.
        _ if found.queue == Some(QueueOutcome::Unserved) => Ok(found),
        Bound::Exact(workers) if workers != expected && workers == least => {
            search(known.range.insert(Range {
                most: workers,
                ..all
            }))
        }
        Bound::Exact(workers) if workers != expected && workers == most => {
            search(known.range.insert(Range {
                least: workers,
                ..all
            }))
        }
        _ => Ok(found),
    }
}

/// The number found by at least two trials and by more than half of them.
pub(super) fn majority(
    trials: &[Trial],
    number: impl Fn(&Trial) -> Option<usize>,
) -> Option<usize> {
    let numbers: Vec<usize> = trials.iter().filter_map(number).collect();
    numbers.iter().copied().find(|candidate| {
        let count = numbers.iter().filter(|&number| number == candidate).count();
        count >= 2 && count * 2 > trials.len()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_two_and_more_than_half() {
        let found = |held: &[usize]| {
            let trial = |&held: &usize| Trial {
                held,
                served: Bound::Exact(1),
                overflow: Overflow::Refused,
            };
            let trials: Vec<Trial> = held.iter().map(trial).collect();
            majority(&trials, |trial| Some(trial.held))
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
