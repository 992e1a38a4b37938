//! The step ramp: the same load with more and more connections, until the rate no longer grows.
//!
//! Each step is a closed loop of the load [`engine`]. It has no warm-up: a connection whose SYN is
//! dropped at the start waits for a second or longer, and would not be counted. `steps.rs` chooses
//! the steps, `knee.rs` finds where more connections stopped helping, and `cause.rs` why
//! connections failed there: too few slots, clients that reconnect before a freed slot listens
//! again, or a busy computer.
//!
//! It spares the server: refused connections back off, a step in which most requests fail is the
//! last, and there are no further steps once the knee is certain.

mod cause;
mod knee;
mod steps;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use self::cause::{BUSY, is_client_busy};
pub use self::knee::FLAT;
pub use self::steps::{KnownLimits, steps};
use super::report::{CauseKind, RampEnd, Step};
use super::summarize;
use tcpctl_engine::engine;
use tcpctl_engine::engine::{Observer, Progress};
use tcpctl_engine::load::{Expectation, Extent, LearnedRule, Load, Pace};
use tcpctl_engine::measurement::{ErrorClass, Measurement};
use tcpctl_engine::readiness::Network;

/// Duration of a step. Longer if the first step shows that it is too short.
pub const STEP: Duration = Duration::from_secs(1);
/// Maximum duration of a step.
const MAX_STEP: Duration = Duration::from_secs(5);
/// Requests that each connection should complete in a step.
const REQUESTS_PER_STEP: u32 = 10;
/// How many of the longest requests should fit into a step. On a lossy path a lost SYN costs a
/// connection a second (RFC 6298 §2); a step with time for only one would measure chance.
const LONG_REQUESTS_PER_STEP: u32 = 4;
/// The pause between two loads.
const PAUSE: Duration = Duration::from_millis(50);

/// The plan of a ramp.
#[derive(Debug, Clone)]
pub struct RampPlan {
    /// The load of each connection. Pace, extent and warm-up are set for each step.
    pub load: Load,
    /// Connections of each step, see [`steps()`].
    pub steps: Vec<NonZeroUsize>,
    /// Connections that the server holds in total, if known. The ramp exceeds this number before it
    /// stops.
    pub held: Option<usize>,
    /// Time limit: after it the ramp ends with the steps completed so far.
    pub budget: Duration,
    /// Once set, the ramp ends with the steps completed so far.
    pub stop: Arc<AtomicBool>,
}

/// What the ramp is doing.
#[derive(Debug, Clone, Copy)]
pub enum RampProgress<'a> {
    /// A step is running.
    Step {
        /// Number of the step, from 1.
        number: usize,
        /// Maximum number of steps.
        steps: usize,
        /// Connections of the step.
        connections: usize,
        /// Maximum remaining time of this and the further steps, without searches for a cause.
        left: Duration,
        /// Progress of the step's load.
        so_far: &'a Progress,
    },
    /// A step is complete, and the cause of its failures was examined.
    Completed(&'a Step),
    /// Bursts of as many connections, with pauses: tests whether there is room for them.
    Bursts {
        /// Connections in each burst.
        connections: usize,
    },
    /// An open loop below the rate of the step: tests whether the closed loop is the cause.
    Schedule,
}

/// The result of a ramp.
#[derive(Debug, Clone, PartialEq)]
pub struct Ramp {
    /// The completed steps.
    pub steps: Vec<Step>,
    /// Why the ramp ended.
    pub ended: RampEnd,
}

/// Runs the loads of a ramp, one after the other.
pub trait LoadRunner {
    /// Runs a load.
    ///
    /// # Errors
    /// The system lacks a resource that the load needs.
    fn run(&mut self, load: &Load, observer: &mut impl Observer) -> io::Result<Measurement>;

    /// Waits.
    ///
    /// # Errors
    /// The operating system's wait failed.
    fn pause(&mut self, time: Duration) -> io::Result<()>;
}

/// Runs loads over one network, on this thread.
impl<N: Network> LoadRunner for N {
    fn run(&mut self, load: &Load, observer: &mut impl Observer) -> io::Result<Measurement> {
        Ok(engine::run(self, load, observer))
    }

    fn pause(&mut self, time: Duration) -> io::Result<()> {
        let end = self.now() + time;
        let mut nothing = Vec::new();
        while self.now() < end {
            self.wait(Some(end), &mut nothing)?;
        }
        Ok(())
    }
}

/// Runs loads over sockets, new ones for each load.
pub struct KernelRunner {
    /// Threads of the load engine.
    pub threads: NonZeroUsize,
}

impl LoadRunner for KernelRunner {
    fn run(&mut self, load: &Load, observer: &mut impl Observer) -> io::Result<Measurement> {
        tcpctl_engine::on_kernel(load, self.threads, observer)
    }

