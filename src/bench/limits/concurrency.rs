//! Finds how many of the held connections are served at once.
//!
//! A server of *w* workers that accepts connections in order answers a request exactly if fewer
//! than *w* silent connections came before it: each of those occupies a worker, and all others are
//! done with as soon as a worker looks at them. That holds at any time, whichever connections were
//! answered before. So several simultaneous requests, with growing numbers of silent connections
//! before them, find *w* in one hold. A request that was not answered is answered as soon as
//! enough silent connections before it are closed. If it is not, it was not queued.

mod spacing;

use std::time::Duration;

use super::LimitsProgress;
use super::model::{Abort, Baseline, Concurrency, QueueOutcome, ServerBehavior};
use super::pool::{ConnectionPool, Handle, HeldConnection};
use super::recovery;
use super::timing::Timeouts;
use crate::bench::report::{Bound, Overflow};
use spacing::{Spacing, choose};
use tcpctl_engine::readiness::{Network, Release};

/// In a range up to this size the lowest numbers are tried first, one by one: most small servers
/// serve few connections, and each request that is not answered now must be processed later.
const SMALL_RANGE: usize = 16;

/// How to test whether a connection is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// By a request: a reply proves it, but takes as long as the service.
    Request,
    /// By a FIN, see `fin_probe`.
    Fin,
}

/// The known range of the number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: usize,
    pub(super) most: usize,
}

/// Finds the number of workers of a full server, which is in `range`, and what happens to requests
/// that wait, unless that is `known`. Narrows `range` even if the hold is lost before the end.
pub(super) fn search<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    baseline: &Baseline,
    overflow: Overflow,
    range: &mut Range,
    known: Option<QueueOutcome>,
    probe: Probe,
) -> Result<Concurrency, Abort> {
    let &Baseline {
        behavior,
        mut timeouts,
        ..
    } = baseline;
    if behavior == ServerBehavior::GreetsAndWaits {
        return Ok(greeted(pool));
    }
    if probe == Probe::Fin {
        timeouts.reply = timeouts.fin_response();
    }
    let all = pool.silent();
    let ends = Range {
        least: 1,
        most: all.len(),
    };
    let waiting = pool.connections().iter().filter(|it| it.is_waiting());
    let assumed = range.least;
    let mut search = Search {
        range: *range,
        timeouts,
        keeps_open: baseline.closes_after_reply != Some(true),
        // Requests that an earlier search in the same hold has left waiting.
        waiting: waiting.map(|it| it.handle).collect(),
        answered: Vec::new(),
        first_byte: Vec::new(),
    };
    while search.range.least < search.range.most {
        let Range { least, most } = search.range;
        pool.report(LimitsProgress::Asking {
            at_least: least,
            at_most: most,
        });
        let silent = recovery::refill(pool, timeouts, overflow, most)?;
        let is_small = most - least <= SMALL_RANGE || search.first_byte.is_empty();
        let spacing = match timeouts.is_lossy {
            true => Spacing::Doubled,
            false if is_small => Spacing::Lowest,
            false => Spacing::Even,
        };
        let chosen = choose(least, most, silent.len(), spacing);
        if chosen.is_empty() {
            break;
        }
        let asked: Vec<(Handle, usize)> = chosen
            .iter()
            .map(|&(index, before)| (silent[index], before))
            .collect();
        for &(handle, _) in &asked {
            match probe {
                Probe::Request => pool.send_request(handle),
                Probe::Fin => pool.send_fin(handle),
            }
        }
        search.wait_for(pool, &asked)?;
        search.conclude(pool, &asked, ends);
        *range = search.range;
    }
    let Range { least, most } = search.range;
    if least < most {
        return Ok(Concurrency {
            workers: Bound::at_least(least),
            queue: None,
            first_byte: search.first_byte,
        });
    }
    let mut workers = least;
    let queue = match known {
        _ if probe == Probe::Fin => None,
        // This many workers were assumed. A waiting request may wait for fewer.
        _ if least == assumed && assumed > ends.least => None,
        None => search.unblock(pool, overflow, workers)?,
        Some(QueueOutcome::ServedAfter(_)) => None,
        Some(QueueOutcome::Unserved) => known,
    };
    if queue == Some(QueueOutcome::Unserved) {
        workers = search.by_position(pool, &all)?;
    }
    Ok(Concurrency {
        workers: Bound::Exact(workers),
        queue,
        first_byte: search.first_byte,
    })
}

/// Connections that were greeted are being served.
fn greeted<N: Network>(pool: &ConnectionPool<'_, N>) -> Concurrency {
    let workers = pool.count(|it| it.is_live() && it.is_greeted());
    let connections = pool.connections().iter();
    Concurrency {
        workers: Bound::Exact(workers),
        queue: None,
        first_byte: connections
            .filter_map(HeldConnection::greeted_after)
            .collect(),
    }
}

struct Search {
    range: Range,
    timeouts: Timeouts,
    /// Whether a connection keeps its worker after the reply.
    keeps_open: bool,
    /// Connections with a request that was not answered.
    waiting: Vec<Handle>,
    /// Connections with an answered request, already released.
    answered: Vec<Handle>,
    first_byte: Vec<Duration>,
}

