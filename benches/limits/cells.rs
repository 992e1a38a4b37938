//! The matrix of servers and their true limits.

use std::ops::RangeInclusive;
use std::time::Duration;

use tcpctl::bench::limits::{LimitsFinding, SearchEnd};
use tcpctl::bench::report::{Bound, Overflow};

use crate::Result;
use crate::limited::{App, Beyond};
use crate::process::Kernel;

/// Cells of one kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Linux,
    Ipv6,
    Caps,
    Evict,
    Open,
    Greets,
    Link,
    Lossy,
    Tap,
    Lwip,
}

/// In the order of execution; the last two run inside a network namespace.
pub(crate) const GROUPS: [(Group, &str); 10] = [
    (Group::Linux, "linux"),
    (Group::Ipv6, "ipv6"),
    (Group::Caps, "caps"),
    (Group::Evict, "evict"),
    (Group::Open, "open"),
    (Group::Greets, "greets"),
    (Group::Link, "link"),
    (Group::Lossy, "lossy"),
    (Group::Tap, "tap"),
    (Group::Lwip, "lwip"),
];

impl Group {
    /// # Errors
    /// An unknown name.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let names: Vec<&str> = GROUPS.iter().map(|&(_, name)| name).collect();
        let found = GROUPS.iter().find(|&&(_, its)| its == name);
        let &(group, _) = found.ok_or_else(|| {
            let names = names.join(", ");
            format!("unknown group '{name}': choose from {names}")
        })?;
        Ok(group)
    }

    /// Whether its servers run on a TAP interface.
    pub(crate) fn is_inside(self) -> bool {
        matches!(self, Self::Tap | Self::Lwip)
    }
}

/// A server and its true limits.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) server: Server,
    pub(crate) truth: Truth,
}

impl Cell {
    /// Maximum duration on a quiet LAN.
    pub(crate) fn goal(&self) -> Duration {
        match (&self.server, &self.truth) {
            // A board in this process has no network latency.
            (Server::Link(_), _) => Duration::from_secs(1),
            // The server is never full, so the maximum number of connections is opened.
            (
                _,
                Truth::Holds {
                    overflow: Overflow::Silent,
                    ..
                },
            ) => Duration::from_secs(6),
            (_, Truth::Holds { served, queued, .. }) if served + queued > 32 => {
                Duration::from_secs(6)
            }
            _ => Duration::from_millis(2_500),
        }
    }
}

/// The server to start.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    /// A process on kernel sockets, on loopback.
    Kernel(Kernel),
    /// A virtual board on a link in this process; each run has another seed.
    Link(Vec<(&'static str, String)>),
    /// A virtual board on a TAP interface.
    Tap(Vec<(&'static str, String)>),
    /// A process on Debian's lwIP, on a TAP interface.
    Lwip { workers: usize, service: u64 },
}

/// The true limits of a server.
#[derive(Debug, Clone)]
pub(crate) enum Truth {
    Holds {
        served: usize,
        queued: usize,
        overflow: Overflow,
    },
    /// The server cannot be filled with idle connections; it accepts a burst of this size.
    Greets { burst: RangeInclusive<usize> },
}

impl Truth {
    fn holds(served: usize, queued: usize, overflow: Overflow) -> Self {
        Self::Holds {
            served,
            queued,
            overflow,
        }
    }

    /// Whether a finding matches exactly.
    pub(crate) fn matches(&self, finding: &LimitsFinding) -> bool {
        let numbers = [
            finding.served_at_once.value,
            finding.queued.value,
            finding.held.value,
        ];
        finding.ended == SearchEnd::Complete
            && match self {
                Self::Holds {
                    served,
                    queued,
                    overflow,
                } => {
                    numbers == [*served, *queued, served + queued].map(Bound::Exact)
                        && finding.overflow == Some(*overflow)
                }
                Self::Greets { burst } => {
                    numbers == [Bound::Unknown; 3]
                        && matches!(finding.burst.value, Bound::Exact(it) if burst.contains(&it))
                }
            }
    }

    /// The text for the table.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Holds {
                served,
                queued,
                overflow,
            } => format!("{served} + {queued}, {}", overflow.name()),
            Self::Greets { burst } => {
                format!("unknown, burst {} or {}", burst.start(), burst.end())
            }
        }
    }
}

pub(crate) fn of(group: Group) -> Vec<Cell> {
    match group {
        Group::Linux => linux(false),
        Group::Ipv6 => linux(true),
        Group::Caps => caps(),
        Group::Evict => evict(),
        Group::Open => open(),
        Group::Greets => greets(),
        Group::Link => boards(Server::Link, "link", &[]),
        Group::Lossy => lossy(),
        Group::Tap => boards(Server::Tap, "TAP", &[]),
        Group::Lwip => lwip(),
    }
}

const SERVICES: [u64; 3] = [0, 20, 200];

fn kernel(backlog: usize, app: App, service: u64) -> Kernel {
    Kernel {
        backlog,
        app,
        service: Duration::from_millis(service),
        is_ipv6: false,
    }
}

