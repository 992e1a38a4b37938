//! CPU time of a management session's handshake on a virtual board.

use std::hint::black_box;
use std::time::Instant;

use tcpctl_management::{BoardEvent, BoardSession, ClientEvent, ClientSession, Request};
use tcpctl_settings::ManagementKey;

use crate::spread::Spread;
use crate::{Result, met};

const SESSIONS: u8 = 200;
/// Maximum milliseconds of the board.
const GOAL: f64 = 5.0;

/// Measures and prints.
pub(crate) fn run() -> Result<()> {
    let times = (0..SESSIONS)
        .map(session)
        .collect::<Result<Vec<(f64, f64)>>>()?;
    let board = Spread::of(times.iter().map(|(board, _)| *board));
    let client = Spread::of(times.iter().map(|(_, client)| *client));
    println!(
        "management: handshake and first request, ms: board {board:.2}, client {client:.2}; the \
         board below {GOAL}: {}",
        met(board.median() < GOAL)
    );
    Ok(())
}

/// Milliseconds of the board and of the client for one session. Nothing waits, so elapsed time is
/// CPU time.
fn session(number: u8) -> Result<(f64, f64)> {
    let key = ManagementKey::new([7; 32]);
    let mut client = ClientSession::new();
    let start = Instant::now();
    let (mut board, hello) = BoardSession::start([2; 6], &key, [number; 32])?;
    let mut on_board = start.elapsed();
    let start = Instant::now();
    client.receive(&mut &hello[..])?;
    let first = client.authenticate(&key, [255; 32])?;
    let mut on_client = start.elapsed();
    let start = Instant::now();
    let BoardEvent::Send(second) = board.receive(&mut &first[..])? else {
        return Err("no second message".into());
    };
    on_board += start.elapsed();
    let start = Instant::now();
    let ClientEvent::Established = client.receive(&mut &second[..])? else {
        return Err("not established".into());
    };
    let request = client.request(&Request::Show)?;
    on_client += start.elapsed();
    let start = Instant::now();
    black_box(board.receive(&mut &request[..])?);
    on_board += start.elapsed();
    let millis = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    Ok((millis(on_board), millis(on_client)))
}
