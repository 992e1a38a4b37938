//! `tcpctl bench` and `tcpctl merge`: plan, load, report, in this order.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::SystemTime;

use super::engine::{self, Observer, Progress};
use super::fail_if::{Condition, Outcome};
use super::hdr_log::Log;
use super::limits::{self, Finding, Known, Reason};
use super::load::Load;
use super::measurement::{Measurement, SecondHistograms};
use super::plan::{self, Files, Plan};
use super::ramp::{self, Places, Ramp, Threads, Track};
use super::report::{Environment, RampEnd, Report};
use super::saved::{self, Saved};
use super::throughput::{self, Ports, Service};
use super::verdict::{Caveat, Code};
use super::{compare, html, merge, stats, verdict};
use crate::cli::{BenchArgs, MergeArgs};
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Stop;
use crate::output::{Halt, Output, human};
use crate::sanitize;
use crate::sim::session;
use crate::sim::spec::Spec;
use crate::sys::{self, limits::OpenFiles};
use crate::target::Place;
use crate::transport::kernel::KernelNetwork;
use crate::transport::readiness::Network;
use crate::transport::{Dial, Endpoint, Family};

/// Measures a target.
///
/// # Errors
/// What can't be measured, and a standard output that can't be written.
pub fn run(args: &BenchArgs, output: &Output) -> Result<Exit, Halt> {
    let plan = Plan::new(args)?;
    // Before signals are taken over: a look-up can't be broken off otherwise.
    let way = Way::to(&plan, args)?;
    let signals = Stop::install();
    let started_at = SystemTime::now();
    let bench = Bench {
        plan: &plan,
        output,
        signals: &signals,
    };
    let (seen, is_virtual) = match way {
        Way::Cable(spec) => (bench.on_cable(spec)?, true),
        Way::Network(address) => (bench.on_network(address)?, false),
    };
    let environment = Environment::here(is_virtual);
    let mut report = Report::new(
        &plan.target.text,
        started_at,
        environment,
        seen.measurement.as_ref(),
    );
    report.limits = seen.finding.as_ref().map(stats::limits);
    if let Some(ramp) = seen.ramp {
        report.ramp = ramp.steps;
        report.ramp_ended = Some(ramp.ended);
    }
    report.caveats.extend(seen.open_files.and_then(|files| {
        let latency = report.latency.as_ref()?;
        verdict::too_few_files(latency, files)
    }));
    if seen.measurement.as_ref().is_some_and(|it| it.target_gone) {
        report.caveats.push(Caveat {
            code: Code::Noticed,
            text: "no connection any more: the server has gone away".to_owned(),
        });
    }
    // With a load it is the measurement that says so.
    if signals.already().is_some() && report.limits.is_some() && report.latency.is_none() {
        report.caveats.push(Caveat {
            code: Code::Noticed,
            text: "cut short: this is what was found until then".to_owned(),
        });
    }
    report.throughput = seen.throughput.as_ref().map(throughput::Finding::report);
    report.comparison = plan
        .baseline
        .as_ref()
        .map(|baseline| compare::compare(baseline, &report));
    let report = report.conclude();
    let seconds = seen
        .measurement
        .as_ref()
        .map_or(&[][..], |measurement| &measurement.second_histograms);
    tell(&report, seconds, &plan.files, output)?;
    if let Some(exit) = signals.already() {
        return Ok(exit);
    }
    // An unmet condition is a negative answer, however the run has ended.
    check(&plan.conditions, &report)?;
    let failure = seen.failure.or_else(|| verdict::failure(&report));
    failure.map_or(Ok(Exit::Done), |failure| {
        Err(failure.about(&plan.target.text).into())
    })
}

/// How the target is reached.
enum Way<'a> {
    Cable(&'a Spec),
    Network(SocketAddr),
}

