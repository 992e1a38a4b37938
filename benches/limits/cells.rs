//! The matrix: which servers there are, and what there is to be known of each.

use std::ops::RangeInclusive;
use std::time::Duration;

use tcpctl::bench::limits::{LimitsFinding, SearchEnd};
use tcpctl::bench::report::{Bound, Overflow};

use crate::Result;
use crate::limited::{App, Beyond};
use crate::process::Kernel;

/// Cells of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Linux,
    Ipv6,
    Caps,
    Evict,
    Greets,
    Cable,
    Lossy,
    Tap,
    Lwip,
}

/// In the order in which they are run; the last two inside a network namespace.
pub(crate) const GROUPS: [(Group, &str); 9] = [
    (Group::Linux, "linux"),
    (Group::Ipv6, "ipv6"),
    (Group::Caps, "caps"),
    (Group::Evict, "evict"),
    (Group::Greets, "greets"),
    (Group::Cable, "cable"),
    (Group::Lossy, "lossy"),
    (Group::Tap, "tap"),
    (Group::Lwip, "lwip"),
];

impl Group {
    /// # Errors
    /// When there is none of that name.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let names: Vec<&str> = GROUPS.iter().map(|&(_, name)| name).collect();
        let found = GROUPS.iter().find(|&&(_, its)| its == name);
        let &(group, _) = found.ok_or_else(|| {
            let names = names.join(", ");
            format!("there is no '{name}' here: choose from {names}")
        })?;
        Ok(group)
    }

    /// Whether its servers are at a TAP interface.
    pub(crate) fn is_inside(self) -> bool {
        matches!(self, Self::Tap | Self::Lwip)
    }
}

/// A server to be found out.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) server: Server,
    pub(crate) truth: Truth,
}

impl Cell {
    /// How long a quiet LAN may take.
    pub(crate) fn goal(&self) -> Duration {
        match (&self.server, &self.truth) {
            // A board in this process has no network to wait for.
            (Server::Cable(_), _) => Duration::from_secs(1),
            // It never is full: as many are opened as are allowed.
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

/// What to start.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    /// A process on the kernel's sockets, on loopback.
    Kernel(Kernel),
    /// A virtual board at the other end of a cable in this process; each run has another seed.
    Cable(Vec<(&'static str, String)>),
    /// A virtual board at a TAP interface.
    Tap(Vec<(&'static str, String)>),
    /// A process on Debian's lwIP, at a TAP interface.
    Lwip { workers: usize, service: u64 },
}

/// What there is to be known.
#[derive(Debug, Clone)]
pub(crate) enum Truth {
    Holds {
        served: usize,
        queued: usize,
        overflow: Overflow,
    },
    /// It can't be held: what it takes in a burst.
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

    /// Whether a finding says this and no less.
    pub(crate) fn is_told_by(&self, finding: &LimitsFinding) -> bool {
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

    /// For the table.
    pub(crate) fn told(&self) -> String {
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

/// The cells of a group.
pub(crate) fn of(group: Group) -> Vec<Cell> {
    match group {
        Group::Linux => linux(false),
        Group::Ipv6 => linux(true),
        Group::Caps => caps(),
        Group::Evict => evict(),
        Group::Greets => greets(),
        Group::Cable => boards(Server::Cable, "cable", &[]),
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
    for most in [3, 8] {
        for service in SERVICES {
            cells.push(Cell {
                name: format!("cap of {most}, the eldest evicted, {service} ms"),
                server: Server::Kernel(kernel(128, App::Cap(most, Beyond::Evict), service)),
                truth: Truth::holds(most, 0, Overflow::Evicted),
            });
        }
    }
    cells
}

fn greets() -> Vec<Cell> {
    let mut cells = Vec::new();
    for backlog in [0, 2, 5, 30] {
        // One that takes no time has done with some before the burst is over: no number is true.
        for service in [7, 10, 14, 20, 200] {
            cells.push(Cell {
                name: format!("greets first, listen({backlog}), one at a time, {service} ms"),
                server: Server::Kernel(kernel(backlog, App::GreetsFirst, service)),
                // Whether it has taken the first one when the last one comes is chance.
                truth: Truth::Greets {
                    burst: backlog + 1..=backlog + 2,
                },
            });
        }
    }
    cells
}

type Changes = Vec<(&'static str, String)>;

fn boards(plug: fn(Changes) -> Server, on: &str, path: &[(&'static str, &str)]) -> Vec<Cell> {
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
                server: plug(changes),
                truth: Truth::holds(workers, backlog, Overflow::Refused),
            });
        }
    }
    cells
}

fn lossy() -> Vec<Cell> {
    let path = [("delay", "20ms"), ("loss", "1%")];
    boards(Server::Cable, "20 ms, 1% loss", &path)
}

/// Debian's build bounds what waits by nothing but the mailbox of accepted connections: 128
/// entries, one of which stays free (`SYS_MBOX_SIZE` and `sys_mbox_trypost` of lwIP's Unix port).
const LWIP_MAILBOX: usize = 127;

fn lwip() -> Vec<Cell> {
    let mut cells = Vec::new();
    for workers in [1, 4] {
        // Within 230 ms a request is sent again here: lwIP acknowledges it after up to 250 ms.
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
