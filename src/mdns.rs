//! Boards over mDNS (RFC 6762, RFC 6763), as one who asks.
//!
//! [`message`] reads and writes DNS messages, [`directory`] puts the records of one link together,
//! [`link`] has its sockets; here they are one source for all interfaces. Each interface has its
//! own directory, so two boards of one name on two networks stay two.
//!
//! Records have lifetimes of minutes, and a board that lost its power says no goodbye. So no
//! lifetime is believed: a watch asks each board that it knows again and again, and what does not
//! answer is suspect. `schedule` has when who is asked, and with how many others.
//!
//! Why not the crate `mdns-sd` (looked at in version 0.21.7): what it keeps has no limit, and a host
//! that makes up names for 30 s had it keep 33,000, with its thread busy throughout; its first
//! question waits 10 to 50 ms and leaves from port 5353, so that boards may take 20 to 120 ms more to
//! answer (RFC 6762 §6), and the first board is to be shown sooner than by a warm Avahi; and of a
//! verification it tells the failure alone, after the timeout, never that a board has answered.

pub mod directory;
pub mod link;
pub mod message;
mod schedule;

/// The DNS-SD service type of boards (RFC 6763 section 7).
pub const SERVICE_TYPE: &str = "_tcpctl._tcp";

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::net::interfaces::Interface;
use directory::{Directory, News, Service};
use link::{Link, Received};
use message::{Ask, DnsName};
use schedule::{Schedule, Whom};

/// Silence after which a board is suspect: it was asked twice alone, and once with everybody.
pub const SUSPECT: Duration = Duration::from_millis(1500);
/// Silence after which everybody is asked once more, for a board that does not answer alone; and that
/// after which it is not awaited any more.
const SILENT: Duration = Duration::from_secs(1);
const GIVEN_UP: Duration = Duration::from_secs(10);
/// Those that have gone, and are asked for where they were.
const MAX_GONE: usize = 64;
/// Questions about incomplete services in one round, and when one of them is heard of.
const MAX_QUESTIONS: usize = 16;
/// The shortest time between two such, so that a flood of names makes no flood of questions.
const FOLLOW_UP: Duration = Duration::from_millis(30);
/// How long an incomplete service is remembered.
const INCOMPLETE: Duration = Duration::from_secs(30);

/// Where a service was found: the interface's number and the full name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The interface's number.
    pub interface: u32,
    /// The full name.
    pub instance: DnsName,
}

/// What has become known.
#[derive(Debug)]
pub enum MdnsEvent {
    /// A service is complete, or has changed.
    Found(Origin, Service),
    /// A service says goodbye.
    Leaving(Origin),
}

/// The boards on all links.
#[derive(Debug)]
pub struct Mdns {
    service_type: DnsName,
    port: u16,
    links: Vec<Link>,
    interfaces: Vec<Interface>,
    directories: HashMap<u32, Directory>,
    schedule: Schedule,
    /// Who spoke of a service that has gone, and on which interface.
    gone: VecDeque<(u32, IpAddr)>,
    followed_up: Option<Instant>,
    /// Interfaces on which this system does not let questions go out.
    forbidden: HashSet<u32>,
}

impl Mdns {
    /// Nobody has been asked yet. `port` is that of mDNS, or another one for a test. Who is
    /// `watching` wants to know of each board whether it is still there.
    pub fn new(service_type: DnsName, port: u16, watching: bool) -> Self {
        Self {
            service_type,
            port,
            links: Vec::new(),
            interfaces: Vec::new(),
            directories: HashMap::new(),
            schedule: Schedule::new(watching, Instant::now()),
            gone: VecDeque::new(),
            followed_up: None,
            forbidden: HashSet::new(),
        }
    }

    /// Uses these interfaces from now on, and returns what is wrong with those that can't be used.
    pub fn use_interfaces(&mut self, interfaces: Vec<Interface>) -> Vec<(String, io::Error)> {
        let mut problems = Vec::new();
        let known = std::mem::take(&mut self.interfaces);
        self.links.retain(|link| {
            interfaces
                .iter()
                .any(|new| known.contains(new) && new.index == link.interface)
        });
        for interface in &interfaces {
            if known.contains(interface) {
                continue;
            }
            match Link::open(interface, self.port) {
                Ok(links) => self.links.extend(links),
                Err(error) => problems.push((interface.name.clone(), error)),
            }
            self.directories
                .entry(interface.index)
                .or_insert_with(|| Directory::new(self.service_type.clone()));
            // The new one has not been asked anything.
            self.schedule.restart(Instant::now());
        }
        let is_used = |index: &u32| interfaces.iter().any(|it| it.index == *index);
        // Numbers are not used twice: a computer that starts containers has new ones all day.
        self.directories.retain(|index, _| is_used(index));
        self.forbidden.retain(is_used);
        self.gone.retain(|(index, _)| is_used(index));
        self.interfaces = interfaces;
        problems
    }