impl<'a> Way<'a> {
    fn to(plan: &'a Plan, args: &BenchArgs) -> Result<Self, Failure> {
        let address = match &plan.target.place {
            Place::Virtual(spec) => return Ok(Self::Cable(spec)),
            Place::Name { host, port } => {
                let endpoint = Endpoint::Name {
                    host: host.clone(),
                    port: *port,
                };
                one_address(plan, args, &endpoint)?
            }
            Place::Addresses(addresses) => match addresses[..] {
                [only] => only,
                _ => one_address(plan, args, &Endpoint::Addresses(addresses.clone()))?,
            },
        };
        Ok(Self::Network(address))
    }
}

/// Joins saved runs.
///
/// # Errors
/// Files that can't be read or joined, and a standard output that can't be written.
pub fn run_merge(args: &MergeArgs, output: &Output) -> Result<Exit, Halt> {
    let files = Files::new(
        args.html.as_deref(),
        args.save.as_deref(),
        args.hdr_log.as_deref(),
    )?;
    let mut runs = Vec::new();
    for path in &args.runs {
        match saved::load_any("run", path)? {
            Saved::Run(report) => runs.push(*report),
            Saved::Log(_) => {
                let shown = sanitize::one_line(&path.to_string_lossy());
                return Err(Failure::usage(format!(
                    "{shown} is a histogram log, and no saved run"
                ))
                .hint("make one with tcpctl bench --save")
                .into());
            }
        }
    }
    tell(&merge::merge(runs)?.conclude(), &[], &files, output)?;
    Ok(Exit::Done)
}

/// Writes a report to its files and prints it.
///
/// A disk that is full costs the file, and neither the other files nor what is printed.
fn tell(
    report: &Report,
    seconds: &[SecondHistograms],
    files: &Files,
    output: &Output,
) -> Result<(), Halt> {
    let save = || match &files.save {
        Some(save) => save.write(&saved::bytes(report)),
        None => Ok(()),
    };
    let log = || {
        let Some(file) = &files.hdr_log else {
            return Ok(());
        };
        // A run without a load has none.
        let Some(log) = Log::of(report, seconds) else {
            return Ok(());
        };
        let text = log
            .text()
            .map_err(|what| Failure::new(Kind::Internal, what))?;
        file.write(&text)
    };
    let page = || match &files.html {
        Some(page) => page.write(html::render(report).as_bytes()),
        None => Ok(()),
    };
    let written = [save(), log(), page()];
    let printed = output.bench(report);
    written.into_iter().collect::<Result<(), _>>()?;
    printed
}

/// Says which of the conditions hold.
fn check(conditions: &[Condition], report: &Report) -> Result<(), Failure> {
    let failed: Vec<String> = conditions
        .iter()
        .filter_map(|condition| match condition.check(report) {
            Outcome::Passed => None,
            Outcome::Failed(how) => Some(how),
        })
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Kind::Negative, failed.join("; ")).about(&report.target))
}

/// What was seen of a target.
#[derive(Default)]
struct Seen {
    finding: Option<Finding>,
    measurement: Option<Measurement>,
    ramp: Option<Ramp>,
    /// What this computer lets a process open.
    open_files: Option<OpenFiles>,
    throughput: Option<throughput::Finding>,
    /// Why there is no more.
    failure: Option<Failure>,
}

/// One run.
struct Bench<'a> {
    plan: &'a Plan,
    output: &'a Output,
    signals: &'a Stop,
}

