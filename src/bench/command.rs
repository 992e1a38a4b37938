//! `tcpctl bench` and `tcpctl merge`: plan, load, report, in this order.

mod address;
mod measuring;

use std::net::SocketAddr;
use std::time::SystemTime;

use self::address::one_address;
use self::measuring::Bench;
use super::fail_if::{Condition, Outcome};
use super::hdr_log::Log;
use super::plan::{Files, Plan};
use super::report::{Environment, Report};
use super::saved::{self, Saved};
use super::throughput;
use super::verdict::{Caveat, Code};
use super::{compare, html, merge, stats, verdict};
use crate::cli::{BenchArgs, MergeArgs};
use crate::connect::Endpoint;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Stop;
use crate::output::Output;
use crate::sanitize;
use crate::sim::spec::Spec;
use crate::target::TargetKind;
use tcpctl_engine::measurement::{Measurement, SecondHistograms};

/// Measures a target.
///
/// # Errors
/// What can't be measured, and a standard output that can't be written.
pub fn run(args: &BenchArgs, output: &Output) -> anyhow::Result<Exit> {
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
    // Who was never there has not gone away.
    let has_gone = |it: &Measurement| it.target_gone && it.completed > 0;
    if seen.measurement.as_ref().is_some_and(has_gone) {
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
        let address = match &plan.target.kind {
            TargetKind::Virtual(spec) => return Ok(Self::Cable(spec)),
            TargetKind::Name { host, port } => {
                let endpoint = Endpoint::Name {
                    host: host.clone(),
                    port: *port,
                };
                one_address(plan, args, &endpoint)?
            }
            TargetKind::Addresses(addresses) => match addresses[..] {
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
pub fn run_merge(args: &MergeArgs, output: &Output) -> anyhow::Result<Exit> {
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
) -> anyhow::Result<()> {
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
    let printed = output.print(report);
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
