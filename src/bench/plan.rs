//! What `tcpctl bench` is to do, found right or refused before anything is sent.

mod files;
mod unused;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use self::files::Files;
use super::fail_if::Condition;
use super::limits::LimitsPlan;
use super::ramp::{self, Places, RampPlan};
use super::report::Report;
use super::saved;
use super::throughput::ThroughputPlan;
use crate::cli::{BenchArgs, CloseWith, Part};
use crate::config;
use crate::failure::Failure;
use crate::output::human;
use crate::target::{Target, TargetKind};
use crate::units;
use tcpctl_engine::load::{Detail, Expectation, Extent, Load, Pace, Rate, ReplyRule, Reuse};
use tcpctl_engine::readiness::Release;

/// The most that may be under way in an open loop where `-c` does not say.
const DEFAULT_IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// The most that are held to find the limits, and in a ramp, where `--max-connections` does not say.
const DEFAULT_MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// How long the search for the limits may take, and the ramp, where `--budget` does not say.
const DEFAULT_BUDGET: Duration = Duration::from_secs(30);
/// The longest payload: more is `send`'s business.
const LARGEST_PAYLOAD: u64 = 64 << 20;

/// A run, complete.
#[derive(Debug)]
pub struct Plan {
    /// What is measured.
    pub target: Target,
    /// The load, but for the address: a name is resolved when the rest is known to be right.
    load: Load,
    /// What is measured of it.
    pub parts: Parts,
    /// Whether `-c` left open how many connections.
    follows_limits: bool,
    /// The throughput, but for the address.
    throughput: ThroughputPlan,
    /// The last step of the ramp, where `-c` says it.
    last_step: Option<NonZeroUsize>,
    /// Connections that the search for the limits and the ramp may hold.
    max_connections: NonZeroUsize,
    /// How long each of the two may take.
    budget: Duration,
    /// Threads of the load engine.
    pub threads: NonZeroUsize,
    /// The run to compare with.
    pub baseline: Option<Report>,
    /// What makes the run a failure.
    pub conditions: Vec<Condition>,
    /// Where the report goes, beside standard output.
    pub files: Files,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for a part, in any combination"
)]
pub struct Parts {
    /// What the server can take.
    pub limits: bool,
    /// How fast it answers.
    pub latency: bool,
    /// What more and more connections bring.
    pub ramp: bool,
    /// How many bytes a second it moves.
    pub throughput: bool,
}

impl Plan {
    /// The plan of a command line.
    ///
    /// # Errors
    /// What can't be, each named; nothing has been sent.
    pub fn new(args: &BenchArgs) -> Result<Self, Failure> {
        let target = Target::parse(&config::target(args.target.clone(), "bench")?)?;
        if matches!(target.kind, TargetKind::Virtual(_)) {
            if args.threads.is_some_and(|threads| threads.get() > 1) {
                return Err(Failure::usage(
                    "--threads: a virtual board's cable has one client",
                ));
            }
            if !args.source.is_empty() {
                return Err(Failure::usage(
                    "--source: a virtual board's client has one address",
                ));
            }
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
        })
    }

    /// The load, for the address that the target turned out to have, and as many connections as
    /// it serves at once, where that is known and nothing else was asked for.
    pub fn load(&self, address: SocketAddr, served_at_once: Option<NonZeroUsize>) -> Load {
        let mut load = Load {
            target: address,
            ..self.load.clone()
        };
        if let (true, Some(connections)) = (self.follows_limits, served_at_once) {
            load.pace = Pace::Closed { connections };
        }
        load
    }

    /// The ramp, at that address, for a server of which the limits have found so much.
    pub fn ramp(&self, address: SocketAddr, places: Places, stop: Arc<AtomicBool>) -> RampPlan {
        RampPlan {
            load: Load {
                target: address,
                detail: Detail::Run,
                ..self.load.clone()
            },
            steps: ramp::ladder(self.max_connections, self.last_step, places),
            held: places.held,
            budget: self.budget,
            stop,
        }
    }

    /// A source address that can't reach `address`: one of the other family.
    pub fn foreign_source(&self, address: SocketAddr) -> Option<IpAddr> {
        self.load
            .sources
            .iter()
            .copied()
            .find(|source| source.is_ipv4() != address.is_ipv4())
    }

    /// What to measure of the throughput, at that address.
    pub fn throughput(&self, address: SocketAddr) -> ThroughputPlan {
        ThroughputPlan {
            target: address,
            ..self.throughput.clone()
        }
    }

    /// The search for the limits, at that address.
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

/// A measurement of the throughput in a few words, for the line that says what goes on.
pub fn told_throughput(plan: &ThroughputPlan) -> String {
    let streams = match plan.streams.get() {
        1 => "1 stream".to_owned(),
        streams => format!("1 and {streams} streams"),
    };
    let seconds = plan.estimate().as_secs_f64();
    format!("throughput with {streams}, about {seconds:.0} s where all services are there")
}

/// A load in a few words, for the line that says what goes on.
pub fn told(load: &Load) -> String {
    let pace = match load.pace {
        Pace::Closed { connections } => human::count(connections.get() as u64, "connection"),
        Pace::Open { rate, .. } => format!("{} requests/s", rate.per_second()),
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
        ramp: args.ramp,
        // Half a minute, and the most that a board can be asked for: only where that is wanted.
        throughput: args.only.contains(&Part::Throughput),
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
    // Anything: it is replaced once the target's address is known.
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
    let default = Load::new(unspecified);
    Ok(Load {
        sources: args.source.clone(),
        message: message(args)?.unwrap_or_else(|| default.message.clone()),
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

fn message(args: &BenchArgs) -> Result<Option<Vec<u8>>, Failure> {
    let Some(size) = args.payload else {
        return Ok(args.message.clone().map(String::into_bytes));
    };
    if size > LARGEST_PAYLOAD {
        return Err(Failure::usage(format!("--payload: {size} bytes")).hint("64MiB is the most"));
    }
    // Printable, so that a board's console shows what it is.
    Ok(Some(
        (b'a'..=b'z')
            .cycle()
            .take(usize::try_from(size).unwrap_or_default())
            .collect(),
    ))
}

fn expectation(args: &BenchArgs) -> Result<Expectation, Failure> {
    match &args.expect {
        Some(text) => {
            units::regex("--expect", text).map(|it| Expectation::Given(ReplyRule::Expect(it)))
        }
        None => Ok(Expectation::Learn),
    }
}

fn pace(args: &BenchArgs) -> Result<Pace, Failure> {
    let Some(per_second) = args.rate else {
        return Ok(Pace::Closed {
            connections: args.connections.unwrap_or(NonZeroUsize::MIN),
        });
    };
    let rate = Rate::new(per_second).ok_or_else(|| {
        Failure::usage("--rate is out of bounds").hint("write e.g. 200/s; 0.01/s is one in 100 s")
    })?;
    Ok(Pace::Open {
        rate,
        max_in_flight: args.connections.unwrap_or(DEFAULT_IN_FLIGHT),
    })
}

#[cfg(test)]
mod tests;
