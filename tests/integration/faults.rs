//! A board on an impaired link: each reply is complete and correct, or an error is reported. In
//! simulated time, and through `bench`'s own engine in real time.

use embassy_net::tcp::TcpSocket;
use embassy_time::{Duration, Timer, with_timeout};
use tcpctl::sim::pipe::Traffic;
use tcpctl::sim::session;
use tcpctl::sim::spec::{Profile, Spec};
use tcpctl::units;
use tcpctl_engine::engine;
use tcpctl_engine::load::{Expectation, Extent, Load, ReplyRule};
use tcpctl_engine::measurement::ErrorClass;

use crate::simulated::{Client, GREETING, simulate};

/// The result of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The whole reply arrived, with every byte correct.
    Right,
    /// The exchange failed: refused, reset or timed out.
    Error,
}

/// The results of a run over an impaired link.
#[derive(Debug)]
struct Run {
    endings: Vec<Ending>,
    to_board: Traffic,
    to_host: Traffic,
}

impl Run {
    fn right(&self) -> usize {
        let right = self.endings.iter().filter(|&&it| it == Ending::Right);
        right.count()
    }

    /// The sum of a counter over both directions.
    fn both(&self, count: impl Fn(&Traffic) -> u64) -> u64 {
        count(&self.to_board) + count(&self.to_host)
    }
}

fn spec(changes: &[(&str, &str)]) -> Spec {
    let always = [("services", "on"), ("delay", "3ms"), ("seed", "11")];
    let changes = always.iter().chain(changes).copied();
    Spec::with(Profile::Ideal, changes).expect("a valid spec")
}

