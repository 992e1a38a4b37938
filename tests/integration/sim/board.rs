//! The options of `tcpctl sim` and the board that results.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::processes::{Board, GREETING, REQUEST, SHOWN};

/// A board on a free port.
pub(crate) fn listening(options: &str) -> Board {
    let mut sim = Board::tcpctl();
    sim.args(["sim", "--listen", "127.0.0.1:0"]);
    sim.args(options.split(' ').filter(|word| !word.is_empty()));
    Board::start(sim)
}

/// A connection to a board with a timeout on every operation.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap_or_else(|error| panic!("{to}: {error}"));
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .expect("a connection takes options");
    stream
}

/// One exchange. Returns the local address and the reply.
pub(crate) fn exchange(to: SocketAddr, request: &[u8]) -> (SocketAddr, Vec<u8>) {
    let mut stream = connect(to);
    let from = stream.local_addr().expect("a connection has two ends");
    stream.write_all(request).expect("the board reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the board answers");
    (from, answer)
}

#[test]
fn requests_show_the_peer_outside_the_relay() {
    let board = listening("esp32");
    for request in ["Hello TCP world!\r\n", "\x1b[2J\"\0\\", "ä"] {
        let (from, answer) = exchange(board.address, request.as_bytes());
        assert_eq!(answer, GREETING.as_bytes());
        let shown = format!(
            "request peer={from} len={} \"{}\" reply=11 took=",
            request.len(),
            request.as_bytes().escape_ascii()
        );
        assert!(board.wait_for(&format!("peer={from} ")).starts_with(&shown));
    }
}

#[test]
fn default_board_has_the_esp32_limits() {
    let board = listening("");
    let ready = board.wait_for("ready ");
    let (limits, management) = ready.split_once(" mgmt=").expect("a management port");
    assert_eq!(
        limits,
        format!("ready addr={} mode=ap workers=4 backlog=4", board.address)
    );
    assert!(
        management.parse().is_ok_and(|port: u16| port > 0),
        "{ready}"
    );
}

#[test]
fn tutorial_profile_serves_one_and_queues_two() {
    let board = listening("tutorial --management off");
    let ready = board.wait_for("ready ");
    assert!(ready.ends_with(" mode=ap workers=1 backlog=2"), "{ready}");
    assert_eq!(exchange(board.address, b"hi").1, GREETING.as_bytes());
}

#[test]
fn station_has_an_address_before_ready() {
    let board = listening("ideal --mode sta");
    assert!(board.wait_for("ready ").contains(" mode=sta "));
    assert_eq!(exchange(board.address, b"hi").1, GREETING.as_bytes());
}

#[test]
fn half_closing_client_is_answered() {
    let board = listening("esp32");
    let mut stream = connect(board.address);
    stream.write_all(REQUEST.as_bytes()).expect("it reads");
    stream.shutdown(Shutdown::Write).expect("it is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert_eq!(answer, GREETING);
    assert!(board.wait_for("request ").contains(SHOWN));
}

#[test]
fn silent_fin_is_answered_at_once() {
    let board = listening("esp32 --request-timeout 10m");
    let mut stream = connect(board.address);
    stream.shutdown(Shutdown::Write).expect("it is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert_eq!(answer, GREETING);
    assert!(
        board
            .wait_for("request ")
            .contains(" len=0 \"\" reply=11 took=")
    );
}

#[test]
fn silent_client_is_greeted_after_request_timeout() {
    const TIMEOUT: Duration = Duration::from_millis(150);
    let board = listening("ideal --request-timeout 150ms");
    let start = Instant::now();
    let (_, answer) = exchange(board.address, b"");
    assert_eq!(answer, GREETING.as_bytes());
    assert!(start.elapsed() >= TIMEOUT, "{:?}", start.elapsed());
    assert!(board.interrupt().stdout.contains(" timed_out=1 "));
}

#[test]
fn greeting_option_is_used() {
    let mut sim = Board::tcpctl();
    sim.args(["sim", "--listen", "127.0.0.1:0", "--greeting"]);
    sim.arg("Grüß dich,\r\n\tWelt");
    let board = Board::start(sim);
    let (_, answer) = exchange(board.address, b"hi");
    assert_eq!(answer, "Grüß dich,\r\n\tWelt".as_bytes());
}

#[test]
fn service_time_applies_to_each_request() {
    const SERVICE_TIME: Duration = Duration::from_millis(50);
    let board = listening("ideal --workers 1 --service-time 50ms");
    let start = Instant::now();
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let to = board.address;
            std::thread::spawn(move || exchange(to, b"hi").1)
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().expect("no panic"), GREETING.as_bytes());
    }
    // There is one worker, so requests are served one by one.
    assert!(start.elapsed() >= SERVICE_TIME * 3, "{:?}", start.elapsed());
}

#[test]
fn link_delay_is_on_every_round_trip() {
    const LATENCY: Duration = Duration::from_millis(40);
    let board = listening("ideal --delay 40ms");
    let start = Instant::now();
    exchange(board.address, b"hi");
    // The handshake and the exchange take four times the one-way delay.
    assert!(start.elapsed() >= LATENCY * 4, "{:?}", start.elapsed());
}

/// The relay accepts a connection before it connects to the board.
#[test]
fn refused_connection_is_reset_by_the_relay() {
    let board = listening("ideal --workers 1 --backlog 0 --request-timeout 10m");
    let held = connect(board.address);
    // The next connection shows whether the board still holds the first.
    let reset = (0..1000).any(|_| {
        let mut stream = connect(board.address);
        let _ = stream.write_all(b"hi");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).is_err_and(|error| {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            true
        })
    });
    assert!(reset);
    drop(held);
    let summary = board.interrupt().stdout;
    assert!(!summary.contains(" refused=0 "), "{summary}");
}
