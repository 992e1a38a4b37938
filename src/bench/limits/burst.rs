//! Sends bursts of SYNs to a server that sends data before a request, because its connections
//! cannot be held. Measures how many simultaneous SYNs the server accepts without a refusal or a
//! retransmission.

use std::fmt::Write as _;
use std::time::Duration;

use super::LimitsProgress;
use super::model::{Abort, Baseline, Burst, ConnectionEnd};
use super::pool::{ConnectionPool, HeldConnection};
use super::recovery;
use super::timing::{BEFORE_RETRANSMISSION, SLOW_REPLY};
use crate::bench::report::{Bound, Overflow};
use crate::output::human;
use tcpctl_engine::readiness::Network;

/// A burst that is processed within this time shows a gap before the first retransmission of a
/// SYN-ACK, which comes after a second.
const SHORT: Duration = Duration::from_millis(550);
/// Size of the first burst. Its result shows where to search, and even a small server processes it
/// soon.
const FIRST: usize = 8;

/// A gap between two SYNs of a burst above which the burst counts as interrupted: about a time slice of
/// another process.
const MAX_GAP: Duration = Duration::from_millis(2);
/// The search ends after this many interrupted bursts in a row.
const MAX_INTERRUPTED: usize = 3;

/// The result of one burst.
#[derive(Debug, Clone, Copy)]
enum BurstResult {
    /// All SYNs were accepted at once.
    Clean,
    Overflowed {
        overflow: Overflow,
        after: Option<Duration>,
        /// Number of accepted connections.
        accepted: usize,
        /// Whether `accepted` shows where to search next.
        narrows_search: bool,
    },
}

/// Doubles the burst until one overflows, then searches between the two sizes. The result is the
/// largest burst that does not overflow, confirmed by two overflows of the next larger. `best` is
/// the largest so far.
pub(super) fn search<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    baseline: &Baseline,
    best: &mut usize,
) -> Result<Burst, Abort> {
    let most = pool.plan.max_connections;
    // The smallest burst that overflowed; initially above the maximum.
    let mut overflowed = most + 1;
    let mut is_sure = false;
    let (mut hint, mut accepted_before) = (0, 0);
    let mut last = (Overflow::NotReached, None);
    let mut interrupted = 0;
    *best = 1.max(*best);
    while *best < most && (*best + 1 < overflowed || !is_sure) && interrupted < MAX_INTERRUPTED {
        let size = if overflowed > most {
            (*best * 2).clamp(FIRST.min(most), most)
        } else if *best + 1 == overflowed {
            overflowed
        } else {
            hint.clamp(*best + 1, overflowed - 1)
        };
        let Some(result) = burst(pool, baseline, size)? else {
            interrupted += 1;
            continue;
        };
        interrupted = 0;
        match result {
            BurstResult::Clean => {
                *best = size;
                if size == overflowed {
                    // The overflow was not reproducible.
                    overflowed = most + 1;
                }
                hint = if size == accepted_before {
                    size + 1
                } else {
                    usize::midpoint(*best, overflowed)
                };
            }
            BurstResult::Overflowed {
                overflow,
                after,
                accepted,
                narrows_search,
            } => {
                // Confirmed twice: here, or by a larger burst with no more accepted connections.
                is_sure = size == overflowed || (size == *best + 1 && accepted_before == *best);
                overflowed = size;
                accepted_before = accepted;
                hint = if narrows_search {
                    accepted
                } else {
                    usize::midpoint(*best, overflowed)
                };
                last = (overflow, after);
            }
        }
    }
    let (largest, mut detail) = if interrupted == MAX_INTERRUPTED {
        let detail = "this computer was too busy to send larger bursts without an interruption";
        (Bound::at_least(*best), detail.to_owned())
    } else if overflowed > most {
        let detail = "simultaneous SYNs without a refusal or a retransmission; no larger burst was \
                      tried";
        (Bound::at_least(*best), detail.to_owned())
    } else {
        let detail = "the next larger burst was refused or retransmitted twice";
        (Bound::Exact(*best), detail.to_owned())
    };
    let each = baseline.slowest_reply();
    if each >= SLOW_REPLY {
        let _ = write!(
            detail,
            "; the server had to finish each burst first, {} per connection",
            human::time(each)
        );
    }
    Ok(Burst {
        largest,
        overflow: last.0,
        after: last.1,
        detail,
        drift: None,
    })
}