impl Bench<'_> {
    /// Measures a virtual board made for it.
    fn on_cable(&self, spec: &Spec) -> Result<Seen, Failure> {
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
    fn on_network(&self, address: SocketAddr) -> Result<Seen, Failure> {
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
            let measured =
                engine::run_threads(&load, threads, KernelNetwork::new, &mut self.watcher());
            self.output.end_status();
            self.keep(measured.map_err(|error| exhausted(&error))?, &mut seen);
        }
        if self.plan.parts.ramp && self.goes_on(&seen) {
            let mut track = Threads {
                network: KernelNetwork::new,
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
            served: finding.served_at_once.value.number(),
            // A lower bound says how far the search went, not what there is.
            held: match finding.held.value {
                Known::Exactly(held) => Some(held),
                Known::AtLeast(_) | Known::Unknown => None,
            },
        });
        let plan = self
            .plan
            .ramp(address, places, Arc::clone(self.signals.flag()));
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
                    Reason::NothingListens | Reason::NoAnswer | Reason::Unreachable => {
                        Kind::Connect
                    }
                    Reason::Died { .. } => Kind::Broken,
                    Reason::LocalPorts | Reason::LocalFiles | Reason::Wait(_) => Kind::Internal,
                };
                let failure = Failure::new(kind, format!("{name}: {}", error.reason));
                let failure = match hint(&error.reason) {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                };
                if error.so_far.served_at_once.value == Known::Unknown {
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
            .and_then(|it| it.served_at_once.value.number());
        let load = self.plan.load(address, served.and_then(NonZeroUsize::new));
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

fn exhausted(error: &io::Error) -> Failure {
    Failure::new(Kind::Internal, format!("the system is out of: {error}"))
}

/// What to do about a search that failed.
fn hint(reason: &Reason) -> Option<&'static str> {
    match reason {
        Reason::NothingListens => {
            Some("is its server up on this port? a board that is full refuses too")
        }
        Reason::NoAnswer | Reason::Unreachable => {
            Some("is the board on, and in the same network? see ip route get ADDRESS")
        }
        Reason::LocalPorts => {
            Some("closed connections keep their ports for a minute: wait, or use another --source")
        }
        Reason::LocalFiles => Some("raise ulimit -n, or lower --max-connections"),
        Reason::Died { .. } => Some("try one request with tcpctl send; does the board reboot?"),
        Reason::Wait(_) => None,
    }
}

/// The address of a name, or of several the one that answers first: by one connection. Where only
/// the services are measured, one of those may answer for it.
fn one_address(plan: &Plan, args: &BenchArgs, endpoint: &Endpoint) -> Result<SocketAddr, Failure> {
    let refused = match dial(plan, args, endpoint) {
        Err(failure) if failure.kind == Kind::Connect => failure,
        result => return result,
    };
    if plan.parts.limits || plan.parts.latency {
        return Err(refused);
    }
    for service in Service::ALL {
        let mut endpoint = endpoint.clone();
        match &mut endpoint {
            Endpoint::Name { port, .. } => *port = Some(Ports::STANDARD.of(service)),
            Endpoint::Addresses(addresses) => {
                for address in addresses {
                    address.set_port(Ports::STANDARD.of(service));
                }
            }
            Endpoint::Virtual(_) => {}
        }
        if let Ok(mut address) = dial(plan, args, &endpoint) {
            let asked = match &plan.target.place {
                Place::Name { port, .. } => *port,
                Place::Addresses(addresses) => addresses.first().map(SocketAddr::port),
                Place::Virtual(_) => None,
            };
            address.set_port(asked.unwrap_or(crate::target::DEFAULT_PORT));
            return Ok(address);
        }
    }
    Err(refused)
}

fn dial(plan: &Plan, args: &BenchArgs, endpoint: &Endpoint) -> Result<SocketAddr, Failure> {
    let dial = Dial {
        family: Family::Any,
        source: args.source.first().copied(),
        interface: None,
        timeout: args.connect_timeout,
    };
    let connection = crate::block_on(dial.connect(endpoint))?
        .map_err(|error| error.into_failure(&plan.target.text))?;
    Ok(connection.address)
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

    fn is_to_stop(&self) -> bool {
        self.signals.already().is_some()
    }
}

impl throughput::Observer for Watcher<'_> {
    fn progress(&mut self, progress: &throughput::Progress<'_>) {
        self.output.throughput_progress(progress);
    }

    fn is_to_stop(&self) -> bool {
        self.signals.already().is_some()
    }
}
