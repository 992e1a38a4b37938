//! The board's servers in simulated time: greeter as the firmware runs it, on one thread with an
//! embassy-net client at the other end of the link. Five seconds take microseconds.

use embassy_net::tcp::{ConnectError, State};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use futures_util::FutureExt;
use tcpctl::sim::boot::{self, Hardware};
use tcpctl::sim::clock;
use tcpctl::sim::driver::LinkDriver;
use tcpctl::sim::event::{self, EventConsole};
use tcpctl::sim::link::link;
use tcpctl::sim::servers::Neighbors;
use tcpctl::sim::spec::{Profile, Spec};

use crate::simulated::{Client, GREETING, MAC, exchange, read_to_end, simulate, write_all};

fn ideal(changes: &[(&str, &str)]) -> Spec {
    Spec::with(Profile::Ideal, changes.iter().copied()).expect("a valid spec")
}

fn places(workers: usize, backlog: usize) -> Spec {
    ideal(&[
        ("workers", &workers.to_string()),
        ("backlog", &backlog.to_string()),
    ])
}

#[test]
fn request_is_printed_answered_and_closed() {
    let outcome = simulate(&ideal(&[]), async |client| {
        let mut socket = client.connect().await;
        exchange(&mut socket, b"Hello TCP world!\r\n").await
    });
    assert_eq!(outcome.result.as_deref(), Some(GREETING));
    assert_eq!(outcome.requests, [b"Hello TCP world!\r\n"]);
    let counters = outcome.summary.counters;
    assert_eq!(
        (counters.accepted, counters.served, counters.refused),
        (1, 1, Some(0))
    );
    assert_eq!((counters.bytes_in, counters.bytes_out), (18, 11));
    assert_eq!((counters.timed_out, counters.reset), (0, 0));
}

#[test]
fn silent_client_is_greeted_after_request_timeout() {
    let outcome = simulate(&places(1, 1), async |client| {
        let start = Instant::now();
        let mut silent = client.connect().await;
        let mut waiting = client.connect().await;
        write_all(&mut waiting, b"?").await;
        let first = read_to_end(&mut silent).await;
        let after = start.elapsed();
        assert_eq!(first.as_deref(), Some(GREETING));
        assert_eq!(read_to_end(&mut waiting).await.as_deref(), Some(GREETING));
        after
    });
    let took = outcome.result;
    let expected = Duration::from_secs(5)..Duration::from_millis(5100);
    assert!(expected.contains(&took), "{took}");
    assert_eq!(outcome.summary.counters.timed_out, 1);
    assert_eq!(outcome.requests, [&b""[..], b"?"]);
}

#[test]
fn early_fin_is_answered_at_once() {
    let outcome = simulate(&places(1, 0), async |client| {
        let start = Instant::now();
        let mut socket = client.connect().await;
        socket.close();
        let answer = read_to_end(&mut socket).await;
        (answer, start.elapsed())
    });
    assert_eq!(outcome.result.0.as_deref(), Some(GREETING));
    assert!(
        outcome.result.1 < Duration::from_millis(100),
        "{}",
        outcome.result.1
    );
    assert_eq!(outcome.summary.counters.timed_out, 0);
}

#[test]
fn zero_request_timeout_greets_at_once() {
    let outcome = simulate(&ideal(&[("request-timeout", "0")]), async |client| {
        let start = Instant::now();
        let mut socket = client.connect().await;
        let answer = read_to_end(&mut socket).await;
        (answer, start.elapsed())
    });
    assert_eq!(outcome.result.0.as_deref(), Some(GREETING));
    assert!(
        outcome.result.1 < Duration::from_millis(100),
        "{}",
        outcome.result.1
    );
    assert_eq!(
        outcome.summary.counters.timed_out, 0,
        "it was not meant to wait"
    );
}

