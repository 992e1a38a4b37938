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
        let mut has_moved = false;
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
                    has_moved |= changed && entry.place.is_some();
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
        if has_moved {
            self.forget_empty_hosts();
        }
        self.learn_addresses(addresses, &mut news);
        news
    }

    /// Forgets the hosts that no service is on any more: one that names another host with every
    /// message would fill the memory.
    fn forget_empty_hosts(&mut self) {
        let places = self.services.values().filter_map(|it| it.place.as_ref());
        let homes: HashSet<_> = places.map(|(host, _)| host).collect();
        self.hosts.retain(|host, _| homes.contains(host));
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

    /// Forgets a service that has left, and returns who spoke of it last.
    pub fn forget(&mut self, instance: &DnsName) -> Option<IpAddr> {
        let entry = self.services.remove(instance)?;
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
        Some(entry.speaker)
    }

    /// Who speaks of services here.
    pub fn speakers(&self) -> HashSet<IpAddr> {
        self.services.values().map(|entry| entry.speaker).collect()
    }

    /// Whether a service has not been heard of for so long, and is still awaited.
    pub fn has_fallen_silent(&self, now: Instant, silent: Duration, given_up: Duration) -> bool {
        self.services.values().any(|entry| {
            let silence = now.saturating_duration_since(entry.heard);
            silence >= silent && silence < given_up
        })
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
mod tests;
