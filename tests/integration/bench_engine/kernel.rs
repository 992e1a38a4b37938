//! On real sockets: every error class that loopback can produce, counted exactly.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use regex::bytes::Regex;
use socket2::SockRef;
#[cfg(target_os = "linux")]
use socket2::{Domain, Socket, Type};
use tcpctl_engine::engine;
#[cfg(target_os = "linux")]
use tcpctl_engine::engine::{Observer, Progress};
use tcpctl_engine::kernel::KernelNetwork;
use tcpctl_engine::load::{Expectation, Load, ReplyRule, Reuse};
use tcpctl_engine::measurement::{ErrorClass, Measurement};
use tcpctl_engine::readiness::Release;

use super::support::{MS, closed, complete_ms, count, errors, is_within, open, requests, seconds};

/// A server with a thread per connection, until the process ends.
fn serve(behavior: impl Fn(usize, TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for (number, connection) in listener.incoming().enumerate() {
            let behavior = behavior.clone();
            let connection = connection.expect("a descriptor");
            thread::spawn(move || behavior(number, connection));
        }
    });
    address
}

fn read_some(connection: &mut TcpStream) {
    let _ = connection.read(&mut [0; 1024]);
}

fn greet(mut connection: TcpStream) {
    read_some(&mut connection);
    let _ = connection.write_all(b"Hello World");
}

fn reset(connection: &TcpStream) {
    SockRef::from(connection)
        .set_linger(Some(Duration::ZERO))
        .expect("an open socket");
}

/// Requests that a busy machine did not start in time.
fn missed(measurement: &Measurement) -> u64 {
    let missed = measurement.errors.get(&ErrorClass::LocalLate);
    missed.copied().unwrap_or_default()
}

fn run(load: &Load) -> Measurement {
    let mut network = KernelNetwork::new().expect("descriptors");
    engine::run(&mut network, load, &mut ())
}

/// A load of twenty requests over three connections; every fifth connection meets `behavior`.
fn every_fifth(behavior: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> Load {
    let address = serve(move |number, connection| {
        if number % 5 == 0 {
            behavior(connection);
        } else {
            greet(connection);
        }
    });
    Load {
        reply_timeout: Duration::from_millis(300),
        ..requests(address, 3, 20)
    }
}

fn four_fail(load: &Load, class: ErrorClass) {
    let measurement = run(load);
    assert_eq!(measurement.errors, errors([(class, 4)]));
    assert_eq!(measurement.completed, 16);
    assert_eq!(measurement.complete.len(), 16);
}

#[test]
fn greetings_are_counted_and_timed() {
    let address = serve(|_, connection| {
        thread::sleep(Duration::from_millis(20));
        greet(connection);
    });
    for close in [Release::Fin, Release::Reset] {
        let load = Load {
            close,
            ..requests(address, 8, 100)
        };
        let measurement = run(&load);
        assert_eq!(measurement.completed, 100);
        assert!(measurement.errors.is_empty(), "{:?}", measurement.errors);
        assert_eq!(measurement.connect.len(), 100);
        assert!(measurement.complete.min() >= 20 * MS * 999 / 1000);
        assert!(measurement.first_byte.max() <= measurement.complete.max());
        if cfg!(target_os = "linux") {
            let totals = measurement.totals.expect("TCP_INFO");
            assert_eq!(totals.retransmissions, 0);
            assert_eq!(totals.smoothed_rtt.expect("known").len(), 100);
            assert_eq!(totals.min_rtt.expect("known").len(), 100);
        }
        assert!(measurement.client_cpu.expect("a Unix") > Duration::ZERO);
    }
}

#[test]
fn percentiles_match_the_servers_delays() {
    // Five times each of 100, 200, ... 1,000 ms from the connection. On a loaded machine the
    // server's thread wakes up late, so it reports its real delay.
    let (took, taken) = mpsc::channel();
    let address = serve(move |number, mut connection| {
        let connected = Instant::now();
        let delay = Duration::from_millis(number as u64 * 7 % 10 * 100 + 100);
        read_some(&mut connection);
        thread::sleep(delay.saturating_sub(connected.elapsed()));
        let _ = connection.write_all(b"Hello World");
        let _ = took.send((delay, connected.elapsed()));
    });
    let mut off = Vec::new();
    for _ in 0..3 {
        let measurement = run(&requests(address, 10, 50));
        assert_eq!(measurement.completed, 50);
        let mut delays: Vec<_> = taken.iter().take(50).collect();
        delays.sort_by_key(|&(_, took)| took);
        assert!(delays.iter().all(|(delay, took)| took >= delay));
        let quantiles = [(0.5, 24), (0.9, 44), (1.0, 49)].map(|(quantile, rank)| {
            let expected: Duration = delays[rank].1;
            let found = complete_ms(&measurement, quantile);
            (found, expected.as_secs_f64() * 1000.0)
        });
        if quantiles
            .iter()
            .all(|&(found, expected)| is_within(2.0, found, expected))
        {
            return;
        }
        off.push(quantiles);
    }
    panic!("found and expected in ms: {off:?}");
}

#[test]
fn refused() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let measurement = run(&requests(address, 2, 9));
    assert_eq!(measurement.errors, errors([(ErrorClass::Refused, 9)]));
    assert_eq!(measurement.connect.len(), 0);
}