#[test]
fn queued_clients_are_served_in_order() {
    let outcome = simulate(&places(1, 5), async |client| {
        let mut sockets = Vec::new();
        for _ in 0..6 {
            sockets.push(client.connect().await);
        }
        // The last client sends first, and still waits for its turn.
        for (number, socket) in sockets.iter_mut().enumerate().rev() {
            write_all(socket, &[b'0' + u8::try_from(number).expect("few")]).await;
            Timer::after_millis(50).await;
        }
        for socket in &mut sockets {
            assert_eq!(read_to_end(socket).await.as_deref(), Some(GREETING));
            socket.close();
        }
    });
    assert_eq!(outcome.requests, [b"0", b"1", b"2", b"3", b"4", b"5"]);
}

#[test]
fn overflow_is_refused_at_once_and_counted() {
    let outcome = simulate(&places(2, 1), async |client| {
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(client.connect().await);
        }
        let start = Instant::now();
        let refused = client.try_connect(client.port).await.map(drop);
        (refused, start.elapsed())
    });
    assert_eq!(outcome.result.0, Err(ConnectError::ConnectionReset));
    assert!(
        outcome.result.1 < Duration::from_millis(10),
        "{}",
        outcome.result.1
    );
    assert_eq!(outcome.summary.counters.refused, Some(1));
    assert_eq!(
        (
            outcome.summary.counters.in_use,
            outcome.summary.counters.waiting
        ),
        (2, 1)
    );
}

#[test]
fn slot_is_free_right_after_the_exchange() {
    // There is one slot: each client needs the one that the previous client has just freed.
    let outcome = simulate(&places(1, 0), async |client| {
        for _ in 0..200 {
            let mut socket = client.connect_when_free().await;
            assert_eq!(exchange(&mut socket, b"?").await.as_deref(), Some(GREETING));
        }
        Instant::now()
    });
    assert_eq!(outcome.summary.counters.served, 200);
    // Waiting for the end of TIME-WAIT would take 10 s each.
    assert!(outcome.result < Instant::from_secs(2), "{}", outcome.result);
}

#[test]
fn client_that_never_closes_frees_worker_then_slot() {
    let outcome = simulate(&places(1, 0), async |client| {
        let mut stubborn = client.connect().await;
        write_all(&mut stubborn, b"?").await;
        assert_eq!(read_to_end(&mut stubborn).await.as_deref(), Some(GREETING));
        let answered = Instant::now();
        let mut next = client.connect_when_free().await;
        let freed = answered.elapsed();
        assert_eq!(exchange(&mut next, b"?").await.as_deref(), Some(GREETING));
        assert_eq!(stubborn.state(), State::Closed, "it was reset");
        freed
    });
    let took = outcome.result;
    assert!(took <= Duration::from_millis(2100), "{took}");
}

#[test]
fn answered_client_does_not_hold_the_worker() {
    let outcome = simulate(&places(1, 1), async |client| {
        let mut stubborn = client.connect().await;
        let mut next = client.connect().await;
        write_all(&mut stubborn, b"?").await;
        write_all(&mut next, b"?").await;
        let start = Instant::now();
        assert_eq!(read_to_end(&mut next).await.as_deref(), Some(GREETING));
        start.elapsed()
    });
    let took = outcome.result;
    assert!(took < Duration::from_millis(100), "{took}");
}

#[test]
fn reset_frees_the_slot_at_once() {
    for (victim, request) in [(0, &b""[..]), (1, b""), (1, b"unread")] {
        let outcome = simulate(&places(1, 1), async |client| {
            let mut held = [client.connect().await, client.connect().await];
            write_all(&mut held[victim], request).await;
            held[victim].abort();
            held[victim].flush().await.expect("a reset is sent");
            let start = Instant::now();
            let _newcomer = client.connect_when_free().await;
            start.elapsed()
        });
        let took = outcome.result;
        assert!(took < Duration::from_millis(250), "{victim}: {took}");
        assert_eq!(outcome.summary.counters.reset, 1, "{victim}");
    }
}

