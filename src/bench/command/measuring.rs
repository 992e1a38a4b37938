//! The parts of a run, one after another, on a virtual board or on the network.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::bench::limits::{self, FailureReason, LimitsFinding};
use crate::bench::plan::{self, BenchPlan};
use crate::bench::ramp::{self, KernelRunner, KnownLimits, LoadRunner, Ramp, RampProgress};
use crate::bench::report::{Bound, RampEnd};
use crate::bench::throughput;
use crate::failure::{Failure, Kind, reason};
use crate::interrupt::Stop;
use crate::output::{Output, human};
use crate::sanitize;
use crate::sim::session;
use crate::sim::spec::Spec;
use crate::sys::{self, limits::OpenFiles};
use tcpctl_engine::engine;
use tcpctl_engine::engine::{Observer, Progress};
use tcpctl_engine::kernel::KernelNetwork;
use tcpctl_engine::load::{Expectation, Extent, LearnedRule, Load};
use tcpctl_engine::measurement::Measurement;
use tcpctl_engine::readiness::Network;

/// The measurements of one run.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) limits: Option<LimitsFinding>,
    pub(super) load: Option<Measurement>,
    pub(super) ramp: Option<Ramp>,
    /// The limit of open files of this process.
    pub(super) open_files: Option<OpenFiles>,
    pub(super) throughput: Option<throughput::ThroughputFinding>,
    /// The failure that ended the run; the later parts are missing.
    pub(super) failure: Option<Failure>,
}

/// One run.
pub(super) struct Bench<'a> {
    pub(super) plan: &'a BenchPlan,
    pub(super) output: &'a Output,
    pub(super) signals: &'a Stop,
}

impl Bench<'_> {
    /// Measures a virtual board that is started for this run.
    pub(super) fn on_virtual_board(&self, spec: &Spec) -> Result<Measured, Failure> {
        let (_board, mut network) = session::network(spec, None).map_err(|error| {
            Failure::new(
                Kind::Device,
                format!("cannot start the virtual board: {}", reason(&error)),
            )
        })?;
        let address = session::address(spec);
        let mut measured = Measured::default();
        if self.plan.parts.limits {
            self.find_limits(&mut network, address, &mut measured)?;
        }
        if self.plan.parts.latency && self.should_continue(&measured) {
            let load = self.load(address, &measured);
            let result = engine::run(&mut network, &load, &mut self.watcher(load.extent));
            self.output.end_status();
            self.keep(result, &mut measured);
        }
        if self.plan.parts.ramp && self.should_continue(&measured) {
            self.run_ramp(&mut network, address, &mut measured)?;
        }
        if self.plan.parts.throughput && self.should_continue(&measured) {
            self.measure_throughput(&mut network, address, &mut measured);
        }
        Ok(measured)
    }

    /// Measures a server on the network.
    pub(super) fn on_network(&self, address: SocketAddr) -> Result<Measured, Failure> {
        let mut measured = Measured::default();
        if let Some(source) = self.plan.foreign_source(address) {
            let message = format!("--source {source}: cannot connect to {address} from it");
            return Err(Failure::usage(message).hint("give an address of the same family"));
        }
        measured.open_files = sys::limits::raise_open_files();
        if let Some(OpenFiles { before, now }) = measured.open_files
            && now > before
        {
            let [before, now] = [before, now].map(human::grouped);
            self.output
                .detail(|| format!("limit of open files raised from {before} to {now}"));
        }
        if self.plan.parts.limits {
            let mut network = KernelNetwork::new().map_err(|error| exhausted(&error))?;
            self.find_limits(&mut network, address, &mut measured)?;
        }
        if self.plan.parts.latency && self.should_continue(&measured) {
            let load = self.load(address, &measured);
            let threads = self.plan.threads;
            let result = tcpctl_engine::on_kernel(&load, threads, &mut self.watcher(load.extent));
            self.output.end_status();
            self.keep(result.map_err(|error| exhausted(&error))?, &mut measured);
        }
        if self.plan.parts.ramp && self.should_continue(&measured) {
            let mut runner = KernelRunner {
                threads: self.plan.threads,
            };
            self.run_ramp(&mut runner, address, &mut measured)?;
        }
        if self.plan.parts.throughput && self.should_continue(&measured) {
            let mut network = KernelNetwork::new().map_err(|error| exhausted(&error))?;
            self.measure_throughput(&mut network, address, &mut measured);
        }
        Ok(measured)
    }

    /// Runs the ramp.
    fn run_ramp(
        &self,
        runner: &mut impl LoadRunner,
        address: SocketAddr,
        measured: &mut Measured,
    ) -> Result<(), Failure> {
        let finding = measured.limits.as_ref();
        let limits = finding.map_or(KnownLimits::default(), |finding| KnownLimits {
            served: finding.served_at_once.value.count(),
            // A lower bound is where the search ended, not what the server holds.
            held: finding.held.value.exact(),
        });
        let mut plan = self
            .plan
            .ramp(address, limits, Arc::clone(self.signals.flag()));
        apply_findings(&mut plan.load, measured);
        let name = sanitize::one_line(&self.plan.target.text);
        let last = plan.steps.last().map_or(1, |last| last.get());
        self.output.note(&format!(
            "{name}: ramp to {} in {}, at most {:.0} s",
            human::count(last as u64, "connection"),
            human::count(plan.steps.len() as u64, "step"),
            ramp::estimate(&plan).as_secs_f64()
        ));
        let mut completed = Vec::new();
        let climbed = ramp::run(&plan, runner, &mut |progress| {
            if let RampProgress::Completed(step) = progress {
                completed.push(*step);
            }
            self.output.ramp_progress(progress, &completed);
        });
        self.output.end_status();
        let climbed = climbed.map_err(|error| exhausted(&error))?;
        if climbed.ended == RampEnd::TargetGone {
            let message = format!("{name}: the server stopped answering during the ramp");
            measured.failure = Some(Failure::new(Kind::Broken, message));
        }
        measured.ramp = Some(climbed);
        Ok(())
    }

    fn find_limits<N: Network>(
        &self,
        network: &mut N,
        address: SocketAddr,
        measured: &mut Measured,
    ) -> Result<(), Failure> {
        let plan = self.plan.limits(address, Arc::clone(self.signals.flag()));
        let name = sanitize::one_line(&self.plan.target.text);
        let estimate = limits::estimate(&plan).as_secs_f64();
        self.output.note(&format!(
            "{name}: finding limits, about {estimate:.1} s on a quiet network, at most {:.1} s",
            plan.budget.as_secs_f64()
        ));
        let found = limits::find(network, &plan, &mut |step| {
            self.output.limits_progress(step);
        });
        self.output.end_status();
        match found {
            Ok(finding) => measured.limits = Some(finding),
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
                // Keep what was found so far for the report.
                measured.limits = Some(*error.so_far);
                measured.failure = Some(failure);
            }
        }
        Ok(())
    }

    fn measure_throughput<N: Network>(
        &self,
        network: &mut N,
        address: SocketAddr,
        measured: &mut Measured,
    ) {
        let plan = self.plan.throughput(address);
        let name = sanitize::one_line(&self.plan.target.text);
        self.output
            .note(&format!("{name}: {}", plan::describe_throughput(&plan)));
        let mut watcher = self.watcher(Extent::Duration(plan.duration));
        let finding = throughput::measure(network, &plan, &mut watcher);
        self.output.end_status();
        measured.failure = finding
            .failure()
            .map(|(kind, why)| Failure::new(kind, format!("{name}: {why}")));
        measured.throughput = Some(finding);
    }

    /// Whether to measure the next part: not if the server answered nothing so far.
    fn should_continue(&self, measured: &Measured) -> bool {
        let answers = |load: &Measurement| load.completed > 0 && !load.interrupted;
        measured.failure.is_none()
            && measured.load.as_ref().is_none_or(answers)
            && self.signals.already().is_none()
    }

    /// Stores the result of the load. A target that stopped answering is a failure.
    fn keep(&self, load: Measurement, measured: &mut Measured) {
        if load.target_gone && load.completed > 0 {
            let name = sanitize::one_line(&self.plan.target.text);
            let message = format!("{name}: the server stopped answering during the load");
            let hint = "does the board reboot? the results so far are reported";
            measured.failure = Some(Failure::new(Kind::Broken, message).hint(hint));
        }
        measured.load = Some(load);
    }

    fn load(&self, address: SocketAddr, measured: &Measured) -> Load {
        let limits = measured.limits.as_ref();
        let connections = limits.map(LimitsFinding::default_connections);
        let mut load = self.plan.load(address, connections);
        apply_findings(&mut load, measured);
        let name = sanitize::one_line(&self.plan.target.text);
        self.output
            .note(&format!("{name}: {}", plan::describe(&load)));
        load
    }

    fn watcher(&self, extent: Extent) -> Watcher<'_> {
        Watcher {
            output: self.output,
            signals: self.signals,
            extent,
        }
    }
}

