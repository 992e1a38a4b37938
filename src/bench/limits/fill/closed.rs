//! Connections that the server closes while it is filled: the newest, because of a cap, or older
//! ones, to make room (eviction) or because of their age.

use std::time::Duration;

use super::check_for_late_replies;
use crate::bench::limits::model::{Abort, FullServer, ServerBehavior};
use crate::bench::limits::pool::{ConnectionPool, HeldConnection};
use crate::bench::limits::timing::Timeouts;
use crate::bench::report::Overflow;
use tcpctl_engine::readiness::Network;

/// Number of checks whether the server still closes connections.
const CHECKS: usize = 8;
/// Evictions at the same number of connections that count as the limit.
const SAME_EVICTIONS: usize = 2;
/// Maximum evictions before the search for such a number ends.
const MAX_EVICTIONS: usize = 6;
/// Distance from the expected eviction within which each new connection is watched for longer.
const EVICTION_MARGIN: usize = 3;

/// Which connections were closed, in the order of their handshakes.
enum Closed {
    None,
    /// The newest connection, and no older one.
    Newest(Box<HeldConnection>, Overflow, Duration),
    /// Older connections.
    Older,
}

/// Whether the server has closed this connection or sent something that needs attention.
pub(super) fn is_closed_or_answered(connection: &HeldConnection, behavior: ServerBehavior) -> bool {
    match behavior {
        ServerBehavior::GreetsAndWaits => connection.is_silent_and_ended(),
        ServerBehavior::NeverReplies => {
            connection.unsolicited_at().is_some() || connection.answered_at().is_some()
        }
        _ => connection.unsolicited_at().is_some(),
    }
}

/// Whether the server has closed connections in a way that makes it full.
pub(super) fn find_closed<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    behavior: ServerBehavior,
    timeouts: Timeouts,
) -> Result<Option<FullServer>, Abort> {
    check_for_late_replies(pool)?;
    if !pool.any(|it| is_closed_or_answered(it, behavior)) {
        return Ok(None);
    }
    pool.sleep(timeouts.after_accept)?;
    match closed(pool, behavior) {
        Closed::None => Ok(None),
        Closed::Newest(rejected, overflow, after) => {
            pool.drop_ended();
            let held = pool.live();
            if held == 0 {
                return Err(Abort::HoldLost(after));
            }
            // A single rejection may be chance, so the next connection must end in the same way.
            let handle = pool.connect_within(timeouts.syn.max(timeouts.after_accept))?;
            pool.wait(timeouts.after_accept, |pool| {
                pool.is(handle, |it| it.unsolicited_at().is_some())
            })?;
            let is_rejected = pool.is(handle, |it| !it.is_live());
            pool.drop_ended();
            Ok((is_rejected && pool.live() == held).then(|| FullServer {
                after: Some(after),
                rejection: rejected.unsolicited_line(),
                ..FullServer::new(held, overflow)
            }))
        }
        Closed::Older => find_eviction(pool, behavior, timeouts).map(Some),
    }
}

/// Older connections were closed: to make room for a new one, or for their age.
///
/// A server may close several at once when it is full. So it is filled again one by one, until
/// two evictions have come at the same number of connections.
fn find_eviction<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    behavior: ServerBehavior,
    timeouts: Timeouts,
) -> Result<FullServer, Abort> {
    let connections = pool.connections();
    let age = connections
        .iter()
        .find_map(HeldConnection::unsolicited_after);
    let lost = || Abort::HoldLost(age.unwrap_or_default());
    let last_end = connections
        .iter()
        .filter_map(HeldConnection::unsolicited_at);
    let last_handshake = connections.iter().filter_map(|it| it.connected);
    let after = last_end.max().zip(last_handshake.max());
    let after = after.map(|(ended, connected)| ended.saturating_sub(connected));
    let mut expected = pool.count(|it| it.connected.is_some()).saturating_sub(1);
    let is_answered = |pool: &ConnectionPool<'_, N>| {
        behavior != ServerBehavior::GreetsAndWaits
            && pool.any(|it| it.asked.is_none() && it.is_greeted())
    };
    if is_answered(pool) {
        return Err(lost());
    }
    // Without a new connection none is evicted, but the newest may still wait for a busy server.
    let mut live = usize::MAX;
    for _ in 0..CHECKS {
        pool.drop_ended();
        if pool.live() == live {
            break;
        }
        live = pool.live();
        pool.sleep(timeouts.after_accept)?;
    }
    if pool.live() < live || live == 0 {
        return Err(lost());
    }
    let mut evictions: Vec<usize> = Vec::new();
    let mut rejections = Vec::new();
    while evictions.len() + rejections.len() < MAX_EVICTIONS {
        let before = pool.live();
        if pool.is_at_maximum() {
            return Err(lost());
        }
        let is_near = before + EVICTION_MARGIN >= expected;
        let handle = pool.connect_within(timeouts.syn.max(timeouts.after_accept))?;
        let watch = if is_near {
            timeouts.after_accept * 4
        } else {
            timeouts.round_trip + Duration::from_millis(1)
        };
        // Until an eviction was seen, expect one with each connection.
        let watch = if before < expected {
            watch.min(timeouts.after_accept)
        } else {
            watch
        };
        if !pool.wait(watch, |pool| pool.live() <= before)? {
            if is_answered(pool) || pool.get(handle).is_some_and(HeldConnection::is_pending) {
                return Err(lost());
            }
            continue;
        }
        pool.sleep(timeouts.after_accept)?;
        if is_answered(pool) {
            return Err(lost());
        }
        let Some(newest) = pool.get(handle).copied() else {
            return Err(lost());
        };
        let is_only_newest = pool.live() == before;
        pool.drop_ended();
        match (newest.connected, newest.ended) {
            (Some(connected), Some((at, end))) if is_only_newest => {
                rejections.push((end.after_accept(), at.saturating_sub(connected)));
            }
            (Some(_), None) => {
                if is_near {
                    evictions.push(before);
                }
                expected = before;
            }
            _ => return Err(lost()),
        }
        if let [.., (overflow, after)] = rejections[..]
            && rejections.len() == SAME_EVICTIONS
            && evictions.is_empty()
        {
            // A cap after all: the handshake of an older connection completed later than it
            // seemed.
            return Ok(FullServer {
                after: Some(after),
                rejection: newest.unsolicited_line(),
                ..FullServer::new(pool.live(), overflow)
            });
        }
        if rejections.is_empty()
            && let Some(&[earlier, held]) = evictions.last_chunk::<SAME_EVICTIONS>()
            && earlier == held
        {
            return Ok(FullServer {
                after,
                ..FullServer::new(held, Overflow::Evicted)
            });
        }
    }
    Err(lost())
}

fn closed<N: Network>(pool: &ConnectionPool<'_, N>, behavior: ServerBehavior) -> Closed {
    let mut first = None;
    for connection in pool
        .connections()
        .iter()
        .filter(|it| it.connected.is_some())
    {
        match (first, is_closed_or_answered(connection, behavior)) {
            (None, true) => first = Some(*connection),
            (Some(_), false) => return Closed::Older,
            _ => {}
        }
    }
    let Some(connection) = first else {
        return Closed::None;
    };
    let (Some(connected), Some((at, end))) = (connection.connected, connection.ended) else {
        // The connection was answered and not closed, so there is no cap.
        return Closed::Older;
    };
    Closed::Newest(
        Box::new(connection),
        end.after_accept(),
        at.saturating_sub(connected),
    )
}
