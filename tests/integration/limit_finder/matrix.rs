//! The matrix of simulated servers with known limits.

use std::ops::Range;
use std::time::Duration;

use tcpctl::bench::limits::{self, LimitsError, LimitsFinding, LimitsPlan, SearchEnd};
use tcpctl::bench::report::{Bound, Overflow};

use super::network::Simulated;
use super::server::{App, Beyond, Server, Stack};

const MS: Duration = Duration::from_millis(1);

/// The limits of a server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Truth {
    pub(crate) served: usize,
    pub(crate) queued: usize,
    pub(crate) overflow: Overflow,
}

impl Truth {
    pub(crate) fn of(simulated: &Server) -> Self {
        match (simulated.app, simulated.stack) {
            (App::Workers(served), Stack::Linux { k }) => Self {
                served,
                queued: k + 1,
                overflow: Overflow::Dropped,
            },
            (App::Workers(served), Stack::Lwip { k }) => Self {
                served,
                queued: k,
                overflow: Overflow::Dropped,
            },
            (App::Workers(workers), Stack::Slots { n }) => Self {
                served: workers.min(n),
                queued: n.saturating_sub(workers),
                overflow: Overflow::Refused,
            },
            (App::Cap(served, beyond), _) => Self {
                served,
                queued: 0,
                overflow: match beyond {
                    Beyond::Fin => Overflow::Closed,
                    Beyond::Reset => Overflow::Reset,
                    Beyond::Stall => Overflow::Silent,
                    Beyond::Evict(_) => Overflow::Evicted,
                },
            },
        }
    }

    pub(crate) fn matches(&self, finding: &LimitsFinding) -> bool {
        finding.served_at_once.value == Bound::Exact(self.served)
            && finding.queued.value == Bound::Exact(self.queued)
            && finding.held.value == Bound::Exact(self.served + self.queued)
            && finding.overflow == Some(self.overflow)
            && finding.ended == SearchEnd::Complete
    }
}

pub(crate) fn plan() -> LimitsPlan {
    LimitsPlan::new(([192, 168, 1, 1], 3000).into())
}

/// Searches, and checks that no connection is left and the maximum was not exceeded.
pub(crate) fn find(server: Server, plan: &LimitsPlan) -> Result<LimitsFinding, LimitsError> {
    let mut network = Simulated::new(server);
    let found = limits::find(&mut network, plan, &mut |_| {});
    check(&mut network, server, plan);
    found
}

pub(crate) fn check(network: &mut Simulated, server: Server, plan: &LimitsPlan) {
    assert_eq!(network.left_open(), 0, "connections are left open");
    assert!(network.max_open <= plan.max_connections);
    let never_accepts = server.app == App::Workers(0);
    if !never_accepts && server.loss == 0.0 {
        assert_eq!(
            network.left_on_server(),
            0,
            "{server:?} still has connections"
        );
    }
}

/// Every server of the matrix on a LAN.
pub(crate) fn servers() -> Vec<(&'static str, Server)> {
    let mut servers = Vec::new();
    for service in [0, 20, 200] {
        for k in [0, 1, 2, 5, 16, 128] {
            for workers in [0, 1, 4] {
                let server = Server {
                    service: MS * service,
                    ..Server::linux(k, workers)
                };
                servers.push(("Linux listen(k)", server));
            }
        }
        for n in [3, 8] {
            for beyond in [Beyond::Fin, Beyond::Reset, Beyond::Stall, Beyond::Evict(1)] {
                let server = Server {
                    service: MS * service,
                    ..Server::cap(n, beyond)
                };
                servers.push(("application cap", server));
            }
        }
        for workers in [1, 2, 4, 8] {
            for backlog in [0, 1, 4, 8] {
                let server = Server {
                    service: MS * service,
                    ..Server::greeter(workers, backlog)
                };
                servers.push(("smoltcp, w+b sockets", server));
            }
        }
        for k in [1, 2, 5] {
            for workers in [1, 4] {
                let app = App::Workers(workers);
                let server = Server {
                    service: MS * service,
                    ..Server::new(Stack::Lwip { k }, app)
                };
                servers.push(("lwIP listen(k)", server));
            }
        }
    }
    servers
}

