//! Whether the limit of a full server is for each client or for all: other addresses of ours are
//! tried, each until it is turned away as well.

use std::net::IpAddr;

use super::baseline::Patience;
use super::crowd::{Crowd, Guest, Halt, Name};
use super::finding::PerClient;
use crate::bench::report::{Bound, Overflow};
use tcpctl_engine::readiness::{Network, Release};

/// Tries the plan's other source addresses on a server that holds so many from the first and takes
/// no more from it. `None` where there are none, or where nobody is turned away.
pub(super) fn ask_others<N: Network>(
    crowd: &mut Crowd<'_, N>,
    patience: Patience,
    overflow: Overflow,
    held: usize,
) -> Result<Option<PerClient>, Halt> {
    if crowd.plan.sources.len() < 2 || matches!(overflow, Overflow::NotReached | Overflow::Evicted)
    {
        return Ok(None);
    }
    let others: Vec<IpAddr> = crowd.plan.sources[1..].to_vec();
    let mut inside: Vec<Name> = Vec::new();
    let mut is_full = false;
    for source in others {
        // One first: where the limit is for all, no more are sent after it.
        let mut found = enter(crowd, patience, source, 1)?;
        if !found.is_empty() {
            found.extend(enter(crowd, patience, source, held - 1)?);
        }
        is_full = found.len() < held;
        inside.extend(found);
        if is_full {
            break;
        }
    }
    let in_all = held + inside.len();
    let per_client = !inside.is_empty();
    for name in inside {
        crowd.release(name, Release::Reset);
    }
    if per_client {
        // They have to be gone before the next steps count on a full server.
        crowd.sleep(patience.look)?;
    }
    Ok(Some(PerClient {
        is_each: per_client,
        in_all: if is_full {
            Bound::Exact(in_all)
        } else {
            Bound::at_least(in_all)
        },
    }))
}

/// Connects from `source` until it is turned away, or `most` are in; returns those that stay in.
fn enter<N: Network>(
    crowd: &mut Crowd<'_, N>,
    patience: Patience,
    source: IpAddr,
    most: usize,
) -> Result<Vec<Name>, Halt> {
    let mut came = Vec::new();
    while came.len() < most && crowd.open() < crowd.plan.max_connections {
        let name = crowd.connect_from(Some(source))?;
        crowd.wait(patience.syn, |crowd| {
            crowd.guest(name).is_none_or(|guest| !guest.is_pending())
        })?;
        let is_in = crowd.guest(name).is_some_and(Guest::is_live);
        came.push(name);
        if !is_in {
            break;
        }
    }
    // An application turns them away after the accept.
    crowd.wait(patience.look, |crowd| {
        !came
            .iter()
            .any(|&name| crowd.guest(name).is_some_and(Guest::is_live))
    })?;
    let (stay, left): (Vec<Name>, Vec<Name>) = came
        .into_iter()
        .partition(|&name| crowd.guest(name).is_some_and(Guest::is_live));
    for name in left {
        crowd.release(name, Release::Reset);
    }
    Ok(stay)
}
