//! What the boards on one link have told of themselves: records in, services out.
//!
//! There are no sockets and no timers in here, and no lifetimes of records: who wants to know
//! whether a board is still there asks it (see [`super`]).

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::message::{Answer, Ask, Data, DnsName};

/// Services that are kept. Beyond that there is no desk to put the boards on.
pub const MAX_SERVICES: usize = 4096;
/// Services that one sender may tell of: a flood from one must not hide the others.
const MAX_OF_ONE_SENDER: usize = 1024;
/// Addresses of one host.
const MAX_ADDRESSES: usize = 16;

/// A service that can be connected to, as far as it says itself. All texts are from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its full name.
    pub instance: DnsName,
    /// Its host's name.
    pub host: DnsName,
    /// Its port.
    pub port: u16,
    /// Its host's addresses, at least one.
    pub addresses: Vec<IpAddr>,
    /// What it says of itself.
    pub text: Vec<(String, String)>,
    /// Who spoke of it last.
    pub speaker: IpAddr,
}

/// What a link's boards have told.
#[derive(Debug)]
pub struct Directory {
    service_type: DnsName,
    services: HashMap<DnsName, Entry>,
    /// The addresses of the hosts that services are on; no others are kept.
    hosts: HashMap<DnsName, Vec<IpAddr>>,
    /// How many services each sender has told of first.
    senders: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Entry {
    sender: IpAddr,
    place: Option<(DnsName, u16)>,
    text: Option<Vec<(String, String)>>,
    heard: Instant,
    speaker: IpAddr,
}

/// What a message has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Services of which something is new; they may not be complete yet.
    pub changed: HashSet<DnsName>,
    /// Services that were heard of, changed or not.
    pub heard: HashSet<DnsName>,
    /// Services that say goodbye.
    pub leaving: HashSet<DnsName>,
}

impl Directory {
    /// An empty directory of services of this type, such as `_tcpctl._tcp.local`.
    pub fn new(service_type: DnsName) -> Self {
        Self {
            service_type,
            services: HashMap::new(),
            hosts: HashMap::new(),
            senders: HashMap::new(),
        }
    }

    /// Takes in the records of one message.
    pub fn learn(&mut self, now: Instant, sender: IpAddr, answers: Vec<Answer>) -> News {
        let mut news = News::default();
        let mut addresses: HashMap<DnsName, Vec<IpAddr>> = HashMap::new();
        for Answer {
            owner,
            goodbye,
            data,
        } in answers
        {
            let instance = match &data {
                Data::Instance(instance) if owner == self.service_type => instance.clone(),
                Data::Instance(_) => continue,
                Data::Service { .. } | Data::Text(_) => owner,
                Data::Address(address) => {
                    if !goodbye {
                        addresses.entry(owner).or_default().push(*address);
                    }
                    continue;
                }
            };
            if !instance.is_under(&self.service_type, 1) {
                continue;
            }
            if goodbye {
                if self.services.contains_key(&instance) {
                    news.leaving.insert(instance);
                }
                continue;
            }
            let Some(entry) = self.entry(&instance, now, sender) else {
                continue;
            };
            entry.heard = now;
            entry.speaker = sender;
            let changed = match data {
                Data::Service { host, port } => {
                    let place = Some((host, port));
                    let changed = entry.place != place;
                    entry.place = place;
                    changed
                }
                Data::Text(text) => {
                    let text = Some(text);
                    let changed = entry.text != text;
                    entry.text = text;
                    changed
                }
                Data::Instance(_) | Data::Address(_) => false,
            };
            news.heard.insert(instance.clone());
            if changed {
                news.changed.insert(instance);
            }
        }
        self.learn_addresses(addresses, &mut news);
        news
    }

    /// A message tells all of a host's addresses of a family at once: they take the place of what
    /// was known, so that a stale one gives way.
    fn learn_addresses(&mut self, told: HashMap<DnsName, Vec<IpAddr>>, news: &mut News) {
        for (host, addresses) in told {
            let residents: Vec<_> = self
                .services
                .iter()
                .filter(|(_, entry)| entry.place.as_ref().is_some_and(|(on, _)| *on == host))
                .map(|(instance, _)| instance.clone())
                .collect();
            if residents.is_empty() {
                continue;
            }
            let known = self.hosts.entry(host).or_default();
            let mut kept: Vec<_> = known
                .iter()
                .copied()
                .filter(|old| !addresses.iter().any(|new| new.is_ipv4() == old.is_ipv4()))
                .collect();
            for address in addresses {
                if !kept.contains(&address) && kept.len() < MAX_ADDRESSES {
                    kept.push(address);
                }
            }
            // IPv4 first: it is what boards have; the order within is the sender's.
            kept.sort_by_key(IpAddr::is_ipv6);
            if *known != kept {
                *known = kept;
                news.changed.extend(residents);
            }
        }
    }

