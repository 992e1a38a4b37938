//! The limits of a server, found from outside: how many connections it serves at once, how many
//! wait, what happens to the next, and how soon a slot is reused.
//!
//! 1. `baseline`: a dozen exchanges show how the server treats one client, and how long a silence
//!    must last on this path before it means something.
//! 2. `fill`: silent connections, one at a time, until the server accepts no more: *held*, and the
//!    overflow.
//! 3. `recovery`: one is closed, and the time until the next is accepted is measured.
//! 4. `concurrency`: requests on chosen connections find *served at once* in the same hold. Where
//!    a reply takes long, `fin_probe` narrows down where to ask.
//! 5. `trials`: all are closed, the server becomes idle, and it is done again. Trials that
//!    disagree are repeated and reported, not averaged.
//!
//! The connections of a server that greets first and closes cannot be held: `saturation` measures
//! one that is slow, `burst` the others. All connections belong to a `pool`, which releases them
//! however the search ends. Everything runs over a [`Network`] and its clock.

mod baseline;
mod burst;
mod conclude;
mod concurrency;
mod fill;
mod fin_probe;
mod model;
mod pool;
mod recovery;
mod saturation;
mod sources;
mod timing;
mod trials;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use model::{Abort, Baseline, Burst, ServerBehavior};
pub use model::{FailureReason, Limit, LimitsError, LimitsFinding, PerClient, SearchEnd, Trial};
use pool::ConnectionPool;
use tcpctl_engine::readiness::Network;

use crate::bench::report::Bound;
use crate::exchange::MESSAGE;

/// What to find out, within which bounds.
#[derive(Debug, Clone)]
pub struct LimitsPlan {
    /// The server.
    pub target: SocketAddr,
    /// Addresses to connect from. The search uses the first; the others only show whether a limit
    /// holds per client. Empty: the system chooses.
    pub sources: Vec<IpAddr>,
    /// A request that the server answers.
    pub message: Vec<u8>,
    /// Maximum connections open at the same time.
    pub max_connections: usize,
    /// Time limit: after it the search reports what it has found.
    pub budget: Duration,
    /// Timeout of the first connection.
    pub connect_timeout: Duration,
    /// Timeout of the first reply.
    pub reply_timeout: Duration,
    /// Whether to wait at the end until the server has processed the connections left in its queue,
    /// because another measurement follows.
    pub leaves_idle: bool,
    /// Once set, the search releases all connections and reports what it has, within 50 ms.
    pub stop: Arc<AtomicBool>,
}