/// Thirty greetings and ten echoes of six kilobytes while `impair` changes the link.
fn run(spec: &Spec, impair: impl AsyncFnOnce(Client<'_>)) -> Run {
    let mixed = |n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes()[0];
    let sent: Vec<u8> = (0..6_000).map(mixed).collect();
    let outcome = simulate(spec, async |client| {
        let exchanges = async {
            let mut endings = Vec::new();
            for number in 0..40 {
                let echo = number % 4 == 3;
                let reply = if echo {
                    bounded(client, 7, &sent, sent.len()).await
                } else {
                    bounded(client, client.port, b"?", usize::MAX).await
                };
                let expected = if echo { &*sent } else { GREETING };
                endings.push(match reply {
                    Some(reply) => {
                        assert!(reply == expected, "{number}: {} bytes, wrong", reply.len());
                        Ending::Right
                    }
                    None => Ending::Error,
                });
            }
            endings
        };
        let (endings, ()) = tokio::join!(exchanges, impair(client));
        (endings, client.plug.traffic())
    });
    let (endings, (to_board, to_host)) = outcome.result;
    Run {
        endings,
        to_board,
        to_host,
    }
}

/// An exchange with a time limit of a minute; `None` after an error or at the limit.
async fn bounded(client: Client<'_>, port: u16, request: &[u8], most: usize) -> Option<Vec<u8>> {
    let exchange = async {
        let mut socket = client.try_connect(port).await.ok()?;
        exchange(&mut socket, request, most).await
    };
    with_timeout(Duration::from_secs(60), exchange)
        .await
        .ok()
        .flatten()
}

/// Sends, then reads `most` bytes or to the peer's FIN; `None` for a reset.
async fn exchange(socket: &mut TcpSocket<'_>, request: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut reply = Vec::new();
    {
        let (mut reader, mut writer) = socket.split();
        let write = async {
            let mut rest = request;
            while !rest.is_empty() {
                let written = writer.write(rest).await.ok()?;
                rest = &rest[written..];
            }
            Some(())
        };
        let read = async {
            let mut buffer = [0; 1024];
            while reply.len() < most {
                match reader.read(&mut buffer).await.ok()? {
                    0 => break,
                    length => reply.extend_from_slice(&buffer[..length]),
                }
            }
            Some(())
        };
        let (written, read) = tokio::join!(write, read);
        written.and(read)?;
    }
    socket.close();
    // The reply is complete whether or not the peer sees the FIN.
    let _ = with_timeout(Duration::from_secs(10), socket.flush()).await;
    Some(reply)
}

async fn unimpaired(_: Client<'_>) {}

#[test]
fn loss_of_10_percent_corrupts_nothing() {
    let run = run(&spec(&[("loss", "10%")]), unimpaired);
    assert!(run.both(|it| it.lost) > 40, "{run:?}");
    assert_eq!(run.right(), 40, "{run:?}");
}

#[test]
fn duplicated_frames_are_delivered_once() {
    let run = run(&spec(&[("duplicate", "30%")]), unimpaired);
    assert!(run.both(|it| it.duplicated) > 100, "{run:?}");
    assert_eq!(run.right(), 40, "{run:?}");
}

#[test]
fn reordered_frames_are_put_in_order() {
    let run = run(&spec(&[("reorder", "20%")]), unimpaired);
    assert!(run.both(|it| it.reordered) > 50, "{run:?}");
    assert_eq!(run.right(), 40, "{run:?}");
}

#[test]
fn corrupted_frames_are_retransmitted() {
    let run = run(&spec(&[("corrupt", "10%")]), unimpaired);
    assert!(run.both(|it| it.corrupted) > 30, "{run:?}");
    assert_eq!(run.right(), 40, "{run:?}");
}

#[test]
fn all_impairments_at_once_for_many_seeds() {
    for seed in 1..=20 {
        let seed = seed.to_string();
        let faults = spec(&[
            ("loss", "10%"),
            ("duplicate", "10%"),
            ("reorder", "10%"),
            ("corrupt", "5%"),
            ("jitter", "2ms"),
            ("seed", &seed),
        ]);
        let run = run(&faults, unimpaired);
        assert!(run.right() >= 38, "seed {seed}: {run:?}");
    }
}

#[test]
fn link_outage_of_5_s_is_survived() {
    // An exchange takes at least 12 ms, so the outage is in the middle of the forty.
    let run = run(&spec(&[("outage", "5s@200ms")]), unimpaired);
    assert!(run.both(|it| it.lost) > 0, "{run:?}");
    assert!(run.right() >= 39, "{run:?}");
    let last = &run.endings[30..];
    assert!(last.iter().all(|&it| it == Ending::Right), "{run:?}");
}

#[test]
fn outage_costs_at_most_the_open_exchanges() {
    let run = run(&spec(&[]), async |client| {
        Timer::after_millis(200).await;
        client.plug.set_up(false);
        Timer::after_secs(5).await;
        client.plug.set_up(true);
    });
    assert!(run.right() >= 38, "{run:?}");
    let last = &run.endings[30..];
    assert!(last.iter().all(|&it| it == Ending::Right), "{run:?}");
}

#[test]
fn bench_counts_each_exchange_as_reply_or_error() {
    let faults = [
        ("loss", "5%"),
        ("duplicate", "5%"),
        ("reorder", "5%"),
        ("corrupt", "2%"),
        ("outage", "300ms@200ms"),
    ];
    let spec = spec(&faults);
    let (board, mut network) = session::network(&spec, None).expect("threads");
    let right = units::regex("--expect", "^Hello World$").expect("a pattern");
    let load = Load {
        expect: Expectation::Given(ReplyRule::Expect(right)),
        extent: Extent::Requests(30.try_into().expect("not zero")),
        gone_after: None,
        ..Load::new(session::address(&spec))
    };
    let measurement = engine::run(&mut network, &load, &mut ());
    drop(network);
    let failed: u64 = measurement.errors.values().sum();
    assert_eq!(measurement.completed + failed, 30, "{measurement:?}");
    assert_eq!(measurement.errors.get(&ErrorClass::WrongReply), None);
    assert!(measurement.completed >= 28, "{:?}", measurement.errors);
    // The board may have answered requests that the client gave up, but not fewer than the client
    // saw.
    let served = u64::from(board.stop().counters.served);
    assert!(served >= measurement.completed);
}