/// A listener with one place in its accept queue. When that is taken, Linux drops the SYN.
#[cfg(target_os = "linux")]
fn listener_of_one() -> TcpListener {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    listener.bind(&any.into()).expect("a port");
    listener.listen(0).expect("a free port");
    listener.into()
}

#[test]
#[cfg(target_os = "linux")]
fn dropped_syn_is_connect_timeout() {
    let listener = listener_of_one();
    let address = listener.local_addr().expect("bound");
    let _first = TcpStream::connect(address).expect("a place");
    let load = Load {
        connect_timeout: Duration::from_millis(200),
        ..requests(address, 3, 6)
    };
    let measurement = run(&load);
    assert_eq!(
        measurement.errors,
        errors([(ErrorClass::ConnectTimeout, 6)])
    );
    assert!(measurement.elapsed >= Duration::from_millis(400));
    drop(listener);
}

#[test]
#[cfg(target_os = "linux")]
fn retransmitted_syn_is_not_retransmitted_data() {
    let listener = listener_of_one();
    let address = listener.local_addr().expect("bound");
    let first = TcpStream::connect(address).expect("a place");
    thread::spawn(move || {
        // Accept after the first SYN, which found the queue full.
        thread::sleep(Duration::from_millis(300));
        drop(listener.accept());
        drop(first);
        greet(listener.accept().expect("the second SYN").0);
    });
    let measurement = run(&requests(address, 1, 1));
    assert_eq!(measurement.completed, 1);
    let totals = measurement.totals.expect("TCP_INFO");
    assert!(totals.syn_retransmissions >= 1);
    assert_eq!(totals.retransmissions, 0);
    assert!(measurement.connect.max() > 300 * MS);
}

/// The server's small window delays the request until it reads.
#[test]
#[cfg(target_os = "linux")]
fn time_limited_by_the_receivers_window_is_reported() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // Accepted connections inherit the buffer size.
    listener.set_recv_buffer_size(4096).expect("small");
    listener.bind(&any.into()).expect("a port");
    listener.listen(8).expect("a free port");
    let listener = TcpListener::from(listener);
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a client");
        thread::sleep(Duration::from_millis(200));
        let mut left = 1 << 20;
        while left > 0 {
            match connection.read(&mut [0; 8192]) {
                Ok(count @ 1..) => left -= count,
                _ => return,
            }
        }
        let _ = connection.write_all(b"Hello World");
    });
    let load = Load {
        message: vec![b'x'; 1 << 20],
        ..requests(address, 1, 1)
    };
    let measurement = run(&load);
    assert_eq!(measurement.completed, 1, "{:?}", measurement.errors);
    let limited = measurement
        .totals
        .expect("TCP_INFO")
        .receiver_limited
        .expect("Linux 4.10");
    assert!(limited >= Duration::from_millis(100), "{limited:?}");
}

#[test]
fn reset_before_reply() {
    let load = every_fifth(|mut connection| {
        read_some(&mut connection);
        reset(&connection);
    });
    four_fail(&load, ErrorClass::ResetBeforeReply);
}

#[test]
fn immediate_reset() {
    // The reset comes before the request is read, and perhaps before the engine handles the
    // handshake.
    four_fail(
        &every_fifth(|connection| reset(&connection)),
        ErrorClass::ResetBeforeReply,
    );
}

#[test]
fn reset_in_reply() {
    let load = every_fifth(|mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(b"Hello");
        reset(&connection);
    });
    four_fail(&load, ErrorClass::ResetInReply);
}

#[test]
fn reply_timeout() {
    let load =
        every_fifth(|mut connection| while connection.read(&mut [0; 64]).is_ok_and(|n| n > 0) {});
    four_fail(&load, ErrorClass::ReplyTimeout);
}

#[test]
fn closed_early() {
    four_fail(
        &every_fifth(|mut connection| read_some(&mut connection)),
        ErrorClass::ClosedEarly,
    );
}

#[test]
fn wrong_reply() {
    let load = every_fifth(|mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(b"Hello Moon");
    });
    let expect = Expectation::Given(ReplyRule::Expect(Regex::new("World").expect("valid")));
    four_fail(&Load { expect, ..load }, ErrorClass::WrongReply);
}

