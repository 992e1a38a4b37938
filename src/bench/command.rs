//! `tcpctl bench` and `tcpctl merge`: plan, measure, report.

mod address;
mod measuring;

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use self::address::{one_address, require_own_sources};
use self::measuring::{Bench, Measured};
use super::limits::SearchEnd;
use super::plan::{BenchPlan, Files};
use super::report::{Environment, Report, Warning, WarningKind};
use super::text::{Detail, Rendered};
use super::{
    compare, fail_if, hdr_log, html, merge, saved, start_at, summarize, throughput, verdict,
};
use crate::cli::{BenchArgs, MergeArgs};
use crate::connect::Endpoint;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Stop;
use crate::output::Output;
use crate::shell;
use crate::sim::spec::Spec;
use crate::sys;
use crate::target::TargetKind;
use tcpctl_engine::measurement::SecondHistograms;

/// Runs `tcpctl bench`.
///
/// # Errors
/// A [`Failure`]: invalid arguments, a target that fails, a condition that holds, a file that cannot
/// be written.
pub fn run(args: &BenchArgs, output: &Output) -> anyhow::Result<Exit> {
    let plan = BenchPlan::new(args)?;
    // Done before signals are handled, because a name lookup cannot be stopped otherwise.
    let route = Route::resolve(&plan, args)?;
    let signals = Stop::install();
    if let Some(at) = plan.start_at
        && let Err(exit) = start_at::wait(at, output, &signals)
    {
        return Ok(exit);
    }
    let (started_at, start) = (SystemTime::now(), Instant::now());
    let bench = Bench {
        plan: &plan,
        output,
        signals: &signals,
    };
    let measured = match route {
        Route::Virtual(spec) => bench.on_virtual_board(spec)?,
        Route::Network(address) => bench.on_network(address)?,
    };
    let environment = environment(matches!(route, Route::Virtual(_)));
    let mut report = summarize::report(
        &plan.target.text,
        started_at,
        environment,
        measured.load.as_ref(),
    );
    report.label.clone_from(&plan.label);
    report.command = Some(shell::command_line(std::env::args_os()));
    report.options = Some(plan.options.clone());
    report.limits = measured.limits.as_ref().map(summarize::limits);
    if let Some(ramp) = &measured.ramp {
        report.ramp.clone_from(&ramp.steps);
        report.ramp_ended = Some(ramp.ended);
    }
    report.throughput = measured
        .throughput
        .as_ref()
        .map(throughput::ThroughputFinding::report);
    report.warnings = warnings(&measured, &report);
    if let Some(at) = plan.start_at {
        let clock = report.environment.clock.as_ref();
        let warnings = start_at::warnings(at, started_at, clock);
        report.warnings.extend(warnings);
    }
    report.warnings.extend(verdict::clock_set(
        started_at + start.elapsed(),
        SystemTime::now(),
    ));
    report.comparison = plan
        .baseline
        .as_ref()
        .map(|baseline| compare::compare(baseline, &report));
    let mut report = verdict::conclude(report);
    // Converting the histograms takes longer than the rest of a short run, so skip it without
    // conditions.
    if !plan.conditions.is_empty() {
        // Cannot fail: all keys are strings.
        let json = serde_json::to_value(&report).unwrap_or_default();
        let check = |condition: &fail_if::Condition| condition.check(&json);
        report.conditions = plan.conditions.iter().map(check).collect();
    }
    let seconds = measured
        .load
        .as_ref()
        .map_or(&[][..], |load| &load.second_histograms);
    let detail = Detail::of(args.brief, output);
    emit(&report, seconds, &plan.files, detail, output)?;
    if let Some(exit) = signals.already() {
        return Ok(exit);
    }
    // A condition that holds is a negative answer, even if the run failed as well.
    fail_if::require(&report.conditions, &plan.target.text)?;
    match measured.failure.or_else(|| verdict::failure(&report)) {
        Some(failure) => Err(failure.about(&plan.target.text).into()),
        None => Ok(Exit::Done),
    }
}