    fn entry(&mut self, instance: &DnsName, now: Instant, sender: IpAddr) -> Option<&mut Entry> {
        if !self.services.contains_key(instance) {
            let told = self.senders.entry(sender).or_default();
            if *told >= MAX_OF_ONE_SENDER || self.services.len() >= MAX_SERVICES {
                return None;
            }
            *told += 1;
            self.services.insert(
                instance.clone(),
                Entry {
                    sender,
                    place: None,
                    text: None,
                    heard: now,
                    speaker: sender,
                },
            );
        }
        self.services.get_mut(instance)
    }

    /// A service, once it has a place and an address: without, it is awaited.
    pub fn service(&self, instance: &DnsName) -> Option<Service> {
        let entry = self.services.get(instance)?;
        let (host, port) = entry.place.clone()?;
        let addresses = self.hosts.get(&host).filter(|known| !known.is_empty())?;
        Some(Service {
            instance: instance.clone(),
            port,
            addresses: addresses.clone(),
            text: entry.text.clone().unwrap_or_default(),
            speaker: entry.speaker,
            host,
        })
    }

    /// When a service was heard of last.
    pub fn heard(&self, instance: &DnsName) -> Option<Instant> {
        self.services.get(instance).map(|entry| entry.heard)
    }

    /// Forgets a service that has left.
    pub fn forget(&mut self, instance: &DnsName) {
        let Some(entry) = self.services.remove(instance) else {
            return;
        };
        if let Some(told) = self.senders.get_mut(&entry.sender) {
            *told = told.saturating_sub(1);
            if *told == 0 {
                self.senders.remove(&entry.sender);
            }
        }
        if let Some((host, _)) = entry.place {
            let others = self.services.values();
            let mut places = others.filter_map(|entry| entry.place.as_ref());
            if !places.any(|(on, _)| *on == host) {
                self.hosts.remove(&host);
            }
        }
    }

    /// Forgets what has never become complete, and has not been heard of for so long.
    pub fn prune(&mut self, now: Instant, silence: Duration) {
        let stale: Vec<_> = self
            .services
            .iter()
            .filter(|(_, entry)| now.saturating_duration_since(entry.heard) > silence)
            .map(|(instance, _)| instance.clone())
            .filter(|instance| self.service(instance).is_none())
            .collect();
        for instance in stale {
            self.forget(&instance);
        }
    }

    /// All instances that are known of.
    pub fn instances(&self) -> impl Iterator<Item = &DnsName> {
        self.services.keys()
    }

    /// What has to be asked so that the services become complete, `limit` questions at the most.
    pub fn missing(&self, limit: usize) -> Vec<(DnsName, Ask)> {
        let mut questions = Vec::new();
        let mut asked = HashSet::new();
        for (instance, entry) in &self.services {
            if questions.len() >= limit {
                break;
            }
            match &entry.place {
                Some((host, _)) if !self.hosts.contains_key(host) => {
                    if asked.insert(host) {
                        questions.push((host.clone(), Ask::V4));
                        questions.push((host.clone(), Ask::V6));
                    }
                }
                Some(_) if entry.text.is_some() => {}
                _ => questions.push((instance.clone(), Ask::Everything)),
            }
        }
        questions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::of_text(text).unwrap()
    }

    fn instance(number: usize) -> DnsName {
        name(&format!("board-{number}._tcpctl._tcp.local"))
    }

    fn record(owner: DnsName, data: Data) -> Answer {
        Answer {
            owner,
            goodbye: false,
            data,
        }
    }

    fn pointer(number: usize) -> Answer {
        record(name("_tcpctl._tcp.local"), Data::Instance(instance(number)))
    }

    fn place(number: usize) -> Answer {
        let host = name(&format!("board-{number}.local"));
        record(instance(number), Data::Service { host, port: 3000 })
    }

    fn address(number: usize, text: &str) -> Answer {
        let host = name(&format!("board-{number}.local"));
        record(host, Data::Address(text.parse().unwrap()))
    }

    fn addresses(directory: &Directory, number: usize) -> Vec<String> {
        let service = directory.service(&instance(number));
        let addresses = service.map(|service| service.addresses).unwrap_or_default();
        addresses.iter().map(IpAddr::to_string).collect()
    }