#[test]
fn flood_costs_one_slot_for_a_bounded_time() {
    // On a link without delay or rate limit, an endless flood would take no simulated time.
    let spec = ideal(&[
        ("workers", "1"),
        ("backlog", "0"),
        ("delay", "1ms"),
        ("rate", "5Mbit"),
    ]);
    let outcome = simulate(&spec, async |client| {
        let mut flood = client.connect().await;
        let start = Instant::now();
        let piece = [b'x'; 512];
        while flood.write(&piece).await.is_ok() {}
        let over = start.elapsed();
        let mut next = client.connect_when_free().await;
        assert_eq!(exchange(&mut next, b"?").await.as_deref(), Some(GREETING));
        over
    });
    let took = outcome.result;
    assert!(took < Duration::from_secs(3), "{took}");
    assert_eq!(outcome.requests.len(), 2);
}

#[test]
fn long_request_is_printed_truncated_and_answered() {
    let outcome = simulate(&ideal(&[]), async |client| {
        let mut socket = client.connect().await;
        exchange(&mut socket, &[b'y'; 3000]).await
    });
    assert_eq!(outcome.result.as_deref(), Some(GREETING));
    assert_eq!(outcome.requests.len(), 1);
    let shown = outcome.requests[0].len();
    assert!(
        (1..=tcpctl_greeter::server::RECEIVE_BUFFER).contains(&shown),
        "{shown}"
    );
    assert_eq!(outcome.summary.counters.reset, 0);
}

#[test]
fn half_open_handshake_frees_its_slot() {
    // The client's link is cut between its SYN and its ACK; a slow link leaves time for that.
    let spec = ideal(&[("workers", "1"), ("backlog", "0"), ("delay", "20ms")]);
    let (sender, _receiver) = event::events();
    clock::simulate(async {
        let (board_end, mut host_end) = link(spec.link);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let driver = LinkDriver::new(board_end, MAC);
        let hardware = Hardware {
            mac: MAC,
            ..Hardware::new(&spec).expect("settings")
        };
        let board = boot::run(
            &spec,
            hardware,
            driver,
            Neighbors::OneClient,
            EventConsole::new(Some(sender)),
            stopped.map(drop),
        );
        let peer = async {
            Timer::after_millis(1).await;
            host_end.send(Instant::now(), arp_request().to_vec());
            Timer::after_millis(100).await;
            let syn = syn_frame();
            host_end.send(Instant::now(), syn.to_vec());
            // The answer and its retransmissions stay unacknowledged.
            Timer::after_secs(9).await;
            host_end.send(Instant::now(), syn.to_vec());
            Timer::after_millis(100).await;
            assert!(!is_refused(&mut host_end), "the same handshake goes on");
            Timer::after_secs(11).await;
            while host_end.receive(Instant::now()).is_some() {}
            let mut other = syn;
            other[35] = 0x99;
            fix_checksum(&mut other);
            host_end.send(Instant::now(), other.to_vec());
            Timer::after_millis(100).await;
            assert!(!is_refused(&mut host_end), "the slot listens again");
            drop(stop);
        };
        tokio::join!(peer, board)
    });
}

/// ARP: who has 192.168.1.1, tell 192.168.1.2. The board learns the client's MAC from it.
fn arp_request() -> [u8; 42] {
    let mut frame = [0; 42];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    frame[12..22].copy_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    frame[28..32].copy_from_slice(&[192, 168, 1, 2]);
    frame[38..42].copy_from_slice(&[192, 168, 1, 1]);
    frame
}

/// A SYN from 192.168.1.2:0x1234 to the board's port 3000.
fn syn_frame() -> [u8; 54] {
    let mut frame = [0; 54];
    frame[..6].copy_from_slice(&MAC);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    let ip = [
        0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 168, 1, 2, 192, 168, 1, 1,
    ];
    frame[14..34].copy_from_slice(&ip);
    let sum = !ones_complement_sum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    let tcp = [
        0x12, 0x34, 0x0b, 0xb8, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0, 0, 0, 0, 0,
    ];
    frame[34..54].copy_from_slice(&tcp);
    fix_checksum(&mut frame);
    frame
}

