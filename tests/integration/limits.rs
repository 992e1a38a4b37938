//! The limits of the virtual board, measured from outside over the readiness interface by filling
//! it and bisecting.

use std::net::SocketAddr;
use std::time::Duration;

use tcpctl::sim::session;
use tcpctl::sim::spec::{Profile, Spec};
use tcpctl_engine::readiness::{ConnectFailure, ConnectionId, Event, Network, Release};

/// Far longer than a reply takes on an ideal link, far shorter than the board's request timeout.
const TIMEOUT: Duration = Duration::from_millis(250);

#[derive(Debug, PartialEq, Eq)]
struct Limits {
    served: usize,
    queued: usize,
}

/// Waits until `wanted` accepts an event, or for [`TIMEOUT`].
fn wait<T>(network: &mut impl Network, mut wanted: impl FnMut(Event) -> Option<T>) -> Option<T> {
    let until = network.now() + TIMEOUT;
    let mut events = Vec::new();
    while network.now() < until {
        network
            .wait(Some(until), &mut events)
            .expect("the link does not fail");
        for event in events.drain(..) {
            if let Some(found) = wanted(event) {
                return Some(found);
            }
        }
    }
    None
}

/// Opens idle connections until one is refused three times in a row: a slot that is about to listen
/// again is not the limit.
fn hold(network: &mut impl Network, to: SocketAddr) -> Vec<ConnectionId> {
    let mut held = Vec::new();
    let mut refusals = 0;
    loop {
        let id = network.connect(to, None).expect("a free local port");
        let outcome = wait(network, |event| match event {
            Event::Connected(which) if which == id => Some(Ok(())),
            Event::Failed(which, failure) if which == id => Some(Err(failure)),
            _ => None,
        });
        match outcome {
            Some(Ok(())) => {
                held.push(id);
                refusals = 0;
            }
            Some(Err(failure)) => {
                assert_eq!(failure, ConnectFailure::Refused);
                network.release(id, Release::Reset);
                refusals += 1;
                if refusals == 3 {
                    return held;
                }
            }
            None => panic!("a SYN was dropped, where smoltcp refuses"),
        }
    }
}

/// Whether a byte on this connection brings a reply.
fn is_answered(network: &mut impl Network, id: ConnectionId) -> bool {
    network
        .write(id, b"?")
        .expect("an idle connection takes a byte");
    let mut buffer = [0; 64];
    let mut read = network.read(id, &mut buffer);
    if read.is_err() {
        wait(network, |event| {
            (event == Event::Readable(id)).then_some(())
        });
        read = network.read(id, &mut buffer);
    }
    read.is_ok_and(|length| length > 0)
}

/// Whether connection `index` of a fresh fill is served rather than queued.
fn is_served(network: &mut impl Network, to: SocketAddr, index: usize) -> bool {
    let held = hold(network, to);
    let answered = is_answered(network, held[index]);
    for id in held {
        network.release(id, Release::Reset);
    }
    settle(network, to);
    answered
}

/// Waits until the board serves a new connection again.
fn settle(network: &mut impl Network, to: SocketAddr) {
    let until = network.now() + Duration::from_secs(10);
    while network.now() < until {
        let id = network.connect(to, None).expect("a free local port");
        let connected = wait(network, |event| match event {
            Event::Connected(which) if which == id => Some(true),
            Event::Failed(which, _) if which == id => Some(false),
            _ => None,
        });
        let answered = connected == Some(true) && is_answered(network, id);
        network.release(id, Release::Fin);
        if answered {
            return;
        }
    }
    panic!("the board has not recovered");
}

fn limits(network: &mut impl Network, to: SocketAddr) -> Limits {
    let first = hold(network, to);
    let held = first.len();
    for id in first {
        network.release(id, Release::Reset);
    }
    settle(network, to);
    // Every server serves the first connection; find the last one served.
    let (mut served, mut unserved) = (1, held + 1);
    while unserved - served > 1 {
        let middle = usize::midpoint(served, unserved);
        if is_served(network, to, middle - 1) {
            served = middle;
        } else {
            unserved = middle;
        }
    }
    Limits {
        served,
        queued: held - served,
    }
}

#[test]
fn workers_and_backlog_are_measured_exactly() {
    for workers in [1, 2, 4, 8] {
        for backlog in [0, 1, 4] {
            let spec = Spec::with(
                Profile::Ideal,
                [
                    ("workers", &*workers.to_string()),
                    ("backlog", &*backlog.to_string()),
                ],
            )
            .expect("a valid spec");
            let (board, mut network) = session::network(&spec, None).expect("threads");
            let found = limits(&mut network, session::address(&spec));
            assert_eq!(
                found,
                Limits {
                    served: workers,
                    queued: backlog
                }
            );
            drop(network);
            let counters = board.stop().counters;
            assert!(counters.refused >= Some(1), "{counters:?}");
        }
    }
}
