//! What a server can take, found from outside: how many connections it serves at once, how many
//! wait, what happens to the next, and how soon a place is free again.
//!
//! 1. `baseline`: a dozen exchanges. They say how the server deals with one client, and how long
//!    a silence has to last before it means something on this path.
//! 2. `hold`: idle connections, one at a time, until the server takes no more: *held*, and the
//!    overflow.
//! 3. `recovery`: one is let go, and a newcomer timed.
//! 4. `served`: requests on chosen ones of them find *served at once* in the same hold. Where an
//!    answer takes long, `leaving` says first about where to ask.
//! 5. `rounds`: all leave, the server has to be as before, and it is done again. Rounds that
//!    disagree are repeated, reported, and not averaged.
//!
//! A server that greets first can't be held: `burst`, and where it is slow, `brim`. All connections
//! are a `crowd`'s, which lets go of them however the search ends. Nothing here knows sockets or
//! sleeps: everything is done over a [`Network`], on its clock.

mod baseline;
mod brim;
mod burst;
mod conclude;
mod crowd;
mod finding;
mod hold;
mod leaving;
mod recovery;
mod rounds;
mod served;
mod sources;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::bench::report::Bound;
use baseline::{Baseline, Manner};
use crowd::{Crowd, Halt};
pub use finding::{Ended, Finding, Limit, LimitsError, PerClient, Reason, Round};
use tcpctl_engine::readiness::Network;

/// What to find out, and what not to exceed.
#[derive(Debug, Clone)]
pub struct LimitsPlan {
    /// The server.
    pub target: SocketAddr,
    /// Addresses to come from; the others than the first are only for telling a limit for each
    /// client from one for all. Empty: as the system chooses.
    pub sources: Vec<IpAddr>,
    /// A request that the server answers.
    pub message: Vec<u8>,
    /// Never more connections than this at a time.
    pub max_connections: usize,
    /// After this the search says what it has.
    pub budget: Duration,
    /// For the first connection.
    pub connect_timeout: Duration,
    /// For the first answer; what is slower counts as none, until it comes.
    pub reply_timeout: Duration,
    /// Whether to wait at the end until the server has worked off what the search has left in its
    /// queue: something else is measured next.
    pub leaves_idle: bool,
    /// Set it, and the search lets go of everything and says what it has, within 50 ms.
    pub stop: Arc<AtomicBool>,
}

impl LimitsPlan {
    /// The defaults for a server: 256 connections, a budget of 30 s.
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            sources: Vec::new(),
            message: b"Hello TCP world!\r\n".to_vec(),
            max_connections: 256,
            budget: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            reply_timeout: Duration::from_secs(1),
            leaves_idle: false,
            stop: Arc::new(AtomicBool::new(false)),
        }
    }
}

/// What the search is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// An exchange with the otherwise idle server.
    Baseline {
        /// Counted from 0.
        exchange: usize,
    },
    /// A round begins.
    Round {
        /// Counted from 1.
        round: usize,
    },
    /// One more idle connection.
    Holding {
        /// So many are open.
        held: usize,
    },
    /// A place was freed, and is to be taken again.
    Recovering,
    /// Requests on held connections.
    Asking {
        /// So many are served at once, at least.
        at_least: usize,
        /// And at most.
        at_most: usize,
    },
    /// SYNs at a time.
    Bursting {
        /// So many.
        size: usize,
    },
    /// A slow server that greets first is kept full.
    ToppingUp {
        /// So many wait to be greeted.
        inside: usize,
    },
    /// All have left; the server is to be as before.
    Settling,
}

/// How long the search will take, as far as that can be said before it has begun: for a server
/// that answers within 20 ms and holds 32 connections. Never more than the budget.
pub fn estimate(plan: &LimitsPlan) -> Duration {
    let baseline = Duration::from_millis(300);
    // The SYN much after a dropped one, and the silences that have to last.
    let rounds = Duration::from_millis(600) + 4 * Duration::from_millis(80);
    let connections = u32::try_from(plan.max_connections.min(32)).unwrap_or(32);
    (baseline + rounds + 2 * connections * Duration::from_millis(5)).min(plan.budget)
}