#[test]
#[cfg(target_os = "linux")]
fn unreachable() {
    // No route leads from loopback to another network.
    let load = Load {
        sources: vec![Ipv4Addr::LOCALHOST.into()],
        ..requests(SocketAddr::from(([192, 0, 2, 1], 3000)), 1, 4)
    };
    assert_eq!(run(&load).errors, errors([(ErrorClass::Unreachable, 4)]));
}

#[test]
fn local_ports() {
    // This is not an address of this computer (RFC 5737).
    let load = Load {
        sources: vec![Ipv4Addr::new(192, 0, 2, 1).into()],
        ..requests(serve(|_, connection| greet(connection)), 1, 4)
    };
    assert_eq!(run(&load).errors, errors([(ErrorClass::LocalPorts, 4)]));
}

/// Set in the process that has its own network namespace.
#[cfg(target_os = "linux")]
const ALONE: &str = "TCPCTL_TEST_ALONE";

/// A network namespace with few ports and unreachable routes; it ends with its process.
#[test]
#[cfg(target_os = "linux")]
fn local_network_errors_are_classified() {
    use crate::processes::{Need, skipped};

    let needs = [Need::Root, Need::Program("unshare"), Need::Program("ip")];
    if skipped(&needs) {
        return;
    }
    if std::env::var_os(ALONE).is_none() {
        let status = Command::new("unshare")
            .args(["--net", "--"])
            .arg(std::env::current_exe().expect("a path"))
            .args([
                "--exact",
                "bench_engine::kernel::local_network_errors_are_classified",
            ])
            .env(ALONE, "1")
            .output()
            .expect("it was found");
        let printed = String::from_utf8_lossy(&status.stdout);
        assert!(status.status.success(), "{printed}");
        assert!(printed.contains("1 passed"), "{printed}");
        return;
    }
    let ip = |arguments: &str| {
        let status = Command::new("ip").args(arguments.split(' ')).status();
        assert!(status.expect("it was found").success(), "ip {arguments}");
    };
    ip("link set lo up");
    let to = |address: [u8; 4]| requests(SocketAddr::from((address, 3000)), 1, 3);
    // Without a route: ENETUNREACH.
    let nowhere = run(&to([192, 0, 2, 1]));
    assert_eq!(nowhere.errors, errors([(ErrorClass::Unreachable, 3)]));
    // With an unreachable route: EHOSTUNREACH.
    ip("route add unreachable 198.51.100.0/24");
    let unreachable = run(&to([198, 51, 100, 1]));
    assert_eq!(unreachable.errors, errors([(ErrorClass::Unreachable, 3)]));
    // Allow four ports. Used ones stay in TIME-WAIT, because the client closes first.
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003").expect("root");
    let listener = TcpListener::bind("127.0.0.1:3000").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a descriptor");
            read_some(&mut connection);
            let _ = connection.write_all(b"Hello World");
            // Waits until the client has closed.
            read_some(&mut connection);
        }
    });
    let load = Load {
        expect: Expectation::Given(ReplyRule::Bytes(11.try_into().expect("not zero"))),
        ..requests(address, 1, 10)
    };
    let measurement = run(&load);
    assert_eq!(measurement.completed, 4, "{:?}", measurement.errors);
    assert_eq!(measurement.errors, errors([(ErrorClass::LocalPorts, 6)]));
}

/// Set in the process that has few descriptors.
const FEW_FILES: &str = "TCPCTL_TEST_FEW_FILES";

#[test]
fn local_files() {
    if std::env::var_os(FEW_FILES).is_some() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let load = Load {
            reply_timeout: Duration::from_millis(300),
            ..requests(listener.local_addr().expect("bound"), 60, 60)
        };
        let measurement = run(&load);
        let of = |class| measurement.errors.get(&class).copied().unwrap_or_default();
        let (files, silent) = (of(ErrorClass::LocalFiles), of(ErrorClass::ReplyTimeout));
        assert!(files >= 11 && silent >= 20, "{:?}", measurement.errors);
        assert_eq!(files + silent, 60);
        return;
    }
    // The limit applies to a whole process, so the other tests run in another one.
    let binary = std::env::current_exe().expect("a path");
    let status = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 50 && exec \"$0\" --exact bench_engine::kernel::local_files",
        ])
        .arg(binary)
        .env(FEW_FILES, "1")
        .output()
        .expect("a shell");
    assert!(status.status.success(), "{status:?}");
    assert!(String::from_utf8_lossy(&status.stdout).contains("1 passed"));
}

