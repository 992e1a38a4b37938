//! The step ramp: the same load with more and more connections, until more bring nothing.
//!
//! Each step is a closed loop of the load [`engine`]. It has no warm-up: a client whose SYN is
//! dropped in the first moment waits for a second or longer, and would be one that nobody counts.
//! `ladder.rs` says which steps there may be, `knee.rs` where it was that more connections stopped
//! helping, and `cause.rs` why connections were refused there: for want of places, or because a
//! closed loop's clients come back sooner than a freed place listens again.
//!
//! It is gentle: whoever is refused waits before the next try, a step in which most requests fail
//! is the last, and once the knee is clear there are no further steps.

mod cause;
mod knee;
mod ladder;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use self::knee::FLAT;
pub use self::ladder::{Places, ladder};
use super::report::{CauseKind, RampEnd, Step};
use super::summarize;
use tcpctl_engine::engine;
use tcpctl_engine::engine::{Observer, Progress};
use tcpctl_engine::load::{Expectation, Extent, LearnedRule, Load, Pace};
use tcpctl_engine::measurement::{ErrorClass, Measurement};
use tcpctl_engine::readiness::Network;

/// How long a step is measured; longer where the first shows that this is too short.
pub const STEP: Duration = Duration::from_secs(1);
/// The longest that a step is measured.
const LONGEST_STEP: Duration = Duration::from_secs(5);
/// Requests that one connection should see the end of in a step.
const REQUESTS_A_STEP: u32 = 10;
/// How many of the longest waits should fit into a step: on a path that loses segments each costs
/// a connection a second (RFC 6298, section 2), and a step with room for one would be all luck.
const WAITS_A_STEP: u32 = 4;
/// Between two loads, in which the server has nobody to serve.
const PAUSE: Duration = Duration::from_millis(50);

/// What is to be climbed.
#[derive(Debug, Clone)]
pub struct RampPlan {
    /// What each connection does; its pace, extent and warm-up are the steps' own.
    pub load: Load,
    /// Connections at a time, in the order of the steps: see [`ladder()`].
    pub steps: Vec<NonZeroUsize>,
    /// How many connections the server holds in all, where that is known: the ramp goes past it
    /// before it stops.
    pub held: Option<usize>,
    /// After this it ends with the steps that there are.
    pub budget: Duration,
    /// Set it, and it ends with the steps that there are.
    pub stop: Arc<AtomicBool>,
}

/// What the ramp is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// A step.
    Step {
        /// Connections at a time.
        connections: usize,
        /// Requests completed in it so far.
        completed: u64,
    },
    /// The same number at a time, with pauses: is there room for so many?
    Bursts {
        /// Connections at a time.
        connections: usize,
    },
    /// A constant schedule below the rate that was served.
    Schedule,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Ramp {
    /// The steps that came to their end.
    pub steps: Vec<Step>,
    /// Why there are no more.
    pub ended: RampEnd,
}

/// Where the loads of a ramp run: over one network or several threads, one load after the other.
pub trait Track {
    /// Runs a load.
    ///
    /// # Errors
    /// The system is out of what a load needs.
    fn run(&mut self, load: &Load, observer: &mut impl Observer) -> io::Result<Measurement>;

    /// Lets time pass.
    ///
    /// # Errors
    /// What the operating system's own wait fails with.
    fn pause(&mut self, time: Duration) -> io::Result<()>;
}

/// One network, on this thread.
impl<N: Network> Track for N {
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

/// The operating system's sockets: new ones for each load.
pub struct Kernel {
    /// Threads of the load engine.
    pub threads: NonZeroUsize,
}

impl Track for Kernel {
    fn run(&mut self, load: &Load, observer: &mut impl Observer) -> io::Result<Measurement> {
        tcpctl_engine::on_kernel(load, self.threads, observer)
    }

    fn pause(&mut self, time: Duration) -> io::Result<()> {
        // Nothing is open that could have something to say.
        std::thread::sleep(time);
        Ok(())
    }
}

/// How long all steps take where the server answers within a tenth of a second, with two searches
/// for a cause: what is said before it starts. Never more than the budget.
pub fn estimate(plan: &RampPlan) -> Duration {
    // Bursts and a schedule: each about as long as a step.
    const TRIALS: u32 = 2 * 2;
    let steps = u32::try_from(plan.steps.len()).unwrap_or(u32::MAX);
    (STEP + PAUSE)
        .saturating_mul(steps.saturating_add(TRIALS))
        .min(plan.budget)
}

/// Climbs. Blocks until the knee is clear, the steps are done, the budget is, or it is stopped;
/// all connections have been released then.
///
/// # Errors
/// The system is out of what a load needs.
pub fn climb(
    plan: &RampPlan,
    track: &mut impl Track,
    observer: &mut impl FnMut(Doing),
) -> io::Result<Ramp> {
    Climb {
        plan,
        track,
        observer,
        spent: Duration::ZERO,
        is_gone: false,
        learned: None,
    }
    .run()
}

/// A ramp that is being climbed.
struct Climb<'a, T, O> {
    plan: &'a RampPlan,
    track: &'a mut T,
    observer: &'a mut O,
    /// Time that has passed in it, on the network's clock.
    spent: Duration,
    /// Nobody was answered any more.
    is_gone: bool,
    /// When replies are complete, as learned in earlier steps.
    learned: Option<LearnedRule>,
}

