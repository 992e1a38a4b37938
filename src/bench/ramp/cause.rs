//! Why connections are refused, or their SYNs sent again: for want of places, or for coming back
//! too soon.
//!
//! A client of a closed loop sends its next SYN the moment the server has closed. The place that
//! became free just then may not listen again, or the server may not have taken the next from its
//! queue yet: the SYN is refused or dropped, although nobody else is in the place. That says
//! nothing about how many the server can serve; real clients seldom come back within a
//! millisecond.
//!
//! Two trials tell. *Bursts*: as many connections at a time as in the step, but the next come only
//! after all are gone and a pause. Nobody races anybody; if they fail as well, so many at a time
//! are too many (or so many in one moment, where the search for the limits has held that many one
//! by one). *A schedule*: an open loop somewhat below the rate that the step served, with no
//! more in flight than it had. If that fails as well, it is not the closed loop's doing.

use std::io;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use super::{Climb, Doing, PAUSE, Track};
use crate::bench::report::{Cause, CauseKind, Scheduled, Step, Trial};
use tcpctl_engine::load::{Extent, Load, Pace, Rate, Reuse};
use tcpctl_engine::measurement::Measurement;

/// How much of the served rate the schedule asks for.
const BELOW: f64 = 0.85;
/// Failures of a trial that are rarer than this share of the step's are gone.
const GONE: f64 = 0.1;
/// Fewer failures in a step may be chance, and so may be that a trial has none.
const LEAST_TROUBLED: u64 = 5;
/// Requests that the bursts make together.
const IN_BURSTS: usize = 40;
/// How many bursts there are at least, and at most.
const BURSTS: (usize, usize) = (3, 10);
/// The longest pause between bursts.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// After so many failures a schedule has said enough: an open loop does not wait after a refusal.
const MOST_FAILED: u64 = 20;
/// A schedule of fewer requests would say nothing.
const LEAST_SCHEDULED: f64 = 5.0;

/// Whether clients come back at all: kept connections do not.
pub(super) fn can_tell(load: &Load) -> bool {
    load.reuse == Reuse::PerRequest
}

impl<T: Track, O: FnMut(Doing)> Climb<'_, T, O> {
    /// Why requests failed in a step; `None` where there is no time left to find out.
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
        // Where so many are one too many, that one is in trouble in each burst.
        let bursts_fail =
            bursts.troubled >= 2 && 2 * bursts.troubled * step.connections >= bursts.requests;
        let rare = closed.share() * GONE;
        let kind = match schedule {
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
            // An accident or two, or bursts alone: too little to acquit the server.
            Some(_) if closed.troubled >= LEAST_TROUBLED && bursts.share() <= rare => {
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

    /// So many at a time, with nobody who comes back.
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
        let pause = (2 * usual).clamp(PAUSE, LONGEST_PAUSE);
        let connections = connections.get();
        let mut all = Trial::default();
        for burst in 0..(IN_BURSTS / connections).clamp(BURSTS.0, BURSTS.1) {
            if self.is_stopped() || self.left().is_zero() {
                return Ok(None);
            }
            self.pause(pause)?;
            let measurement = self.load(&load, None, |_| Doing::Bursts { connections })?;
            all.add(&measurement);
            if measurement.completed == 0 && !measurement.errors.is_empty() {
                self.is_gone = true;
                return Ok(None);
            }
            // Clear already: nobody needs to be refused any more.
            if burst + 1 >= BURSTS.0 && all.troubled > burst as u64 {
                break;
            }
        }
        Ok((all.requests > 0).then_some(all))
    }

    /// An open loop below the rate that was served.
    fn schedule(&mut self, step: &Step, length: Duration) -> io::Result<Option<Scheduled>> {
        let per_second = step.served_per_s * BELOW;
        let is_enough = per_second * length.as_secs_f64() >= LEAST_SCHEDULED;
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
        let measurement = self.load(&load, Some(MOST_FAILED), |_| Doing::Schedule)?;
        let failed: u64 = measurement.errors.values().sum();
        if measurement.elapsed < length && failed < MOST_FAILED {
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
