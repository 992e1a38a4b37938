//! One search or watch: the sources run concurrently, and their events are one stream.

mod observations;
mod sources;
mod watch;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::connections::{Connections, Route};
use super::plan::{DiscoverPlan, Ending};
use super::probe::{self, Pacer};
use super::registry::{BoardId, Reachability, Registry};
use super::report::{DiscoverReport, Status};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::mdns::{Browser, Purpose, Received};
use crate::net::interfaces::Interface;
use crate::serial::Port;

/// How long a board at the gateway's address has to announce itself before it is connected to, so
/// that it is connected to only once.
const GATEWAY_DELAY: Duration = Duration::from_millis(350);
/// How long events wait for the first list of serial ports, which takes a few ms.
const PORTS_DELAY: Duration = Duration::from_millis(100);
/// How often a watch checks for silent boards.
const TICK: Duration = Duration::from_millis(250);
/// Number of ticks between two listings of interfaces and serial ports.
const TICKS_PER_LISTING: u32 = 4;
/// How often a watch connects to a board that does not reply over mDNS.
const CHECK_INTERVAL: Duration = Duration::from_millis(1500);
/// How often a watch retries an unreachable board and the gateway.
const RETRY_INTERVAL: Duration = Duration::from_secs(3);
/// The pause between two probes of a network.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// After this time of silence, a service of a board is stale if its other services are heard.
const STALE_AFTER: Duration = Duration::from_secs(5);
/// How long connections may continue after the timeout.
const GRACE: Duration = Duration::from_millis(400);

/// The result of a task.
#[derive(Debug)]
enum TaskResult {
    /// A connection to a new board has ended.
    Connected(BoardId, Route, Reachability),
    /// A connection to a silent board has ended.
    Checked(BoardId, Route, Reachability),
    /// A connection to the gateway has ended.
    Gateway(SocketAddr, Reachability, Option<String>),
    /// A probe of an address has ended.
    Probed(SocketAddr, Reachability, Option<String>),
    /// The serial ports were listed.
    Ports(std::io::Result<Vec<Port>>),
}

type Task = Pin<Box<dyn Future<Output = TaskResult>>>;

/// How a search ended.
#[derive(Debug)]
pub struct SearchResult {
    /// The number of boards found.
    pub count: usize,
    /// Exit code, if the command was interrupted.
    pub interrupted: Option<Exit>,
    /// Facts that may explain an empty result.
    pub diagnostics: Diagnostics,
}

/// Facts about this computer that a search collected.
#[derive(Debug, Default)]
pub struct Diagnostics {
    /// Interfaces that were searched.
    pub interfaces: Vec<Interface>,
    /// Failures of single sources, sanitized for a terminal.
    pub problems: Vec<String>,
    /// Serial ports of boards that this user may not open.
    pub forbidden_ports: Vec<String>,
    /// Whether the mDNS port can be shared with the programs that use it.
    pub is_port_shared: bool,
    /// Interfaces on which a firewall of this computer blocks queries.
    pub blocked_interfaces: Vec<String>,
    /// Boards that announce themselves and cannot be connected to.
    pub unreachable: usize,
}

/// A running search.
pub struct Session<'p> {
    plan: &'p DiscoverPlan,
    mdns: Option<Browser>,
    registry: Registry,
    interfaces: Vec<Interface>,
    tasks: FuturesUnordered<Task>,
    connections: Connections,
    checked: HashMap<BoardId, Instant>,
    pacer: Option<Pacer>,
    probing: usize,
    probed_at: Option<Instant>,
    gateway_at: Option<Instant>,
    gateway_asked: bool,
    listing_ports: bool,
    ports: Vec<Port>,
    tick: Instant,
    ticks: u32,
    begin: Instant,
    problems: Vec<String>,
    forbidden_ports: Vec<String>,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("plan", self.plan)
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

impl<'p> Session<'p> {
    /// A search that has not started.
    pub fn new(plan: &'p DiscoverPlan) -> Self {
        let now = Instant::now();
        let mdns = plan.service_type.as_ref().map(|service_type| {
            let purpose = match plan.ending {
                Ending::Never => Purpose::Watch,
                Ending::After { .. } => Purpose::Search,
            };
            Browser::new(service_type.clone(), plan.mdns_port, purpose)
        });
        Self {
            plan,
            mdns,
            registry: Registry::default(),
            interfaces: Vec::new(),
            tasks: FuturesUnordered::new(),
            connections: Connections::default(),
            checked: HashMap::new(),
            pacer: plan.probe.map(|network| Pacer::new(network, now)),
            probing: 0,
            probed_at: None,
            gateway_at: plan.gateway.then(|| now + GATEWAY_DELAY),
            gateway_asked: false,
            listing_ports: false,
            ports: Vec::new(),
            tick: now + TICK,
            ticks: 0,
            begin: now,
            problems: Vec::new(),
            forbidden_ports: Vec::new(),
        }
    }

