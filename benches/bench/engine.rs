//! The load engine in its own process, as the reference is.

use std::env;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tcpctl_engine::engine;
use tcpctl_engine::engine::{Observer, Progress};
use tcpctl_engine::kernel::KernelNetwork;
use tcpctl_engine::load::{Expectation, Extent, Load, Pace, Rate, ReplyRule, Reuse};
use tcpctl_engine::measurement::Measurement;

use crate::Result;
use crate::reference::{CLIENT_CORE, on_core};

/// First argument of a process that runs the engine.
pub(crate) const INSIDE: &str = "engine-inside";

/// Environment variable of a process without receive timestamps.
pub(crate) const UNTIMED: &str = "UNTIMED";

/// Command that runs this program as the engine, on the clients' core.
///
/// # Errors
/// When this program can't be found.
pub(crate) fn client() -> Result<Command> {
    let mut command = on_core(CLIENT_CORE, env::current_exe()?);
    command.arg(INSIDE);
    Ok(command)
}

/// `PORT CONNECTIONS REQUESTS connect|ping-pong` prints the CPU time of all requests in
/// nanoseconds; `PORT CONNECTIONS 0 idle` opens connections and prints the memory of the process
/// before and after in bytes, then holds them until standard input ends; a further argument is the number
/// of source addresses; `PORT 0 RATE schedule` prints how late requests started in
/// nanoseconds: median, 99th percentile and maximum.
///
/// # Errors
/// When a request fails.
pub(crate) fn inside() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(2).collect();
    let ([port, connections, amount, mode], sources) = arguments
        .split_first_chunk()
        .ok_or("PORT CONNECTIONS AMOUNT MODE [SOURCES]")?;
    // Source addresses: 127.0.0.2 and the following ones.
    let sources: u8 = sources.first().map_or(Ok(0), |count| count.parse())?;
    let sources = (2..2 + sources).map(|last| Ipv4Addr::new(127, 0, 0, last).into());
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let amount: u64 = amount.parse()?;
    let load = Load {
        expect: Expectation::Given(ReplyRule::Close),
        sources: sources.collect(),
        ..Load::new(target)
    };
    match mode.as_str() {
        "connect" => requests(&Load {
            pace: closed(connections)?,
            extent: Extent::Requests(amount.try_into()?),
            ..load
        }),
        "ping-pong" => requests(&Load {
            pace: closed(connections)?,
            extent: Extent::Requests(amount.try_into()?),
            reuse: Reuse::KeepAlive,
            expect: Expectation::Given(ReplyRule::Bytes((load.message.len() as u64).try_into()?)),
            ..load
        }),
        "idle" => idle(&Load {
            pace: closed(connections)?,
            extent: Extent::Duration(Duration::from_mins(1)),
            // The server waits for a first byte, and so does the client.
            message: Vec::new(),
            reply_timeout: Duration::from_mins(1),
            ..load
        }),
        "schedule" => schedule(&Load {
            pace: Pace::Open {
                rate: Rate::new(amount as f64).ok_or("no rate")?,
                max_in_flight: NonZeroUsize::new(1000).ok_or("never")?,
            },
            extent: Extent::Duration(Duration::from_secs(3)),
            ..load
        }),
        _ => Err("no such mode".into()),
    }
}

fn closed(connections: &str) -> Result<Pace> {
    let connections = connections.parse()?;
    Ok(Pace::Closed { connections })
}

fn run(load: &Load, observer: &mut impl Observer) -> Result<Measurement> {
    checked(tcpctl_engine::on_kernel(load, NonZeroUsize::MIN, observer)?)
}

fn checked(measurement: Measurement) -> Result<Measurement> {
    if !measurement.errors.is_empty() {
        return Err(format!("{:?}", measurement.errors).into());
    }
    Ok(measurement)
}

fn requests(load: &Load) -> Result<()> {
    let network = match env::var_os(UNTIMED) {
        None => KernelNetwork::new,
        Some(_) => KernelNetwork::without_timestamps,
    };
    let measurement = checked(engine::run_threads(
        load,
        NonZeroUsize::MIN,
        network,
        &mut (),
    )?)?;
    println!(
        "{}",
        measurement.client_cpu.ok_or("no CPU time")?.as_nanos()
    );
    Ok(())
}

fn schedule(load: &Load) -> Result<()> {
    let lateness = run(load, &mut ())?.schedule_error.ok_or("no schedule")?;
    let (median, p99) = (
        lateness.value_at_quantile(0.5),
        lateness.value_at_quantile(0.99),
    );
    println!("{median} {p99} {}", lateness.max());
    Ok(())
}

/// Prints the memory once all connections are established, and holds them until standard input ends.
struct UntilReleased {
    connections: usize,
    before: u64,
    is_established: bool,
    is_released: Arc<AtomicBool>,
    ticks: usize,
}

impl Observer for UntilReleased {
    fn progress(&mut self, progress: &Progress) {
        // Wait a few ticks longer, so that the last handshakes are complete.
        self.ticks += usize::from(progress.in_flight == self.connections);
        if self.ticks == 5 && !self.is_established {
            println!("{} {}", self.before, memory().unwrap_or(0));
            self.is_established = true;
        }
    }

    fn should_stop(&self) -> bool {
        self.is_established && self.is_released.load(Ordering::Relaxed)
    }
}

fn idle(load: &Load) -> Result<()> {
    let Pace::Closed { connections } = load.pace else {
        return Err("never".into());
    };
    // Warm up first: the engine's own memory does not count.
    let warm = Load {
        extent: Extent::Duration(Duration::from_millis(300)),
        reply_timeout: Duration::from_millis(100),
        pace: Pace::Closed {
            connections: NonZeroUsize::MIN,
        },
        ..load.clone()
    };
    engine::run(&mut KernelNetwork::new()?, &warm, &mut ());
    let is_released = Arc::new(AtomicBool::new(false));
    let mut observer = UntilReleased {
        connections: connections.get(),
        before: memory()?,
        is_established: false,
        is_released: Arc::clone(&is_released),
        ticks: 0,
    };
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        is_released.store(true, Ordering::Relaxed);
    });
    run(load, &mut observer)?;
    if !observer.is_established {
        return Err("not all connections were established".into());
    }
    Ok(())
}

/// Private resident memory of this process, bytes.
fn memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.ok_or("no RssAnon")?.trim().parse::<u64>()? * 1024)
}