/// Passes on the reply rule that an earlier part has learned.
fn apply_findings(load: &mut Load, measured: &Measured) {
    let learned = measured.load.as_ref().and_then(|it| it.reply_rule.learned);
    let closes = measured
        .limits
        .as_ref()
        .and_then(|it| it.closes_after_reply);
    let known = learned.or((closes == Some(true)).then_some(LearnedRule::Close));
    if let (Expectation::Learn, Some(rule)) = (&load.expect, known) {
        load.expect = Expectation::Learned(rule);
    }
}

fn exhausted(error: &io::Error) -> Failure {
    Failure::new(
        Kind::Internal,
        format!("out of system resources: {}", reason(error)),
    )
}

/// What to try after a failed search.
fn hint(reason: &FailureReason) -> Option<&'static str> {
    match reason {
        FailureReason::NothingListens => {
            Some("is the server running on this port? a full board also refuses connections")
        }
        FailureReason::NoAnswer | FailureReason::Unreachable => {
            Some("is the board on, and in the same network? try ip route get ADDRESS")
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

/// Shows the progress of a run, and stops it on a signal.
struct Watcher<'a> {
    output: &'a Output,
    signals: &'a Stop,
    extent: Extent,
}

impl Observer for Watcher<'_> {
    fn progress(&mut self, progress: &Progress) {
        self.output.bench_progress(progress, self.extent);
    }

    fn should_stop(&self) -> bool {
        self.signals.already().is_some()
    }
}

impl throughput::Observer for Watcher<'_> {
    fn progress(&mut self, progress: &throughput::ThroughputProgress<'_>) {
        self.output.throughput_progress(progress);
    }

    fn should_stop(&self) -> bool {
        self.signals.already().is_some()
    }
}