    fn pause(&mut self, time: Duration) -> io::Result<()> {
        // No connection is open.
        std::thread::sleep(time);
        Ok(())
    }
}

/// Estimated duration for a server that replies within 100 ms, with two searches for a cause. Never
/// more than the budget.
pub fn estimate(plan: &RampPlan) -> Duration {
    // Bursts and an open loop, each about as long as a step.
    const TRIALS: u32 = 2 * 2;
    let steps = u32::try_from(plan.steps.len()).unwrap_or(u32::MAX);
    (STEP + PAUSE)
        .saturating_mul(steps.saturating_add(TRIALS))
        .min(plan.budget)
}

/// Runs the ramp. Blocks until the knee is certain, the steps are done, the budget is used up, or
/// it is stopped; then all connections have been released.
///
/// # Errors
/// The system lacks a resource that a load needs.
pub fn run(
    plan: &RampPlan,
    runner: &mut impl LoadRunner,
    observer: &mut impl FnMut(RampProgress<'_>),
) -> io::Result<Ramp> {
    RampRun {
        plan,
        runner,
        observer,
        spent: Duration::ZERO,
        is_gone: false,
        learned: None,
    }
    .run()
}

/// A ramp in progress.
struct RampRun<'a, T, O> {
    plan: &'a RampPlan,
    runner: &'a mut T,
    observer: &'a mut O,
    /// Time spent so far, on the network's clock.
    spent: Duration,
    /// Whether the server has stopped answering.
    is_gone: bool,
    /// When replies are complete, as learned in earlier steps.
    learned: Option<LearnedRule>,
}

impl<T: LoadRunner, O: FnMut(RampProgress<'_>)> RampRun<'_, T, O> {
    fn run(mut self) -> io::Result<Ramp> {
        let mut steps: Vec<Step> = Vec::new();
        let mut length = STEP;
        let ended = loop {
            let Some(connections) = self.plan.steps.get(steps.len()).copied() else {
                break RampEnd::LastStep;
            };
            if self.is_stopped() {
                break RampEnd::Interrupted;
            }
            if self.left() < length + PAUSE {
                break RampEnd::Budget;
            }
            let measurement = self.step(steps.len(), connections, length)?;
            if measurement.elapsed < length {
                break self.cut_short();
            }
            if lacks_local_resources(&measurement) {
                break RampEnd::LocalLimits;
            }
            if steps.is_empty() && length < length_of_steps(&measurement) {
                // Repeat the first step with that length.
                length = length_of_steps(&measurement);
                continue;
            }
            steps.push(step(&measurement, connections));
            let end = self.examine(&mut steps, length)?;
            if self.is_gone && steps.len() > 1 {
                // The failures of that step do not depend on its number of connections.
                steps.pop();
                break RampEnd::TargetGone;
            }
            if let Some(last) = steps.last() {
                (self.observer)(RampProgress::Completed(last));
            }
            if let Some(end) = end {
                break end;
            }
        };
        if let Some(at) = knee::at(&steps) {
            steps[at].knee = true;
        }
        Ok(Ramp { steps, ended })
    }

    /// Examines the last step: the cause of its failures, and whether the ramp ends with it.
    fn examine(&mut self, steps: &mut [Step], length: Duration) -> io::Result<Option<RampEnd>> {
        let Some((last, before)) = steps.split_last_mut() else {
            return Ok(None);
        };
        // If fewer connections were too many, so are these.
        let is_known = before
            .iter()
            .filter_map(|step| step.cause)
            .any(|cause| matches!(cause.kind, CauseKind::TooManyAtOnce | CauseKind::AnyPace));
        if last.requests > 0 && last.failed == last.requests {
            self.is_gone = true;
        } else if last.is_suspicious() && !is_known && cause::can_be_found(&self.plan.load) {
            last.cause = self.find_cause(last, length)?;
        }
        Ok(if last.failed * 2 >= last.requests {
            Some(RampEnd::MostlyFailing)
        } else if knee::is_certain(steps, self.plan.held) {
            Some(RampEnd::PastTheKnee)
        } else {
            None
        })
    }

    fn step(
        &mut self,
        at: usize,
        connections: NonZeroUsize,
        length: Duration,
    ) -> io::Result<Measurement> {
        let load = Load {
            pace: Pace::Closed { connections },
            extent: Extent::Duration(length),
            warm_up: Duration::ZERO,
            ..self.plan.load.clone()
        };
        let (connections, steps, budget) = (connections.get(), self.plan.steps.len(), self.left());
        let later = u32::try_from(steps - at - 1).unwrap_or(u32::MAX);
        let later = (length + PAUSE).saturating_mul(later);
        self.load(&load, None, |so_far| RampProgress::Step {
            number: at + 1,
            steps,
            connections,
            left: (length.saturating_sub(so_far.elapsed) + later).min(budget),
            so_far,
        })
    }

    /// Runs a load after a pause, until its end, the end of the budget, or `max_failed` failures.
    fn load(
        &mut self,
        load: &Load,
        max_failed: Option<u64>,
        progress: impl Fn(&Progress) -> RampProgress<'_>,
    ) -> io::Result<Measurement> {
        self.pause(PAUSE)?;
        (self.observer)(progress(&Progress::default()));
        let mut watch = Watch {
            stop: &self.plan.stop,
            left: self.left(),
            max_failed: max_failed.unwrap_or(u64::MAX),
            elapsed: Duration::ZERO,
            failed: 0,
            report: |so_far: &Progress| (self.observer)(progress(so_far)),
        };
        let mut load = load.clone();
        if let (Expectation::Learn, Some(rule)) = (&load.expect, self.learned) {
            load.expect = Expectation::Learned(rule);
        }
        let measurement = self.runner.run(&load, &mut watch)?;
        self.learned = measurement.reply_rule.learned.or(self.learned);
        self.spent += measurement.elapsed;
        Ok(measurement)
    }

    fn pause(&mut self, time: Duration) -> io::Result<()> {
        self.spent += time;
        self.runner.pause(time)
    }

    fn left(&self) -> Duration {
        self.plan.budget.saturating_sub(self.spent)
    }

    fn is_stopped(&self) -> bool {
        self.plan.stop.load(Ordering::Relaxed)
    }

    /// Why a step was cut short.
    fn cut_short(&self) -> RampEnd {
        if self.is_stopped() {
            RampEnd::Interrupted
        } else if self.left().is_zero() {
            RampEnd::Budget
        } else {
            RampEnd::TargetGone
        }
    }
}

/// Ends a load early where necessary.
struct Watch<'a, F> {
    stop: &'a AtomicBool,
    /// Remaining budget.
    left: Duration,
    max_failed: u64,
    elapsed: Duration,
    failed: u64,
    report: F,
}