    const SENDER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

    fn directory() -> Directory {
        Directory::new(name("_tcpctl._tcp.local"))
    }

    #[test]
    fn a_service_without_an_address_is_awaited_and_asked_for() {
        let now = Instant::now();
        let mut directory = directory();
        directory.learn(now, SENDER, vec![pointer(1)]);
        assert_eq!(directory.missing(9), [(instance(1), Ask::Everything)]);
        directory.learn(now, SENDER, vec![place(1)]);
        assert_eq!(directory.service(&instance(1)), None);
        let host = name("board-1.local");
        let asked = directory.missing(9);
        assert_eq!(asked, [(host.clone(), Ask::V4), (host, Ask::V6)]);
        let news = directory.learn(now, SENDER, vec![address(1, "10.0.0.1")]);
        assert_eq!(news.changed, HashSet::from([instance(1)]));
        assert_eq!(addresses(&directory, 1), ["10.0.0.1"]);
    }

    #[test]
    fn a_new_address_takes_the_place_of_the_old_one_of_its_family() {
        let now = Instant::now();
        let mut directory = directory();
        let all = vec![
            address(1, "fe80::1"),
            address(1, "10.0.0.1"),
            pointer(1),
            place(1),
        ];
        directory.learn(now, SENDER, all);
        assert_eq!(addresses(&directory, 1), ["10.0.0.1", "fe80::1"]);
        let news = directory.learn(now, SENDER, vec![address(1, "10.0.0.2")]);
        assert_eq!(news.changed.len(), 1);
        assert_eq!(addresses(&directory, 1), ["10.0.0.2", "fe80::1"]);
        let news = directory.learn(now, SENDER, vec![address(1, "10.0.0.2")]);
        assert_eq!(news, News::default());
    }

    #[test]
    fn a_goodbye_is_news_and_no_change() {
        let now = Instant::now();
        let mut directory = directory();
        directory.learn(
            now,
            SENDER,
            vec![pointer(1), place(1), address(1, "10.0.0.1")],
        );
        let mut goodbye = pointer(1);
        goodbye.goodbye = true;
        let news = directory.learn(now, SENDER, vec![goodbye]);
        assert_eq!(news.leaving, HashSet::from([instance(1)]));
        assert!(news.changed.is_empty());
        assert!(directory.service(&instance(1)).is_some());
        directory.forget(&instance(1));
        assert_eq!(directory.service(&instance(1)), None);
        assert!(directory.hosts.is_empty() && directory.senders.is_empty());
    }

    #[test]
    fn a_flood_from_one_sender_is_bounded_and_hides_no_other() {
        let now = Instant::now();
        let mut directory = directory();
        for number in 0..20_000 {
            let told = vec![pointer(number), place(number), address(number, "10.0.0.1")];
            directory.learn(now, SENDER, told);
        }
        assert_eq!(directory.services.len(), MAX_OF_ONE_SENDER);
        assert!(directory.hosts.len() <= MAX_OF_ONE_SENDER);
        let other: IpAddr = "10.0.0.8".parse().unwrap();
        let told = vec![pointer(90_000), place(90_000), address(90_000, "10.0.0.8")];
        directory.learn(now, other, told);
        assert_eq!(addresses(&directory, 90_000), ["10.0.0.8"]);
    }

    #[test]
    fn what_never_becomes_complete_is_forgotten() {
        let begin = Instant::now();
        let mut directory = directory();
        let told = vec![pointer(1), pointer(2), place(2), address(2, "10.0.0.2")];
        directory.learn(begin, SENDER, told);
        let silence = Duration::from_secs(10);
        directory.prune(begin + silence, silence);
        assert_eq!(directory.instances().count(), 2);
        directory.prune(begin + silence * 2, silence);
        assert_eq!(directory.instances().count(), 1);
        assert!(directory.service(&instance(2)).is_some());
    }

    #[test]
    fn what_is_of_another_type_or_another_host_is_not_kept() {
        let now = Instant::now();
        let mut directory = directory();
        let other = name("printer._ipp._tcp.local");
        let told = vec![
            record(name("_ipp._tcp.local"), Data::Instance(other.clone())),
            record(name("_tcpctl._tcp.local"), Data::Instance(other.clone())),
            record(other, Data::Text(Vec::new())),
            address(5, "10.0.0.5"),
        ];
        assert_eq!(directory.learn(now, SENDER, told), News::default());
        assert_eq!(directory.instances().count(), 0);
        assert!(directory.hosts.is_empty());
    }
}
