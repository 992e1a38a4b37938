//! Finds whether a limit holds per client address or for all clients: further source addresses
//! connect to a server that is full for the first, each until it is rejected.

use std::net::IpAddr;

use super::model::{Abort, PerClient};
use super::pool::{ConnectionPool, Handle, HeldConnection};
use super::timing::Timeouts;
use crate::bench::report::{Bound, Overflow};
use tcpctl_engine::readiness::{Network, Release};

/// Connects from the plan's further sources to a server that holds `held` connections from the
/// first. `None` where there is one source, or where no connection is rejected.
pub(super) fn compare<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    timeouts: Timeouts,
    overflow: Overflow,
    held: usize,
) -> Result<Option<PerClient>, Abort> {
    if pool.plan.sources.len() < 2 || matches!(overflow, Overflow::NotReached | Overflow::Evicted) {
        return Ok(None);
    }
    let others: Vec<IpAddr> = pool.plan.sources[1..].to_vec();
    let mut accepted: Vec<Handle> = Vec::new();
    let mut is_full = false;
    for source in others {
        // Try one connection first: if the limit is for all clients, no more are needed.
        let mut found = connect(pool, timeouts, source, 1)?;
        if !found.is_empty() {
            found.extend(connect(pool, timeouts, source, held - 1)?);
        }
        is_full = found.len() < held;
        accepted.extend(found);
        if is_full {
            break;
        }
    }
    let in_all = held + accepted.len();
    let is_each = !accepted.is_empty();
    for handle in accepted {
        pool.release(handle, Release::Reset);
    }
    if is_each {
        // The next steps rely on a server that holds only the first source's connections.
        pool.sleep(timeouts.after_accept)?;
    }
    Ok(Some(PerClient {
        is_each,
        in_all: if is_full {
            Bound::Exact(in_all)
        } else {
            Bound::at_least(in_all)
        },
    }))
}

/// Connects from `source` until it is rejected or `most` connections are accepted. Returns the
/// accepted ones.
fn connect<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    timeouts: Timeouts,
    source: IpAddr,
    most: usize,
) -> Result<Vec<Handle>, Abort> {
    let is_live = |pool: &ConnectionPool<'_, N>, handle| {
        pool.get(handle).is_some_and(HeldConnection::is_live)
    };
    let mut opened = Vec::new();
    while opened.len() < most && !pool.is_at_maximum() {
        let handle = pool.connect_from(Some(source))?;
        pool.wait_for_handshake(handle, timeouts.syn)?;
        opened.push(handle);
        if !is_live(pool, handle) {
            break;
        }
    }
    // An application turns them away after the accept.
    pool.wait(timeouts.after_accept, |pool| {
        !opened.iter().any(|&handle| is_live(pool, handle))
    })?;
    let (accepted, rejected): (Vec<Handle>, Vec<Handle>) = opened
        .into_iter()
        .partition(|&handle| is_live(pool, handle));
    for handle in rejected {
        pool.release(handle, Release::Reset);
    }
    Ok(accepted)
}