impl<F: FnMut(&Progress)> Observer for Watch<'_, F> {
    fn progress(&mut self, progress: &Progress) {
        self.elapsed = progress.elapsed;
        let errors = progress.errors.iter();
        let by_server = errors.filter(|(class, _)| **class != ErrorClass::LocalLate);
        self.failed = by_server.map(|(_, count)| count).sum();
        (self.report)(progress);
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.elapsed >= self.left
            || self.failed >= self.max_failed
    }
}

/// The length of the steps, from the duration of the requests in the first, in whole seconds.
fn length_of_steps(first: &Measurement) -> Duration {
    let usual = Duration::from_nanos(first.complete.value_at_quantile(0.5));
    let longest = Duration::from_nanos(first.complete.max());
    let wanted = (usual * REQUESTS_PER_STEP).max(longest * LONG_REQUESTS_PER_STEP);
    let wanted = wanted.as_secs_f64().ceil();
    Duration::from_secs_f64(wanted.max(STEP.as_secs_f64())).min(MAX_STEP)
}

fn lacks_local_resources(measurement: &Measurement) -> bool {
    [ErrorClass::LocalPorts, ErrorClass::LocalFiles]
        .iter()
        .any(|class| measurement.errors.contains_key(class))
}

fn step(measurement: &Measurement, connections: NonZeroUsize) -> Step {
    let count = |class| measurement.errors.get(&class).copied().unwrap_or_default();
    let failed: u64 = measurement.errors.values().sum();
    let times = summarize::distribution(&measurement.complete);
    let totals = measurement.totals.as_ref();
    Step {
        connections: connections.get() as u64,
        served_per_s: summarize::per_second(measurement.completed_in_window, measurement.window),
        p50_us: times.p50,
        p99_us: times.p99,
        max_us: times.max,
        requests: measurement.completed + failed,
        refused: count(ErrorClass::Refused)
            + count(ErrorClass::ResetBeforeReply)
            + count(ErrorClass::ClosedEarly),
        failed,
        syn_retransmissions: totals.map(|totals| totals.syn_retransmissions),
        retransmissions: totals.map(|totals| totals.syn_retransmissions + totals.retransmissions),
        client_wait_share: client_wait_share(measurement),
        knee: false,
        cause: None,
    }
}

/// How long the engine's threads did not run although they had work.
fn client_wait(measurement: &Measurement) -> Duration {
    // The scheduler's statistics do not include stops, and exist only on Linux.
    let run_delay = measurement.run_delay.unwrap_or_default();
    run_delay.max(measurement.late_wake_ups)
}

/// The share of the run, 0 to 1, in which the engine's threads did not run although they had work.
fn client_wait_share(measurement: &Measurement) -> Option<f64> {
    let available = measurement.elapsed.as_secs_f64() * measurement.threads.max(1) as f64;
    (available > 0.0).then_some(client_wait(measurement).as_secs_f64() / available)
}
