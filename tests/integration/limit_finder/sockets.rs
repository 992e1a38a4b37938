//! A short matrix on the kernel's sockets; `cargo bench --bench limits` has the long one. Each server
//! is searched once.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tcpctl::bench::limits::{
    self, FailureReason, LimitsError, LimitsFinding, LimitsPlan, LimitsProgress, SearchEnd,
};
use tcpctl::bench::report::Bound;
#[cfg(target_os = "linux")]
use tcpctl::bench::report::Overflow;
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
    search(&LimitsPlan::new(address), &mut |_| {}).expect("limits")
}

#[cfg(target_os = "linux")]
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

/// Local ports of connections to a server that the kernel lists as established or in SYN-SENT.
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
    // The tables may have thousands of lines in TIME-WAIT, which need not be parsed.
    let end_of_remote = format!(":{:04X} 0", server.port());
    text.lines()
        .filter(|line| line.contains(&end_of_remote))
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

/// A server: name, backlog, application, service time in ms, and its limits (served, queued,
/// overflow).
#[cfg(target_os = "linux")]
type Behavior = (&'static str, usize, App, u64, (usize, usize, Overflow));

#[rustfmt::skip]
#[cfg(target_os = "linux")]
pub(crate) const BEHAVIORS: [Behavior; 15] = {
    use App::{AcceptTimer, Cap, Echo, GreetsAndWaits, Workers};
    use Beyond::{Evict, Fin, Line, Stall};
    use Overflow::{Closed, Dropped, Evicted, Reset, Silent};
    const SECOND: Duration = Duration::from_secs(1);
    [
        ("one at a time",       0, Workers(1),               0, (1, 1, Dropped)),
        ("slow workers",        5, Workers(4),              20, (4, 6, Dropped)),
        ("long queue",         64, Workers(1),               0, (1, 65, Dropped)),
        ("never accepts",       2, Workers(0),               0, (0, 3, Dropped)),
        ("echo",                3, Echo(2),                  0, (2, 4, Dropped)),
        ("slow echo",           1, Echo(8),                150, (8, 2, Dropped)),
        ("accepts on a timer",  3, AcceptTimer(8, SECOND),   0, (8, 4, Dropped)),
        ("cap, closes",       128, Cap(3, Fin),              0, (3, 0, Closed)),
        ("cap, slow",         128, Cap(4, Fin),            200, (4, 0, Closed)),
        ("cap, error line",   128, Cap(10, Line(REJECTION)), 20, (10, 0, Closed)),
        ("cap, resets",       128, Cap(8, Beyond::Reset),    0, (8, 0, Reset)),
        ("cap, stalls",       128, Cap(3, Stall),            0, (3, 0, Silent)),
        ("evicts the oldest", 128, Cap(3, Evict(1)),         0, (3, 0, Evicted)),
        ("evicts seven",      128, Cap(10, Evict(7)),        0, (10, 0, Evicted)),
        ("greets and waits",  128, GreetsAndWaits(5),        0, (5, 0, Closed)),
    ]
};
#[cfg(target_os = "linux")]
const REJECTION: &str = "-ERR max number of clients reached";

#[test]
#[cfg(target_os = "linux")]
fn accept_queues_are_exact() {
    for backlog in [1, 127, 511] {
        let plan = LimitsPlan {
            max_connections: 1_024,
            ..LimitsPlan::new(start(V4, backlog, App::Workers(1), 0))
        };
        let finding = search(&plan, &mut |_| {}).expect("limits");
        let queued = finding.queued.value;
        assert_eq!(queued, Bound::Exact(backlog + 1), "{finding:#?}");
        assert_eq!(finding.served_at_once.value, Bound::Exact(1));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn error_line_of_a_rejection_is_quoted() {
    for (app, line) in [
        (App::Cap(3, Beyond::Line(REJECTION)), REJECTION),
        (App::GreetsAndWaits(3), "421 too many connections"),
    ] {
        let finding = find(start(V4, 128, app, 0));
        assert_eq!(finding.rejection.as_deref(), Some(line));
        let detail = &finding.overflow_evidence.detail;
        assert!(detail.contains(line), "{detail}");
    }
}

#[test]
fn greeter_has_a_burst_and_no_limits() {
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
        // It is chance whether the first connection was accepted before the last one arrives.
        let burst = finding.burst.value;
        assert!(
            [Bound::Exact(6), Bound::Exact(7)].contains(&burst),
            "{finding:#?}"
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn ipv6_is_exact() {
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

/// On Linux all of 127.0.0.0/8 is local.
#[test]
#[cfg(target_os = "linux")]
fn limit_per_client_within_a_total_limit() {
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
        let finding = search(&plan, &mut |_| {}).expect("limits");
        assert_eq!(finding.held.value, Bound::Exact(3), "{finding:#?}");
        assert_eq!(finding.served_at_once.value, Bound::Exact(3));
        let found = finding.per_client.expect("there are several addresses");
        assert_eq!((found.is_each, found.in_all), (is_each, in_all));
    }
    let plan = LimitsPlan {
        sources: sources(3),
        ..LimitsPlan::new(start(V4, 2, App::Workers(2), 0))
    };
    let finding = search(&plan, &mut |_| {}).expect("limits");
    assert_eq!(finding.held.value, Bound::Exact(5), "{finding:#?}");
    let found = finding.per_client.expect("there are several addresses");
    assert_eq!((found.is_each, found.in_all), (false, Bound::Exact(5)));
}

/// Connections of another client.
fn others(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = |_| TcpStream::connect(address).unwrap();
    (0..count).map(connect).collect()
}

#[test]
fn other_clients_are_reported_as_drift() {
    let address = start(V4, 128, App::Cap(8, Beyond::Fin), 0);
    let mut earlier = others(address, 2);
    let finding = {
        let mut network = KernelNetwork::new().unwrap();
        limits::find(&mut network, &LimitsPlan::new(address), &mut |step| {
            if step == (LimitsProgress::Trial { trial: 2 }) {
                earlier.clear();
            }
        })
        .expect("limits")
    };
    let drift = finding.drift.as_deref().expect("the rounds differ");
    assert!(drift.starts_with("held 6, 8"), "{drift}");
    assert!(finding.held.evidence.detail.contains(drift), "{finding:#?}");
    assert_eq!(finding.held.value, Bound::Exact(8), "{finding:#?}");
}

/// A server that closes all connections and stops listening while it is being filled.
pub(crate) fn closes_while_filled() -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind(V4).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut inside: Vec<Arc<TcpStream>> = Vec::new();
        // The first exchanges are over by then, and some connections are held.
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
fn server_that_stops_during_the_search_has_no_limit() {
    let (address, server) = closes_while_filled();
    let error = search(&LimitsPlan::new(address), &mut |_| {}).expect_err("it stopped");
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
fn used_up_budget_leaves_lower_bounds() {
    let begin = Instant::now();
    let plan = LimitsPlan {
        budget: Duration::from_millis(300),
        ..LimitsPlan::new(start(V4, 5, App::Workers(4), 200))
    };
    let finding = search(&plan, &mut |_| {}).expect("no error");
    assert_eq!(finding.ended, SearchEnd::OutOfTime);
    assert!(!matches!(finding.held.value, Bound::Exact(_)));
    assert!(
        finding.held.evidence.detail.contains("budget"),
        "{finding:#?}"
    );
    assert!(begin.elapsed() < Duration::from_secs(5));
}