/// Sets the TCP checksum (RFC 9293 §3.1).
fn fix_checksum(frame: &mut [u8; 54]) {
    frame[50..52].copy_from_slice(&[0, 0]);
    let mut pseudo = frame[26..34].to_vec();
    pseudo.extend_from_slice(&[0, 6, 0, 20]);
    pseudo.extend_from_slice(&frame[34..54]);
    let sum = !ones_complement_sum(&pseudo);
    frame[50..52].copy_from_slice(&sum.to_be_bytes());
}

fn ones_complement_sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded")
}

/// Whether the last TCP segment received is a reset.
fn is_refused(end: &mut tcpctl::sim::link::End) -> bool {
    let mut refused = None;
    while let Some(frame) = end.receive(Instant::now()) {
        if frame[12..14] == [0x08, 0x00] && frame[23] == 6 {
            refused = Some(frame[47] & 0x04 != 0);
        }
    }
    refused.expect("an answer to the SYN")
}

#[test]
fn keep_alive_frees_the_slot_of_a_vanished_client() {
    // A peer that answers keep-alives may wait indefinitely.
    let spec = ideal(&[
        ("workers", "1"),
        ("backlog", "1"),
        ("request-timeout", "2m"),
    ]);
    let outcome = simulate(&spec, async |client| {
        let holder = client.connect().await;
        let waiting = client.connect().await;
        Timer::after_secs(60).await;
        (holder.state(), waiting.state())
    });
    assert_eq!(outcome.result, (State::Established, State::Established));
    assert_eq!(outcome.summary.counters.reset, 0);
}

#[test]
fn service_time_keeps_a_worker_busy() {
    let spec = ideal(&[("workers", "1"), ("backlog", "1"), ("service-time", "30ms")]);
    let outcome = simulate(&spec, async |client| {
        let start = Instant::now();
        let mut one = client.connect().await;
        let mut two = client.connect().await;
        let (a, b) = tokio::join!(exchange(&mut one, b"1"), exchange(&mut two, b"2"));
        assert_eq!(
            (a.as_deref(), b.as_deref()),
            (Some(GREETING), Some(GREETING))
        );
        start.elapsed()
    });
    let took = outcome.result;
    let expected = Duration::from_millis(60)..Duration::from_millis(100);
    assert!(expected.contains(&took), "{took}");
}

#[test]
fn echo_discard_and_chargen_follow_their_rfcs() {
    let outcome = simulate(&ideal(&[("services", "on")]), async |client| {
        let mut echo = client.try_connect(7).await.expect("echo");
        let sent: Vec<u8> = (0..=255).cycle().take(20_000).collect();
        let mut received = Vec::new();
        {
            let (mut reader, mut writer) = echo.split();
            let write = async {
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    let written = writer.write(rest).await.expect("echo reads");
                    rest = &rest[written..];
                }
            };
            let read = async {
                let mut buffer = [0; 1024];
                while received.len() < sent.len() {
                    let length = reader.read(&mut buffer).await.expect("echo writes");
                    received.extend_from_slice(&buffer[..length]);
                }
            };
            tokio::join!(write, read);
        }
        assert_eq!(received, sent);
        echo.close();
        assert_eq!(read_to_end(&mut echo).await.as_deref(), Some(&b""[..]));

        let mut discard = client.try_connect(9).await.expect("discard");
        write_all(&mut discard, &sent).await;
        discard.close();
        assert_eq!(read_to_end(&mut discard).await.as_deref(), Some(&b""[..]));

        let mut chargen = client.try_connect(19).await.expect("chargen");
        let mut lines = Vec::new();
        let mut buffer = [0; 1024];
        while lines.len() < 20_000 {
            let length = chargen.read(&mut buffer).await.expect("chargen writes");
            lines.extend_from_slice(&buffer[..length]);
        }
        chargen.close();
        assert!(
            read_to_end(&mut chargen).await.is_some(),
            "it closes when its peer does"
        );
        lines
    });
    let text = String::from_utf8(outcome.result).expect("printable");
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(lines[0].starts_with(" !\"#"));
    assert!(lines[..200].iter().all(|line| line.len() == 72));
    assert_eq!(
        lines[0], lines[95],
        "the pattern comes again after 95 lines"
    );
}

