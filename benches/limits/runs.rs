//! Runs the cells and prints a table of the results.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tcpctl::bench::limits::{self, LimitsError, LimitsFinding, LimitsPlan};
use tcpctl::sim::board::Board;
use tcpctl::sim::boot::Hardware;
use tcpctl::sim::servers::Neighbors;
use tcpctl::sim::session;
use tcpctl::sim::spec::{Profile, Spec};
use tcpctl_engine::kernel::KernelNetwork;
use tcpctl_engine::readiness::Network;

use crate::Result;
use crate::cells::{self, Cell, GROUPS, Group, Server};
use crate::lwip::Reference;
use crate::namespace::{self, Skipped, TAP};
use crate::options::Options;
use crate::process;
use crate::table::Table;

/// Percentage of runs that must be correct.
const GOAL: usize = 98;
/// Percentage of runs that must be correct on a busy machine or on a lossy link.
const GOAL_UNDER_STRESS: usize = 95;

/// Runs the selected groups. `arguments` are passed on to the process inside a namespace.
///
/// # Errors
/// What keeps a server from being started.
pub(crate) fn all(options: &Options, arguments: &[String]) -> Result<()> {
    let mut load = Vec::new();
    if options.under_load {
        for _ in 0..2 {
            load.push(process::busy_loop()?);
        }
        println!("with two busy loops");
    }
    for (group, name) in GROUPS {
        if options.include(group) && !group.is_inside() {
            if group == Group::Ipv6 && !has_ipv6() {
                println!("{name}: skipped: this computer has no ::1\n");
                continue;
            }
            run(group, name, options, None)?;
        }
    }
    let inside = |&(group, _): &(Group, &str)| group.is_inside() && options.include(group);
    if GROUPS.iter().any(inside)
        && let Err(Skipped(why)) = namespace::run_inside(arguments)?
    {
        println!("tap, lwip: skipped: {why}");
    }
    drop(load);
    Ok(())
}

/// Runs the groups inside the namespace.
///
/// # Errors
/// As for [`all`].
pub(crate) fn inside(options: &Options) -> Result<()> {
    namespace::create_tap()?;
    for (group, name) in GROUPS {
        if !options.include(group) || !group.is_inside() {
            continue;
        }
        let mut reference = None;
        if group == Group::Lwip {
            match Reference::build()? {
                Ok(built) => reference = Some(built),
                Err(Skipped(why)) => {
                    println!("{name}: skipped: {why}\n");
                    continue;
                }
            }
        }
        run(group, name, options, reference.as_ref())?;
    }
    Ok(())
}

fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

/// Runs all cells of a group.
fn run(group: Group, name: &str, options: &Options, lwip: Option<&Reference>) -> Result<()> {
    match group {
        Group::Link | Group::Lossy | Group::Tap => println!("{name}, --seed {}", options.seed),
        _ => println!("{name}"),
    }
    let mut table = Table::new(&[
        "",
        "served + queued, next",
        "right",
        "median s",
        "longest s",
        "goal s",
    ]);
    let (mut right, mut runs, mut in_time) = (0, 0, 0);
    let mut misses = Vec::new();
    let is_stressed = options.under_load || group == Group::Lossy;
    for cell in cells::of(group) {
        let mut times = Vec::new();
        let mut hits = 0;
        for repeat in 0..options.repeats {
            let seed = options.seed.wrapping_add(repeat as u64);
            let begin = Instant::now();
            let found = find(&cell, seed, lwip)?;
            times.push(begin.elapsed());
            match &found {
                Ok(finding) if cell.truth.matches(finding) => {
                    hits += 1;
                    in_time += usize::from(finding.took <= cell.goal());
                }
                _ => misses.push(format!("{} (seed {seed}): {}", cell.name, describe(&found))),
            }
        }
        times.sort();
        table.row([
            cell.name.clone(),
            cell.truth.describe(),
            format!("{hits}/{}", options.repeats),
            format!("{:.2}", times[times.len() / 2].as_secs_f64()),
            format!("{:.2}", times[times.len() - 1].as_secs_f64()),
            if is_stressed {
                "-".to_owned()
            } else {
                format!("{:.1}", cell.goal().as_secs_f64())
            },
        ]);
        right += hits;
        runs += options.repeats;
    }
    table.print();
    for miss in misses {
        println!("  MISSED {miss}");
    }
    let goal = if is_stressed { GOAL_UNDER_STRESS } else { GOAL };
    let met = if right * 100 >= runs * goal {
        "met"
    } else {
        "MISSED"
    };
    println!("  {right} of {runs} correct, at least {goal}%: {met}");
    if !is_stressed {
        println!("  {in_time} of {runs} correct and in time");
    }
    println!();
    Ok(())
}

type Found = Result<LimitsFinding, LimitsError>;

/// One run against a new server.
fn find(cell: &Cell, seed: u64, lwip: Option<&Reference>) -> Result<Found> {
    match &cell.server {
        Server::Kernel(kernel) => {
            let (server, address) = kernel.start()?;
            let found = over_kernel(address)?;
            drop(server);
            Ok(found)
        }
        Server::Link(changes) => {
            let spec = spec(changes, seed)?;
            let (board, mut network) = session::network(&spec, None)?;
            let found = over(&mut network, session::address(&spec));
            drop(network);
            board.stop();
            Ok(found)
        }
        Server::Tap(changes) => {
            let spec = spec(changes, seed)?;
            let quality = spec.link;
            let hardware = Hardware::new(&spec)?;
            let board = Board::start(&spec, hardware, Neighbors::Wire, None, move |mac| {
                tcpctl::sim::tap::open(TAP, quality, mac)
            })?;
            let found = over_wire(session::address(&spec))?;
            board.stop();
            Ok(found)
        }
        Server::Lwip { workers, service } => {
            let reference = lwip.ok_or("lwIP was not compiled")?;
            let running = reference.start(&[workers.to_string(), service.to_string()])?;
            let found = over_wire(([192, 168, 1, 1], 3000).into())?;
            drop(running);
            Ok(found)
        }
    }
}

fn spec(changes: &[(&'static str, String)], seed: u64) -> Result<Spec> {
    let seed = seed.to_string();
    let changes = changes.iter().map(|(key, value)| (*key, value.as_str()));
    Spec::with(Profile::Ideal, changes.chain([("seed", &*seed)])).map_err(Into::into)
}

/// On a TAP interface ARP must be complete before the measurement.
fn over_wire(address: SocketAddr) -> Result<Found> {
    namespace::flush_neighbors()?;
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
        if Instant::now() > until {
            return Err(format!("cannot connect to {address}").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    over_kernel(address)
}

fn over_kernel(address: SocketAddr) -> Result<Found> {
    Ok(over(&mut KernelNetwork::new()?, address))
}

fn over<N: Network>(network: &mut N, address: SocketAddr) -> Found {
    limits::find(network, &LimitsPlan::new(address), &mut |_| {})
}

/// Describes a wrong result.
fn describe(found: &Found) -> String {
    match found {
        Ok(finding) => format!(
            "served {:?}, queued {:?}, held {:?}, burst {:?}, {:?}; {:?} in {:.2?}, rounds {:?}",
            finding.served_at_once.value,
            finding.queued.value,
            finding.held.value,
            finding.burst.value,
            finding.overflow,
            finding.ended,
            finding.took,
            finding.trials,
        ),
        Err(error) => error.to_string(),
    }
}