fn linux(is_ipv6: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    let family = if is_ipv6 { "[::1]" } else { "Linux" };
    for backlog in [0, 1, 2, 5, 16, 128] {
        for workers in [0, 1, 4] {
            for service in SERVICES {
                let kernel = Kernel {
                    is_ipv6,
                    ..kernel(backlog, App::Workers(workers), service)
                };
                cells.push(Cell {
                    name: format!("{family} listen({backlog}), {workers} workers, {service} ms"),
                    server: Server::Kernel(kernel),
                    truth: Truth::holds(workers, backlog + 1, Overflow::Dropped),
                });
            }
        }
    }
    cells
}

fn caps() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (beyond, what, overflow) in [
        (Beyond::Fin, "FIN", Overflow::Closed),
        (Beyond::Reset, "RST", Overflow::Reset),
        (Beyond::Stall, "stall", Overflow::Silent),
    ] {
        for most in [3, 8] {
            for service in SERVICES {
                cells.push(Cell {
                    name: format!("cap of {most}, then {what}, {service} ms"),
                    server: Server::Kernel(kernel(128, App::Cap(most, beyond), service)),
                    truth: Truth::holds(most, 0, overflow),
                });
            }
        }
    }
    cells
}

fn evict() -> Vec<Cell> {
    let mut cells = Vec::new();
    for most in [3_usize, 8] {
        for count in [1, most.div_ceil(2)] {
            for service in SERVICES {
                let app = App::Cap(most, Beyond::Evict(count));
                cells.push(Cell {
                    name: format!("cap of {most}, {count} evicted, {service} ms"),
                    server: Server::Kernel(kernel(128, app, service)),
                    truth: Truth::holds(most, 0, Overflow::Evicted),
                });
            }
        }
    }
    cells
}

/// Servers that keep connections open, reject with a line, or accept on a timer.
fn open() -> Vec<Cell> {
    let second = Duration::from_secs(1);
    let mut cells = Vec::new();
    for service in SERVICES {
        for (name, backlog, app, truth) in [
            (
                "echo, 2 workers",
                5,
                App::Echo(2),
                (2, 6, Overflow::Dropped),
            ),
            (
                "echo, 8 workers",
                0,
                App::Echo(8),
                (8, 1, Overflow::Dropped),
            ),
            (
                "8 workers, accept timer",
                3,
                App::AcceptTimer(8, second),
                (8, 4, Overflow::Dropped),
            ),
            (
                "cap of 10, error line",
                128,
                App::Cap(10, Beyond::Line("-ERR max number of clients reached")),
                (10, 0, Overflow::Closed),
            ),
            (
                "greets and waits, cap of 5",
                128,
                App::GreetsAndWaits(5),
                (5, 0, Overflow::Closed),
            ),
        ] {
            let (served, queued, overflow) = truth;
            cells.push(Cell {
                name: format!("{name}, {service} ms"),
                server: Server::Kernel(kernel(backlog, app, service)),
                truth: Truth::holds(served, queued, overflow),
            });
        }
    }
    cells
}

fn greets() -> Vec<Cell> {
    let mut cells = Vec::new();
    for backlog in [0, 2, 5, 30] {
        // A server without a service time frees slots during the burst, so there is no true number.
        for service in [7, 10, 14, 20, 200] {
            cells.push(Cell {
                name: format!("greets first, listen({backlog}), one at a time, {service} ms"),
                server: Server::Kernel(kernel(backlog, App::GreetsFirst, service)),
                // It is random whether the server has accepted the first connection when the last
                // one arrives.
                truth: Truth::Greets {
                    burst: backlog + 1..=backlog + 2,
                },
            });
        }
    }
    cells
}

type Changes = Vec<(&'static str, String)>;

fn boards(make: fn(Changes) -> Server, on: &str, path: &[(&'static str, &str)]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for workers in [1, 2, 4, 8] {
        for backlog in [0, 1, 4, 8] {
            let mut changes = vec![
                ("workers", workers.to_string()),
                ("backlog", backlog.to_string()),
            ];
            changes.extend(path.iter().map(|&(key, value)| (key, value.to_owned())));
            cells.push(Cell {
                name: format!("virtual board ({on}), {workers} workers, backlog {backlog}"),
                server: make(changes),
                truth: Truth::holds(workers, backlog, Overflow::Refused),
            });
        }
    }
    cells
}

fn lossy() -> Vec<Cell> {
    let path = [("delay", "20ms"), ("loss", "1%")];
    boards(Server::Link, "20 ms, 1% loss", &path)
}

/// Debian's build limits the queue only by the mailbox of accepted connections: 128 entries, one of
/// which stays free (`SYS_MBOX_SIZE` and `sys_mbox_trypost` of lwIP's Unix port).
const LWIP_MAILBOX: usize = 127;

fn lwip() -> Vec<Cell> {
    let mut cells = Vec::new();
    for workers in [1, 4] {
        // In 230 ms the request is retransmitted: lwIP delays its ACK by up to 250 ms.
        for service in SERVICES.into_iter().chain([230]) {
            cells.push(Cell {
                name: format!("lwIP (TAP), {workers} workers, {service} ms"),
                server: Server::Lwip { workers, service },
                truth: Truth::holds(workers, LWIP_MAILBOX, Overflow::Reset),
            });
        }
    }
    cells
}