    /// Whether there is a link to ask on.
    pub fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    /// Whether announcements are heard on every link.
    pub fn is_shared(&self) -> bool {
        self.links.iter().all(Link::is_shared)
    }

    /// The interfaces to other computers on which this system does not let questions go out: a
    /// firewall of its own.
    pub fn forbidden(&self) -> impl Iterator<Item = &Interface> {
        let mut interfaces = self.interfaces.iter();
        let forbidden = &self.forbidden;
        std::iter::from_fn(move || {
            interfaces.find(|it| !it.is_loopback && forbidden.contains(&it.index))
        })
    }

    /// The interface of this number.
    pub fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.iter().find(|it| it.index == index)
    }

    /// When [`Mdns::ask`] has something to do.
    pub fn next_question(&self) -> Instant {
        self.schedule.next()
    }

    /// Asks who is there, and what is missing about those who are known, where it is time to.
    pub async fn ask(&mut self) {
        let now = Instant::now();
        if now < self.next_question() {
            return;
        }
        for directory in self.directories.values_mut() {
            directory.prune(now, INCOMPLETE);
        }
        let fell_silent =
            |directory: &Directory| directory.has_fallen_silent(now, SILENT, GIVEN_UP);
        let is_silent = self.directories.values().any(fell_silent);
        let due = self.schedule.due(now, is_silent);
        let Some(everyone) = message::query(&self.service_type, Ask::Instances, []) else {
            return;
        };
        if due.known {
            self.ask_known(&everyone, due.gone).await;
        }
        for link in &self.links {
            let Some(directory) = self.directories.get(&link.interface) else {
                continue;
            };
            match due.together {
                Some(Whom::Everyone) => {}
                Some(Whom::Silent) if fell_silent(directory) => {}
                _ => continue,
            }
            // What can't be sent is as good as lost: it is asked again.
            if let Err(error) = link.ask(&everyone).await
                && error.kind() == io::ErrorKind::PermissionDenied
            {
                self.forbidden.insert(link.interface);
            }
            if self.schedule.is_starting() {
                let known = directory.instances();
                if let Some(query) = message::query(&self.service_type, Ask::Instances, known) {
                    let _ = link.ask_all(&query).await;
                }
            }
            for (name, what) in directory.missing(MAX_QUESTIONS) {
                if let Some(query) = message::query(&name, what, []) {
                    let _ = link.ask(&query).await;
                }
            }
        }
    }

    /// Asks each that has told of a service, alone, and those that have gone where they were.
    async fn ask_known(&mut self, query: &[u8], with_gone: bool) {
        let directories = &self.directories;
        let speakers = |index: &u32| directories.get(index).map(Directory::speakers);
        // Who is back is known again.
        self.gone
            .retain(|(index, gone)| speakers(index).is_some_and(|them| !them.contains(gone)));
        for link in &self.links {
            let gone = self.gone.iter().filter(|_| with_gone);
            let gone = gone.filter(|(index, _)| *index == link.interface);
            let known = speakers(&link.interface).unwrap_or_default();
            for to in known.into_iter().chain(gone.map(|(_, to)| *to)) {
                // On this computer somebody else may have the port.
                if !self.is_ours(to) {
                    // As above.
                    let _ = link.ask_alone(to, query).await;
                }
            }
        }
    }

    /// Asks one thing on every link.
    pub async fn ask_for(&self, name: &DnsName, what: Ask) {
        if let Some(query) = message::query(name, what, []) {
            for link in &self.links {
                // As above.
                let _ = link.ask(&query).await;
                let _ = link.ask_all(&query).await;
            }
        }
    }

    /// Waits for the next datagram. It may be dropped while it waits, and nothing is lost.
    pub async fn receive(&self) -> Received {
        let mut waiting: FuturesUnordered<_> = self.links.iter().map(Link::receive).collect();
        match waiting.next().await {
            Some(received) => received,
            None => std::future::pending().await,
        }
    }

    /// Takes in a datagram. What is missing is asked for at once.
    pub async fn learn(&mut self, received: Received) -> Vec<MdnsEvent> {
        let mut events = Vec::new();
        if !self.is_from_link(&received) {
            return events;
        }
        let Received {
            interface: index,
            from,
            bytes,
            to_all,
        } = received;
        if to_all && !self.is_ours(from.ip()) {
            self.schedule.hears();
        }
        let Some(interface) = self.interfaces.iter().find(|it| it.index == index) else {
            return events;
        };
        let Some(directory) = self.directories.get_mut(&index) else {
            return events;
        };
        let answers = message::answers(&bytes);
        if answers.is_empty() {
            return events;
        }
        let News {
            changed,
            heard,
            leaving,
        } = directory.learn(Instant::now(), from.ip(), answers);
        for instance in changed {
            if let Some(mut service) = directory.service(&instance) {
                service
                    .addresses
                    .retain(|address| interface.may_lead_to(*address));
                if !service.addresses.is_empty() {
                    let origin = Origin {
                        interface: index,
                        instance,
                    };
                    events.push(MdnsEvent::Found(origin, service));
                }
            }
        }
        let incomplete = heard.iter().any(|it| directory.service(it).is_none());
        let now = Instant::now();
        let lately = |at: Instant| now.duration_since(at) < FOLLOW_UP;
        if incomplete && !self.followed_up.is_some_and(lately) {
            self.followed_up = Some(now);
            let questions = directory.missing(MAX_QUESTIONS);
            for link in self.links.iter().filter(|link| link.interface == index) {
                for (name, what) in &questions {
                    if let Some(query) = message::query(name, *what, []) {
                        let _ = link.ask(&query).await;
                    }
                }
            }
        }
        events.extend(leaving.into_iter().map(|instance| {
            MdnsEvent::Leaving(Origin {
                interface: index,
                instance,
            })
        }));
        events
    }

    /// Whether a datagram can be a response at all: none comes from another port (RFC 6762 §6), and
    /// who is not on the link has nothing to say (§11).
    pub fn is_from_link(&self, received: &Received) -> bool {
        let on_link = |interface: &Interface| match received.from.ip() {
            IpAddr::V4(address) => interface.reaches(address),
            // Addresses of any prefix may be on an IPv6 link.
            IpAddr::V6(_) => true,
        };
        received.from.port() == self.port && self.interface(received.interface).is_some_and(on_link)
    }

    /// Whether a board on this interface can have this address.
    pub fn is_credible(&self, interface: u32, address: IpAddr) -> bool {
        self.interface(interface)
            .is_some_and(|interface| interface.may_lead_to(address))
    }

    /// Whether this is an address of this computer's.
    pub fn is_ours(&self, address: IpAddr) -> bool {
        self.interfaces.iter().any(|it| it.has(address))
    }

    /// When a service was heard of last.
    pub fn heard(&self, origin: &Origin) -> Option<Instant> {
        self.directories
            .get(&origin.interface)?
            .heard(&origin.instance)
    }

    /// Forgets a service that has left.
    pub fn forget(&mut self, origin: &Origin) {
        let Some(directory) = self.directories.get_mut(&origin.interface) else {
            return;
        };
        if let Some(speaker) = directory.forget(&origin.instance) {
            let gone = (origin.interface, speaker);
            self.gone.retain(|it| *it != gone);
            self.gone.push_front(gone);
            self.gone.truncate(MAX_GONE);
        }
        self.schedule.lose(Instant::now());
    }

    /// The socket addresses of a service; an address that means something on its link only has
    /// that link as its zone.
    pub fn addresses(service: &Service, interface: u32) -> Vec<SocketAddr> {
        let port = service.port;
        service
            .addresses
            .iter()
            .map(|address| match address {
                IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                    SocketAddrV6::new(*v6, port, 0, interface).into()
                }
                address => SocketAddr::new(*address, port),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_interfaces_that_are_gone() {
        let service_type = DnsName::of_text("_tcpctl._tcp.local").unwrap();
        let mut mdns = Mdns::new(service_type, 5353, true);
        for index in 1_000_000..1_000_100 {
            let interface = Interface {
                name: "veth".into(),
                index,
                v4: Vec::new(),
                v6: Vec::new(),
                is_loopback: false,
                has_multicast: true,
            };
            mdns.forbidden.insert(index);
            // Without an address there is nothing to ask from, and no packet leaves.
            assert_eq!(mdns.use_interfaces(vec![interface]).len(), 1);
        }
        assert_eq!((mdns.directories.len(), mdns.forbidden.len()), (1, 1));
    }
}