/// Finds the limits of a server. Blocks in [`Network::wait`] until it is done, stopped, or out of
/// time; then every connection that it made has been released.
///
/// # Errors
/// What is no limit of the server: nothing listens or answers, it stopped doing so, there is no
/// route, or this computer lacks ports or file descriptors.
pub fn find<N: Network>(
    network: &mut N,
    plan: &LimitsPlan,
    observer: &mut impl FnMut(Step),
) -> Result<Finding, LimitsError> {
    let begin = network.now();
    let mut finding = Finding::nothing_yet();
    let mut crowd = Crowd::new(network, plan, observer);
    let mut baseline = None;
    let result = search(&mut crowd, &mut baseline, &mut finding);
    crowd.release_all();
    finding.opened = crowd.opened;
    finding.most_open = crowd.most_open;
    finding.losses = crowd.losses;
    finding.took = crowd.since(begin);
    let most_settled = crowd.most_settled;
    drop(crowd);
    let (ended, failed) = match result {
        Ok(()) => return Ok(finding),
        Err(Halt::Stopped) => (Ended::Stopped, None),
        Err(Halt::OutOfTime | Halt::Stale(_) | Halt::Late(_)) => (Ended::OutOfTime, None),
        Err(Halt::Failed(reason)) => (Ended::Stopped, Some(reason)),
    };
    finding.ended = ended;
    conclude::cut_short(&mut finding, baseline.as_ref(), most_settled);
    match failed {
        None => Ok(finding),
        Some(reason) => Err(LimitsError {
            reason,
            so_far: Box::new(finding),
        }),
    }
}

fn search<N: Network>(
    crowd: &mut Crowd<'_, N>,
    known: &mut Option<Baseline>,
    finding: &mut Finding,
) -> Result<(), Halt> {
    // A server slower than the reply timeout is found out by the answer that comes late.
    const BASELINES: usize = 3;
    for attempt in 1.. {
        let mut baseline = baseline::measure(crowd)?;
        finding.closes_after_reply = baseline.closes_after_reply;
        finding.served_first_byte.clone_from(&baseline.first_byte);
        crowd.settles = baseline.patience.settles();
        *known = Some(baseline.clone());
        let late = match limits(crowd, &mut baseline, finding) {
            Err(Halt::Late(after)) if attempt < BASELINES => after,
            result => return result,
        };
        crowd.reply_timeout = crowd.reply_timeout.max(late) * 2;
        crowd.release_all();
        recovery::settle(crowd, baseline.patience.with_answer_after(late))?;
        finding.rounds.clear();
    }
    Ok(())
}

fn limits<N: Network>(
    crowd: &mut Crowd<'_, N>,
    baseline: &mut Baseline,
    finding: &mut Finding,
) -> Result<(), Halt> {
    match baseline.manner {
        Manner::Greets => burst(crowd, baseline, finding),
        Manner::Rejects(end) => {
            conclude::from_rejection(finding, end);
            Ok(())
        }
        Manner::Answers | Manner::Mute | Manner::Banner => {
            let outcome = rounds::run(crowd, baseline, finding)?;
            if outcome == rounds::Outcome::CannotHold {
                return burst(crowd, baseline, finding);
            }
            finding.lossy = baseline.patience.lossy || crowd.losses > 0;
            conclude::from_rounds(finding, outcome, crowd.most_settled);
            Ok(())
        }
    }
}

fn burst<N: Network>(
    crowd: &mut Crowd<'_, N>,
    baseline: &Baseline,
    finding: &mut Finding,
) -> Result<(), Halt> {
    conclude::greets_first(finding);
    let mut best = 0;
    let result = burst::search(crowd, baseline, &mut best);
    if best > 0 {
        finding.burst = Limit::new(Bound::at_least(best), "");
    }
    conclude::from_burst(finding, result?);
    if crowd.plan.leaves_idle && crowd.open() > 0 {
        match burst::work_off(crowd, baseline) {
            // All is known; only what follows meets a busy server.
            Err(Halt::OutOfTime | Halt::Stopped) => {}
            result => return result,
        }
    }
    Ok(())
}
