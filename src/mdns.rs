//! Finds boards by mDNS (RFC 6762, RFC 6763).
//!
//! Two askers share each interface. `daemon` is mdns-sd: it repeats its question on port 5353 and
//! hears announcements and goodbyes. `prompt` asks from a port of its own and gets the first answer
//! in milliseconds. [`directory`] merges what both hear, one for each interface, so that two boards
//! of one name on two networks stay two. [`announce`](mod@announce) is the other side.
//!
//! Record lifetimes are minutes, and a board that lost power sends no goodbye. So a watch asks each
//! known board by unicast, and one that stays silent is suspect.

pub mod announce;
mod daemon;
pub mod directory;
pub mod message;
mod prompt;
mod schedule;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use futures_util::future::Either;
use futures_util::stream::{FuturesUnordered, StreamExt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use crate::net::interfaces::Interface;
use daemon::{Daemon, DaemonEvent};
use directory::{Directory, Service};
use message::{Answer, Data, DnsName, Question};
pub use prompt::Packet;
use prompt::Prompt;
use schedule::Schedule;

/// The port of mDNS.
pub const PORT: u16 = 5353;
/// The service type of boards with this project's firmware.
pub const SERVICE_TYPE: &str = "_tcpctl._tcp";
/// Silence after which a board is suspect. It was queried twice in this time.
pub const SUSPECT_AFTER: Duration = Duration::from_millis(1500);
/// Maximum boards that are gone and still queried.
const MAX_GONE: usize = 64;
/// Maximum queries about incomplete services at a time.
const MAX_QUESTIONS: usize = 16;
/// Minimum time between two such rounds, so that a flood of names does not cause a flood of
/// queries.
const FOLLOW_UP_INTERVAL: Duration = Duration::from_millis(30);
/// How long an incomplete service is kept.
const INCOMPLETE_FOR: Duration = Duration::from_secs(30);

/// Where a service was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Index of the interface.
    pub interface: u32,
    /// Full name of the service.
    pub instance: DnsName,
}

/// The purpose of a [`Browser`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Find boards, for some seconds.
    Search,
    /// Find boards, and detect when they disappear.
    Watch,
    /// Find one board by name. The daemons start with [`Browser::start_daemons`].
    Lookup,
}

/// An event of mDNS.
#[derive(Debug)]
pub enum MdnsEvent {
    /// A service is complete, or has changed.
    Found(Origin, Service),
    /// A service sent a goodbye, or its records expired.
    Leaving(Origin),
    /// The host of a lookup has this address on this interface.
    Host(u32, IpAddr),
}

/// Received data.
#[derive(Debug)]
pub enum Received {
    /// A datagram for the prompt.
    Packet(Packet),
    /// An event of the daemon on this interface.
    Daemon(u32, DaemonEvent),
}

/// The boards on all interfaces.
#[derive(Debug)]
pub struct Browser {
    service_type: DnsName,
    /// Host name of a lookup.
    host: Option<DnsName>,
    port: u16,
    has_daemons: bool,
    links: Vec<Link>,
    schedule: Schedule,
    next_check: Instant,
    daemon_hears: bool,
    /// Interfaces and addresses of services that are gone.
    gone: VecDeque<(u32, IpAddr)>,
    last_follow_up: Option<Instant>,
}

/// One interface.
#[derive(Debug)]
struct Link {
    interface: Interface,
    prompts: Vec<Prompt>,
    daemon: Option<Daemon>,
    directory: Directory,
    /// Whether a firewall of this system blocks outgoing queries.
    is_blocked: bool,
}

impl Browser {
    /// A browser that has sent nothing yet. `port` is [`PORT`], or another one in tests.
    pub fn new(service_type: DnsName, port: u16, purpose: Purpose) -> Self {
        let now = Instant::now();
        Self {
            service_type,
            host: None,
            port,
            has_daemons: purpose != Purpose::Lookup,
            links: Vec::new(),
            schedule: Schedule::new(purpose == Purpose::Watch, now),
            next_check: now + daemon::CHECK_INTERVAL,
            daemon_hears: false,
            gone: VecDeque::new(),
            last_follow_up: None,
        }
    }

