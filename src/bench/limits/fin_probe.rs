//! Finds by FIN which connections are served: a shortcut for servers that reply slowly.
//!
//! Most servers close a connection at once when its client sends a FIN without a request, however
//! long a request would take. They do so for connections that are being served, and not for those
//! in a queue. A FIN thus shows the same as a request, without the wait for the service. It proves
//! nothing, because a runtime may close connections that the application does not serve yet. So it
//! only narrows down where to send requests.

use std::time::Duration;

use super::model::{Abort, Baseline, Concurrency, FinResponse, ServerBehavior};
use super::pool::ConnectionPool;
use super::timing::{SCHEDULING_DELAY, Timeouts};
use crate::bench::report::{Bound, Overflow};
use tcpctl_engine::readiness::{Network, Release};

/// Minimum held connections. With fewer, one that has sent a FIN and keeps its slot distorts the
/// count.
const MIN_HELD: usize = 3;

/// Keeps a connection to the idle server silent for longer than a reply took, counted from the
/// request (`reply`) and from the handshake (`since_handshake`); then sends a FIN.
pub(super) fn watch<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    round_trip: Duration,
    reply: Duration,
    since_handshake: Duration,
) -> Result<FinResponse, Abort> {
    let (handle, _) = pool.connect_with_retries(false)?;
    let silence = (reply * 5 / 4).max(since_handshake + SCHEDULING_DELAY / 3) + round_trip * 4;
    let is_greeted = pool.wait(silence, |pool| {
        pool.is(handle, |it| it.unsolicited_at().is_some())
    })?;
    pool.send_fin(handle);
    let is_over = |pool: &ConnectionPool<'_, N>| pool.is(handle, |it| it.answered_at().is_some());
    let closes = pool.wait(round_trip * 4 + SCHEDULING_DELAY, is_over)?;
    if !closes {
        // It may serve one connection at a time.
        pool.wait(pool.reply_timeout, is_over)?;
    }
    let connection = pool.get(handle).copied();
    pool.release(handle, Release::Fin);
    let greeted_after = connection.and_then(|it| it.greeted_after());
    // The reply came sooner than a reply takes, so the client was being greeted all along.
    let is_served = connection.and_then(|it| it.replied_after()) >= Some(reply * 3 / 4);
    Ok(match greeted_after {
        Some(after) if is_greeted => FinResponse::Greets(after),
        None if closes => FinResponse::Closes,
        Some(_) if is_served => FinResponse::Serves,
        _ => FinResponse::KeepsOpen,
    })
}

/// Whether a FIN shows which connections of a full server are served.
pub(super) fn is_useful(baseline: &Baseline, overflow: Overflow, held: usize) -> bool {
    baseline.closes_on_fin
        && baseline.behavior == ServerBehavior::Replies
        // On a lossy path a silence must last long in any case.
        && !baseline.timeouts.is_lossy
        && held >= MIN_HELD
        && !matches!(
            overflow,
            Overflow::NotReached | Overflow::Evicted | Overflow::Silent
        )
}

/// Sends a request on the last of `served` connections. `None` if it is not answered.
///
/// That no more are served was shown by an earlier trial, or follows from `served` being all.
pub(super) fn confirm<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    timeouts: Timeouts,
    served: usize,
) -> Result<Option<Concurrency>, Abort> {
    let last = served
        .checked_sub(1)
        .and_then(|before| pool.silent().get(before).copied());
    let Some(handle) = last else { return Ok(None) };
    pool.send_request(handle);
    pool.wait(timeouts.reply, |pool| {
        pool.is(handle, |it| it.answered_at().is_some())
    })?;
    let Some(connection) = pool.get(handle).copied() else {
        return Ok(None);
    };
    if connection.answered_at().is_none() {
        return Ok(None);
    }
    pool.release(handle, Release::Fin);
    Ok(Some(Concurrency {
        workers: Bound::Exact(served),
        queue: None,
        first_byte: connection.replied_after().into_iter().collect(),
    }))
}
