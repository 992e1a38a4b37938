//! The board on a TAP interface with clients on kernel sockets, compared with the tutorial's server
//! on lwIP on the same interface: alternating, in one run, in its own network namespace.
//!
//! Two rates are measured per round. *Overall* is the rate of a client over the whole round.
//! *Initial* is the server's speed alone: it ends before the kernel reuses a port that the server
//! remembers. lwIP remembers a closed connection for two minutes (twice `TCP_MSL`) and answers a
//! SYN from its port with an ACK instead of reopening it, as it may (RFC 9293, section 3.6.1,
//! MAY-2); Linux then retransmits the SYN. Linux picks ports at random steps of about nine, so it
//! reaches remembered ones after about 3,200 connections. From then on it mostly waits for lwIP, so
//! lwIP's overall rate is about 3,200 per round, however long that is. smoltcp listens again
//! directly from TIME-WAIT.
//!
//! `listen(2)` does not limit anything here: Debian's lwIP is built without `TCP_LISTEN_BACKLOG`.

mod clients;

use std::net::SocketAddr;
use std::time::Duration;

use crate::Result;
use tcpctl::sim::board::Board;
use tcpctl::sim::boot::Hardware;
use tcpctl::sim::servers::Neighbors;
use tcpctl::sim::session;

use crate::link::spec;
use crate::lwip::Reference;
use crate::namespace::{self, Skipped, TAP};
use crate::resets::Resets;
use crate::spread::Spread;
use crate::table::Table;
use clients::{FIRST, Seen};

const CLIENTS: [usize; 3] = [1, 4, 8];
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(5);

/// Minimum ratio of the rates with one client.
const GOAL_RATE: f64 = 10.0;
/// Maximum p99 of greeter, with 4 and 8 clients.
const GOAL_P99: Duration = Duration::from_millis(2);

/// Measures and prints, if the machine allows it.
pub(crate) fn run() -> Result<()> {
    if let Err(Skipped(why)) = namespace::run_inside(&[])? {
        println!("tap: skipped: {why}");
    }
    Ok(())
}

/// Measures inside the namespace.
pub(crate) fn measure() -> Result<()> {
    let reference = match Reference::build()? {
        Ok(reference) => Some(reference),
        Err(Skipped(why)) => {
            println!("tap: the comparison is skipped: {why}");
            None
        }
    };
    namespace::create_tap()?;
    println!(
        "tap: requests/s over {} s, and of the first {FIRST} exchanges; {ROUNDS} alternating rounds",
        ROUND.as_secs()
    );
    let mut table = Table::new(&[
        "",
        "overall",
        "initial",
        "p50 ms",
        "p99 ms",
        "max ms",
        "refused",
        "broken",
        "timeout",
        "SYN retransmits",
    ]);
    let mut goals = Vec::new();
    let resets = Resets::default();
    for clients in CLIENTS {
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        for _ in 0..ROUNDS {
            ours.push(round_of_greeter(clients, &resets)?);
            if let Some(reference) = &reference {
                theirs.push(round_of_lwip(clients, reference)?);
            }
        }
        row(&mut table, &format!("greeter, {clients} clients"), &ours);
        if clients > 1 {
            goals.push(all_served(clients, &ours));
        }
        if !theirs.is_empty() {
            row(&mut table, &format!("lwIP,    {clients} clients"), &theirs);
            goals.push(ratio(clients, &ours, &theirs));
        }
    }
    table.print();
    println!("  initial: before the clients reuse ports that lwIP still remembers (TIME-WAIT)");
    for goal in goals {
        println!("  {goal}");
    }
    let resets = resets.count();
    println!("  RSTs greeter sent: {resets}: {}", crate::met(resets == 0));
    Ok(())
}

fn round_of_greeter(clients: usize, resets: &Resets) -> Result<Seen> {
    let spec = spec()?;
    let (quality, resets) = (spec.link, resets.clone());
    let hardware = Hardware::new(&spec)?;
    let board = Board::start(&spec, hardware, Neighbors::Wire, None, move |mac| {
        let (driver, park) = tcpctl::sim::tap::open(TAP, quality, mac)?;
        Ok((resets.watch(driver), park))
    })?;
    let seen = round(session::address(&spec), clients)?;
    board.stop();
    Ok(seen)
}

fn round_of_lwip(clients: usize, reference: &Reference) -> Result<Seen> {
    let server = reference.start(&[])?;
    let seen = round(session::address(&spec()?), clients)?;
    drop(server);
    Ok(seen)
}

fn round(to: SocketAddr, clients: usize) -> Result<Seen> {
    namespace::flush_neighbors()?;
    clients::wait_for(to)?;
    Ok(clients::run(to, clients, ROUND))
}

fn overall(seen: &Seen) -> f64 {
    seen.served as f64 / ROUND.as_secs_f64()
}

fn initial(seen: &Seen) -> Option<f64> {
    Some(FIRST as f64 / seen.first?.as_secs_f64())
}

fn quantile_ms(seen: &Seen, quantile: f64) -> f64 {
    seen.latency.value_at_quantile(quantile) as f64 / 1e6
}

/// Adds the medians of the rounds and the sums of their errors.
fn row(table: &mut Table, name: &str, rounds: &[Seen]) {
    let median = |quantile| Spread::of(rounds.iter().map(|seen| quantile_ms(seen, quantile)));
    let sum = |figure: fn(&Seen) -> u64| rounds.iter().map(figure).sum::<u64>().to_string();
    let first: Option<Vec<f64>> = rounds.iter().map(initial).collect();
    table.row([
        name.to_owned(),
        format!("{:.0}", Spread::of(rounds.iter().map(overall))),
        first.map_or_else(
            || "not reached".to_owned(),
            |rates| format!("{:.0}", Spread::of(rates)),
        ),
        format!("{:.3}", median(0.5).median()),
        format!("{:.2}", median(0.99)),
        format!("{:.1}", median(1.0)),
        sum(|seen| seen.refused),
        sum(|seen| seen.broken),
        sum(|seen| seen.unanswered),
        sum(|seen| seen.syn_retransmissions),
    ]);
}

/// The ratio to lwIP, round by round.
fn ratio(clients: usize, ours: &[Seen], theirs: &[Seen]) -> String {
    let pairs = || ours.iter().zip(theirs);
    let overall = Spread::of(pairs().map(|(our, their)| overall(our) / overall(their).max(0.1)));
    let initial: Option<Vec<f64>> = pairs()
        .map(|(our, their)| Some(initial(our)? / initial(their)?))
        .collect();
    let initial = initial.map_or_else(String::new, |rates| {
        format!(", initially {:.1}x", Spread::of(rates))
    });
    let goal = if clients == 1 {
        let met = crate::met(overall.median() >= GOAL_RATE);
        format!("; overall at least {GOAL_RATE}x: {met}")
    } else {
        String::new()
    };
    format!("{clients} clients: greeter serves {overall:.1}x lwIP's rate{initial}{goal}")
}

/// Whether all clients were served in time.
fn all_served(clients: usize, ours: &[Seen]) -> String {
    let p99 = Spread::of(ours.iter().map(|seen| quantile_ms(seen, 0.99)));
    let served = ours
        .iter()
        .all(|seen| seen.refused + seen.broken + seen.unanswered == 0);
    let soon = p99.median() < 1e3 * GOAL_P99.as_secs_f64();
    format!(
        "{clients} clients: greeter refuses and breaks none: {}; p99 {p99:.2} ms, under {} ms: {}",
        crate::met(served),
        GOAL_P99.as_millis(),
        crate::met(soon),
    )
}
