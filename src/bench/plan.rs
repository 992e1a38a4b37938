//! The validated plan of `tcpctl bench`. Nothing has been sent when it is made.

mod files;
mod unused;

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

pub use self::files::Files;
use super::fail_if::Condition;
use super::limits::LimitsPlan;
use super::ramp::{self, KnownLimits, RampPlan};
use super::report::{CloseMode, Options, Parts, Report, Timestamp};
use super::saved;
use super::start_at;
use super::summarize::microseconds;
use super::throughput::ThroughputPlan;
use crate::cli::{BenchArgs, CloseWith, Io, Part};
use crate::config;
use crate::failure::{Failure, reason};
use crate::output::human;
use crate::sanitize;
use crate::target::{Target, TargetKind};
use crate::units;
use tcpctl_engine::load::{Detail, Expectation, Extent, Load, Pace, Rate, ReplyRule, Reuse};
use tcpctl_engine::readiness::Release;

/// Default of `-c` in an open loop: maximum requests in flight.
const DEFAULT_IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// Default of `--max-connections`, for the limits and the ramp.
const DEFAULT_MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// Default of `--budget`, for the limits and the ramp each.
const DEFAULT_BUDGET: Duration = Duration::from_secs(30);
/// Maximum payload, bytes.
const MAX_PAYLOAD: u64 = 64 << 20;

/// Bytes of the message that a report contains.
const MAX_SHOWN_MESSAGE: usize = 256;

/// The plan of one run.
#[derive(Debug)]
pub struct BenchPlan {
    /// The target to measure.
    pub target: Target,
    /// The load without its address, because names are resolved last.
    load: Load,
    /// The parts to measure.
    pub parts: Parts,
    /// Whether the limits determine the load's number of connections.
    follows_limits: bool,
    /// The throughput measurement without its address.
    throughput: ThroughputPlan,
    /// `-c` as the last step of the ramp.
    last_step: Option<NonZeroUsize>,
    /// Maximum connections of the search for the limits and of the ramp.
    max_connections: NonZeroUsize,
    /// Time limit for each of the two.
    budget: Duration,
    /// Threads of the load engine.
    pub threads: NonZeroUsize,
    /// The run to compare with, of `--compare`.
    pub baseline: Option<Report>,
    /// Conditions of `--fail-if`.
    pub conditions: Vec<Condition>,
    /// The files to write the report to.
    pub files: Files,
    /// When to start; `None`: at once.
    pub start_at: Option<SystemTime>,
    /// Label of the run, of `--label`.
    pub label: Option<String>,
    /// The options as the report contains them.
    pub options: Options,
}

impl BenchPlan {
    /// The plan for a command line. Reads the baseline, sends nothing.
    ///
    /// # Errors
    /// A usage error.
    pub fn new(args: &BenchArgs) -> Result<Self, Failure> {
        let target = Target::parse(&config::target(args.target.clone(), "bench")?)?;
        if let Some(io) = args.io {
            check_io(io)?;
        }
        if matches!(target.kind, TargetKind::Virtual(_)) {
            if args.io.is_some() {
                return Err(
                    Failure::usage("--io has no effect on a virtual board").hint("leave out --io")
                );
            }
            if args.threads.is_some_and(|threads| threads.get() > 1) {
                return Err(Failure::usage("--threads: a virtual board has one client"));
            }
            if !args.source.is_empty() {
                return Err(Failure::usage("--source: a virtual board has one client"));
            }
        }
        if let Some(at) = args.start_at {
            start_at::require_future(at, SystemTime::now())?;
        }
        let parts = parts(args);
        unused::refuse(args, parts)?;
        let load = load(args)?;
        let conditions: Vec<Condition> = args
            .fail_if
            .iter()
            .map(|text| Condition::parse(text))
            .collect::<Result<_, _>>()?;
        let baseline = args
            .compare
            .as_deref()
            .map(|path| saved::load("--compare", path))
            .transpose()?;
        if let Some(baseline) = &baseline {
            require_common_part(baseline, parts)?;
        }
        for condition in &conditions {
            condition.require_measured(parts, baseline.is_some())?;
        }
        let options = options(args, parts, &load);
        Ok(Self {
            target,
            parts,
            throughput: throughput(args, &load),
            follows_limits: args.connections.is_none() && args.rate.is_none(),
            last_step: args.connections,
            max_connections: args.max_connections.unwrap_or(DEFAULT_MAX_CONNECTIONS),
            budget: args.budget.unwrap_or(DEFAULT_BUDGET),
            load,
            threads: args.threads.unwrap_or(NonZeroUsize::MIN),
            baseline,
            conditions,
            files: Files::new(
                args.html.as_deref(),
                args.save.as_deref(),
                args.hdr_log.as_deref(),
            )?,
            start_at: args.start_at,
            label: args.label.clone(),
            options,
        })
    }

    /// The load. Without `-c`, the limits determine its connections, if they are known.
    pub fn load(&self, address: SocketAddr, from_limits: Option<NonZeroUsize>) -> Load {
        let mut load = Load {
            target: address,
            ..self.load.clone()
        };
        if let (true, Some(connections)) = (self.follows_limits, from_limits) {
            load.pace = Pace::Closed { connections };
        }
        load
    }

