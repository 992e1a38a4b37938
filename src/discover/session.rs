//! One search, or one watch: the sources run side by side, and what they see is told as one stream.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::confirm;
use super::connections::{Connections, Way, Word};
use super::interfaces::{self, Interface};
use super::mdns::directory::Service;
use super::mdns::{Mdns, MdnsEvent, Origin, SUSPECT};
use super::plan::{Ending, Plan, Serial};
use super::probe::{self, Pace};
use super::registry::{Id, Key, Reached, Registry, Sighting};
use super::report::{DiscoverReport, Status, UsbReport};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::Halt;
use crate::sanitize;
use crate::serial::{self, Port};
use crate::sim::servers::ADDRESS;
use crate::target::DEFAULT_PORT;

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
    Checked(Id, Reached),
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
    mdns: Option<Mdns>,
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
    ports: Vec<String>,
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
        let mdns = plan
            .service_type
            .as_ref()
            .map(|service_type| Mdns::new(service_type.clone(), plan.mdns_port));
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
        mut told: impl FnMut(&DiscoverReport) -> Result<(), Halt>,
    ) -> Result<Found, Halt> {
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
                hears_announcements: self.mdns.as_ref().is_none_or(Mdns::is_shared),
                forbidden_interfaces: self
                    .mdns
                    .iter()
                    .flat_map(Mdns::forbidden)
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
            .map(Mdns::next_question);
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

    // --- interfaces and the gateway ---

    fn list_interfaces(&mut self) {
        let mut interfaces = match interfaces::list() {
            Ok(interfaces) => interfaces,
            Err(error) => {
                self.problem(format!("the network interfaces can't be listed: {error}"));
                return;
            }
        };
        if let Some(only) = &self.plan.interface {
            interfaces.retain(|it| it.name == *only);
        }
        if interfaces == self.interfaces {
            return;
        }
        self.interfaces.clone_from(&interfaces);
        self.forget_links();
        if let Some(mdns) = &mut self.mdns {
            for (name, error) in mdns.use_interfaces(interfaces) {
                let name = sanitize::one_line(&name);
                self.problem(format!("no mDNS on interface {name}: {error}"));
            }
        }
        if self.plan.gateway {
            self.gateway_asked = false;
            self.gateway_at = Some(Instant::now() + GATEWAY_PATIENCE);
        }
    }

    /// What was on a link that is gone is gone: mDNS goes no further than a link.
    fn forget_links(&mut self) {
        let is_here = |origin: &Origin| {
            let mut interfaces = self.interfaces.iter();
            interfaces.any(|it| it.index == origin.interface)
        };
        let boards = self.registry.boards();
        let gone = boards.flat_map(|board| board.origins().filter(|it| !is_here(it)).cloned());
        for origin in gone.collect::<Vec<_>>() {
            self.forget(&Key::Mdns(origin));
        }
    }

    fn problem(&mut self, problem: String) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn ask_gateway(&mut self) {
        let address = SocketAddr::new(GATEWAY.into(), DEFAULT_PORT);
        let on_link = |it: &Interface| !it.is_loopback && it.reaches(GATEWAY);
        let wanted = self.interfaces.iter().any(on_link)
            && !self.is_ours(&address)
            && !self.registry.is_known_at(address)
            && !self.gateway_asked;
        if wanted {
            self.gateway_asked = true;
            let interface = self.plan.interface.clone();
            self.tasks.push(Box::pin(async move {
                let (reached, line) = confirm::greet(address, interface, confirm::PATIENCE).await;
                Outcome::Gateway(address, reached, line)
            }));
        }
    }

    fn is_ours(&self, address: &SocketAddr) -> bool {
        self.interfaces.iter().any(|it| it.has(address.ip()))
    }

    // --- probing ---

    fn probe(&mut self, now: Instant) {
        while self.probing < probe::AT_A_TIME {
            let Some(address) = self.pace.as_mut().and_then(|pace| pace.take(now)) else {
                return;
            };
            let interface = self.plan.interface.clone();
            let scope = interface.as_deref().and_then(crate::sys::interface_index);
            let address = match (address, scope) {
                (IpAddr::V6(v6), Some(scope)) if v6.is_unicast_link_local() => {
                    SocketAddrV6::new(v6, DEFAULT_PORT, 0, scope).into()
                }
                (address, _) => SocketAddr::new(address, DEFAULT_PORT),
            };
            if self.registry.is_known_at(address) {
                continue;
            }
            self.probing += 1;
            self.tasks.push(Box::pin(async move {
                let (reached, line) = confirm::greet(address, interface, probe::PATIENCE).await;
                Outcome::Probed(address, reached, line)
            }));
        }
    }

    // --- serial ports ---

    fn list_ports(&mut self) {
        if self.plan.serial == Serial::None || self.listing_ports {
            return;
        }
        self.listing_ports = true;
        self.tasks.push(Box::pin(async {
            let ports = tokio::task::spawn_blocking(serial::list).await;
            Outcome::Ports(ports.unwrap_or_else(|error| Err(std::io::Error::other(error))))
        }));
    }

    fn ports(&mut self, listed: std::io::Result<Vec<Port>>) {
        self.listing_ports = false;
        let mut ports = match listed {
            Ok(ports) => ports,
            Err(error) => {
                self.problem(format!("the serial ports can't be listed: {error}"));
                return;
            }
        };
        ports.retain(|port| self.plan.serial == Serial::All || port.adapter().is_some());
        let paths: Vec<_> = ports.iter().map(|port| port.path.clone()).collect();
        let known = std::mem::replace(&mut self.ports, paths);
        for gone in known.iter().filter(|path| !self.ports.contains(path)) {
            self.registry.forget(&Key::Serial(gone.clone()));
        }
        for port in ports {
            if known.contains(&port.path) {
                continue;
            }
            if port.adapter().is_some() && !crate::sys::may_read_and_write(&port.path) {
                self.forbidden_ports.push(port.path.clone());
            }
            let sighting = Sighting {
                mac: port.usb.as_ref().and_then(serial::Usb::mac),
                usb: port.usb.as_ref().map(UsbReport::from),
                ..Sighting::new(Key::Serial(port.path))
            };
            self.see(sighting, Word::Own);
        }
    }

    // --- what is seen ---

    fn heard(&mut self, event: MdnsEvent) {
        match event {
            MdnsEvent::Found(origin, service) => {
                let word = if service.addresses.contains(&service.speaker) {
                    Word::Own
                } else {
                    Word::Hearsay
                };
                let sighting = self.sighting(origin, &service);
                self.see(sighting, word);
            }
            // Anybody can say goodbye in another's name: the board is asked itself.
            MdnsEvent::Leaving(origin) => {
                let board = self.registry.seen_by(&Key::Mdns(origin)).map(|it| it.id);
                if let Some(id) = board.filter(|_| self.plan.ending == Ending::Never) {
                    self.check(id, Instant::now());
                }
            }
        }
    }

    fn sighting(&self, origin: Origin, service: &Service) -> Sighting {
        let text = |key: &str| {
            let found = service.text.iter().find(|(known, _)| known == key);
            found.map(|(_, value)| value.clone())
        };
        let name = self
            .mdns
            .as_ref()
            .and_then(|it| it.interface(origin.interface));
        Sighting {
            name: Some(service.instance.first()),
            host: Some(service.host.to_string()),
            addresses: Mdns::addresses(service, origin.interface),
            chip: text("chip"),
            mode: text("mode"),
            firmware: text("fw"),
            mac: text("mac").and_then(|mac| serial::mac_address(&mac)),
            interface: name.map(|it| it.name.clone()),
            ..Sighting::new(Key::Mdns(origin))
        }
    }

    fn see(&mut self, sighting: Sighting, word: Word) {
        let interfaces = &self.interfaces;
        let is_ours = |it: &SocketAddr| interfaces.iter().any(|own| own.has(it.ip()));
        let Some((id, true)) = self.registry.see(sighting, is_ours) else {
            return;
        };
        let Some(way) = self.way(id) else {
            return;
        };
        let answered = self.registry.boards().find_map(|other| {
            let (address, rtt) = other.answered()?;
            let is_here = way.addresses.contains(&address);
            let same_way = is_here && self.only_way(other.id, &other.addresses()) == way.interface;
            same_way.then_some(Reached::Yes { address, rtt })
        });
        match answered {
            // It was connected to under another name: once is enough.
            Some(reached) => self.registry.reached(id, reached, Status::Online),
            None => self.connections.want(id, way, word),
        }
    }

    /// How a board is connected to.
    fn way(&self, id: Id) -> Option<Way> {
        let addresses = self.registry.board(id)?.addresses();
        let interface = self.only_way(id, &addresses);
        Some(Way {
            addresses,
            interface,
        })
    }

    /// Connects to those that wait for it.
    fn connect_waiting(&mut self) {
        while let Some((id, way)) = self.connections.start() {
            self.tasks.push(Box::pin(async move {
                let Way {
                    addresses,
                    interface,
                } = way.clone();
                let reached = confirm::connect(addresses, interface, confirm::PATIENCE).await;
                Outcome::Connected(id, way, reached)
            }));
        }
    }

    /// The interface to connect through where an address is on the links of several.
    fn only_way(&self, id: Id, addresses: &[SocketAddr]) -> Option<String> {
        let ambiguous = addresses.iter().any(|address| match address.ip() {
            IpAddr::V4(v4) => self.interfaces.iter().filter(|it| it.reaches(v4)).count() > 1,
            IpAddr::V6(_) => false,
        });
        let ours = addresses.iter().any(|address| self.is_ours(address));
        let board = self.registry.board(id)?;
        let several = board.origins().count() > 1;
        board
            .report()
            .interface
            .filter(|_| ambiguous && !ours && !several)
    }

    // --- what came of connections ---

    fn take(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Connected(id, way, reached) => {
                let status = match reached {
                    Reached::Yes { .. } => Status::Online,
                    Reached::No => Status::Unreachable,
                };
                for id in std::iter::once(id).chain(self.connections.end(id)) {
                    // What was true of other addresses says nothing about these.
                    let is_there = self.registry.board(id).is_some_and(|board| {
                        let addresses = board.addresses();
                        way.addresses.iter().any(|it| addresses.contains(it))
                    });
                    if is_there {
                        self.registry.reached(id, reached, status);
                    }
                }
            }
            Outcome::Checked(id, reached) => {
                self.connections.end(id);
                if reached == Reached::No {
                    self.lose(id);
                }
            }
            Outcome::Gateway(address, reached, line) => {
                self.answered(Key::Gateway(address), address, reached, line);
            }
            Outcome::Probed(address, reached, line) => {
                self.probing -= 1;
                self.answered(Key::Probe(address), address, reached, line);
            }
            Outcome::Ports(listed) => self.ports(listed),
        }
    }

    fn answered(&mut self, key: Key, address: SocketAddr, reached: Reached, line: Option<String>) {
        if reached == Reached::No {
            if matches!(key, Key::Gateway(_)) {
                self.gateway_asked = false;
            }
            return;
        }
        let status = match &line {
            Some(line) if confirm::is_greeting(line) => Status::Online,
            _ => Status::Unconfirmed,
        };
        let interface = self.interfaces.iter().find(|it| match address {
            SocketAddr::V4(v4) => it.reaches(*v4.ip()),
            SocketAddr::V6(v6) => it.index == v6.scope_id(),
        });
        let sighting = Sighting {
            addresses: vec![address],
            interface: interface.map(|it| it.name.clone()),
            greeting: line,
            ..Sighting::new(key)
        };
        if let Some((id, _)) = self.registry.see(sighting, |_| false)
            && self.registry.board(id).is_some_and(|it| !it.is_online())
        {
            self.registry.reached(id, reached, status);
        }
    }

    // --- watching ---

    /// Connects to those that have fallen silent, or that can't be asked in another way.
    fn check_silent(&mut self, now: Instant) {
        let mut silent = Vec::new();
        let mut stale = Vec::new();
        for board in self.registry.boards() {
            let heard = |origin: &Origin| self.mdns.as_ref()?.heard(origin);
            let last = board.origins().filter_map(heard).max();
            let silence = last.map(|at| now.saturating_duration_since(at));
            if silence.is_none_or(|it| it > SUSPECT) {
                let checked = self.checked.get(&board.id);
                let recently = checked.is_some_and(|at| now.duration_since(*at) < CHECK);
                if board.is_told() && !board.addresses().is_empty() && !recently {
                    silent.push(board.id);
                }
                continue;
            }
            // It has other services, which speak: this one is of yesterday.
            let is_stale = |origin: &&Origin| {
                heard(origin).is_none_or(|at| now.saturating_duration_since(at) > ONE_OF_SEVERAL)
            };
            stale.extend(board.origins().filter(is_stale).cloned());
        }
        for origin in stale {
            self.forget(&Key::Mdns(origin));
        }
        for id in silent {
            if self.has_another_name(id, now) {
                self.lose(id);
            } else {
                self.check(id, now);
            }
        }
    }

    /// Whether a service that has fallen silent speaks under another name where it was: that
    /// something answers there says nothing of it.
    fn has_another_name(&self, id: Id, now: Instant) -> bool {
        let Some(silent) = self.registry.board(id) else {
            return false;
        };
        let addresses = silent.addresses();
        let links: Vec<_> = silent.origins().map(|origin| origin.interface).collect();
        self.registry.boards().any(|other| {
            let speaks = |origin: &Origin| {
                let heard = self.mdns.as_ref().and_then(|mdns| mdns.heard(origin));
                links.contains(&origin.interface)
                    && heard.is_some_and(|at| now.saturating_duration_since(at) <= SUSPECT)
            };
            let is_there = || other.addresses().iter().any(|it| addresses.contains(it));
            other.id != id && other.origins().any(speaks) && is_there()
        })
    }

    /// Connects again to those that tell of themselves and could not be connected to, and to those
    /// that have no way to tell of themselves.
    fn try_again(&mut self, now: Instant) {
        let unreachable: Vec<_> = self
            .registry
            .boards()
            .filter(|board| board.status() == Some(Status::Unreachable))
            .map(|board| board.id)
            .collect();
        for id in unreachable {
            let tried = *self.checked.entry(id).or_insert(now);
            if now.duration_since(tried) >= TRY_AGAIN
                && let Some(way) = self.way(id)
            {
                self.checked.insert(id, now);
                self.connections.want(id, way, Word::Hearsay);
            }
        }
        if self.plan.gateway && self.gateway_at.is_none() && !self.gateway_asked {
            self.gateway_at = Some(now + TRY_AGAIN);
        }
        let probed = self.pace.as_ref().is_some_and(|it| it.due().is_none());
        if probed && self.probing == 0 {
            let pause = *self.probed_at.get_or_insert(now);
            if now.duration_since(pause) >= PROBE_AGAIN {
                self.probed_at = None;
                self.pace = self.plan.probe.map(|network| Pace::new(network, now));
            }
        }
    }

    fn check(&mut self, id: Id, now: Instant) {
        let Some(way) = self.way(id) else {
            return;
        };
        if !self.connections.begin(id, way.clone(), Word::Own) {
            return;
        }
        self.checked.insert(id, now);
        let Way {
            addresses,
            interface,
        } = way;
        self.tasks.push(Box::pin(async move {
            let reached = confirm::connect(addresses, interface, confirm::SHORT_PATIENCE).await;
            Outcome::Checked(id, reached)
        }));
    }

    fn lose(&mut self, id: Id) {
        self.checked.remove(&id);
        let Some(board) = self.registry.board(id) else {
            return;
        };
        let keys: Vec<_> = board.network_keys().cloned().collect();
        for key in keys {
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &Key) {
        if let (Key::Mdns(origin), Some(mdns)) = (key, &mut self.mdns) {
            mdns.forget(origin);
        }
        if matches!(key, Key::Gateway(_)) {
            self.gateway_asked = false;
        }
        self.registry.forget(key);
    }
}

async fn receive(mdns: Option<&Mdns>) -> super::mdns::link::Received {
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
