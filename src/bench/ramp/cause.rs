//! Finds why connections are refused or their SYNs retransmitted: too few slots, clients that
//! reconnect too soon, or a busy computer.
//!
//! A client of a closed loop sends its next SYN as soon as the server has closed. The slot that
//! became free may not listen again yet, or the server may not have accepted the next connection
//! from its queue: the SYN is refused or dropped, although there is room for the connection. That
//! says nothing about how many the server can serve; real clients rarely reconnect within a
//! millisecond.
//!
//! Two trials show the cause. *Bursts*: as many connections as in the step, but the next burst
//! starts only after all are closed and a pause. If they fail as well, that many connections are
//! too many (or too many at the same time, where the search for the limits has held that many one
//! by one). *A schedule*: an open loop slightly below the rate of the step, with no more in flight.
//! If that fails as well, the closed loop is not the cause. If this computer delayed the client, the
//! trials show nothing about the server: late requests of a schedule follow each other as closely as
//! in a closed loop, and the connections of an interrupted burst are not simultaneous. Such requests
//! do not count. If they are most of a trial, the cause is the busy computer.

use std::io;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use super::{LoadRunner, PAUSE, RampProgress, RampRun};
use crate::bench::report::{Cause, CauseKind, Scheduled, Step, Trial};
use tcpctl_engine::load::{Extent, Load, Pace, Rate, Reuse};
use tcpctl_engine::measurement::Measurement;

/// The rate of the schedule, as a share of the rate of the step.
const SCHEDULED_SHARE: f64 = 0.85;
/// Failures of a trial that are rarer than this share of the step's failures count as none.
const RARE: f64 = 0.1;
/// Minimum failures. Fewer in a step may be chance, and so may a trial without any.
const MIN_TROUBLED: u64 = 5;
/// Requests of all bursts together.
const IN_BURSTS: usize = 40;
/// Minimum and maximum number of bursts.
const BURSTS: (usize, usize) = (3, 10);
/// Maximum pause between bursts.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// Maximum failures of a schedule before it ends: an open loop does not back off after a refusal.
const MAX_FAILED: u64 = 20;
/// Minimum requests of a schedule; fewer show nothing.
const MIN_SCHEDULED: f64 = 5.0;

/// Share of a load in which the client did not run. From this share on, this computer may be the cause.
pub const BUSY: f64 = 0.1;
/// Interruptions of a burst up to this length do not matter, even with a fast server.
const SHORT_INTERRUPTION: Duration = Duration::from_millis(2);

/// Whether this computer kept the client from running in a step.
pub fn is_client_busy(step: &Step) -> bool {
    step.client_wait_share >= Some(BUSY)
}

/// Whether the cause can be found: kept connections do not reconnect.
pub(super) fn can_be_found(load: &Load) -> bool {
    load.reuse == Reuse::PerRequest
}