impl Search {
    /// Waits until all requests are answered, or none was for as long as a reply takes.
    fn wait_for<N: Network>(
        &mut self,
        pool: &mut ConnectionPool<'_, N>,
        asked: &[(Handle, usize)],
    ) -> Result<(), Abort> {
        while pool.wait(self.timeouts.reply, |pool| {
            pool.any(|it| self.is_new_answer(it))
        })? {
            check_hold(pool)?;
            self.collect(pool);
            let mut handles = asked.iter().map(|(handle, _)| handle);
            if handles.all(|handle| self.answered.contains(handle)) {
                break;
            }
        }
        check_hold(pool)
    }

    fn is_new_answer(&self, connection: &HeldConnection) -> bool {
        connection.answered_at().is_some() && !self.answered.contains(&connection.handle)
    }

    /// Collects new answers.
    fn collect<N: Network>(&mut self, pool: &mut ConnectionPool<'_, N>) {
        let connections = pool.connections().iter();
        let new: Vec<HeldConnection> = connections
            .filter(|it| self.is_new_answer(it))
            .copied()
            .collect();
        for connection in new {
            let handle = connection.handle;
            if self.waiting.contains(&handle) {
                // The connection moved up in the queue, or the server is slower than assumed and
                // silence proves less.
                let before = pool.silent_before(handle);
                self.range.least = self.range.least.max(before + 1);
                self.waiting.retain(|&it| it != handle);
            }
            self.answered.push(handle);
            self.first_byte.extend(connection.replied_after());
            if self.keeps_open {
                // The worker is free once this side closes.
                pool.release(handle, Release::Fin);
            }
        }
    }

    /// Narrows the range down, and closes the connections that were answered.
    fn conclude<N: Network>(
        &mut self,
        pool: &mut ConnectionPool<'_, N>,
        asked: &[(Handle, usize)],
        ends: Range,
    ) {
        let is_answered = |handle| self.answered.contains(&handle);
        let Range {
            mut least,
            mut most,
        } = self.range;
        for &(handle, before) in asked {
            if is_answered(handle) {
                least = least.max(before + 1);
                continue;
            }
            self.waiting.push(handle);
            // If two requests tested the same number, one answer is enough.
            let mut copies = asked.iter().filter(|&&(_, same)| same == before);
            if !copies.any(|&(other, _)| is_answered(other)) {
                most = most.min(before);
            }
        }
        for &handle in &self.answered {
            pool.release(handle, Release::Fin);
        }
        if least > most {
            // A reply proves more than silence.
            most = ends.most.max(least);
            self.timeouts.reply *= 2;
        }
        self.range = Range { least, most };
    }

    /// Closes enough silent connections that the first request in the queue must be answered.
    fn unblock<N: Network>(
        &mut self,
        pool: &mut ConnectionPool<'_, N>,
        overflow: Overflow,
        workers: usize,
    ) -> Result<Option<QueueOutcome>, Abort> {
        let mut handles = pool.connections().iter().map(|it| it.handle);
        let Some(first) = handles.find(|handle| self.waiting.contains(handle)) else {
            return Ok(None);
        };
        let mut surplus = (pool.silent_before(first) + 1).saturating_sub(workers);
        let answered_at =
            |pool: &ConnectionPool<'_, N>| pool.get(first).and_then(HeldConnection::answered_at);
        // On a lossy path a closed connection may never have had a worker. A server that is never
        // full leaves connections unserved; there, other requests detect it.
        let is_full = overflow != Overflow::NotReached;
        let attempts = if self.timeouts.is_lossy && is_full {
            3
        } else {
            1
        };
        for _ in 0..attempts {
            for handle in pool.silent().into_iter().take(surplus) {
                pool.release(handle, Release::Fin);
            }
            let freed = pool.now();
            let timeout = self.timeouts.reply * 3;
            if pool.wait(timeout, |pool| answered_at(pool).is_some())? {
                let at = answered_at(pool).unwrap_or(freed);
                return Ok(Some(QueueOutcome::ServedAfter(at.saturating_sub(freed))));
            }
            surplus = 1;
        }
        Ok(Some(QueueOutcome::Unserved))
    }

    /// Measures by position: if waiting requests are never served, only the order of arrival
    /// decides which are.
    fn by_position<N: Network>(
        &mut self,
        pool: &mut ConnectionPool<'_, N>,
        all: &[Handle],
    ) -> Result<usize, Abort> {
        let mut unserved = all
            .iter()
            .position(|handle| self.waiting.contains(handle))
            .unwrap_or(all.len());
        // All connections before the last answered one were also served.
        let mut served = all[..unserved]
            .iter()
            .rposition(|handle| self.answered.contains(handle))
            .map_or(1, |index| index + 1);
        while served < unserved {
            let middle = usize::midpoint(served, unserved);
            let handle = all[middle];
            pool.send_request(handle);
            let is_answered = pool.wait(self.timeouts.reply, |pool| {
                pool.is(handle, |it| it.answered_at().is_some())
            })?;
            if is_answered {
                served = middle + 1;
            } else {
                unserved = middle;
            }
        }
        Ok(served)
    }
}

/// Fails if a silent connection was answered or closed: conclusions depend on the whole hold.
fn check_hold<N: Network>(pool: &ConnectionPool<'_, N>) -> Result<(), Abort> {
    let mut connections = pool.connections().iter();
    let lost = connections.find_map(HeldConnection::unsolicited_after);
    // The segments that show it may have been lost, but the server has acted on connections of this
    // age.
    let expired = pool.silence_ends_after.filter(|&limit| {
        pool.any(|it| it.is_silent() && it.connected.is_some_and(|at| pool.since(at) >= limit))
    });
    lost.or(expired)
        .map_or(Ok(()), |age| Err(Abort::HoldLost(age)))
}