    /// The ramp, with steps from the limits found before.
    pub fn ramp(
        &self,
        address: SocketAddr,
        limits: KnownLimits,
        stop: Arc<AtomicBool>,
    ) -> RampPlan {
        RampPlan {
            load: Load {
                target: address,
                detail: Detail::Run,
                ..self.load.clone()
            },
            steps: ramp::steps(self.max_connections, self.last_step, limits),
            held: limits.held,
            budget: self.budget,
            stop,
        }
    }

    /// A source address of another family than `address`.
    pub fn foreign_source(&self, address: SocketAddr) -> Option<IpAddr> {
        self.load
            .sources
            .iter()
            .copied()
            .find(|source| source.is_ipv4() != address.is_ipv4())
    }

    /// The measurement of the throughput.
    pub fn throughput(&self, address: SocketAddr) -> ThroughputPlan {
        ThroughputPlan {
            target: address,
            ..self.throughput.clone()
        }
    }

    /// The search for the limits.
    pub fn limits(&self, address: SocketAddr, stop: Arc<AtomicBool>) -> LimitsPlan {
        let parts = self.parts;
        LimitsPlan {
            sources: self.load.sources.clone(),
            message: self.load.message.clone(),
            max_connections: self.max_connections.get(),
            budget: self.budget,
            connect_timeout: self.load.connect_timeout,
            leaves_idle: parts.latency || parts.ramp || parts.throughput,
            stop,
            ..LimitsPlan::new(address)
        }
    }
}

/// The throughput measurement in a few words, for the progress line.
pub fn describe_throughput(plan: &ThroughputPlan) -> String {
    let streams = match plan.streams.get() {
        1 => "1 stream".to_owned(),
        streams => format!("1 and {streams} streams"),
    };
    let seconds = plan.estimate().as_secs_f64();
    format!("throughput with {streams}, about {seconds:.0} s if all services exist")
}

/// The load in a few words, for the progress line.
pub fn describe(load: &Load) -> String {
    let pace = match load.pace {
        Pace::Closed { connections } => human::count(connections.get() as u64, "connection"),
        Pace::Open { rate, .. } => format!("{} req/s", rate.per_second()),
    };
    match load.extent {
        Extent::Duration(time) => format!("{pace} for {time:?}"),
        Extent::Requests(count) => {
            format!("{}, {pace}", human::count(count.get(), "request"))
        }
    }
}

fn parts(args: &BenchArgs) -> Parts {
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    Parts {
        limits: wanted(Part::Limits),
        latency: wanted(Part::Latency),
        ramp: args.ramp || args.only.contains(&Part::Ramp),
        // Takes half a minute and loads the board most, so it is not part of the default run.
        throughput: args.only.contains(&Part::Throughput),
    }
}

/// Refuses a baseline without any part of this run: nothing could be compared.
fn require_common_part(baseline: &Report, parts: Parts) -> Result<(), Failure> {
    let is_common = parts.limits && baseline.limits.is_some()
        || parts.latency && baseline.latency.is_some()
        || parts.ramp && !baseline.ramp.is_empty()
        || parts.throughput && baseline.throughput.is_some();
    if is_common {
        return Ok(());
    }
    Err(
        Failure::usage("--compare: the saved run has no part that this run measures")
            .hint("measure the same parts, with --only or --ramp"),
    )
}

fn options(args: &BenchArgs, parts: Parts, load: &Load) -> Options {
    let shown = &load.message[..load.message.len().min(MAX_SHOWN_MESSAGE)];
    let (duration, requests) = match load.extent {
        Extent::Duration(time) => (Some(time), None),
        Extent::Requests(count) => (None, Some(count.get())),
    };
    Options {
        parts,
        connections: args.connections.map(|count| count.get() as u64),
        duration_us: duration.map(microseconds),
        requests,
        rate_per_s: args.rate,
        warmup_us: microseconds(load.warm_up),
        keep_alive: args.keep_alive,
        close: match load.close {
            Release::Fin => CloseMode::Fin,
            Release::Reset => CloseMode::Rst,
        },
        message: String::from_utf8_lossy(shown).into_owned(),
        message_bytes: load.message.len() as u64,
        expect: args.expect.clone(),
        lines: args.lines.map(NonZeroU64::get),
        idle_us: args.idle.map(microseconds),
        connect_timeout_us: microseconds(load.connect_timeout),
        reply_timeout_us: microseconds(load.reply_timeout),
        max_connections: args
            .max_connections
            .unwrap_or(DEFAULT_MAX_CONNECTIONS)
            .get() as u64,
        budget_us: microseconds(args.budget.unwrap_or(DEFAULT_BUDGET)),
        sources: load.sources.clone(),
        threads: args.threads.map_or(1, NonZeroUsize::get) as u64,
        start_at: args.start_at.map(Timestamp),
    }
}

