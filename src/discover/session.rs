//! One search, or one watch: the sources run side by side, and what they see is told as one stream.

mod places;
mod sightings;
mod watch;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::connections::{Connections, Way};
use super::plan::{Ending, Plan};
use super::probe::{self, Pace};
use super::registry::{Id, Reached, Registry};
use super::report::{DiscoverReport, Status};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::mdns::{Browser, Purpose, Received};
use crate::net::interfaces::Interface;
use crate::serial::Port;
use crate::sim::servers::ADDRESS;

/// Where a board in AP mode is: the tutorials' address and ours.
const GATEWAY: Ipv4Addr = ADDRESS;
/// How long a board at the gateway's address has to tell of itself before it is asked: it is to be
/// connected to once.
const GATEWAY_PATIENCE: Duration = Duration::from_millis(350);
/// How long what is found waits for the first list of serial ports, which takes a few ms.
const PORTS_PATIENCE: Duration = Duration::from_millis(100);
/// How often a watch looks at interfaces, serial ports and silent boards.
const TICK: Duration = Duration::from_millis(250);
/// How often it looks for new interfaces and serial ports: every so many ticks.
const TICKS_A_LISTING: u32 = 4;
/// How often a watch connects to what has no other way to say that it is still there.
const CHECK: Duration = Duration::from_millis(1500);
/// How often it connects again to a board that could not be connected to, and to the gateway.
const TRY_AGAIN: Duration = Duration::from_secs(3);
/// How long after a probe the next one begins.
const PROBE_AGAIN: Duration = Duration::from_secs(10);
/// How long one of several services of a board may be silent while others are heard: longer than a
/// bad moment of one of its links.
const ONE_OF_SEVERAL: Duration = Duration::from_secs(5);
/// How much longer than the timeout a connection that has begun may take.
const GRACE: Duration = Duration::from_millis(400);

/// Why a connection was made, and what came of it.
#[derive(Debug)]
enum Outcome {
    /// A board has told of itself.
    Connected(Id, Way, Reached),
    /// A known board has fallen silent.
    Checked(Id, Way, Reached),
    /// The gateway was asked.
    Gateway(SocketAddr, Reached, Option<String>),
    /// An address was probed.
    Probed(SocketAddr, Reached, Option<String>),
    /// The serial ports.
    Ports(std::io::Result<Vec<Port>>),
}

type Task = Pin<Box<dyn Future<Output = Outcome>>>;

/// How a search ended.
#[derive(Debug)]
pub struct Found {
    /// Boards that count as found.
    pub count: usize,
    /// How the command was interrupted, if it was.
    pub interrupted: Option<Exit>,
    /// What may help where nothing was found.
    pub circumstances: Circumstances,
}

/// What a search has met with on this computer.
#[derive(Debug, Default)]
pub struct Circumstances {
    /// The interfaces that were asked on.
    pub interfaces: Vec<Interface>,
    /// What went wrong, each a line that is safe for a terminal.
    pub problems: Vec<String>,
    /// Serial ports that a board may be on, and that this user may not open.
    pub forbidden_ports: Vec<String>,
    /// Whether announcements are heard on port 5353.
    pub hears_announcements: bool,
    /// Interfaces on which a firewall of this computer's lets no question out.
    pub forbidden_interfaces: Vec<String>,
    /// Boards that have told of themselves and can't be connected to.
    pub unreachable: usize,
}

/// A search that is running.
pub struct Session<'p> {
    plan: &'p Plan,
    mdns: Option<Browser>,
    registry: Registry,
    interfaces: Vec<Interface>,
    tasks: FuturesUnordered<Task>,
    connections: Connections,
    checked: HashMap<Id, Instant>,
    pace: Option<Pace>,
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
    /// A search that has not begun.
    pub fn new(plan: &'p Plan) -> Self {
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
            pace: plan.probe.map(|network| Pace::new(network, now)),
            probing: 0,
            probed_at: None,
            gateway_at: plan.gateway.then(|| now + GATEWAY_PATIENCE),
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

    /// Searches to the end, and tells `told` every event as it comes.
    ///
    /// # Errors
    /// What `told` says.
    pub async fn run(
        mut self,
        interrupt: Option<&Interrupt>,
        mut told: impl FnMut(&DiscoverReport) -> anyhow::Result<()>,
    ) -> anyhow::Result<Found> {
        self.list_interfaces();
        self.list_ports();
        let interrupted = loop {
            self.connect_waiting();
            if !self.awaits_ports(Instant::now()) {
                for event in self.registry.news(false) {
                    told(&event)?;
                }
            }
            if self.is_enough() || self.is_over(Instant::now()) {
                break None;
            }
            let wake = self.next_wake(Instant::now());
            // In this order: what a crowd tells of itself keeps no connection waiting, whose round
            // trip is measured here.
            tokio::select! {
                biased;
                exit = requested(interrupt) => break Some(exit),
                Some(outcome) = self.tasks.next() => self.take(outcome),
                () = tokio::time::sleep_until(wake.into()) => self.on_time(Instant::now()).await,
                received = receive(self.mdns.as_ref()) => {
                    let events = match &mut self.mdns {
                        Some(mdns) => mdns.learn(received).await,
                        None => Vec::new(),
                    };
                    for event in events {
                        self.heard(event);
                    }
                }
            }
        };
        // What is undecided is told of where the time has run out on it: a watch has told of the
        // rest, and who wanted one board wants no more.
        if self.plan.ending != Ending::Never && !self.is_enough() {
            for event in self.registry.news(true) {
                told(&event)?;
            }
        }
        let unreachable = self
            .registry
            .boards()
            .filter(|board| board.report().status == Status::Unreachable)
            .count();
        Ok(Found {
            count: self.registry.count(),
            interrupted,
            circumstances: Circumstances {
                hears_announcements: self.mdns.as_ref().is_none_or(Browser::is_port_shared),
                forbidden_interfaces: self
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

    /// Whether the first list of serial ports is still to come: a board that is on one, too, is to
    /// be told of as that from the first.
    fn awaits_ports(&self, now: Instant) -> bool {
        self.listing_ports && now < self.begin + PORTS_PATIENCE
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
        let probed = self.probing == 0 && self.pace.as_ref().is_none_or(|it| it.due().is_none());
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
            .pace
            .as_ref()
            .and_then(Pace::due)
            .filter(|_| self.probing < probe::AT_A_TIME);
        let ports = self
            .awaits_ports(now)
            .then_some(self.begin + PORTS_PATIENCE);
        [Some(end), question, probe, self.gateway_at, ports]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(far)
    }

    /// Does what it is time for.
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
            if self.ticks.is_multiple_of(TICKS_A_LISTING) {
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

async fn requested(interrupt: Option<&Interrupt>) -> Exit {
    match interrupt {
        Some(interrupt) => interrupt.requested().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
