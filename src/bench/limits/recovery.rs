//! Freed slots: how soon they are reused, and when the server is idle again.

use std::time::Duration;

use super::LimitsProgress;
use super::model::{Abort, FailureReason};
use super::pool::{ConnectionPool, Handle, HeldConnection};
use super::timing::{SETTLE, Timeouts};
use crate::bench::report::Overflow;
use tcpctl_engine::readiness::{Network, Release};

/// Maximum wait until a freed slot is reused.
const MAX_REUSE_TIME: Duration = Duration::from_secs(2);
/// Upper limit of the pauses between attempts, which double from 1 ms. It bounds the error of the
/// measured time.
const MAX_PAUSE: Duration = Duration::from_millis(50);
/// Maximum failed attempts to refill a server; the pauses double from 1 ms.
const REFILL_FAILURES: u32 = 7;

/// Closes the oldest connection of a full server and measures until the next is accepted.
pub(super) fn measure<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    timeouts: Timeouts,
    overflow: Overflow,
) -> Result<Option<Duration>, Abort> {
    pool.report(LimitsProgress::Recovering);
    let Some(&oldest) = pool.silent().first() else {
        return Ok(None);
    };
    // With a FIN, which is retransmitted if it is lost.
    pool.release(oldest, Release::Fin);
    let freed = pool.now();
    let mut next_pause = Duration::from_millis(1);
    while pool.since(freed) < MAX_REUSE_TIME {
        let pause = next_pause;
        next_pause = (pause * 2).min(MAX_PAUSE);
        let Some(handle) = try_once(pool, timeouts, pause)? else {
            continue;
        };
        if is_rejected_after_accept(overflow) {
            pool.wait(timeouts.after_accept, |pool| {
                pool.is(handle, |it| !it.is_live())
            })?;
        }
        if let Some(connection) = pool.get(handle)
            && let Some(at) = connection.connected
            && connection.is_live()
        {
            return Ok(Some(at.saturating_sub(freed)));
        }
        pool.release(handle, Release::Reset);
        pool.sleep(pause)?;
    }
    Ok(None)
}

const fn is_rejected_after_accept(overflow: Overflow) -> bool {
    matches!(overflow, Overflow::Closed | Overflow::Reset)
}

/// Opens silent connections until there are `wanted`, as far as the server accepts them.
pub(super) fn refill<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    timeouts: Timeouts,
    overflow: Overflow,
    wanted: usize,
) -> Result<Vec<Handle>, Abort> {
    let is_rejected = |pool: &ConnectionPool<'_, N>, handle| {
        pool.get(handle)
            .is_some_and(HeldConnection::is_silent_and_ended)
    };
    let may_be_rejected = is_rejected_after_accept(overflow);
    let mut added = Vec::new();
    let mut failures = 0;
    loop {
        let pause = Duration::from_millis(1 << failures);
        let rejected = added.iter().copied().find(|&it| is_rejected(pool, it));
        if let Some(rejected) = rejected {
            if !may_be_rejected || failures == REFILL_FAILURES {
                return Ok(pool.silent());
            }
            // The application has not noticed yet that a slot is free.
            pool.release(rejected, Release::Reset);
            added.retain(|&it| it != rejected);
            failures += 1;
            pool.sleep(pause)?;
            continue;
        }
        let silent = pool.silent();
        let is_full = silent.len() >= wanted || pool.is_at_maximum();
        if is_full || failures == REFILL_FAILURES {
            let is_settled = added.is_empty()
                || !may_be_rejected
                || !pool.wait(timeouts.after_accept, |pool| {
                    added.iter().any(|&it| is_rejected(pool, it))
                })?;
            if is_settled {
                return Ok(silent);
            }
        } else if let Some(handle) = try_once(pool, timeouts, pause)? {
            added.push(handle);
        } else {
            failures += 1;
        }
    }
}

