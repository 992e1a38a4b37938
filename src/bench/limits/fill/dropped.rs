//! Handles SYNs without an answer: the server dropped them, or they were lost on the path.

use super::check_for_late_replies;
use crate::bench::limits::model::{Abort, FullServer};
use crate::bench::limits::pool::{ConnectionPool, Handle, HeldConnection};
use crate::bench::limits::timing::{
    DATA_RETRANSMITTED_TWICE, INDEPENDENT, SYN_RETRANSMITTED, SYN_SURELY_RETRANSMITTED, Timeouts,
};
use std::time::Duration;
use tcpctl_engine::readiness::{Network, Release};

/// When two unanswered SYNs in a row mean that the server drops them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench::limits) enum DropCheck {
    /// When the first one stays unanswered after its retransmission.
    WaitForRetransmission,
    /// When a SYN much later is not answered either. [`still_drops`] must be called; until then
    /// there is time for other measurements.
    ProbeLater,
    /// When an earlier trial held this many.
    AsBefore(usize),
}

/// Whether the server drops these SYNs.
pub(super) fn are_dropped<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    handles: &[Handle],
    timeouts: Timeouts,
    drop_check: DropCheck,
) -> Result<bool, Abort> {
    match drop_check {
        // If no connection is held, the server may be gone.
        DropCheck::ProbeLater if pool.live() > 0 => return Ok(true),
        DropCheck::AsBefore(held) if held == pool.live() => return Ok(true),
        _ => {}
    }
    let Some(first) = handles.first().and_then(|&it| pool.get(it)).copied() else {
        return Ok(false);
    };
    let is_answered = |pool: &ConnectionPool<'_, N>| {
        let mut handles = handles.iter();
        handles.any(|&handle| pool.is(handle, |it| !it.is_pending()))
    };
    let mut until = first.started + SYN_RETRANSMITTED;
    while !pool.until(until, is_answered)? {
        let extended = match pool.syn_retransmissions(first.handle) {
            Some(0) if pool.now() < first.started + 3 * SYN_RETRANSMITTED => {
                pool.now() + Duration::from_millis(100)
            }
            Some(_) => first.started + SYN_RETRANSMITTED + timeouts.syn,
            None => first.started + SYN_SURELY_RETRANSMITTED + timeouts.syn,
        };
        if extended <= pool.now() {
            return Ok(true);
        }
        until = extended;
    }
    Ok(false)
}

/// Whether a server that dropped SYNs still does so much later, once the slots that were freed
/// meanwhile are in use again.
pub(in crate::bench::limits) fn still_drops<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    timeouts: Timeouts,
    full: &FullServer,
) -> Result<bool, Abort> {
    let Some(since) = full.dropped_since else {
        return Ok(true);
    };
    pool.until(since + INDEPENDENT, |_| false)?;
    while pool.live() <= full.held && !pool.is_at_maximum() {
        let handle = pool.connect_within(timeouts.syn)?;
        if pool.get(handle).is_some_and(HeldConnection::is_pending) {
            pool.release(handle, Release::Reset);
            return Ok(true);
        }
    }
    Ok(false)
}

/// Counts connections that exist only on this side: the last ACK of the handshake was lost, and the
/// server was full when it retransmitted its SYN-ACK. Data on them is never acknowledged. Use it on
/// a server that answers no request.
pub(in crate::bench::limits) fn count_half_open<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
) -> Result<usize, Abort> {
    for handle in pool.silent() {
        pool.send_request(handle);
    }
    pool.sleep(DATA_RETRANSMITTED_TWICE)?;
    check_for_late_replies(pool)?;
    Ok(pool.count(|it| it.is_live() && pool.retransmissions(it.handle) >= Some(2)))
}
