//! A short form of the matrix on the kernel's own sockets; `cargo bench --bench limits` has the
//! long one. Nothing is tried twice: what is found is to be right the first time.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tcpctl::bench::limits::{
    self, FailureReason, LimitsError, LimitsFinding, LimitsPlan, LimitsProgress, SearchEnd,
};
use tcpctl::bench::report::{Bound, Overflow};
use tcpctl_engine::kernel::KernelNetwork;

use crate::limited::{self, App, Beyond};
#[cfg(target_os = "linux")]
use crate::processes::{Need, skipped};

pub(crate) const V4: &str = "127.0.0.1:0";
#[cfg(target_os = "linux")]
const V6: &str = "[::1]:0";

/// Starts a server that ends with the test process.
pub(crate) fn start(at: &str, backlog: usize, app: App, service: u64) -> SocketAddr {
    let listener = limited::listen(at.parse().unwrap(), backlog).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || limited::serve(&listener, app, Duration::from_millis(service)));
    address
}

fn search(
    plan: &LimitsPlan,
    observer: &mut impl FnMut(LimitsProgress),
) -> Result<LimitsFinding, LimitsError> {
    let mut network = KernelNetwork::new().unwrap();
    let found = limits::find(&mut network, plan, observer);
    let left = established(plan.target);
    assert!(left.is_empty(), "connections are left open: {left:?}");
    found
}

fn find(address: SocketAddr) -> LimitsFinding {
    search(&LimitsPlan::new(address), &mut |_| {}).expect("the server lives")
}

fn expect(address: SocketAddr, served: usize, queued: usize, overflow: Overflow) {
    let finding = find(address);
    assert_eq!(
        (
            finding.served_at_once.value,
            finding.queued.value,
            finding.held.value,
            finding.overflow,
            finding.ended,
        ),
        (
            Bound::Exact(served),
            Bound::Exact(queued),
            Bound::Exact(served + queued),
            Some(overflow),
            SearchEnd::Complete,
        ),
        "{finding:#?}"
    );
}

/// Local ports from which connections to a server are under way or established, by the kernel's
/// own account.
#[cfg(target_os = "linux")]
pub(crate) fn established(server: SocketAddr) -> HashSet<u16> {
    const ESTABLISHED: &str = "01";
    const SYN_SENT: &str = "02";
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(std::fs::read_to_string);
    let text: String = tables.into_iter().flatten().collect();
    let port_of = |address: &str| {
        let (_, port) = address.rsplit_once(':')?;
        u16::from_str_radix(port, 16).ok()
    };
    text.lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, local, remote, state, ..] = words[..] else {
                return None;
            };
            let is_ours = port_of(remote) == Some(server.port());
            (is_ours && [ESTABLISHED, SYN_SENT].contains(&state)).then(|| port_of(local))?
        })
        .collect()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn established(_server: SocketAddr) -> HashSet<u16> {
    HashSet::new()
}

