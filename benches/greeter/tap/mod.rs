//! The board on a TAP interface, with clients on the kernel's stack, beside the tutorial's server
//! on lwIP at the same interface: in turn, in one run, in a network namespace of its own.
//!
//! Two rates are told of a round. *In all* is what a client gets that goes on for the whole
//! round. *At first* is the server's speed alone: it ends before the kernel picks a port that the
//! server remembers. lwIP remembers a closed connection for two minutes (twice `TCP_MSL`), answers
//! a SYN from its port with a mere ACK and does not reopen it, as a server may (RFC 9293, section
//! 3.6.1, MAY-2); Linux then has to repeat the SYN. It picks ports at random steps of about nine,
//! so it comes by remembered ones after about 3,200 connections: from there on most of the time
//! goes by in waiting for lwIP. So its rate in all is about 3,200 in a round, however long that
//! is, and the ratio to it says as much. smoltcp listens again straight from TIME-WAIT.
//!
//! `listen(2)` bounds nothing here: Debian's lwIP is built without `TCP_LISTEN_BACKLOG`.

mod clients;

use std::net::SocketAddr;
use std::time::Duration;

use crate::Result;
use tcpctl::sim::board::Board;
use tcpctl::sim::servers::Neighbours;
use tcpctl::sim::session;

use crate::cable::spec;
use crate::lwip::Reference;
use crate::namespace::{self, Skipped, TAP};
use crate::resets::Resets;
use crate::spread::Spread;
use crate::table::Table;
use clients::{FIRST, Seen};

const CLIENTS: [usize; 3] = [1, 4, 8];
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(5);

/// The requests a second with one client, ours to the reference's.
const GOAL_RATE: f64 = 10.0;
/// Ours, with 4 and 8 clients.
const GOAL_P99: Duration = Duration::from_millis(2);

/// Measures and prints, where this machine can.
pub(crate) fn run() -> Result<()> {
    if let Err(Skipped(why)) = namespace::run_inside(&[])? {
        println!("tap: skipped: {why}");
    }
    Ok(())
}

/// What is run inside the namespace.
pub(crate) fn measure() -> Result<()> {
    let reference = match Reference::build()? {
        Ok(reference) => Some(reference),
        Err(Skipped(why)) => {
            println!("tap: the comparison is skipped: {why}");
            None
        }
    };
    namespace::plug_in()?;
    println!(
        "tap: requests/s over {} s, and of the first {FIRST} exchanges; {ROUNDS} rounds in turn",
        ROUND.as_secs()
    );
    let mut table = Table::new(&[
        "",
        "in all",
        "at first",
        "p50 ms",
        "p99 ms",
        "max ms",
        "refused",
        "broken",
        "timed out",
        "SYNs again",
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
        row(&mut table, &format!("greeter, {clients} at once"), &ours);
        if clients > 1 {
            goals.push(calm(clients, &ours));
        }
        if !theirs.is_empty() {
            row(&mut table, &format!("lwIP,    {clients} at once"), &theirs);
            goals.push(ratio(clients, &ours, &theirs));
        }
    }
    table.print();
    println!("  at first: before the clients come by ports that lwIP still remembers (TIME-WAIT)");
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
    let board = Board::start(&spec, Neighbours::Wire, None, move |mac| {
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
    namespace::forget_neighbours()?;
    clients::wait_for(to)?;
    Ok(clients::run(to, clients, ROUND))
}

fn in_all(seen: &Seen) -> f64 {
    seen.served as f64 / ROUND.as_secs_f64()
}

fn at_first(seen: &Seen) -> Option<f64> {
    Some(FIRST as f64 / seen.first?.as_secs_f64())
}

fn quantile_ms(seen: &Seen, quantile: f64) -> f64 {
    seen.latency.value_at_quantile(quantile) as f64 / 1e6
}

/// Adds the medians of some rounds, and the sums of what went wrong.
fn row(table: &mut Table, name: &str, rounds: &[Seen]) {
    let median = |quantile| Spread::of(rounds.iter().map(|seen| quantile_ms(seen, quantile)));
    let sum = |figure: fn(&Seen) -> u64| rounds.iter().map(figure).sum::<u64>().to_string();
    let first: Option<Vec<f64>> = rounds.iter().map(at_first).collect();
    table.row([
        name.to_owned(),
        format!("{:.0}", Spread::of(rounds.iter().map(in_all))),
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
        sum(|seen| seen.syns_repeated),
    ]);
}

/// Ours to theirs, round by round.
fn ratio(clients: usize, ours: &[Seen], theirs: &[Seen]) -> String {
    let pairs = || ours.iter().zip(theirs);
    let in_all = Spread::of(pairs().map(|(our, their)| in_all(our) / in_all(their).max(0.1)));
    let at_first: Option<Vec<f64>> = pairs()
        .map(|(our, their)| Some(at_first(our)? / at_first(their)?))
        .collect();
    let at_first = at_first.map_or_else(String::new, |rates| {
        format!(", {:.1}x at first", Spread::of(rates))
    });
    let goal = if clients == 1 {
        let met = crate::met(in_all.median() >= GOAL_RATE);
        format!("; in all at least {GOAL_RATE}x: {met}")
    } else {
        String::new()
    };
    format!("{clients} at once: greeter serves {in_all:.1}x of lwIP's in all{at_first}{goal}")
}

/// Whether several clients at once were all served, and soon.
fn calm(clients: usize, ours: &[Seen]) -> String {
    let p99 = Spread::of(ours.iter().map(|seen| quantile_ms(seen, 0.99)));
    let served = ours
        .iter()
        .all(|seen| seen.refused + seen.broken + seen.unanswered == 0);
    let soon = p99.median() < 1e3 * GOAL_P99.as_secs_f64();
    format!(
        "{clients} at once: greeter refuses and breaks none: {}; p99 {p99:.2} ms, under {} ms: {}",
        crate::met(served),
        GOAL_P99.as_millis(),
        crate::met(soon),
    )
}