/// Sends one SYN. If it is refused, waits `pause` so that the next may succeed.
fn try_once<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    timeouts: Timeouts,
    pause: Duration,
) -> Result<Option<Handle>, Abort> {
    let handle = pool.connect()?;
    let is_answered = pool.wait_for_handshake(handle, timeouts.round_trip * 4 + pause)?;
    if pool.get(handle).is_some_and(|it| it.connected.is_some()) {
        return Ok(Some(handle));
    }
    pool.release(handle, Release::Reset);
    if is_answered {
        pool.sleep(pause)?;
    }
    Ok(None)
}

/// Closes all connections and waits until the server is idle: until it has closed each of them,
/// including those that wait for a reply, or else until it answers a new one. Returns `false` if it
/// is still busy.
pub(super) fn close_and_settle<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    timeouts: Timeouts,
) -> Result<bool, Abort> {
    pool.report(LimitsProgress::Settling);
    let pause = pause(timeouts);
    // On a lossy path a FIN may be retransmitted late, so a new connection is faster.
    if !timeouts.is_lossy {
        pool.finish_silent();
        let begin = pool.now();
        let is_done = |it: &HeldConnection| it.is_live() && it.answered_at().is_some();
        let mut live = pool.live();
        while live > 0 && pool.since(begin) < SETTLE {
            let has_changed = pool.wait(timeouts.reply, |pool| {
                pool.live() < live || pool.any(is_done)
            })?;
            if !has_changed {
                break;
            }
            // The connection was answered, and the server keeps it open.
            let done = pool.connections().iter().filter(|it| is_done(it));
            let done: Vec<Handle> = done.map(|it| it.handle).collect();
            for handle in done {
                pool.release(handle, Release::Fin);
            }
            live = pool.live();
        }
        if live == 0 {
            pool.release_all();
            pool.sleep(pause)?;
            return Ok(true);
        }
    }
    pool.close_all(pause)?;
    settle(pool, timeouts)
}

/// Waits until the server answers a new connection, after all have been closed. Returns `false` if
/// it accepts new connections but does not answer in time, because it still processes those that
/// were closed.
pub(super) fn settle<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    timeouts: Timeouts,
) -> Result<bool, Abort> {
    settle_within(pool, timeouts, SETTLE)
}

/// Like [`settle`], for a server that may need `longest` for the closed connections.
pub(super) fn settle_within<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    timeouts: Timeouts,
    longest: Duration,
) -> Result<bool, Abort> {
    pool.report(LimitsProgress::Settling);
    let begin = pool.now();
    let mut pause = pause(timeouts);
    let mut was_accepted = false;
    while pool.since(begin) < longest {
        // As long as some stacks take to retransmit a SYN, if the first was dropped.
        let handle = pool.connect_within(timeouts.syn.max(Duration::from_millis(250)))?;
        if pool.get(handle).is_some_and(|it| it.connected.is_some()) {
            was_accepted = true;
            pool.send_request(handle);
            let left = longest.saturating_sub(pool.since(begin));
            let is_answered = pool.wait(left, |pool| {
                pool.is(handle, |it| it.answered_at().is_some())
            })?;
            if is_answered && pool.get(handle).is_some_and(HeldConnection::is_greeted) {
                // Let the server close first.
                let grace = timeouts.round_trip * 2 + Duration::from_millis(2);
                pool.wait(grace, |pool| pool.is(handle, |it| !it.is_live()))?;
                pool.release(handle, Release::Fin);
                pool.sleep((timeouts.round_trip * 2).max(Duration::from_millis(2)))?;
                return Ok(true);
            }
        }
        pool.close(handle);
        pool.sleep(pause)?;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
    if was_accepted {
        Ok(false)
    } else {
        Err(Abort::Failed(FailureReason::Died {
            held: pool.max_live,
        }))
    }
}

/// Closes all connections of a burst and waits until the server has processed them. It may first
/// greet each of them, `each` after the other.
pub(super) fn work_off<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    timeouts: Timeouts,
    each: Duration,
) -> Result<(), Abort> {
    let waiting = u32::try_from(pool.live()).unwrap_or(u32::MAX);
    let longest = SETTLE + each.saturating_mul(waiting);
    pool.release_all();
    settle_within(pool, timeouts, longest).map(|_| ())
}

fn pause(timeouts: Timeouts) -> Duration {
    (timeouts.round_trip * 2).max(Duration::from_millis(2))
}
