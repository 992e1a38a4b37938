//! Which of the held connections are being served.
//!
//! A server of *w* workers that takes connections in their order answers a request exactly if
//! fewer than *w* silent connections came before it: each of those keeps a worker, everybody else
//! is done with as soon as a worker looks. That holds at any time, whoever was answered before,
//! so several requests at once, with growing numbers of silent connections before them, find *w*
//! in one hold, and a request that was not answered is answered as soon as enough of the silent
//! ones before it are let go. If it is not, nobody queued it.

mod spacing;

use std::time::Duration;

use super::Step;
use super::baseline::{Baseline, Manner, Patience};
use super::crowd::{Crowd, Guest, Halt, Name};
use super::leaving;
use super::recovery;
use crate::bench::report::{Bound, Overflow};
use spacing::{Spacing, choose};
use tcpctl_engine::readiness::{Network, Release};

/// Of so few numbers the lowest are asked for first, one by one: most small servers serve few at a
/// time, and every request that is not answered now has to be worked off later.
const FEW: usize = 16;

/// How a connection is asked whether it is being served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// By a request: an answer is proof, and takes as long as the service.
    Request,
    /// By leaving it: see [`leaving`].
    Leaving,
}

/// What is known of the number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: usize,
    pub(super) most: usize,
}

/// What the requests have shown.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) workers: Bound,
    /// Whether those that were not answered are served when their turn comes; `None` where
    /// nobody waited.
    pub(super) queue: Option<Queue>,
    /// From request to first byte of those that were served at once.
    pub(super) first_byte: Vec<Duration>,
}

/// What became of a request that had to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// Answered, so long after a place was freed.
    ServedAfter(Duration),
    /// Not answered, though a place was free.
    Unserved,
}

/// Finds the number of workers of a full server, which is in `range`; and what becomes of those
/// that wait, unless that is `known`.
pub(super) fn search<N: Network>(
    crowd: &mut Crowd<'_, N>,
    baseline: &Baseline,
    overflow: Overflow,
    range: Range,
    known: Option<Queue>,
    by: By,
) -> Result<Served, Halt> {
    let &Baseline {
        manner,
        mut patience,
        ..
    } = baseline;
    if manner == Manner::Banner {
        return Ok(greeted(crowd));
    }
    if by == By::Leaving {
        patience.reply = leaving::patience(patience);
    }
    let all = crowd.silents();
    let ends = Range {
        least: 1,
        most: all.len(),
    };
    let mut search = Search {
        range,
        patience,
        keeps_open: baseline.closes_after_reply != Some(true),
        // Of an earlier search in the same hold.
        waiting: crowd
            .guests()
            .iter()
            .filter(|guest| guest.is_waiting())
            .map(|guest| guest.name)
            .collect(),
        answered: Vec::new(),
        first_byte: Vec::new(),
    };
    while search.range.least < search.range.most {
        let Range { least, most } = search.range;
        crowd.tell(Step::Asking {
            at_least: least,
            at_most: most,
        });
        let silents = recovery::refill(crowd, patience, overflow, most)?;
        let few = most - least <= FEW || search.first_byte.is_empty();
        let spacing = match patience.lossy {
            true => Spacing::Doubled,
            false if few => Spacing::Lowest,
            false => Spacing::Even,
        };
        let chosen = choose(least, most, silents.len(), spacing);
        if chosen.is_empty() {
            break;
        }
        let asked: Vec<(Name, usize)> = chosen
            .iter()
            .map(|&(index, ahead)| (silents[index], ahead))
            .collect();
        for &(name, _) in &asked {
            match by {
                By::Request => crowd.ask(name),
                By::Leaving => crowd.hang_up(name),
            }
        }
        search.wait_for(crowd, &asked)?;
        search.conclude(crowd, &asked, ends);
    }
    let at_least = range.least;
    let Range { least, most } = search.range;
    if least < most {
        return Ok(Served {
            workers: Bound::at_least(least),
            queue: None,
            first_byte: search.first_byte,
        });
    }
    let mut workers = least;
    let queue = match known {
        _ if by == By::Leaving => None,
        // So many were taken for granted; who waits may wait for fewer.
        _ if least == at_least && at_least > ends.least => None,
        None => search.unblock(crowd, overflow, workers)?,
        Some(Queue::ServedAfter(_)) => None,
        Some(Queue::Unserved) => known,
    };
    if queue == Some(Queue::Unserved) {
        workers = search.by_position(crowd, &all)?;
    }
    Ok(Served {
        workers: Bound::Exact(workers),
        queue,
        first_byte: search.first_byte,
    })
}

/// Those that were greeted are being served.
fn greeted<N: Network>(crowd: &Crowd<'_, N>) -> Served {
    let greeted = crowd
        .guests()
        .iter()
        .filter(|guest| guest.is_live() && guest.first_byte.is_some())
        .count();
    let greeting = |guest: &Guest| Some(guest.first_byte?.saturating_sub(guest.connected?));
    Served {
        workers: Bound::Exact(greeted),
        queue: None,
        first_byte: crowd.guests().iter().filter_map(greeting).collect(),
    }
}

struct Search {
    range: Range,
    patience: Patience,
    /// Whether a connection that was answered keeps its worker.
    keeps_open: bool,
    /// Asked, and not answered.
    waiting: Vec<Name>,
    /// Asked and answered, and let go of by now.
    answered: Vec<Name>,
    first_byte: Vec<Duration>,
}