/// The warnings that cannot be derived from the report's numbers.
fn warnings(measured: &Measured, report: &Report) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let (Some(files), Some(latency)) = (measured.open_files, &report.latency) {
        warnings.extend(verdict::too_few_files(latency, files));
    }
    let load = measured.load.as_ref();
    if load.is_some_and(|load| load.target_gone && load.completed > 0) {
        let text = "the server stopped answering during the load";
        warnings.push(Warning::new(WarningKind::TargetGone, text));
    }
    let limits = measured.limits.as_ref();
    if limits.is_some_and(|limits| limits.ended == SearchEnd::Stopped) {
        let text = "interrupted, limits are partial";
        warnings.push(Warning::new(WarningKind::LimitsIncomplete, text));
    }
    warnings
}

/// The environment of this process.
fn environment(is_virtual: bool) -> Environment {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    Environment {
        is_virtual,
        os: std::env::consts::OS.to_owned(),
        kernel: kernel.map(|release| release.trim().to_owned()),
        cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64),
        hostname: sys::host_name(),
        clock: start_at::clock(),
        tcpctl: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// How the target is reached.
enum Route<'a> {
    Virtual(&'a Spec),
    Network(SocketAddr),
}

impl<'a> Route<'a> {
    fn resolve(plan: &'a BenchPlan, args: &BenchArgs) -> Result<Self, Failure> {
        let endpoint = match &plan.target.kind {
            TargetKind::Virtual(spec) => return Ok(Self::Virtual(spec)),
            TargetKind::Name { host, port } => Endpoint::Name {
                host: host.clone(),
                port: *port,
            },
            TargetKind::Addresses(addresses) => Endpoint::Addresses(addresses.clone()),
        };
        require_own_sources(plan, args)?;
        let address = match &endpoint {
            Endpoint::Addresses(addresses) if addresses.len() == 1 => addresses[0],
            endpoint => one_address(plan, args, endpoint)?,
        };
        Ok(Self::Network(address))
    }
}

/// Runs `tcpctl merge`.
///
/// # Errors
/// A [`Failure`]: files that cannot be read, merged or written.
pub fn run_merge(args: &MergeArgs, output: &Output) -> anyhow::Result<Exit> {
    let files = Files::new(
        args.html.as_deref(),
        args.save.as_deref(),
        args.hdr_log.as_deref(),
    )?;
    let mut runs = Vec::new();
    for path in &args.runs {
        if path.as_os_str() == "-" {
            runs.extend(saved::load_lines("merge", std::io::stdin().lock())?);
        } else {
            runs.push(saved::load("merge", path)?);
        }
    }
    if runs.len() < 2 {
        let found = if runs.is_empty() {
            "no run"
        } else {
            "one run only"
        };
        return Err(Failure::usage(format!("merge: {found}"))
            .hint("give two saved runs or more, or - for JSON Lines on standard input")
            .into());
    }
    let unrelated = if args.force {
        merge::Unrelated::Warn
    } else {
        merge::Unrelated::Refuse
    };
    let report = merge::merge(runs, unrelated)?;
    if files.hdr_log.is_some() && report.histograms.is_none() {
        return Err(
            Failure::usage("merge: --hdr-log: these runs have no histograms")
                .hint("merge runs that measured latency, or leave out --hdr-log")
                .into(),
        );
    }
    let detail = Detail::of(args.brief, output);
    emit(&report, &[], &files, detail, output)?;
    Ok(Exit::Done)
}

/// Writes a report to its files and prints it. A file that cannot be written does not prevent the
/// others.
fn emit(
    report: &Report,
    seconds: &[SecondHistograms],
    files: &Files,
    detail: Detail,
    output: &Output,
) -> anyhow::Result<()> {
    let save = || match &files.save {
        Some(file) => Ok(file.write(&saved::bytes(report))?),
        None => Ok(()),
    };
    let log = || match &files.hdr_log {
        Some(file) => match hdr_log::format(report, seconds)? {
            Some(text) => Ok(file.write(text.as_bytes())?),
            None => Ok(()),
        },
        None => Ok(()),
    };
    let page = || match &files.html {
        Some(file) => Ok(file.write(html::render(report).as_bytes())?),
        None => Ok(()),
    };
    let written: [anyhow::Result<()>; 3] = [save(), log(), page()];
    let printed = output.print(&Rendered { report, detail });
    written.into_iter().collect::<Result<(), _>>()?;
    printed
}
