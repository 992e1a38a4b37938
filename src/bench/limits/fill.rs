//! Fills the server: opens silent connections one at a time until it accepts no more.

mod closed;
mod dropped;

use std::time::Duration;

use super::LimitsProgress;
use super::model::{Abort, FailureReason, FullServer, ServerBehavior};
use super::pool::{ConnectionPool, Handle, HeldConnection};
use super::timing::{SYN_ACK_RETRANSMITTED, SYN_RETRANSMITTED, Timeouts};
use crate::bench::report::Overflow;
use closed::{find_closed, is_closed_or_answered};
use dropped::are_dropped;
pub(super) use dropped::{DropCheck, count_half_open, still_drops};
use tcpctl_engine::readiness::{Network, Release};

/// Refusals in a row that count as the limit.
const REFUSALS: usize = 3;
/// Refusals in a row that count as the limit if the server holds no connection.
const REFUSALS_WHEN_EMPTY: usize = 8;
/// Simultaneous SYNs while well below a number that was held before.
const BATCH: usize = 8;
/// Distance from that number at which SYNs are sent one at a time again.
const BATCH_MARGIN: usize = 24;

/// Fills the server with silent connections until it accepts no more.
pub(super) fn fill<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    behavior: ServerBehavior,
    timeouts: Timeouts,
    drop_check: DropCheck,
) -> Result<FullServer, Abort> {
    let mut refusals = 0;
    let mut was_full = false;
    let mut unanswered: Vec<Handle> = Vec::new();
    let pause_at = match drop_check {
        DropCheck::AsBefore(held) => Some(held.saturating_sub(2)),
        DropCheck::WaitForRetransmission | DropCheck::ProbeLater => None,
    };
    loop {
        let live = pool.live();
        pool.report(LimitsProgress::Filling { held: live });
        if timeouts.is_lossy && pause_at == Some(live) {
            pool.sleep(SYN_ACK_RETRANSMITTED)?;
        }
        if pool.is_at_maximum() {
            // SYNs that were dropped because the server accepts slowly are accepted when they are
            // retransmitted.
            pool.wait(SYN_RETRANSMITTED + timeouts.syn, |pool| {
                !pool.any(HeldConnection::is_pending)
            })?;
            pool.sleep(timeouts.after_accept)?;
            if let Some(full) = find_closed(pool, behavior, timeouts)? {
                return Ok(full);
            }
            if pool.is_at_maximum() {
                let full = FullServer::new(pool.live(), Overflow::NotReached);
                pool.drop_ended();
                return Ok(full);
            }
        }
        let handle = pool.connect()?;
        pool.wait(timeouts.syn, |pool| {
            pool.is(handle, |it| !it.is_pending())
                || pool.any(|it| is_closed_or_answered(it, behavior))
        })?;
        if let Some(full) = find_closed(pool, behavior, timeouts)? {
            return Ok(full);
        }
        let Some(connection) = pool.get(handle).copied() else {
            continue;
        };
        if connection.connected.is_some() {
            if !was_full {
                pool.count_settled();
            }
            refusals = 0;
            for handle in unanswered.drain(..) {
                if !timeouts.is_lossy {
                    // A later one was accepted, so the server was only slow. There is no need to
                    // wait for the retransmission.
                    pool.release(handle, Release::Reset);
                }
            }
        } else if let Some((at, _)) = connection.ended {
            pool.release(handle, Release::Reset);
            was_full = true;
            refusals += 1;
            if pool.live() == 0 {
                // Other clients took all slots, or the server is gone.
                if refusals == REFUSALS_WHEN_EMPTY {
                    return Err(died(pool));
                }
            } else if refusals >= REFUSALS {
                let full = FullServer {
                    after: Some(at.saturating_sub(connection.started)),
                    ..FullServer::new(pool.live(), Overflow::Refused)
                };
                pool.drop_ended();
                return Ok(full);
            }
            // Wait: a slot may be about to listen again.
            let pause = timeouts.round_trip.max(Duration::from_millis(5));
            pool.sleep(pause * (1 << (refusals.clamp(1, 7) - 1)))?;
        } else {
            was_full = true;
            unanswered.push(handle);
            if unanswered.len() == 2 && are_dropped(pool, &unanswered, timeouts, drop_check)? {
                let first = unanswered.first().and_then(|&handle| pool.get(handle));
                let full = FullServer {
                    dropped_since: first.map(|it| it.started),
                    ..FullServer::new(pool.live(), Overflow::Dropped)
                };
                if full.held == 0 {
                    return Err(died(pool));
                }
                pool.drop_ended();
                // Connections that the server closed in the meantime are not held.
                return Ok(find_closed(pool, behavior, timeouts)?.unwrap_or(full));
            }
            if unanswered.len() >= 2 {
                unanswered.clear();
            }
        }
    }
}

/// Opens connections in batches if a round trip for each would take long, and stops well below a
/// number that was held before. Near that number, several SYNs at once may be answered by a SYN
/// queue that then drops their ACKs.
pub(super) fn approach<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    timeouts: Timeouts,
    held_before: usize,
) -> Result<(), Abort> {
    let most = held_before.saturating_sub(BATCH_MARGIN);
    let mut missing = 0;
    while pool.live() + BATCH <= most && missing <= BATCH {
        let before = pool.live();
        pool.report(LimitsProgress::Filling { held: before });
        for _ in 0..BATCH {
            pool.connect()?;
        }
        pool.wait(timeouts.syn, |pool| !pool.any(HeldConnection::is_pending))?;
        // The connections were lost on the path. If there are many, the server's limit has changed.
        missing += (before + BATCH).saturating_sub(pool.live());
        pool.drop_ended();
    }
    Ok(())
}

impl FullServer {
    fn new(held: usize, overflow: Overflow) -> Self {
        Self {
            held,
            overflow,
            after: None,
            dropped_since: None,
            rejection: None,
        }
    }
}

/// Fails if a request was answered after its timeout.
fn check_for_late_replies<N: Network>(pool: &ConnectionPool<'_, N>) -> Result<(), Abort> {
    let mut answers = pool.connections().iter();
    let late = answers.find_map(HeldConnection::answered_after);
    late.map_or(Ok(()), |after| Err(Abort::LateReply(after)))
}

fn died<N: Network>(pool: &ConnectionPool<'_, N>) -> Abort {
    Abort::Failed(FailureReason::Died {
        held: pool.max_live,
    })
}