impl<T: LoadRunner, O: FnMut(RampProgress<'_>)> RampRun<'_, T, O> {
    /// The cause of a step's failures; `None` if it was not found or no time is left.
    pub(super) fn find_cause(
        &mut self,
        step: &Step,
        length: Duration,
    ) -> io::Result<Option<Cause>> {
        let closed = Trial {
            requests: step.requests,
            troubled: step.troubled(),
            late: 0,
        };
        let held = self.plan.held.map(|held| held as u64);
        let is_beyond_limit = held.is_some_and(|held| step.connections > held);
        let Some(bursts) = self.bursts(step, is_beyond_limit)? else {
            return Ok(None);
        };
        let schedule = self.schedule(step, length)?;
        let was_busy = schedule.is_some_and(|it| it.was_client_busy);
        let schedule = schedule.map(|it| it.scheduled);
        // If a step has one connection too many, that one fails in each burst.
        let bursts_fail =
            bursts.troubled >= 2 && 2 * bursts.troubled * step.connections >= bursts.requests;
        let rare = closed.share() * RARE;
        let schedule_fails = schedule.is_some_and(|Scheduled { trial, .. }| {
            let is_chance = trial.troubled == 1 && closed.troubled >= MIN_TROUBLED;
            trial.share() > rare && 2.0 * trial.share() > bursts.share() && !is_chance
        });
        let are_trials_late =
            bursts.is_mostly_late() || schedule.is_some_and(|it| it.trial.is_mostly_late());
        let is_busy = is_client_busy(step) || are_trials_late || schedule_fails && was_busy;
        let kind = if is_busy && !is_beyond_limit {
            CauseKind::ClientBusy
        } else if schedule_fails && !is_busy {
            CauseKind::AnyPace
        } else if bursts_fail {
            if held >= Some(step.connections) {
                CauseKind::BurstTooLarge
            } else {
                CauseKind::TooManyAtOnce
            }
        } else if schedule.is_some()
            && closed.troubled >= MIN_TROUBLED
            && bursts.share() <= rare
            && !are_trials_late
        {
            // One or two failures, or bursts alone, are not enough to rule the server out.
            CauseKind::ReconnectRace
        } else {
            return Ok(None);
        };
        Ok(Some(Cause {
            kind,
            closed,
            bursts,
            schedule,
        }))
    }

    /// Runs bursts of as many connections as in the step. If the server is known not to hold them, even an
    /// interrupted burst counts.
    fn bursts(&mut self, step: &Step, is_beyond_limit: bool) -> io::Result<Option<Trial>> {
        let requests = NonZeroU64::new(step.connections);
        let (Some(connections), Some(requests)) = (connections(step), requests) else {
            return Ok(None);
        };
        let load = Load {
            pace: Pace::Closed { connections },
            extent: Extent::Requests(requests),
            warm_up: Duration::ZERO,
            ..self.plan.load.clone()
        };
        let usual = Duration::from_secs_f64(step.p50_us.unwrap_or_default() / 1e6);
        let pause = (2 * usual).clamp(PAUSE, MAX_PAUSE);
        let connections = connections.get();
        // An interruption of less than half of that still leaves all connections open together.
        let longest_wait = (usual / 2).max(SHORT_INTERRUPTION);
        let wanted = (IN_BURSTS / connections).clamp(BURSTS.0, BURSTS.1);
        let mut all = Trial::default();
        let mut bursts = 0;
        for _ in 0..2 * wanted {
            if self.is_stopped() || self.left().is_zero() {
                return Ok(None);
            }
            self.pause(pause)?;
            let measurement = self.load(&load, None, |_| RampProgress::Bursts { connections })?;
            if measurement.completed == 0 && !measurement.errors.is_empty() {
                self.is_gone = true;
                return Ok(None);
            }
            let trial = Trial::of(&measurement);
            if !is_beyond_limit && super::client_wait(&measurement) > longest_wait {
                all.late += trial.requests;
                continue;
            }
            all.requests += trial.requests;
            all.troubled += trial.troubled;
            bursts += 1;
            // There are enough refusals.
            if bursts == wanted || bursts >= BURSTS.0 && all.troubled >= bursts as u64 {
                break;
            }
        }
        Ok((all.requests + all.late > 0).then_some(all))
    }

    /// Runs an open loop below the rate of the step.
    fn schedule(&mut self, step: &Step, length: Duration) -> io::Result<Option<ScheduleTrial>> {
        let per_second = step.served_per_s * SCHEDULED_SHARE;
        let is_enough = per_second * length.as_secs_f64() >= MIN_SCHEDULED;
        let (Some(rate), Some(max_in_flight), true) =
            (Rate::new(per_second), connections(step), is_enough)
        else {
            return Ok(None);
        };
        if self.is_stopped() || self.left() < length {
            return Ok(None);
        }
        let load = Load {
            pace: Pace::Open {
                rate,
                max_in_flight,
            },
            extent: Extent::Duration(length),
            warm_up: Duration::ZERO,
            ..self.plan.load.clone()
        };
        let measurement = self.load(&load, Some(MAX_FAILED), |_| RampProgress::Schedule)?;
        let failed: u64 = measurement.errors.values().sum();
        if measurement.elapsed < length && failed < MAX_FAILED {
            return Ok(None);
        }
        Ok(Some(ScheduleTrial {
            scheduled: Scheduled {
                rate_per_s: super::summarize::round_to_thousandths(per_second),
                trial: Trial::of(&measurement),
            },
            was_client_busy: super::client_wait_share(&measurement) >= Some(BUSY),
        }))
    }
}

/// A trial with an open loop.
#[derive(Debug, Clone, Copy)]
struct ScheduleTrial {
    scheduled: Scheduled,
    /// Whether this computer kept the client from running.
    was_client_busy: bool,
}

fn connections(step: &Step) -> Option<NonZeroUsize> {
    usize::try_from(step.connections)
        .ok()
        .and_then(NonZeroUsize::new)
}

impl Trial {
    fn of(measurement: &Measurement) -> Self {
        let failed: u64 = measurement.errors.values().sum();
        let late = measurement.late_starts;
        let totals = measurement.totals.as_ref();
        let resent = totals.map_or(0, |totals| totals.syn_retransmissions);
        Self {
            requests: (measurement.completed + failed).saturating_sub(late.requests),
            troubled: (failed + resent).saturating_sub(late.failed + late.syn_retransmissions),
            late: late.requests,
        }
    }

    /// Whether most requests were late, so that the trial shows nothing about the server.
    fn is_mostly_late(self) -> bool {
        self.late > self.requests
    }
}
