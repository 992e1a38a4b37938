//! The parts of a run, one after the other, on a virtual board or on the network.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::bench::limits::{self, FailureReason, LimitsFinding};
use crate::bench::plan::{self, Plan};
use crate::bench::ramp::{self, Kernel, Places, Ramp, Track};
use crate::bench::report::{Bound, RampEnd};
use crate::bench::throughput;
use crate::failure::{Failure, Kind};
use crate::interrupt::Stop;
use crate::output::{Output, human};
use crate::sanitize;
use crate::sim::session;
use crate::sim::spec::Spec;
use crate::sys::{self, limits::OpenFiles};
use tcpctl_engine::engine;
use tcpctl_engine::engine::{Observer, Progress};
use tcpctl_engine::kernel::KernelNetwork;
use tcpctl_engine::load::{Expectation, LearnedRule, Load};
use tcpctl_engine::measurement::Measurement;
use tcpctl_engine::readiness::Network;

/// What was seen of a target.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) finding: Option<LimitsFinding>,
    pub(super) measurement: Option<Measurement>,
    pub(super) ramp: Option<Ramp>,
    /// What this computer lets a process open.
    pub(super) open_files: Option<OpenFiles>,
    pub(super) throughput: Option<throughput::Finding>,
    /// Why there is no more.
    pub(super) failure: Option<Failure>,
}

/// One run.
pub(super) struct Bench<'a> {
    pub(super) plan: &'a Plan,
    pub(super) output: &'a Output,
    pub(super) signals: &'a Stop,
}

impl Bench<'_> {
    /// Measures a virtual board made for it.
    pub(super) fn on_cable(&self, spec: &Spec) -> Result<Seen, Failure> {
        let (_board, mut network) = session::network(spec, None).map_err(|error| {
            Failure::new(
                Kind::Device,
                format!("the virtual board did not start: {error}"),
            )
        })?;
        let address = session::address(spec);
        let mut seen = Seen::default();
        if self.plan.parts.limits {
            self.find_limits(&mut network, address, &mut seen)?;
        }
        if self.plan.parts.latency && self.goes_on(&seen) {
            let load = self.load(address, &seen);
            let measured = engine::run(&mut network, &load, &mut self.watcher());
            self.output.end_status();
            self.keep(measured, &mut seen);
        }
        if self.plan.parts.ramp && self.goes_on(&seen) {
            self.climb(&mut network, address, &mut seen)?;
        }
        if self.plan.parts.throughput && self.goes_on(&seen) {
            self.measure_throughput(&mut network, address, &mut seen);
        }
        Ok(seen)
    }

    /// Measures a server on the network.
    pub(super) fn on_network(&self, address: SocketAddr) -> Result<Seen, Failure> {
        let mut seen = Seen::default();
        if let Some(source) = self.plan.foreign_source(address) {
            return Err(
                Failure::usage(format!("--source {source} can't reach {address}"))
                    .hint("give an address of the same family"),
            );
        }
        // Before any network does, so that it can be said.
        seen.open_files = sys::limits::raise_open_files();
        if let Some(OpenFiles { before, now }) = seen.open_files
            && now > before
        {
            let [before, now] = [before, now].map(human::grouped);
            self.output
                .detail(|| format!("limit of open files raised from {before} to {now}"));
        }
        if self.plan.parts.limits {
            let mut network = KernelNetwork::new().map_err(|error| exhausted(&error))?;
            self.find_limits(&mut network, address, &mut seen)?;
        }
        if self.plan.parts.latency && self.goes_on(&seen) {
            let load = self.load(address, &seen);
            let threads = self.plan.threads;
            let measured = tcpctl_engine::on_kernel(&load, threads, &mut self.watcher());
            self.output.end_status();
            self.keep(measured.map_err(|error| exhausted(&error))?, &mut seen);
        }
        if self.plan.parts.ramp && self.goes_on(&seen) {
            let mut track = Kernel {
                threads: self.plan.threads,
            };
            self.climb(&mut track, address, &mut seen)?;
        }
        if self.plan.parts.throughput && self.goes_on(&seen) {
            let mut network = KernelNetwork::new().map_err(|error| exhausted(&error))?;
            self.measure_throughput(&mut network, address, &mut seen);
        }
        Ok(seen)
    }

    /// Loads the server with more and more connections.
    fn climb(
        &self,
        track: &mut impl Track,
        address: SocketAddr,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let finding = seen.finding.as_ref();
        let places = finding.map_or(Places::default(), |finding| Places {
            served: finding.served_at_once.value.count(),
            // A lower bound says how far the search went, not what there is.
            held: finding.held.value.exact(),
        });
        let mut plan = self
            .plan
            .ramp(address, places, Arc::clone(self.signals.flag()));
        use_what_is_known(&mut plan.load, seen);
        let name = sanitize::one_line(&self.plan.target.text);
        let last = plan.steps.last().map_or(1, |last| last.get());
        self.output.note(&format!(
            "{name}: a ramp of up to {} in {}, which may take {:.0} s",
            human::count(last as u64, "connection"),
            human::count(plan.steps.len() as u64, "step"),
            ramp::estimate(&plan).as_secs_f64()
        ));
        let climbed = ramp::climb(&plan, track, &mut |doing| {
            self.output.ramp_progress(doing);
        });
        self.output.end_status();
        let climbed = climbed.map_err(|error| exhausted(&error))?;
        if climbed.ended == RampEnd::TargetGone {
            let message = format!("{name}: it stopped answering during the ramp");
            seen.failure = Some(Failure::new(Kind::Broken, message));
        }
        seen.ramp = Some(climbed);
        Ok(())
    }

    fn find_limits<N: Network>(
        &self,
        network: &mut N,
        address: SocketAddr,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let plan = self.plan.limits(address, Arc::clone(self.signals.flag()));
        let name = sanitize::one_line(&self.plan.target.text);
        let estimate = limits::estimate(&plan).as_secs_f64();
        self.output.note(&format!(
            "{name}: finding the limits, about {estimate:.1} s on a quiet network, at most {:.1} s",
            plan.budget.as_secs_f64()
        ));
        let found = limits::find(network, &plan, &mut |step| {
            self.output.limits_progress(step);
        });
        self.output.end_status();
        match found {
            Ok(finding) => seen.finding = Some(finding),
            Err(error) => {
                let kind = match error.reason {
                    FailureReason::NothingListens
                    | FailureReason::NoAnswer
                    | FailureReason::Unreachable => Kind::Connect,
                    FailureReason::Died { .. } => Kind::Broken,
                    FailureReason::LocalPorts
                    | FailureReason::LocalFiles
                    | FailureReason::Wait(_) => Kind::Internal,
                };
                let failure = Failure::new(kind, format!("{name}: {}", error.reason));
                let failure = match hint(&error.reason) {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                };
                if error.so_far.served_at_once.value == Bound::Unknown {
                    return Err(failure.about(&self.plan.target.text));
                }
                // What was seen until then is told.
                seen.finding = Some(*error.so_far);
                seen.failure = Some(failure);
            }
        }
        Ok(())
    }

    fn measure_throughput<N: Network>(
        &self,
        network: &mut N,
        address: SocketAddr,
        seen: &mut Seen,
    ) {
        let plan = self.plan.throughput(address);
        let name = sanitize::one_line(&self.plan.target.text);
        self.output
            .note(&format!("{name}: {}", plan::told_throughput(&plan)));
        let finding = throughput::measure(network, &plan, &mut self.watcher());
        self.output.end_status();
        seen.failure = finding
            .failure()
            .map(|(kind, why)| Failure::new(kind, format!("{name}: {why}")));
        seen.throughput = Some(finding);
    }

    /// Whether a further part is to be measured: not of a server that answers nothing.
    fn goes_on(&self, seen: &Seen) -> bool {
        let answers = |measured: &Measurement| measured.completed > 0 && !measured.interrupted;
        seen.failure.is_none()
            && seen.measurement.as_ref().is_none_or(answers)
            && self.signals.already().is_none()
    }

    /// Takes what the load has measured; a target that went away in the middle is a failure.
    fn keep(&self, measured: Measurement, seen: &mut Seen) {
        if measured.target_gone && measured.completed > 0 {
            let name = sanitize::one_line(&self.plan.target.text);
            let message = format!("{name}: it stopped answering during the load");
            let hint = "what was measured until then is told; does the board reboot?";
            seen.failure = Some(Failure::new(Kind::Broken, message).hint(hint));
        }
        seen.measurement = Some(measured);
    }

    fn load(&self, address: SocketAddr, seen: &Seen) -> Load {
        let served = seen
            .finding
            .as_ref()
            .and_then(|it| it.served_at_once.value.count());
        let mut load = self.plan.load(address, served.and_then(NonZeroUsize::new));
        use_what_is_known(&mut load, seen);
        let name = sanitize::one_line(&self.plan.target.text);
        self.output.note(&format!("{name}: {}", plan::told(&load)));
        load
    }

    fn watcher(&self) -> Watcher<'_> {
        Watcher {
            output: self.output,
            signals: self.signals,
        }
    }
}