#[test]
fn ping_pong_on_kept_connections() {
    let address = serve(|_, mut connection| {
        let mut back = connection.try_clone().expect("a descriptor");
        let _ = std::io::copy(&mut connection, &mut back);
    });
    let load = Load {
        reuse: Reuse::KeepAlive,
        expect: Expectation::Learn,
        ..requests(address, 4, 400)
    };
    let measurement = run(&load);
    assert_eq!(measurement.completed, 400);
    assert!(measurement.errors.is_empty(), "{:?}", measurement.errors);
    assert_eq!(measurement.connect.len(), 4);
    // The message is larger than both sides' buffers, so it is read while it is sent.
    let long = vec![b'x'; 8 << 20];
    let load = Load {
        expect: Expectation::Given(ReplyRule::Bytes(
            (long.len() as u64).try_into().expect("not zero"),
        )),
        message: long,
        pace: closed(2),
        extent: count(4),
        ..load
    };
    let measurement = run(&load);
    assert_eq!(measurement.completed, 4, "{:?}", measurement.errors);
}

#[test]
fn stall_shows_in_an_open_loop() {
    // On a loaded machine the server's thread wakes up late and the stall is longer: up to three
    // attempts.
    let mut longest = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        let address = serve(move |_, connection| {
            // Stall from 0.5 to 1.5 s.
            let now = start.elapsed();
            if (500..1500).contains(&now.as_millis()) {
                thread::sleep(Duration::from_millis(1500).saturating_sub(now));
            }
            greet(connection);
        });
        let load = Load {
            pace: open(100.0, 1000),
            extent: seconds(2),
            ..requests(address, 1, 1)
        };
        let measurement = run(&load);
        assert_eq!(measurement.completed + missed(&measurement), 200);
        let late = measurement.complete.len() - measurement.complete.count_between(0, 500 * MS);
        assert!(
            late >= 45,
            "{late} of 100 requests over 500 ms: the others were never sent"
        );
        let slowest = complete_ms(&measurement, 1.0);
        assert!(slowest >= 950.0, "{slowest} ms");
        if late <= 55 && is_within(5.0, slowest, 1000.0) {
            return;
        }
        longest.push((late, slowest));
    }
    panic!("late requests and the longest in ms: {longest:?}");
}

/// Blocks the engine's thread once, as a busy machine does.
#[cfg(target_os = "linux")]
#[derive(Default)]
struct BlocksOnce {
    has_blocked: bool,
}

#[cfg(target_os = "linux")]
impl Observer for BlocksOnce {
    fn progress(&mut self, progress: &Progress) {
        if progress.completed > 0 && !std::mem::replace(&mut self.has_blocked, true) {
            thread::sleep(Duration::from_millis(600));
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn late_client_does_not_lengthen_replies() {
    let address = serve(|_, mut connection| {
        while connection
            .read(&mut [0; 1024])
            .is_ok_and(|length| length > 0)
        {
            thread::sleep(Duration::from_millis(20));
            let _ = connection.write_all(b"pong");
        }
    });
    let load = Load {
        reuse: Reuse::KeepAlive,
        expect: Expectation::Given(ReplyRule::Bytes(4.try_into().expect("not zero"))),
        extent: seconds(1),
        ..requests(address, 4, 1)
    };
    let mut network = KernelNetwork::new().expect("descriptors");
    let measurement = engine::run(&mut network, &load, &mut BlocksOnce::default());
    assert!(measurement.errors.is_empty(), "{:?}", measurement.errors);
    let delay = measurement
        .client_delay
        .as_ref()
        .expect("supported on Linux");
    assert_eq!(delay.len(), measurement.completed);
    assert!(delay.max() >= 500 * MS, "{delay:?}");
    assert!(
        complete_ms(&measurement, 1.0) < 400.0,
        "{:?}",
        measurement.complete
    );
}

#[test]
fn threads_share_the_load() {
    let address = serve(|_, connection| greet(connection));
    let two = NonZeroUsize::new(2).expect("not zero");
    let load = requests(address, 8, 501);
    let measurement = engine::run_threads(&load, two, KernelNetwork::new, &mut ()).expect("files");
    assert_eq!(measurement.completed, 501);
    assert_eq!(measurement.complete.len(), 501);
    assert_eq!((measurement.threads, measurement.connections), (2, 8));
    let by_second: u64 = measurement
        .seconds
        .iter()
        .map(|second| second.completed)
        .sum();
    assert_eq!(by_second, 501);
    let load = Load {
        pace: open(300.0, 50),
        extent: seconds(1),
        ..load
    };
    let measurement = engine::run_threads(&load, two, KernelNetwork::new, &mut ()).expect("files");
    assert_eq!(measurement.completed + missed(&measurement), 300);
}

#[test]
fn failed_thread_ends_the_run() {
    let address = serve(|_, connection| greet(connection));
    let two = NonZeroUsize::new(2).expect("not zero");
    let load = requests(address, 8, 1_000_000);
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let make = || match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => KernelNetwork::new(),
        _ => Err(std::io::ErrorKind::OutOfMemory.into()),
    };
    let error = engine::run_threads(&load, two, make, &mut ()).expect_err("no second network");
    assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
}