/// Sends one burst, and waits until the server is idle again. `None` if this computer interrupted it,
/// so that the server could make room meanwhile.
fn burst<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    baseline: &Baseline,
    size: usize,
) -> Result<Option<BurstResult>, Abort> {
    pool.report(LimitsProgress::Bursting { size });
    let timeouts = baseline.timeouts;
    let begin = pool.network_time();
    let mut longest_gap = Duration::ZERO;
    for _ in 0..size {
        let before = pool.now();
        pool.connect()?;
        longest_gap = longest_gap.max(pool.since(before));
    }
    // The server makes no room before its first reply.
    let fastest_reply = baseline.first_byte.iter().copied().min();
    let is_late = |pool: &ConnectionPool<'_, N>| {
        fastest_reply < Some(pool.network_time().saturating_sub(begin))
    };
    if longest_gap > MAX_GAP && is_late(pool) {
        recovery::work_off(pool, timeouts, baseline.slowest_reply())?;
        return Ok(None);
    }
    let each = baseline.slowest_reply() + timeouts.round_trip * 2;
    // A handshake needs no worker, so one that is incomplete by then has lost its SYN.
    let is_known = |pool: &ConnectionPool<'_, N>| {
        !pool.any(HeldConnection::is_pending) || pool.any(HeldConnection::is_rejected)
    };
    let sent = pool.now();
    let is_silent = |pool: &ConnectionPool<'_, N>| !pool.any(|it| !it.is_pending());
    if !pool.wait(timeouts.syn * 3, is_known)? && (timeouts.is_lossy || is_silent(pool)) {
        // The SYN may be lost, or the radio asleep.
        pool.until(sent + BEFORE_RETRANSMISSION, is_known)?;
    }
    let is_dropped = pool.any(HeldConnection::is_pending);
    let total = each.saturating_mul(u32::try_from(size).unwrap_or(u32::MAX));
    let asks = !is_dropped && total > SHORT;
    // Connections without room show themselves only until the server makes room.
    let is_asked_late = asks && is_late(pool);
    let has_half_open = asks && has_half_open(pool, size)?;
    let is_dropped = is_dropped || has_half_open;
    let greeted = if is_dropped {
        0
    } else {
        wait_for_greetings(pool, size, BEFORE_RETRANSMISSION + each)?
    };
    let connections = pool.connections();
    let has_retransmitted = connections
        .iter()
        .any(|it| pool.has_retransmitted(it.handle));
    let rejected = connections
        .iter()
        .copied()
        .find(HeldConnection::is_rejected);
    let overflow = match rejected.map(|it| (it, it.ended)) {
        Some((connection, Some((at, end)))) => {
            let after = Some(at.saturating_sub(connection.started));
            Some(match end {
                ConnectionEnd::Refused => (Overflow::Refused, after),
                ConnectionEnd::Reset => (Overflow::Reset, after),
                ConnectionEnd::Fin => (Overflow::Closed, after),
                ConnectionEnd::TimedOut => (Overflow::Dropped, None),
            })
        }
        _ => (has_retransmitted || greeted < size).then_some((Overflow::Dropped, None)),
    };
    let result = match overflow {
        None => BurstResult::Clean,
        Some((overflow, after)) => {
            // The others may still be on their way.
            pool.wait(timeouts.syn, |pool| !pool.any(HeldConnection::is_pending))?;
            let accepted = pool.count(|it| {
                it.connected.is_some() && !it.is_rejected() && !pool.has_retransmitted(it.handle)
            });
            // More handshakes may be answered than there is room for, but only those with room are
            // greeted.
            let by_greetings = rejected.is_none() && !is_dropped;
            let accepted = if by_greetings {
                greeted.min(accepted)
            } else {
                accepted
            };
            BurstResult::Overflowed {
                overflow,
                after,
                accepted,
                // If nearly all were accepted, the queue took more than it has room for.
                narrows_search: by_greetings || has_half_open || accepted + 1 < size,
            }
        }
    };
    recovery::work_off(pool, timeouts, baseline.slowest_reply())?;
    let is_void = is_asked_late && matches!(result, BurstResult::Clean);
    Ok((!is_void).then_some(result))
}

/// Whether the server has answered SYNs of a burst for which it has no room.
///
/// Simultaneous SYNs may all be answered before the queue is full. Handshakes that do not fit wait
/// until the server retransmits its SYN-ACK: unseen, unless its greetings stop until then, which
/// those of a slow server do not. Data on such a connection is not acknowledged.
fn has_half_open<N: Network>(pool: &mut ConnectionPool<'_, N>, size: usize) -> Result<bool, Abort> {
    for handle in pool.silent() {
        pool.send_request(handle);
    }
    let are_all_greeted = |pool: &ConnectionPool<'_, N>| !pool.any(|it| !it.is_greeted());
    pool.wait(BEFORE_RETRANSMISSION, are_all_greeted)?;
    Ok(size > 1 && pool.any(|it| pool.has_retransmitted(it.handle)))
}

/// How many of a burst are greeted, until none is for `timeout` or one is rejected. A server
/// that serves one at a time greets each in its turn; a gap is a retransmission.
fn wait_for_greetings<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    size: usize,
    timeout: Duration,
) -> Result<usize, Abort> {
    let mut greeted = 0;
    loop {
        let has_changed = pool.wait(timeout, |pool| {
            pool.count(HeldConnection::is_greeted) > greeted
                || pool.any(HeldConnection::is_rejected)
        })?;
        greeted = pool.count(HeldConnection::is_greeted);
        if !has_changed || greeted == size || pool.any(HeldConnection::is_rejected) {
            return Ok(greeted);
        }
    }
}
