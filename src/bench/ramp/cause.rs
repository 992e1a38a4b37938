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
//! If that fails as well, the closed loop is not the cause. Where this computer's own processes
//! delayed the client, neither shows anything about the server.

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

/// Share of a step in which the client waited for a CPU, above which this computer may be the
/// cause.
pub const BUSY: f64 = 0.1;

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
        };
        let Some(bursts) = self.bursts(step)? else {
            return Ok(None);
        };
        let schedule = self.schedule(step, length)?;
        // If a step has one connection too many, that one fails in each burst.
        let bursts_fail =
            bursts.troubled >= 2 && 2 * bursts.troubled * step.connections >= bursts.requests;
        let rare = closed.share() * RARE;
        let is_beyond_limit = self
            .plan
            .held
            .is_some_and(|held| step.connections > held as u64);
        let kind = match schedule {
            _ if step.client_wait_share >= Some(BUSY) && !is_beyond_limit => CauseKind::ClientBusy,
            Some(schedule)
                if schedule.trial.share() > rare
                    && 2.0 * schedule.trial.share() > bursts.share() =>
            {
                CauseKind::AnyPace
            }
            _ if bursts_fail
                && self.plan.held.map(|held| held as u64) >= Some(step.connections) =>
            {
                CauseKind::BurstTooLarge
            }
            _ if bursts_fail => CauseKind::TooManyAtOnce,
            // One or two failures, or bursts alone, are not enough to rule the server out.
            Some(_) if closed.troubled >= MIN_TROUBLED && bursts.share() <= rare => {
                CauseKind::ReconnectRace
            }
            _ => return Ok(None),
        };
        Ok(Some(Cause {
            kind,
            closed,
            bursts,
            schedule,
        }))
    }

    /// Runs bursts of as many connections as in the step.
    fn bursts(&mut self, step: &Step) -> io::Result<Option<Trial>> {
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
        let mut all = Trial::default();
        for burst in 0..(IN_BURSTS / connections).clamp(BURSTS.0, BURSTS.1) {
            if self.is_stopped() || self.left().is_zero() {
                return Ok(None);
            }
            self.pause(pause)?;
            let measurement = self.load(&load, None, |_| RampProgress::Bursts { connections })?;
            all.add(&measurement);
            if measurement.completed == 0 && !measurement.errors.is_empty() {
                self.is_gone = true;
                return Ok(None);
            }
            // There are enough refusals.
            if burst + 1 >= BURSTS.0 && all.troubled > burst as u64 {
                break;
            }
        }
        Ok((all.requests > 0).then_some(all))
    }

    /// Runs an open loop below the rate of the step.
    fn schedule(&mut self, step: &Step, length: Duration) -> io::Result<Option<Scheduled>> {
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
        let mut trial = Trial::default();
        trial.add(&measurement);
        Ok(Some(Scheduled {
            rate_per_s: super::summarize::round_to_thousandths(per_second),
            trial,
        }))
    }
}

fn connections(step: &Step) -> Option<NonZeroUsize> {
    usize::try_from(step.connections)
        .ok()
        .and_then(NonZeroUsize::new)
}

impl Trial {
    fn add(&mut self, measurement: &Measurement) {
        let failed: u64 = measurement.errors.values().sum();
        let resent = measurement
            .totals
            .as_ref()
            .map_or(0, |totals| totals.syn_retransmissions);
        self.requests += measurement.completed + failed;
        self.troubled += failed + resent;
    }
}