    /// Reports the addresses of this host as well.
    #[must_use]
    pub fn with_host(mut self, host: Option<DnsName>) -> Self {
        self.host = host;
        self
    }

    /// Uses these interfaces from now on. Returns the errors of those that cannot be used.
    pub fn use_interfaces(&mut self, interfaces: &[Interface]) -> Vec<(String, io::Error)> {
        let mut problems = Vec::new();
        let mut known = std::mem::take(&mut self.links);
        for interface in interfaces {
            let position = known
                .iter()
                .position(|link| link.interface.index == interface.index);
            let known = position.map(|at| known.swap_remove(at));
            let directory = match known {
                Some(link) if link.interface == *interface => {
                    self.links.push(link);
                    continue;
                }
                Some(link) => link.directory,
                None => Directory::new(self.service_type.clone()),
            };
            let prompts = Prompt::open(interface, self.port).unwrap_or_else(|error| {
                problems.push((interface.name.clone(), error));
                Vec::new()
            });
            self.links.push(Link {
                interface: interface.clone(),
                prompts,
                daemon: None,
                directory,
                is_blocked: false,
            });
            self.schedule.restart(Instant::now());
        }
        let is_used = |index: &u32| interfaces.iter().any(|it| it.index == *index);
        self.gone.retain(|(index, _)| is_used(index));
        problems
    }

    /// Starts the daemons that are not running.
    pub fn start_daemons(&mut self) {
        for link in &mut self.links {
            let (service_type, host) = (&self.service_type, &self.host);
            let index = link.interface.index;
            link.daemon.get_or_insert_with(|| {
                Daemon::start(index, self.port, service_type.clone(), host.clone())
            });
        }
    }

    /// Whether there is an interface to query.
    pub fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    /// Whether other programs share the mDNS port.
    pub fn is_port_shared(&self) -> bool {
        bind_shared(self.port).is_ok()
    }

    /// Interfaces to other computers on which a firewall of this system blocks queries.
    pub fn blocked(&self) -> impl Iterator<Item = &Interface> {
        let links = self.links.iter().filter(|link| link.is_blocked);
        links
            .map(|link| &link.interface)
            .filter(|interface| !interface.is_loopback)
    }

    /// The interface with this index.
    pub fn interface(&self, index: u32) -> Option<&Interface> {
        self.link(index).map(|link| &link.interface)
    }

    fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|it| it.interface.index == index)
    }

    fn link_mut(&mut self, index: u32) -> Option<&mut Link> {
        self.links.iter_mut().find(|it| it.interface.index == index)
    }

    /// When [`Browser::ask`] has something to do.
    pub fn next_question(&self) -> Instant {
        self.schedule.next().min(self.next_check)
    }

    /// Sends the queries that are due, and checks the daemons.
    pub async fn ask(&mut self) {
        let now = Instant::now();
        if now >= self.next_check {
            self.next_check = now + daemon::CHECK_INTERVAL;
            for link in &mut self.links {
                link.directory.prune(now, INCOMPLETE_FOR);
                if let Some(daemon) = &mut link.daemon {
                    daemon.check(now);
                }
            }
        }
        if now < self.schedule.next() {
            return;
        }
        let due = self.schedule.due(now, self.daemon_hears);
        let Some(query) = message::query(&self.service_type, Question::Instances) else {
            return;
        };
        if due.known {
            self.ask_known(&query, due.gone).await;
        }
        for link in self.links.iter_mut().filter(|_| due.everyone) {
            for prompt in &link.prompts {
                // A query that cannot be sent is repeated later like a lost one.
                if let Err(error) = prompt.ask(&query).await {
                    link.is_blocked |= error.kind() == io::ErrorKind::PermissionDenied;
                }
            }
            link.ask_missing().await;
        }
        // Done after the first queries, because they get the first replies.
        if self.has_daemons {
            self.start_daemons();
        }
    }

    /// Queries each known board, and those that are gone at their last address.
    async fn ask_known(&mut self, query: &[u8], with_gone: bool) {
        let ours: Vec<_> = self.links.iter().map(|it| it.interface.clone()).collect();
        let is_ours = |address: IpAddr| ours.iter().any(|it| it.has(address));
        for link in &mut self.links {
            let index = link.interface.index;
            self.gone
                .retain(|(on, host)| *on != index || !link.directory.has_speaker(*host));
            let mut hosts = link.directory.hosts_to_ask();
            if with_gone {
                let gone = self.gone.iter().filter(|(on, _)| *on == index);
                hosts.extend(gone.map(|(_, host)| *host));
            }
            // On this computer another program may receive what is sent to the mDNS port.
            hosts.retain(|host| link.interface.may_lead_to(*host) && !is_ours(*host));
            for host in hosts {
                for prompt in &link.prompts {
                    // A query that cannot be sent is repeated later.
                    let _ = prompt.ask_host(host, query).await;
                }
            }
        }
    }

    /// Sends one query on every interface.
    pub async fn ask_for(&self, name: &DnsName, question: Question) {
        for link in &self.links {
            link.ask(name, question).await;
        }
    }

    /// Waits for something to [`Browser::learn`]. Cancel safe.
    pub async fn receive(&self) -> Received {
        let prompts = self.links.iter().flat_map(|link| &link.prompts);
        let prompts =
            prompts.map(|prompt| Either::Left(async { Received::Packet(prompt.receive().await) }));
        let daemons = self.links.iter().filter_map(|link| {
            let (index, daemon) = (link.interface.index, link.daemon.as_ref()?);
            Some(Either::Right(async move {
                Received::Daemon(index, daemon.receive().await)
            }))
        });
        let mut waiting: FuturesUnordered<_> = prompts.chain(daemons).collect();
        match waiting.next().await {
            Some(received) => received,
            None => std::future::pending().await,
        }
    }

    /// Processes received data, and queries missing records at once.
    pub async fn learn(&mut self, received: Received) -> Vec<MdnsEvent> {
        match received {
            Received::Packet(packet) if self.is_from_link(&packet) => {
                let answers = message::answers(&packet.bytes);
                let sender = Some(packet.from.ip());
                self.learn_answers(packet.interface, sender, answers).await
            }
            Received::Packet(_) => Vec::new(),
            Received::Daemon(index, DaemonEvent::Answers(answers)) => {
                self.daemon_hears |= answers.iter().any(|answer| match answer.data {
                    Data::Address(address) => !self.is_ours(address),
                    _ => false,
                });
                self.learn_answers(index, None, answers).await
            }
            Received::Daemon(interface, DaemonEvent::Removed(instance)) => {
                vec![MdnsEvent::Leaving(Origin {
                    interface,
                    instance,
                })]
            }
            Received::Daemon(index, DaemonEvent::Closed) => {
                self.daemon_hears = false;
                if let Some(daemon) = self.link_mut(index).and_then(|link| link.daemon.as_mut()) {
                    daemon.close();
                }
                Vec::new()
            }
        }
    }

    async fn learn_answers(
        &mut self,
        index: u32,
        sender: Option<IpAddr>,
        answers: Vec<Answer>,
    ) -> Vec<MdnsEvent> {
        let now = Instant::now();
        let mut events = Vec::new();
        let host = self.host.clone();
        let is_too_soon = self
            .last_follow_up
            .is_some_and(|at| now.duration_since(at) < FOLLOW_UP_INTERVAL);
        let Some(link) = self.link_mut(index) else {
            return events;
        };
        for answer in &answers {
            if let Data::Address(address) = answer.data
                && Some(&answer.owner) == host.as_ref()
                && !answer.is_goodbye
                && link.interface.may_lead_to(address)
            {
                events.push(MdnsEvent::Host(index, address));
            }
        }
        let changes = link.directory.learn(now, sender, answers);
        let origin = |instance| Origin {
            interface: index,
            instance,
        };
        for instance in changes.changed {
            let Some(mut service) = link.directory.service(&instance) else {
                continue;
            };
            service
                .addresses
                .retain(|address| link.interface.may_lead_to(*address));
            if !service.addresses.is_empty() {
                events.push(MdnsEvent::Found(origin(instance), service));
            }
        }
        let leaving = changes.leaving.into_iter();
        events.extend(leaving.map(|instance| MdnsEvent::Leaving(origin(instance))));
        let is_complete = |it: &DnsName| link.directory.service(it).is_some();
        if !is_too_soon && !changes.heard.iter().all(is_complete) {
            link.ask_missing().await;
            self.last_follow_up = Some(now);
        }
        events
    }

    /// Whether a datagram can be a response: it comes from the port of mDNS (RFC 6762 §6) and from a
    /// host on the link (§11).
    fn is_from_link(&self, packet: &Packet) -> bool {
        let is_on_link = |interface: &Interface| match packet.from.ip() {
            IpAddr::V4(address) => interface.reaches(address),
            // On IPv6, addresses with any prefix may be on the link.
            IpAddr::V6(_) => true,
        };
        packet.from.port() == self.port && self.interface(packet.interface).is_some_and(is_on_link)
    }

    /// Whether this is an address of this computer.
    pub fn is_ours(&self, address: IpAddr) -> bool {
        self.links.iter().any(|link| link.interface.has(address))
    }

    /// When a service was last heard.
    pub fn last_heard(&self, origin: &Origin) -> Option<Instant> {
        let link = self.link(origin.interface)?;
        link.directory.last_heard(&origin.instance)
    }

    /// Removes a service that is gone. It is reported again when it returns.
    pub fn forget(&mut self, origin: &Origin) {
        let Some(link) = self.link_mut(origin.interface) else {
            return;
        };
        if let Some(daemon) = &mut link.daemon {
            daemon.refresh();
        }
        if let Some(host) = link.directory.forget(&origin.instance) {
            let gone = (origin.interface, host);
            self.gone.retain(|it| *it != gone);
            self.gone.push_front(gone);
            self.gone.truncate(MAX_GONE);
        }
    }
}