impl Search {
    /// Waits until all are answered, or none has been for as long as an answer takes.
    fn wait_for<N: Network>(
        &mut self,
        crowd: &mut Crowd<'_, N>,
        asked: &[(Name, usize)],
    ) -> Result<(), Halt> {
        while crowd.wait(self.patience.reply, |crowd| {
            crowd.guests().iter().any(|guest| self.is_new_answer(guest))
        })? {
            check_hold(crowd)?;
            self.collect(crowd);
            if asked.iter().all(|(name, _)| self.answered.contains(name)) {
                break;
            }
        }
        check_hold(crowd)
    }

    fn is_new_answer(&self, guest: &Guest) -> bool {
        guest.answered().is_some() && !self.answered.contains(&guest.name)
    }

    /// Takes note of those that were answered.
    fn collect<N: Network>(&mut self, crowd: &mut Crowd<'_, N>) {
        let new: Vec<Guest> = crowd
            .guests()
            .iter()
            .filter(|guest| self.is_new_answer(guest))
            .copied()
            .collect();
        for guest in new {
            if self.waiting.contains(&guest.name) {
                // It has moved up, or the server is slower than thought and silence proves less.
                let ahead = crowd.silents_before(guest.name);
                self.range.least = self.range.least.max(ahead + 1);
                self.waiting.retain(|&name| name != guest.name);
            }
            self.answered.push(guest.name);
            let took = guest.first_byte.zip(guest.asked);
            let took = took.map(|(at, asked)| at.saturating_sub(asked));
            self.first_byte.extend(took);
            if self.keeps_open {
                // Its worker is free when we close, and not before.
                crowd.release(guest.name, Release::Fin);
            }
        }
    }

    /// Draws the conclusions, lets go of those that were answered.
    fn conclude<N: Network>(
        &mut self,
        crowd: &mut Crowd<'_, N>,
        asked: &[(Name, usize)],
        ends: Range,
    ) {
        let is_answered = |name| self.answered.contains(&name);
        let Range {
            mut least,
            mut most,
        } = self.range;
        for &(name, ahead) in asked {
            if is_answered(name) {
                least = least.max(ahead + 1);
                continue;
            }
            self.waiting.push(name);
            // Two were asked: it is enough if one was answered.
            let mut copies = asked.iter().filter(|&&(_, same)| same == ahead);
            if !copies.any(|&(other, _)| is_answered(other)) {
                most = most.min(ahead);
            }
        }
        for &name in &self.answered {
            crowd.release(name, Release::Fin);
        }
        if least > most {
            // An answer is worth more than a silence.
            most = ends.most.max(least);
            self.patience.reply *= 2;
        }
        self.range = Range { least, most };
    }

    /// Lets go of so many silent ones that the first in the queue has to be answered.
    fn unblock<N: Network>(
        &mut self,
        crowd: &mut Crowd<'_, N>,
        overflow: Overflow,
        workers: usize,
    ) -> Result<Option<Queue>, Halt> {
        let first = crowd
            .guests()
            .iter()
            .map(|guest| guest.name)
            .find(|name| self.waiting.contains(name));
        let Some(first) = first else { return Ok(None) };
        let mut too_many = (crowd.silents_before(first) + 1).saturating_sub(workers);
        let answered = |crowd: &Crowd<'_, N>| crowd.guest(first).and_then(Guest::answered);
        // On a path that loses segments one that was let go of may never have had a worker. A
        // server that is never full stalls those that it does not serve: there, the others tell.
        let is_full = overflow != Overflow::NotReached;
        let tries = if self.patience.lossy && is_full { 3 } else { 1 };
        for _ in 0..tries {
            for name in crowd.silents().into_iter().take(too_many) {
                crowd.release(name, Release::Fin);
            }
            let freed = crowd.now();
            let patience = self.patience.reply * 3;
            if crowd.wait(patience, |crowd| answered(crowd).is_some())? {
                let after = answered(crowd).map_or(Duration::ZERO, |at| at.saturating_sub(freed));
                return Ok(Some(Queue::ServedAfter(after)));
            }
            too_many = 1;
        }
        Ok(Some(Queue::Unserved))
    }

    /// Where nobody moves up, who is served depends on the place in the order of arrival alone.
    fn by_position<N: Network>(
        &mut self,
        crowd: &mut Crowd<'_, N>,
        all: &[Name],
    ) -> Result<usize, Halt> {
        let unserved = all
            .iter()
            .position(|name| self.waiting.contains(name))
            .unwrap_or(all.len());
        // Everybody before the last that was answered was served too.
        let mut served = all[..unserved]
            .iter()
            .rposition(|name| self.answered.contains(name))
            .map_or(1, |index| index + 1);
        let mut unserved = unserved;
        while served < unserved {
            let middle = served + (unserved - served) / 2;
            crowd.ask(all[middle]);
            let answered = crowd.wait(self.patience.reply, |crowd| {
                crowd
                    .guest(all[middle])
                    .is_none_or(|guest| guest.answered().is_some())
            })?;
            if answered {
                served = middle + 1;
            } else {
                unserved = middle;
            }
        }
        Ok(served)
    }
}

/// The hold is only worth something while nobody silent is answered or ended.
fn check_hold<N: Network>(crowd: &Crowd<'_, N>) -> Result<(), Halt> {
    let disturbed = crowd
        .guests()
        .iter()
        .find_map(|guest| Some(guest.disturbed()?.saturating_sub(guest.connected?)));
    // What says so may be lost on the way: who has waited for so long has been answered.
    let known = crowd.silence_ends_after.filter(|&limit| {
        let old = |guest: &Guest| guest.connected.is_some_and(|at| crowd.since(at) >= limit);
        crowd.guests().iter().any(|it| it.is_silent() && old(it))
    });
    disturbed
        .or(known)
        .map_or(Ok(()), |age| Err(Halt::Stale(age)))
}
