//! A virtual board at its limit for `TCPCTL_SOAK_SECONDS` (default 3): it leaks nothing and replies
//! to every request once.
//!
//! For ten minutes with the figures shown:
//! `TCPCTL_SOAK_SECONDS=600 cargo test --test soak -- --nocapture`
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tcpctl::board::console;
use tcpctl::board::console::ConsoleEvent;

/// Number of clients: one more than the board's slots (4 workers and a backlog of 4).
const CLIENTS: usize = 9;
/// Maximum memory growth, in kB: above the noise of the allocator, below a leak that matters in ten
/// minutes.
const GROWTH_KB: u64 = 2048;
/// Maximum wait, far more than anything takes on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(1);

/// `tcpctl sim` and the reader of its console.
struct Board {
    child: Child,
    address: SocketAddr,
    console: JoinHandle<Seen>,
}

/// The board's output so far.
#[derive(Debug, Default)]
struct Seen {
    /// Requests of each client, numbered without gaps.
    requests: HashMap<usize, u64>,
    summary: String,
}

impl Board {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tcpctl"))
            .args(["sim", "ideal", "--listen", "127.0.0.1:0"])
            .args(["--workers", "4", "--backlog", "4", "--service-time", "2ms"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("tcpctl starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let ready = lines.next().expect("a first line").expect("text");
        let ConsoleEvent::Ready { addr: address } = console::parse(&ready) else {
            panic!("{ready}")
        };
        let console = thread::spawn(move || {
            let mut seen = Seen::default();
            for line in lines {
                seen.record(&line.expect("text"));
            }
            seen
        });
        Self {
            child,
            address,
            console,
        }
    }

    /// Resident memory, in kB.
    fn resident_kb(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.expect("VmRSS in proc(5)").parse().expect("a number")
    }

    /// Open files.
    fn files(&self) -> usize {
        let folder = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        folder.expect("it runs").count()
    }

    fn stop(mut self) -> Seen {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
        assert!(self.child.wait().expect("it ends").success());
        self.console.join().expect("every request is the next one")
    }
}

impl Seen {
    fn record(&mut self, line: &str) {
        match console::parse(line) {
            ConsoleEvent::Request { request, .. } => {
                let mut words = request.split(' ');
                let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
                let (client, nth) = number().zip(number()).expect("what a client sends");
                let client = usize::try_from(client).expect("a client");
                let seen = self.requests.entry(client).or_default();
                *seen += 1;
                assert_eq!(nth, *seen, "client {client}: lost, or served twice");
            }
            _ if line.starts_with("summary ") => line.clone_into(&mut self.summary),
            _ => {}
        }
    }

    /// A counter of the summary.
    fn counted(&self, name: &str) -> u64 {
        let values = self.summary.split(' ');
        let mut values = values.filter_map(|pair| pair.split_once('='));
        let found = values.find(|(key, _)| *key == name);
        found.map_or(0, |(_, value)| value.parse().expect("a count"))
    }
}

/// Sends numbered requests until `end`. Returns how many were answered. A refused one is sent
/// again.
fn client(number: usize, to: SocketAddr, end: Instant, refused: &AtomicU64) -> u64 {
    let mut answered = 0;
    while Instant::now() < end {
        let request = format!("{number} {}", answered + 1);
        match exchange(to, request.as_bytes()) {
            Some(reply) => {
                assert_eq!(reply, b"Hello World", "client {number}");
                answered += 1;
            }
            None => {
                refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    answered
}

/// The whole reply; `None` if the connection was refused.
fn exchange(to: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    stream.write_all(request).ok()?;
    let mut reply = Vec::new();
    match stream.read_to_end(&mut reply) {
        Ok(_) => Some(reply),
        Err(error) => {
            // The relay resets a connection that the board refuses.
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            assert!(reply.is_empty(), "a part of a reply: {reply:?}");
            None
        }
    }
}

/// Waits until no connection is left.
fn settled(board: &Board, files: usize) -> usize {
    let start = Instant::now();
    while board.files() > files && start.elapsed() < TIMEOUT {
        thread::yield_now();
    }
    board.files()
}

#[test]
fn board_at_its_limit_leaks_no_memory_and_answers_once() {
    let seconds = std::env::var("TCPCTL_SOAK_SECONDS");
    let seconds = seconds.map_or(3, |text| text.parse().expect("TCPCTL_SOAK_SECONDS"));
    let duration = Duration::from_secs(seconds);
    let board = Board::start();
    let refused = AtomicU64::new(0);
    // After a reply the board has opened everything that it needs. This connection may still be
    // open.
    exchange(board.address, b"0 1").expect("a free board");
    let idle_files = board.files();
    let start = Instant::now();
    // Growth until every slot was used is not a leak, so the first quarter is not counted.
    let rounds = [duration / 4, duration].map(|end| {
        let answered: Vec<u64> = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    // Each round has its own clients; client 0 was the first one.
                    let number = 1 + number + if end < duration { 0 } else { CLIENTS };
                    let (to, refused) = (board.address, &refused);
                    scope.spawn(move || client(number, to, start + end, refused))
                })
                .collect();
            let ended = clients.into_iter();
            ended
                .map(|client| client.join().expect("right replies"))
                .collect()
        });
        (answered, settled(&board, idle_files), board.resident_kb())
    });
    let seen = board.stop();

    let [
        (first, files_before, kb_before),
        (second, files_after, kb_after),
    ] = rounds;
    let sent: Vec<u64> = [1].into_iter().chain(first).chain(second).collect();
    let total: u64 = sent.iter().sum();
    println!(
        "{seconds} s: {total} exchanges, {} refused; {kb_before} kB and {files_before} files after \
         a quarter, {kb_after} kB and {files_after} files at the end",
        refused.load(Ordering::Relaxed)
    );
    for (client, answered) in sent.iter().enumerate() {
        // At the limit a client may starve.
        let received = seen.requests.get(&client).copied();
        assert_eq!(received.unwrap_or(0), *answered, "client {client}");
    }
    assert_eq!(seen.counted("served"), total, "{}", seen.summary);
    assert_eq!(seen.counted("events_dropped"), 0, "{}", seen.summary);
    assert!(
        seen.counted("refused") > 0,
        "not at its limit: {}",
        seen.summary
    );
    assert!(
        files_before.max(files_after) <= idle_files,
        "{idle_files} files at first"
    );
    assert!(
        kb_after <= kb_before + GROWTH_KB,
        "{kb_before} kB, {kb_after} kB"
    );
}