impl LimitsPlan {
    /// The defaults for a server: 256 connections, a budget of 30 s.
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            sources: Vec::new(),
            message: MESSAGE.to_vec(),
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
pub enum LimitsProgress {
    /// An exchange with the otherwise idle server.
    Baseline {
        /// Number of the exchange, from 0.
        exchange: usize,
    },
    /// A trial begins.
    Trial {
        /// Number of the trial, from 1.
        trial: usize,
    },
    /// Opening one more silent connection.
    Filling {
        /// Open connections.
        held: usize,
    },
    /// A slot was freed, to measure when it is reused.
    Recovering,
    /// Sending requests on held connections.
    Asking {
        /// Lower bound of the number served at once.
        at_least: usize,
        /// Upper bound of the number served at once.
        at_most: usize,
    },
    /// Sending simultaneous SYNs.
    Bursting {
        /// Number of SYNs.
        size: usize,
    },
    /// Keeping a slow server full that greets first.
    Saturating {
        /// Connections that wait for their greeting.
        waiting: usize,
    },
    /// All connections are closed; waiting until the server is idle.
    Settling,
}

/// An estimate of the duration for a server that replies within 20 ms and holds 32 connections.
/// Never more than the budget.
pub fn estimate(plan: &LimitsPlan) -> Duration {
    let baseline = Duration::from_millis(300);
    // The SYN sent long after a dropped one, and the silences to wait for.
    let trials = Duration::from_millis(600) + 4 * Duration::from_millis(80);
    let connections = u32::try_from(plan.max_connections.min(32)).unwrap_or(32);
    (baseline + trials + 2 * connections * Duration::from_millis(5)).min(plan.budget)
}

/// Finds the limits of a server. Blocks in [`Network::wait`] until it is done, stopped, or out of
/// time. All connections have been released by then.
///
/// # Errors
/// What is no limit of the server: nothing listens or answers, it stopped doing so, there is no
/// route, or this computer lacks ports or file descriptors.
pub fn find<N: Network>(
    network: &mut N,
    plan: &LimitsPlan,
    observer: &mut impl FnMut(LimitsProgress),
) -> Result<LimitsFinding, LimitsError> {
    let begin = network.now();
    let mut finding = LimitsFinding::empty();
    let mut pool = ConnectionPool::new(network, plan, observer);
    let mut baseline = None;
    let result = search(&mut pool, &mut baseline, &mut finding);
    pool.release_all();
    finding.opened = pool.opened;
    finding.max_open = pool.max_open;
    finding.retransmissions = pool.retransmissions;
    finding.late = pool.late;
    let max_settled = pool.max_settled;
    drop(pool);
    finding.took = network.now().saturating_sub(begin);
    let (ended, failed) = match result {
        Ok(()) => return Ok(finding),
        Err(Abort::Stopped) => (SearchEnd::Stopped, None),
        Err(Abort::OutOfTime | Abort::HoldLost(_) | Abort::LateReply(_)) => {
            (SearchEnd::OutOfTime, None)
        }
        Err(Abort::Failed(reason)) => (SearchEnd::Stopped, Some(reason)),
    };
    finding.ended = ended;
    conclude::cut_short(&mut finding, baseline.as_ref(), max_settled);
    match failed {
        None => Ok(finding),
        Some(reason) => Err(LimitsError {
            reason,
            so_far: Box::new(finding),
        }),
    }
}

fn search<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    known: &mut Option<Baseline>,
    finding: &mut LimitsFinding,
) -> Result<(), Abort> {
    // A reply that is later than the reply timeout shows that the server is slower.
    const BASELINES: usize = 3;
    for attempt in 1.. {
        let mut baseline = baseline::measure(pool)?;
        finding.closes_after_reply = baseline.closes_after_reply;
        finding.served_first_byte.clone_from(&baseline.first_byte);
        pool.settling = baseline.timeouts.settling();
        *known = Some(baseline.clone());
        let late = match search_with(pool, &mut baseline, finding) {
            Err(Abort::LateReply(after)) if attempt < BASELINES => after,
            result => return result,
        };
        pool.reply_timeout = pool.reply_timeout.max(late) * 2;
        pool.release_all();
        recovery::settle(pool, baseline.timeouts.with_reply_after(late))?;
        finding.trials.clear();
    }
    Ok(())
}

fn search_with<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    baseline: &mut Baseline,
    finding: &mut LimitsFinding,
) -> Result<(), Abort> {
    match baseline.behavior {
        ServerBehavior::GreetsAndCloses => find_burst(pool, baseline, finding),
        ServerBehavior::Rejects(end) => {
            conclude::from_rejection(finding, end);
            Ok(())
        }
        ServerBehavior::Replies | ServerBehavior::NeverReplies | ServerBehavior::GreetsAndWaits => {
            let end = trials::run(pool, baseline, finding)?;
            if end == trials::TrialsEnd::CannotHold {
                return find_burst(pool, baseline, finding);
            }
            finding.is_lossy = baseline.timeouts.is_lossy || pool.retransmissions > 0;
            finding.late = pool.late;
            conclude::from_trials(finding, end, pool.max_settled);
            Ok(())
        }
    }
}

/// Measures the largest burst: on a full server if it can be kept full, else on an idle one.
fn find_burst<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    baseline: &Baseline,
    finding: &mut LimitsFinding,
) -> Result<(), Abort> {
    conclude::cannot_hold(finding);
    let mut best = 0;
    let mut search = || -> Result<Burst, Abort> {
        if let Some(burst) = saturation::search(pool, baseline, &mut best)? {
            return Ok(burst);
        }
        if pool.open() > 0 {
            recovery::work_off(pool, baseline.timeouts, baseline.slowest_reply())?;
        }
        burst::search(pool, baseline, &mut best)
    };
    let result = search();
    if best > 0 {
        finding.burst = Limit::new(Bound::at_least(best), "");
    }
    conclude::from_burst(finding, result?);
    if pool.plan.leaves_idle && pool.open() > 0 {
        match recovery::work_off(pool, baseline.timeouts, baseline.slowest_reply()) {
            // Everything is known. Only the next measurement may find the server busy.
            Err(Abort::OutOfTime | Abort::Stopped) => {}
            result => return result,
        }
    }
    Ok(())
}