impl Link {
    async fn ask(&self, name: &DnsName, question: Question) {
        let Some(query) = message::query(name, question) else {
            return;
        };
        for prompt in &self.prompts {
            // A query that cannot be sent is repeated later like a lost one.
            let _ = prompt.ask(&query).await;
        }
    }

    async fn ask_missing(&self) {
        for (name, question) in self.directory.missing(MAX_QUESTIONS) {
            self.ask(&name, question).await;
        }
    }
}

/// Socket addresses on an interface, which is the zone of link-local ones.
pub fn socket_addresses(addresses: &[IpAddr], port: u16, interface: u32) -> Vec<SocketAddr> {
    let addresses = addresses.iter();
    addresses
        .map(|address| match address {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                SocketAddrV6::new(*v6, port, 0, interface).into()
            }
            address => SocketAddr::new(*address, port),
        })
        .collect()
}

/// Checks that mDNS works on an interface.
///
/// # Errors
/// The interface has no multicast, or another program has the port and does not share it.
pub fn check(interface: &Interface, port: u16) -> io::Result<()> {
    let socket = bind_shared(port)?;
    let address = interface.v4.first().map(|(address, _)| *address);
    let on = match address {
        Some(address) if cfg!(windows) => InterfaceIndexOrAddress::Address(address),
        _ => InterfaceIndexOrAddress::Index(interface.index),
    };
    socket.join_multicast_v4_n(&prompt::GROUP_V4, &on)
}

/// Binds the port as mdns-sd does.
fn bind_shared(port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port).into())?;
    Ok(socket)
}