/// Spares a load to learn again when replies are complete.
fn use_what_is_known(load: &mut Load, seen: &Seen) {
    let learned = seen
        .measurement
        .as_ref()
        .and_then(|it| it.reply_rule.learned);
    let closes = seen.finding.as_ref().and_then(|it| it.closes_after_reply);
    let known = learned.or((closes == Some(true)).then_some(LearnedRule::Close));
    if let (Expectation::Learn, Some(rule)) = (&load.expect, known) {
        load.expect = Expectation::Learned(rule);
    }
}

fn exhausted(error: &io::Error) -> Failure {
    Failure::new(Kind::Internal, format!("the system is out of: {error}"))
}

/// What to do about a search that failed.
fn hint(reason: &FailureReason) -> Option<&'static str> {
    match reason {
        FailureReason::NothingListens => {
            Some("is its server up on this port? a board that is full refuses too")
        }
        FailureReason::NoAnswer | FailureReason::Unreachable => {
            Some("is the board on, and in the same network? see ip route get ADDRESS")
        }
        FailureReason::LocalPorts => {
            Some("closed connections keep their ports for a minute: wait, or use another --source")
        }
        FailureReason::LocalFiles => Some("raise ulimit -n, or lower --max-connections"),
        FailureReason::Died { .. } => {
            Some("try one request with tcpctl send; does the board reboot?")
        }
        FailureReason::Wait(_) => None,
    }
}

/// Follows a run: shows how it stands, and stops it when a signal asks for that.
struct Watcher<'a> {
    output: &'a Output,
    signals: &'a Stop,
}

impl Observer for Watcher<'_> {
    fn progress(&mut self, progress: &Progress) {
        self.output.bench_progress(progress);
    }

    fn should_stop(&self) -> bool {
        self.signals.already().is_some()
    }
}

impl throughput::Observer for Watcher<'_> {
    fn progress(&mut self, progress: &throughput::Progress<'_>) {
        self.output.throughput_progress(progress);
    }

    fn should_stop(&self) -> bool {
        self.signals.already().is_some()
    }
}
