//! A board with 8 workers and a backlog of 8 on a perfect link: 8 concurrent clients, none of which
//! may be refused or reset.

use crate::Result;
use embassy_time::Instant;
use tcpctl::sim::board::Board;
use tcpctl::sim::boot::Hardware;
use tcpctl::sim::client::ClientStack;
use tcpctl::sim::clock::ThreadPark;
use tcpctl::sim::driver::LinkDriver;
use tcpctl::sim::link::link as virtual_link;
use tcpctl::sim::network::VirtualNetwork;
use tcpctl::sim::servers::{Neighbors, PREFIX};
use tcpctl::sim::session;
use tcpctl::sim::spec::{Profile, Spec};

use crate::closed_loop::{self, Seen};
use crate::cpu::CpuTime;
use crate::resets::Resets;
use crate::spread::Spread;
use crate::table::Table;

const CLIENTS: usize = 8;
const ROUNDS: usize = 5;
/// Exchanges per round.
const EXCHANGES: u64 = 10_000;

/// One round.
struct Round {
    seen: Seen,
    board_us: f64,
    client_us: f64,
}

/// The board that is measured on the link and on the TAP interface.
pub(crate) fn spec() -> Result<Spec> {
    let changes = [("workers", "8"), ("backlog", "8")];
    Spec::with(Profile::Ideal, changes).map_err(Into::into)
}

/// Measures and prints.
pub(crate) fn run() -> Result<()> {
    let spec = spec()?;
    // Like `session::network`, with a counter of resets at the board's end.
    let resets = Resets::default();
    let counter = resets.clone();
    let (board_end, host_end) = virtual_link(spec.link);
    let hardware = Hardware::new(&spec)?;
    let board = Board::start(&spec, hardware, Neighbors::OneClient, None, move |mac| {
        let driver = counter.watch(LinkDriver::new(board_end, mac));
        Ok((driver, ThreadPark::new()))
    })?;
    let client = [192, 168, 1, 2].into();
    let stack = ClientStack::new(host_end, client, PREFIX, Instant::now(), spec.link.seed);
    let mut network = VirtualNetwork::new(stack);
    let to = session::address(&spec);

    // The first exchange resolves the address (ARP).
    closed_loop::run(&mut network, to, 1, 1)?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let before = CpuTime::now();
        let seen = closed_loop::run(&mut network, to, CLIENTS, EXCHANGES)?;
        let after = CpuTime::now();
        let board = after.of_since("board", &before).as_secs_f64();
        let all = after.since(&before).as_secs_f64();
        rounds.push(Round {
            seen,
            board_us: 1e6 * board / EXCHANGES as f64,
            client_us: 1e6 * (all - board) / EXCHANGES as f64,
        });
    }
    drop(network);
    let summary = board.stop();

    let total = EXCHANGES * ROUNDS as u64;
    println!("link: {CLIENTS} clients, 8 workers + 8 backlog, profile ideal, {total} exchanges");
    print(&rounds);
    let sum = |figure: fn(&Seen) -> u64| rounds.iter().map(|r| figure(&r.seen)).sum::<u64>();
    let refused = sum(|seen| seen.refused);
    let broken = sum(|seen| seen.broken);
    println!(
        "  refused {refused} (the board counted {}), broken {broken}, RSTs the board sent {}: {}",
        summary.counters.refused.unwrap_or_default(),
        resets.count(),
        crate::met(refused + broken + resets.count() == 0),
    );
    Ok(())
}

fn print(rounds: &[Round]) {
    let mut table = Table::new(&["median (middle half) of the rounds", ""]);
    let mut row = |name: &str, decimals: usize, figure: &dyn Fn(&Round) -> f64| {
        let spread = Spread::of(rounds.iter().map(figure));
        table.row([name.to_owned(), format!("{spread:.decimals$}")]);
    };
    row("exchanges/s", 0, &|round| {
        round.seen.latency.len() as f64 / round.seen.elapsed.as_secs_f64()
    });
    for (name, quantile) in [("p50 us", 0.5), ("p99 us", 0.99), ("max us", 1.0)] {
        row(name, 0, &move |round| {
            round.seen.latency.value_at_quantile(quantile) as f64 / 1e3
        });
    }
    if CpuTime::now().is_known() {
        row("board CPU us/exchange", 1, &|round| round.board_us);
        row("client CPU us/exchange", 1, &|round| round.client_us);
    }
    table.print();
}
