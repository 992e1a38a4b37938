//! The services on one link: records in, services out.
//!
//! No sockets, no timers, and no record lifetimes: a board that lost power sends no goodbye, so
//! whether it is still there is asked (see [`super`]).

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::message::{Answer, Data, DnsName, Question};

/// Maximum number of services.
pub const MAX_SERVICES: usize = 4096;
/// Maximum services that one sender may add, so that a flood does not hide others.
const MAX_PER_SENDER: usize = 1024;
/// Maximum addresses of one host.
const MAX_ADDRESSES: usize = 16;
/// Maximum unconfirmed addresses to query in one round, and the number of tries for each.
const MAX_UNCONFIRMED: usize = 64;
const UNCONFIRMED_TRIES: u32 = 3;

/// A service that can be connected to. All texts come from the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Full name.
    pub instance: DnsName,
    /// Host name.
    pub host: DnsName,
    /// Port.
    pub port: u16,
    /// Addresses of the host, at least one.
    pub addresses: Vec<IpAddr>,
    /// TXT record.
    pub text: Vec<(String, String)>,
    /// The last host that replied for the service; `None` if only the daemon reported it.
    pub speaker: Option<IpAddr>,
}

impl Service {
    /// The value of a key in the TXT record.
    pub fn txt(&self, key: &str) -> Option<&str> {
        let found = self.text.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    }
}

/// The services of one type on one link.
#[derive(Debug)]
pub struct Directory {
    service_type: DnsName,
    services: HashMap<DnsName, Entry>,
    /// Addresses of the services' hosts.
    hosts: HashMap<DnsName, Vec<IpAddr>>,
    /// Number of services that each sender added; `None` is the daemon.
    senders: HashMap<Option<IpAddr>, usize>,
}

#[derive(Debug)]
struct Entry {
    sender: Option<IpAddr>,
    /// Host name and port.
    location: Option<(DnsName, u16)>,
    text: Option<Vec<(String, String)>>,
    last_heard: Instant,
    speaker: Option<IpAddr>,
    /// Number of queries while the service had no speaker.
    tries: u32,
}

/// The changes by a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Services with new records; they may still be incomplete.
    pub changed: HashSet<DnsName>,
    /// Services that were mentioned, changed or not.
    pub heard: HashSet<DnsName>,
    /// Services that sent a goodbye.
    pub leaving: HashSet<DnsName>,
}

impl Directory {
    /// An empty directory for a service type such as `_tcpctl._tcp.local`.
    pub fn new(service_type: DnsName) -> Self {
        Self {
            service_type,
            services: HashMap::new(),
            hosts: HashMap::new(),
            senders: HashMap::new(),
        }
    }

    /// Adds the records of one message; `sender` is `None` for those of the daemon.
    pub fn learn(&mut self, now: Instant, sender: Option<IpAddr>, answers: Vec<Answer>) -> Changes {
        let mut changes = Changes::default();
        let mut addresses: HashMap<DnsName, Vec<IpAddr>> = HashMap::new();
        let mut has_moved = false;
        for Answer {
            owner,
            is_goodbye,
            data,
        } in answers
        {
            let instance = match &data {
                Data::Instance(instance) if owner == self.service_type => instance.clone(),
                Data::Instance(_) => continue,
                Data::Service { .. } | Data::Text(_) => owner,
                Data::Address(address) => {
                    if !is_goodbye {
                        addresses.entry(owner).or_default().push(*address);
                    }
                    continue;
                }
            };
            if !instance.is_child_of(&self.service_type) {
                continue;
            }
            if is_goodbye {
                if self.services.contains_key(&instance) {
                    changes.leaving.insert(instance);
                }
                continue;
            }
            let Some(entry) = self.entry(&instance, now, sender) else {
                continue;
            };
            entry.last_heard = now;
            entry.speaker = sender.or(entry.speaker);
            let is_changed = match data {
                Data::Service { host, port } => {
                    let location = Some((host, port));
                    let is_changed = entry.location != location;
                    has_moved |= is_changed && entry.location.is_some();
                    entry.location = location;
                    is_changed
                }
                Data::Text(text) => {
                    let text = Some(text);
                    let is_changed = entry.text != text;
                    entry.text = text;
                    is_changed
                }
                Data::Instance(_) | Data::Address(_) => false,
            };
            changes.heard.insert(instance.clone());
            if is_changed {
                changes.changed.insert(instance);
            }
        }
        if has_moved {
            self.forget_empty_hosts();
        }
        self.learn_addresses(addresses, &mut changes);
        changes
    }

    /// Removes hosts without services: a service that moves with every message would fill memory.
    fn forget_empty_hosts(&mut self) {
        let locations = self.services.values().filter_map(|it| it.location.as_ref());
        let used: HashSet<_> = locations.map(|(host, _)| host).collect();
        self.hosts.retain(|host, _| used.contains(host));
    }