/// The first seed: 1, or `TCPCTL_SEED`.
fn seed() -> u64 {
    let given = std::env::var("TCPCTL_SEED").ok();
    given.map_or(1, |text| text.parse().expect("TCPCTL_SEED is a number"))
}

/// Searches all servers, each with several seeds, and prints a line per kind. Returns the number of
/// exact results and of runs.
fn hit_rate(title: &str, servers: &[(&'static str, Server)], seeds: Range<u64>) -> (usize, usize) {
    let mut kinds: Vec<(&str, usize, usize, Duration)> = Vec::new();
    for (&(kind, server), which) in servers.iter().zip(0_u64..) {
        for seed in seeds.clone() {
            // Each server has seeds of its own, because the first exchange is the same for many.
            let seed = seed.wrapping_add(which << 32);
            let server = Server { seed, ..server };
            let truth = Truth::of(&server);
            let found = find(server, &plan());
            let (hit, took) = match &found {
                Ok(finding) => (truth.matches(finding), finding.took),
                Err(_) => (false, Duration::ZERO),
            };
            if !hit {
                println!("MISS {server:?}\n  {}", brief(&found));
            }
            match kinds.iter_mut().find(|it| it.0 == kind) {
                Some(line) => {
                    line.1 += usize::from(hit);
                    line.2 += 1;
                    line.3 = line.3.max(took);
                }
                None => kinds.push((kind, usize::from(hit), 1, took)),
            }
        }
    }
    for (kind, hits, runs, longest) in &kinds {
        println!("{title:24} {kind:24} {hits:4} of {runs:4}, longest {longest:.2?}");
    }
    let sum = |it: fn(&(&str, usize, usize, Duration)) -> usize| kinds.iter().map(it).sum();
    (sum(|it| it.1), sum(|it| it.2))
}

pub(crate) fn brief(found: &Result<LimitsFinding, LimitsError>) -> String {
    match found {
        Ok(finding) => format!(
            "served {:?} queued {:?} held {:?} {:?} trials {:?} retransmissions {} in {:?} ({:?})",
            finding.served_at_once.value,
            finding.queued.value,
            finding.held.value,
            finding.overflow,
            finding.trials,
            finding.retransmissions,
            finding.took,
            finding.ended,
        ),
        Err(error) => format!("{error}"),
    }
}

#[test]
fn matrix_is_exact_on_a_lan() {
    let servers = servers();
    let (hits, runs) = hit_rate("LAN", &servers, 1..2);
    assert_eq!(hits, runs);
}

#[test]
fn matrix_is_exact_with_20_ms_delay() {
    let servers: Vec<_> = servers()
        .into_iter()
        .map(|(kind, server)| {
            let delay = MS * 20;
            (kind, Server { delay, ..server })
        })
        .collect();
    let (hits, runs) = hit_rate("20 ms", &servers, 1..2);
    assert_eq!(hits, runs);
}

#[test]
fn matrix_is_mostly_exact_with_1_percent_loss() {
    let servers: Vec<_> = servers()
        .into_iter()
        .map(|(kind, server)| {
            let server = Server {
                delay: MS * 20,
                loss: 0.01,
                ..server
            };
            (kind, server)
        })
        .collect();
    let first = seed();
    println!("TCPCTL_SEED={first} repeats this");
    let (hits, runs) = hit_rate("20 ms, 1% loss", &servers, first..first + 4);
    assert!(
        hits * 100 >= runs * 95,
        "{hits} of {runs}: TCPCTL_SEED={first}"
    );
}

#[test]
fn search_is_quick_on_a_lan() {
    let mut slow = 0;
    for (kind, server) in servers() {
        let truth = Truth::of(&server);
        let never_full = truth.overflow == Overflow::Silent;
        let is_small = truth.served + truth.queued <= 32 && !never_full;
        let goal = MS * if is_small { 2_500 } else { 6_000 };
        let took = find(server, &plan()).expect("limits").took;
        if took > goal {
            println!("{took:.2?}, more than {goal:?}: {kind} {server:?}");
            slow += 1;
        }
    }
    assert_eq!(slow, 0);
    let finding = find(Server::greeter(4, 4), &plan()).expect("limits");
    assert!(finding.took < MS * 1_000, "{:?}", finding.took);
}