    /// Searches to the end, and passes each event to `emit`.
    ///
    /// # Errors
    /// Those of `emit`.
    pub async fn run(
        mut self,
        interrupt: Option<&Interrupt>,
        mut emit: impl FnMut(&DiscoverReport) -> anyhow::Result<()>,
    ) -> anyhow::Result<SearchResult> {
        self.list_interfaces();
        self.list_ports();
        let interrupted = loop {
            self.connect_waiting();
            if !self.awaits_ports(Instant::now()) {
                for event in self.registry.take_events() {
                    emit(&event)?;
                }
            }
            if self.is_enough() || self.is_over(Instant::now()) {
                break None;
            }
            let wake = self.next_wake(Instant::now());
            // Tasks come first: many announcements must not delay a connection whose round trip is
            // measured.
            tokio::select! {
                biased;
                code = interrupted(interrupt) => break Some(code),
                Some(result) = self.tasks.next() => self.take(result),
                () = tokio::time::sleep_until(wake.into()) => self.on_time(Instant::now()).await,
                received = receive(self.mdns.as_ref()) => {
                    let events = match &mut self.mdns {
                        Some(mdns) => mdns.learn(received).await,
                        None => Vec::new(),
                    };
                    for event in events {
                        self.take_mdns_event(event);
                    }
                }
            }
        };
        // Report boards whose connection is still pending, unless enough boards were found.
        if self.plan.ending != Ending::Never && !self.is_enough() {
            for event in self.registry.take_all_events() {
                emit(&event)?;
            }
        }
        let unreachable = self
            .registry
            .boards()
            .filter(|board| board.report().status == Status::Unreachable)
            .count();
        Ok(SearchResult {
            count: self.registry.count(),
            interrupted,
            diagnostics: Diagnostics {
                is_port_shared: self.mdns.as_ref().is_none_or(Browser::is_port_shared),
                blocked_interfaces: self
                    .mdns
                    .iter()
                    .flat_map(Browser::blocked)
                    .map(|it| it.name.clone())
                    .collect(),
                interfaces: self.interfaces,
                problems: self.problems,
                forbidden_ports: self.forbidden_ports,
                unreachable,
            },
        })
    }

    /// Whether to wait for the first list of serial ports, so that a board on a serial port is
    /// reported with it from the start.
    fn awaits_ports(&self, now: Instant) -> bool {
        self.listing_ports && now < self.begin + PORTS_DELAY
    }

    fn is_enough(&self) -> bool {
        match self.plan.ending {
            Ending::After {
                enough: Some(enough),
                ..
            } => self.registry.count() >= enough,
            _ => false,
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        let Ending::After { timeout, .. } = self.plan.ending else {
            return false;
        };
        let probed = self.probing == 0 && self.pacer.as_ref().is_none_or(|it| it.due().is_none());
        let end = self.begin + timeout;
        let grace = if self.connections.is_idle() {
            Duration::ZERO
        } else {
            GRACE
        };
        probed && now >= end + grace
    }

    fn next_wake(&self, now: Instant) -> Instant {
        let far = now + Duration::from_hours(1);
        let end = match self.plan.ending {
            Ending::After { timeout, .. } if now < self.begin + timeout => self.begin + timeout,
            Ending::After { timeout, .. } if now < self.begin + timeout + GRACE => {
                self.begin + timeout + GRACE
            }
            Ending::After { .. } => far,
            Ending::Never => self.tick,
        };
        let question = self
            .mdns
            .as_ref()
            .filter(|mdns| mdns.has_links())
            .map(Browser::next_question);
        let probe = self
            .pacer
            .as_ref()
            .and_then(Pacer::due)
            .filter(|_| self.probing < probe::MAX_CONCURRENT);
        let ports = self.awaits_ports(now).then_some(self.begin + PORTS_DELAY);
        [Some(end), question, probe, self.gateway_at, ports]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(far)
    }

    /// Runs the actions that are due.
    async fn on_time(&mut self, now: Instant) {
        if let Some(mdns) = &mut self.mdns {
            mdns.ask().await;
        }
        if self.gateway_at.is_some_and(|at| at <= now) {
            self.gateway_at = None;
            self.ask_gateway();
        }
        self.probe(now);
        if self.plan.ending == Ending::Never && now >= self.tick {
            self.tick = now + TICK;
            self.ticks += 1;
            if self.ticks.is_multiple_of(TICKS_PER_LISTING) {
                self.list_interfaces();
                self.list_ports();
            }
            self.check_silent(now);
            self.try_again(now);
        }
    }
}

async fn receive(mdns: Option<&Browser>) -> Received {
    match mdns {
        Some(mdns) => mdns.receive().await,
        None => std::future::pending().await,
    }
}

async fn interrupted(interrupt: Option<&Interrupt>) -> Exit {
    match interrupt {
        Some(interrupt) => interrupt.requested().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