#[test]
#[cfg(target_os = "linux")]
fn backlogs_and_workers() {
    for (backlog, workers, service) in [(0, 1, 0), (5, 4, 20), (16, 1, 0)] {
        let address = start(V4, backlog, App::Workers(workers), service);
        expect(address, workers, backlog + 1, Overflow::Dropped);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_application_that_never_accepts() {
    let address = start(V4, 2, App::Workers(0), 0);
    expect(address, 0, 3, Overflow::Dropped);
}

#[test]
fn application_caps_and_eviction() {
    for (most, beyond, overflow) in [
        (3, Beyond::Fin, Overflow::Closed),
        (8, Beyond::Reset, Overflow::Reset),
        (3, Beyond::Stall, Overflow::Silent),
        (3, Beyond::Evict, Overflow::Evicted),
    ] {
        let address = start(V4, 128, App::Cap(most, beyond), 0);
        expect(address, most, 0, overflow);
    }
}

#[test]
fn one_that_greets_first_has_no_number_but_a_burst() {
    let finding = find(start(V4, 5, App::GreetsFirst, 20));
    assert_eq!(finding.served_at_once.value, Bound::Unknown, "{finding:#?}");
    assert_eq!(finding.held.value, Bound::Unknown, "{finding:#?}");
    assert!(
        finding
            .served_at_once
            .evidence
            .detail
            .contains("greets first")
    );
    if cfg!(target_os = "linux") {
        // Whether the first has been taken when the last comes is chance.
        let burst = finding.burst.value;
        assert!(
            [Bound::Exact(6), Bound::Exact(7)].contains(&burst),
            "{finding:#?}"
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn over_ipv6() {
    if skipped(&[Need::Address(std::net::Ipv6Addr::LOCALHOST.into())]) {
        return;
    }
    expect(start(V6, 2, App::Workers(2), 0), 2, 3, Overflow::Dropped);
    expect(
        start(V6, 128, App::Cap(3, Beyond::Fin), 0),
        3,
        0,
        Overflow::Closed,
    );
}

/// All of 127.0.0.0/8 is this computer, on Linux.
#[test]
#[cfg(target_os = "linux")]
fn a_limit_for_each_client_in_a_limit_for_all() {
    let sources = |count: u8| -> Vec<std::net::IpAddr> {
        let source = |last| std::net::IpAddr::from([127, 0, 0, last]);
        (1..=count).map(source).collect()
    };
    let app = App::PerClient { each: 3, all: 8 };
    for (count, is_each, in_all) in [(3, true, Bound::Exact(8)), (2, true, Bound::at_least(6))] {
        let plan = LimitsPlan {
            sources: sources(count),
            ..LimitsPlan::new(start(V4, 128, app, 0))
        };
        let finding = search(&plan, &mut |_| {}).expect("it lives");
        assert_eq!(finding.held.value, Bound::Exact(3), "{finding:#?}");
        assert_eq!(finding.served_at_once.value, Bound::Exact(3));
        let found = finding.per_client.expect("there are several addresses");
        assert_eq!((found.is_each, found.in_all), (is_each, in_all));
    }
    let plan = LimitsPlan {
        sources: sources(3),
        ..LimitsPlan::new(start(V4, 2, App::Workers(2), 0))
    };
    let finding = search(&plan, &mut |_| {}).expect("it lives");
    assert_eq!(finding.held.value, Bound::Exact(5), "{finding:#?}");
    let found = finding.per_client.expect("there are several addresses");
    assert_eq!((found.is_each, found.in_all), (false, Bound::Exact(5)));
}

/// Takes places on a server, as somebody who has come before us.
fn others(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = |_| TcpStream::connect(address).unwrap();
    (0..count).map(connect).collect()
}

#[test]
fn other_clients_are_told_of_and_not_averaged_away() {
    let address = start(V4, 128, App::Cap(8, Beyond::Fin), 0);
    let mut guests = others(address, 2);
    let finding = {
        let mut network = KernelNetwork::new().unwrap();
        limits::find(&mut network, &LimitsPlan::new(address), &mut |step| {
            if step == (LimitsProgress::Trial { trial: 2 }) {
                guests.clear();
            }
        })
        .expect("it lives")
    };
    let drift = finding.drift.as_deref().expect("the rounds differ");
    assert!(drift.starts_with("held 6, 8"), "{drift}");
    assert!(finding.held.evidence.detail.contains(drift), "{finding:#?}");
    assert_eq!(finding.held.value, Bound::Exact(8), "{finding:#?}");
}

/// A server that closes all and stops to listen when the first exchanges are over and some are held.
pub(crate) fn mortal() -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind(V4).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut inside: Vec<Arc<TcpStream>> = Vec::new();
        // So many that the first exchanges are over and some are held.
        for connection in listener.incoming().take(18) {
            let connection = Arc::new(connection.unwrap());
            inside.push(Arc::clone(&connection));
            thread::spawn(move || {
                let mut connection = &*connection;
                if matches!(connection.read(&mut [0; 64]), Ok(1..)) {
                    let _ = connection.write_all(b"hi");
                    let _ = connection.shutdown(std::net::Shutdown::Both);
                }
            });
        }
        for connection in inside {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    });
    (address, server)
}

#[test]
fn a_server_that_dies_in_the_middle_is_given_no_limit() {
    let (address, server) = mortal();
    let error = search(&LimitsPlan::new(address), &mut |_| {}).expect_err("it died");
    server.join().unwrap();
    assert!(
        matches!(error.reason, FailureReason::Died { .. }),
        "{error:?}"
    );
    assert!(!matches!(error.so_far.held.value, Bound::Exact(_)));
    assert!(!matches!(
        error.so_far.served_at_once.value,
        Bound::Exact(_)
    ));
}

#[test]
fn a_budget_that_ends_early_leaves_bounds_and_no_connection() {
    let begin = Instant::now();
    let plan = LimitsPlan {
        budget: Duration::from_millis(300),
        ..LimitsPlan::new(start(V4, 5, App::Workers(4), 200))
    };
    let finding = search(&plan, &mut |_| {}).expect("that is no error");
    assert_eq!(finding.ended, SearchEnd::OutOfTime);
    assert!(!matches!(finding.held.value, Bound::Exact(_)));
    assert!(
        finding.held.evidence.detail.contains("budget"),
        "{finding:#?}"
    );
    assert!(begin.elapsed() < Duration::from_secs(5));
}