    /// A message has all addresses of a host in a family. They replace the known ones, so that a
    /// stale address disappears.
    fn learn_addresses(&mut self, received: HashMap<DnsName, Vec<IpAddr>>, changes: &mut Changes) {
        for (host, addresses) in received {
            let residents: Vec<_> = self
                .services
                .iter()
                .filter(|(_, entry)| entry.location.as_ref().is_some_and(|(on, _)| *on == host))
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
            // IPv4 comes first, because boards have it. Within a family, the sender's order is
            // kept.
            kept.sort_by_key(IpAddr::is_ipv6);
            let is_same = known.len() == kept.len() && known.iter().all(|it| kept.contains(it));
            if !is_same {
                *known = kept;
                changes.changed.extend(residents);
            }
        }
    }

    fn entry(
        &mut self,
        instance: &DnsName,
        now: Instant,
        sender: Option<IpAddr>,
    ) -> Option<&mut Entry> {
        if !self.services.contains_key(instance) {
            let added = self.senders.entry(sender).or_default();
            if *added >= MAX_PER_SENDER || self.services.len() >= MAX_SERVICES {
                return None;
            }
            *added += 1;
            self.services.insert(
                instance.clone(),
                Entry {
                    sender,
                    location: None,
                    text: None,
                    last_heard: now,
                    speaker: sender,
                    tries: 0,
                },
            );
        }
        self.services.get_mut(instance)
    }

    /// A service, once it has a location and an address.
    pub fn service(&self, instance: &DnsName) -> Option<Service> {
        let entry = self.services.get(instance)?;
        let (host, port) = entry.location.clone()?;
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

    /// When a service was last heard.
    pub fn last_heard(&self, instance: &DnsName) -> Option<Instant> {
        self.services.get(instance).map(|entry| entry.last_heard)
    }

    /// Removes a service. Returns the address to query whether it has returned.
    pub fn forget(&mut self, instance: &DnsName) -> Option<IpAddr> {
        let address = self.service(instance).map(|it| it.addresses[0]);
        let entry = self.services.remove(instance)?;
        if let Some(added) = self.senders.get_mut(&entry.sender) {
            *added = added.saturating_sub(1);
            if *added == 0 {
                self.senders.remove(&entry.sender);
            }
        }
        if let Some((host, _)) = entry.location {
            let others = self.services.values();
            let mut locations = others.filter_map(|entry| entry.location.as_ref());
            if !locations.any(|(on, _)| *on == host) {
                self.hosts.remove(&host);
            }
        }
        entry.speaker.or(address)
    }

    /// The hosts to query by unicast: those that replied, and the addresses of some that only the
    /// daemon reported. The latter are limited in number and tries, because any host can announce
    /// an address.
    pub fn hosts_to_ask(&mut self) -> HashSet<IpAddr> {
        let mut to_ask = HashSet::new();
        let mut unconfirmed = 0;
        for entry in self.services.values_mut() {
            let address = match (&entry.speaker, &entry.location) {
                (Some(speaker), _) => Some(*speaker),
                (None, Some((host, _)))
                    if entry.tries < UNCONFIRMED_TRIES && unconfirmed < MAX_UNCONFIRMED =>
                {
                    unconfirmed += 1;
                    entry.tries += 1;
                    self.hosts
                        .get(host)
                        .and_then(|known| known.first().copied())
                }
                _ => None,
            };
            to_ask.extend(address);
        }
        to_ask
    }

    /// Whether this host replied for a service.
    pub fn has_speaker(&self, host: IpAddr) -> bool {
        self.services.values().any(|it| it.speaker == Some(host))
    }

    /// Removes services that are incomplete and were silent for `silence`.
    pub fn prune(&mut self, now: Instant, silence: Duration) {
        let stale: Vec<_> = self
            .services
            .iter()
            .filter(|(_, entry)| now.saturating_duration_since(entry.last_heard) > silence)
            .map(|(instance, _)| instance.clone())
            .filter(|instance| self.service(instance).is_none())
            .collect();
        for instance in stale {
            self.forget(&instance);
        }
    }

    /// At most `limit` queries whose replies complete services.
    pub fn missing(&self, limit: usize) -> Vec<(DnsName, Question)> {
        let mut questions = Vec::new();
        let mut asked = HashSet::new();
        for (instance, entry) in &self.services {
            if questions.len() >= limit {
                break;
            }
            match &entry.location {
                Some((host, _)) if !self.hosts.contains_key(host) => {
                    if asked.insert(host) {
                        questions.push((host.clone(), Question::V4));
                        questions.push((host.clone(), Question::V6));
                    }
                }
                Some(_) if entry.text.is_some() => {}
                _ => questions.push((instance.clone(), Question::Everything)),
            }
        }
        questions
    }
}

#[cfg(test)]
mod tests;
