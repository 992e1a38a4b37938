//! The end of `tcpctl sim`.

use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::board::{exchange, listening};
use crate::processes::{Board, Process};

#[test]
fn sigint_and_sigterm_print_the_summary() {
    for signal in [Signal::INT, Signal::TERM] {
        let board = listening("esp32");
        exchange(board.address, b"hi");
        board.wait_for("request ");
        board.process.signal(signal);
        let ended = board.process.finish();
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{signal:?}");
        assert_eq!(
            ended.stdout.lines().last(),
            Some(
                "summary accepted=1 served=1 refused=0 timed_out=0 reset=0 bytes_in=2 bytes_out=11"
            ),
            "{signal:?}"
        );
    }
}

/// Starts a board whose console is this pipe. Returns its process, console and address.
fn start_into(reader: PipeReader, writer: PipeWriter) -> (Process, impl BufRead, SocketAddr) {
    let mut sim = Board::tcpctl();
    sim.args(["sim", "--listen", "127.0.0.1:0"]);
    let process = Process::start_into(sim, writer);
    let mut console = BufReader::new(reader);
    let mut ready = String::new();
    console.read_line(&mut ready).expect("the board starts");
    let address = Board::address_in(ready.trim()).expect("the first line has the address");
    (process, console, address)
}

#[test]
fn closed_pipe_ends_sim_quietly() {
    let (reader, writer) = io::pipe().expect("a pipe can be had");
    let (process, console, address) = start_into(reader, writer);
    drop(console);
    exchange(address, b"hi");
    let ended = process.finish();
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
}

/// A blocked console delays the summary, but not the second Ctrl-C.
#[test]
fn second_sigint_ends_sim_at_once() {
    let (reader, writer) = io::pipe().expect("a pipe can be had");
    let stuffing = writer.try_clone().expect("a descriptor can be had");
    let (process, _console, address) = start_into(reader, writer);
    fill(stuffing);
    exchange(address, b"hi");

    process.signal(Signal::INT);
    // The relay has closed, so the first signal was handled.
    while TcpStream::connect(address).is_ok() {
        thread::sleep(Duration::from_millis(2));
    }
    // Signals less than 100 ms apart count as one that was delivered twice.
    thread::sleep(Duration::from_millis(150));
    process.signal(Signal::INT);
    assert_eq!(process.finish().code, Some(130));
}

/// Writes to a pipe until it is full.
fn fill(mut pipe: PipeWriter) {
    rustix::io::ioctl_fionbio(&pipe, true).expect("a pipe can be without waiting");
    while pipe.write(&[b'\n'; 4096]).is_ok() {}
    while pipe.write(b"\n").is_ok() {}
    rustix::io::ioctl_fionbio(&pipe, false).expect("and with");
}