fn throughput(args: &BenchArgs, load: &Load) -> ThroughputPlan {
    let default = ThroughputPlan::new(load.target);
    ThroughputPlan {
        sources: load.sources.clone(),
        streams: args.connections.unwrap_or(default.streams),
        duration: args.duration.unwrap_or(default.duration),
        warm_up: args.warmup,
        message: load.message.clone(),
        connect_timeout: load.connect_timeout,
        silence: load.reply_timeout,
        ..default
    }
}

fn load(args: &BenchArgs) -> Result<Load, Failure> {
    // Replaced once the target's address is known.
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
    let default = Load::new(unspecified);
    Ok(Load {
        sources: args.source.clone(),
        message: message(args, &default)?,
        expect: expectation(args)?,
        pace: pace(args)?,
        extent: match (args.requests, args.duration) {
            (Some(requests), _) => Extent::Requests(requests),
            (None, Some(duration)) => Extent::Duration(duration),
            (None, None) => default.extent,
        },
        reuse: if args.keep_alive {
            Reuse::KeepAlive
        } else {
            Reuse::PerRequest
        },
        close: match args.close.unwrap_or_default() {
            CloseWith::Fin => Release::Fin,
            CloseWith::Rst => Release::Reset,
        },
        connect_timeout: args.connect_timeout,
        reply_timeout: args.reply_timeout.unwrap_or(default.reply_timeout),
        warm_up: args.warmup.unwrap_or(Duration::ZERO),
        detail: if args.hdr_log.is_some() {
            Detail::Seconds
        } else {
            Detail::Run
        },
        ..default
    })
}

/// Refuses an interface that this version or this system does not have.
fn check_io(io: Io) -> Result<(), Failure> {
    let missing = match io {
        Io::Uring => "--io uring: this version has no io_uring engine",
        Io::Epoll if !cfg!(target_os = "linux") => "--io epoll: only Linux has epoll",
        Io::Epoll => return Ok(()),
    };
    Err(Failure::usage(missing).hint("leave out --io"))
}

fn message(args: &BenchArgs, default: &Load) -> Result<Vec<u8>, Failure> {
    let mut message = if let Some(text) = &args.message {
        if text == "-" {
            read("-m", Path::new(text))?
        } else {
            text.clone().into_bytes()
        }
    } else if let Some(hex) = &args.hex {
        units::hex(hex)?
    } else if let Some(path) = &args.file {
        read("--file", path)?
    } else if let Some(size) = args.payload {
        payload(size)?
    } else if args.crlf || args.lf {
        default.message.trim_ascii_end().to_vec()
    } else {
        default.message.clone()
    };
    if args.crlf {
        message.extend(b"\r\n");
    } else if args.lf {
        message.push(b'\n');
    }
    Ok(message)
}

/// Reads the file of an option, or standard input for `-`.
fn read(option: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let source: io::Result<Box<dyn Read>> = if path.as_os_str() == "-" {
        Ok(Box::new(io::stdin()))
    } else {
        File::open(path).map(|file| Box::new(file) as _)
    };
    let mut bytes = Vec::new();
    source
        .and_then(|source| source.take(MAX_PAYLOAD + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            let path = sanitize::one_line(&path.to_string_lossy());
            Failure::usage(format!("{option}: cannot read {path}: {}", reason(&error)))
                .hint("give a file that exists, or - for standard input")
        })?;
    if bytes.len() as u64 > MAX_PAYLOAD {
        return Err(Failure::usage(format!("{option}: too large")).hint("the maximum is 64MiB"));
    }
    Ok(bytes)
}

/// A message of this size of printable characters, which the board's console can show.
fn payload(size: u64) -> Result<Vec<u8>, Failure> {
    if size > MAX_PAYLOAD {
        return Err(
            Failure::usage(format!("--payload: {size} bytes is too much"))
                .hint("the maximum is 64MiB"),
        );
    }
    let size = usize::try_from(size).unwrap_or_default();
    Ok((b'a'..=b'z').cycle().take(size).collect())
}

fn expectation(args: &BenchArgs) -> Result<Expectation, Failure> {
    let rule = if let Some(pattern) = &args.expect {
        ReplyRule::Expect(units::regex("--expect", pattern)?)
    } else if let Some(lines) = args.lines {
        ReplyRule::Lines(lines)
    } else if let Some(silence) = args.idle {
        ReplyRule::Idle(silence)
    } else {
        return Ok(Expectation::Learn);
    };
    Ok(Expectation::Given(rule))
}

fn pace(args: &BenchArgs) -> Result<Pace, Failure> {
    let Some(per_second) = args.rate else {
        return Ok(Pace::Closed {
            connections: args.connections.unwrap_or(NonZeroUsize::MIN),
        });
    };
    let rate = Rate::new(per_second).ok_or_else(|| {
        Failure::usage("--rate is out of range")
            .hint("write e.g. 200/s, or 0.01/s for one request in 100 s")
    })?;
    Ok(Pace::Open {
        rate,
        max_in_flight: args.connections.unwrap_or(DEFAULT_IN_FLIGHT),
    })
}