impl<T: Track, O: FnMut(Doing)> Climb<'_, T, O> {
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
            let measurement = self.step(connections, length)?;
            if measurement.elapsed < length {
                break self.cut_short();
            }
            if is_short_of_something_here(&measurement) {
                break RampEnd::LocalLimits;
            }
            if steps.is_empty() && length < length_of_steps(&measurement) {
                // Once more, longer.
                length = length_of_steps(&measurement);
                continue;
            }
            steps.push(step(&measurement, connections, length));
            let end = self.look_back(&mut steps, length)?;
            if self.is_gone && steps.len() > 1 {
                // In that step it went away: what failed then says nothing about so many.
                steps.pop();
                break RampEnd::TargetGone;
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

    /// What the step that was just done says: why its requests failed, and whether it was the
    /// last.
    fn look_back(&mut self, steps: &mut [Step], length: Duration) -> io::Result<Option<RampEnd>> {
        let Some((last, before)) = steps.split_last_mut() else {
            return Ok(None);
        };
        // Where so many are too many, more are, too.
        let is_known = before
            .iter()
            .filter_map(|step| step.cause)
            .any(|cause| matches!(cause.kind, CauseKind::TooManyAtOnce | CauseKind::AnyPace));
        if last.requests > 0 && last.failed == last.requests {
            self.is_gone = true;
        } else if last.is_suspicious() && !is_known && cause::can_tell(&self.plan.load) {
            last.cause = self.find_cause(last, length)?;
        }
        Ok(if last.failed * 2 >= last.requests {
            Some(RampEnd::MostlyFailing)
        } else if knee::is_clear(steps, self.plan.held) {
            Some(RampEnd::PastTheKnee)
        } else {
            None
        })
    }

    fn step(&mut self, connections: NonZeroUsize, length: Duration) -> io::Result<Measurement> {
        let load = Load {
            pace: Pace::Closed { connections },
            extent: Extent::Duration(length),
            warm_up: Duration::ZERO,
            ..self.plan.load.clone()
        };
        let connections = connections.get();
        self.load(&load, None, |completed| Doing::Step {
            connections,
            completed,
        })
    }

    /// Runs a load after a pause, no longer than the budget lasts, and not on after so many
    /// failures.
    fn load(
        &mut self,
        load: &Load,
        most_failed: Option<u64>,
        doing: impl Fn(u64) -> Doing,
    ) -> io::Result<Measurement> {
        self.pause(PAUSE)?;
        (self.observer)(doing(0));
        let mut watch = Watch {
            stop: &self.plan.stop,
            left: self.left(),
            most_failed: most_failed.unwrap_or(u64::MAX),
            elapsed: Duration::ZERO,
            failed: 0,
            tell: |completed| (self.observer)(doing(completed)),
        };
        let mut load = load.clone();
        if let (Expectation::Learn, Some(rule)) = (&load.expect, self.learned) {
            load.expect = Expectation::Learned(rule);
        }
        let measurement = self.track.run(&load, &mut watch)?;
        self.learned = measurement.reply_rule.learned.or(self.learned);
        self.spent += measurement.elapsed;
        Ok(measurement)
    }

    fn pause(&mut self, time: Duration) -> io::Result<()> {
        self.spent += time;
        self.track.pause(time)
    }

    fn left(&self) -> Duration {
        self.plan.budget.saturating_sub(self.spent)
    }

    fn is_stopped(&self) -> bool {
        self.plan.stop.load(Ordering::Relaxed)
    }

    /// Why a step ended before its time.
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

/// Ends a load when it is to end.
struct Watch<'a, F> {
    stop: &'a AtomicBool,
    /// Of the budget.
    left: Duration,
    most_failed: u64,
    elapsed: Duration,
    failed: u64,
    tell: F,
}

impl<F: FnMut(u64)> Observer for Watch<'_, F> {
    fn progress(&mut self, progress: &Progress) {
        self.elapsed = progress.elapsed;
        self.failed = progress.errors.values().sum();
        (self.tell)(progress.completed);
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.elapsed >= self.left
            || self.failed >= self.most_failed
    }
}

/// The length of all steps but the first, which has said how long a request takes: whole seconds,
/// for the rate is counted in these.
fn length_of_steps(first: &Measurement) -> Duration {
    let usual = Duration::from_nanos(first.complete.value_at_quantile(0.5));
    let longest = Duration::from_nanos(first.complete.max());
    let wanted = (usual * REQUESTS_A_STEP).max(longest * WAITS_A_STEP);
    let wanted = wanted.as_secs_f64().ceil();
    Duration::from_secs_f64(wanted.max(STEP.as_secs_f64())).min(LONGEST_STEP)
}

fn is_short_of_something_here(measurement: &Measurement) -> bool {
    [ErrorClass::LocalPorts, ErrorClass::LocalFiles]
        .iter()
        .any(|class| measurement.errors.contains_key(class))
}

fn step(measurement: &Measurement, connections: NonZeroUsize, length: Duration) -> Step {
    let count = |class| measurement.errors.get(&class).copied().unwrap_or_default();
    let failed: u64 = measurement.errors.values().sum();
    let times = summarize::distribution(&measurement.complete);
    let totals = measurement.totals.as_ref();
    Step {
        connections: connections.get() as u64,
        served_per_s: served_per_s(measurement, length),
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
        knee: false,
        cause: None,
    }
}

/// Completed requests a second: of the time until the last of them ended. Where stragglers made
/// that much longer than the step (a SYN is sent again after a second at the earliest), of the
/// step's own seconds, for they are not what the server does all the time.
fn served_per_s(measurement: &Measurement, length: Duration) -> f64 {
    let usual = Duration::from_nanos(measurement.complete.value_at_quantile(0.5));
    if measurement.elapsed <= length + usual.max(length / 10) {
        return summarize::per_second(measurement.completed, measurement.elapsed);
    }
    let whole = usize::try_from(length.as_secs()).unwrap_or(usize::MAX);
    let seconds = measurement.seconds.iter().take(whole);
    summarize::per_second(seconds.map(|second| second.completed).sum(), length)
}