#[test]
fn services_are_off_by_default() {
    let outcome = simulate(&ideal(&[]), async |client| {
        let mut all = Vec::new();
        for port in [7, 9, 19] {
            all.push(client.try_connect(port).await.map(drop));
        }
        all
    });
    assert_eq!(outcome.result, [Err(ConnectError::ConnectionReset); 3]);
}

/// The time of each event in ten exchanges over a lossy link.
fn lossy_run(seed: &str) -> Vec<(u64, Option<Vec<u8>>)> {
    let spec = Spec::with(Profile::Lossy, [("seed", seed), ("loss", "10%")]).expect("valid");
    simulate(&spec, async |client| {
        let mut trace = Vec::new();
        for _ in 0..10 {
            let attempt = async {
                let mut socket = client.connect_when_free().await;
                exchange(&mut socket, b"?").await
            };
            let answer = with_timeout(Duration::from_secs(60), attempt)
                .await
                .ok()
                .flatten();
            trace.push((Instant::now().as_micros(), answer));
        }
        trace
    })
    .result
}

#[test]
fn same_seed_repeats_a_lossy_run() {
    let first = lossy_run("7");
    assert_eq!(first, lossy_run("7"));
    assert_ne!(first, lossy_run("8"));
    // Lost frames are retransmitted: every reply is complete.
    assert!(
        first
            .iter()
            .all(|(_, answer)| answer.as_deref() == Some(GREETING)),
        "{first:?}"
    );
}

/// Sends `sent` to the echo service, half-closes, and returns the reply; `None` for a reset.
async fn echoed(client: Client<'_>, sent: &[u8]) -> Option<Vec<u8>> {
    let mut echo = client.try_connect(7).await.expect("echo");
    let mut received = Vec::new();
    let whole = {
        let (mut reader, mut writer) = echo.split();
        let write = async {
            let mut rest = sent;
            while !rest.is_empty() {
                let written = writer.write(rest).await.expect("echo reads");
                rest = &rest[written..];
            }
        };
        let read = async {
            let mut buffer = [0; 1024];
            while received.len() < sent.len() / 2 {
                let length = reader.read(&mut buffer).await.expect("echo writes");
                received.extend_from_slice(&buffer[..length]);
            }
        };
        tokio::join!(write, read);
        echo.close();
        read_to_end(&mut echo).await
    };
    received.extend(whole?);
    Some(received)
}

#[test]
fn data_in_flight_at_close_arrives_on_a_lossy_link() {
    let sent: Vec<u8> = (0..=255).cycle().take(6_000).collect();
    for seed in 1..=20 {
        let spec = Spec::with(
            Profile::Lossy,
            [
                ("services", "on"),
                ("loss", "10%"),
                ("seed", &*seed.to_string()),
            ],
        )
        .expect("valid");
        let outcome = simulate(&spec, async |client| echoed(client, &sent).await);
        assert!(outcome.result.as_ref() == Some(&sent), "seed {seed}");
    }
}

#[test]
fn two_boards_run_in_one_process() {
    let spec = ideal(&[]);
    let boards: Vec<_> = (0..4)
        .map(|_| {
            let spec = spec.clone();
            std::thread::spawn(move || {
                simulate(&spec, async |client| {
                    let mut socket = client.connect().await;
                    exchange(&mut socket, b"?").await
                })
                .result
            })
        })
        .collect();
    for board in boards {
        assert_eq!(board.join().expect("no panic").as_deref(), Some(GREETING));
    }
}
