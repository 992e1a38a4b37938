//! The search for one name.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use super::{NameQuery, with_port};
use crate::discover::cache::{CachedBoard, label};
use crate::discover::registry::{Observation, Registry};
use crate::mdns::directory::Service;
use crate::mdns::message::{DnsName, Question};
use crate::mdns::{Browser, MdnsEvent, Origin, Purpose, Received, SERVICE_TYPE, socket_addresses};
use crate::net::interfaces;
use crate::target::DEFAULT_PORT;

/// Maximum addresses of a host on one interface.
const MAX_ADDRESSES: usize = 16;

/// A search for the board or host with one name.
pub(super) struct Search {
    pub(super) mdns: Browser,
    registry: Registry,
    instance: DnsName,
    /// The name as a host name, if it can be one.
    host: Option<DnsName>,
    /// The host's addresses by interface.
    hosts: HashMap<u32, Vec<IpAddr>>,
}

impl Search {
    pub(super) fn new(port: u16, query: &NameQuery<'_>) -> Option<Self> {
        let label = label(query.host);
        let service_type = DnsName::of_text(&format!("{SERVICE_TYPE}.local"))?;
        let instance = service_type.child(label.as_bytes())?;
        let host = DnsName::of_text(&format!("{label}.local"));
        let mut interfaces = interfaces::list().unwrap_or_default();
        if let Some(only) = query.interface {
            interfaces.retain(|it| it.name == only);
        }
        let mut mdns = Browser::new(service_type, port, Purpose::Lookup).with_host(host.clone());
        mdns.use_interfaces(&interfaces);
        Some(Self {
            mdns,
            registry: Registry::default(),
            instance,
            host,
            hosts: HashMap::new(),
        })
    }

    pub(super) async fn ask(&self) {
        self.mdns
            .ask_for(&self.instance, Question::Everything)
            .await;
        if let Some(host) = &self.host {
            self.mdns.ask_for(host, Question::V4).await;
            self.mdns.ask_for(host, Question::V6).await;
        }
    }

    /// Processes received data. Returns whether the name is resolved.
    pub(super) async fn learn(&mut self, received: Received) -> bool {
        for event in self.mdns.learn(received).await {
            match event {
                MdnsEvent::Found(origin, service)
                    if service.instance == self.instance
                        || Some(&service.host) == self.host.as_ref() =>
                {
                    self.observe(origin, &service);
                }
                MdnsEvent::Host(interface, address) => {
                    let known = self.hosts.entry(interface).or_default();
                    if !known.contains(&address) && known.len() < MAX_ADDRESSES {
                        known.push(address);
                    }
                }
                _ => {}
            }
        }
        !self.hosts.is_empty() || self.registry.boards().next().is_some()
    }

    fn observe(&mut self, origin: Origin, service: &Service) {
        let interface = self.mdns.interface(origin.interface);
        let observation = Observation::of_service(origin, service, interface);
        let mdns = &self.mdns;
        self.registry
            .observe(observation, |address| mdns.is_ours(address.ip()));
    }

    pub(super) fn conclude(
        self,
        query: &NameQuery<'_>,
    ) -> Result<(Vec<SocketAddr>, Option<CachedBoard>), String> {
        let mut boards: Vec<_> = self.registry.boards().collect();
        // Merge names of one server, which may be announced several times.
        let mut known = Vec::new();
        boards.retain(|board| {
            let addresses = board.addresses();
            let is_another = !known.contains(&addresses);
            known.push(addresses);
            is_another
        });
        let (mut addresses, board) = match &boards[..] {
            [] => (self.host_addresses()?, None),
            [board] => {
                let cached = CachedBoard::new(&board.report(), SystemTime::now());
                (board.addresses(), cached)
            }
            several => {
                let several: Vec<_> = several
                    .iter()
                    .map(|board| {
                        let report = board.report();
                        let address = board.addresses().first().map(SocketAddr::to_string);
                        let interface = report.interface.unwrap_or_default();
                        let mac = report.mac.map(|mac| format!(", {mac}")).unwrap_or_default();
                        format!("{} ({interface}{mac})", address.unwrap_or_default())
                    })
                    .collect();
                return Err(ambiguous(&several));
            }
        };
        if let Some(port) = query.port {
            with_port(&mut addresses, port);
        }
        if addresses.is_empty() {
            return Err("no board with this name answers over mDNS".to_owned());
        }
        Ok((addresses, board))
    }

    /// The addresses of a host with this name that announces no board.
    fn host_addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let mut found: Vec<Vec<SocketAddr>> = Vec::new();
        for (interface, addresses) in &self.hosts {
            let here = socket_addresses(addresses, DEFAULT_PORT, *interface);
            let ours = addresses.iter().all(|it| self.mdns.is_ours(*it));
            let same = found.iter_mut().find(|known| {
                let known_ours = known.iter().all(|it| self.mdns.is_ours(it.ip()));
                (ours && known_ours) || known.iter().any(|it| here.contains(it))
            });
            match same {
                Some(known) => known.extend(here),
                None => found.push(here),
            }
        }
        if found.len() > 1 {
            let several: Vec<_> = found
                .iter()
                .filter_map(|addresses| addresses.first().map(|it| it.ip().to_string()))
                .collect();
            return Err(ambiguous(&several));
        }
        let mut addresses = found.pop().unwrap_or_default();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        Ok(addresses)
    }
}

fn ambiguous(several: &[String]) -> String {
    format!(
        "{} boards have this name: {}",
        several.len(),
        several.join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mdns::Packet;

    #[test]
    fn responses_from_other_ports_or_links_are_ignored() {
        let unused = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = unused.local_addr().unwrap().port();
        drop(unused);
        let loopback = interfaces::list().unwrap();
        let loopback = loopback.into_iter().find(|it| it.is_loopback).unwrap();
        let query = NameQuery {
            host: "printer",
            port: None,
            interface: Some(&loopback.name),
        };
        // A response: printer.local has the address 127.0.0.1.
        let record =
            b"\x07printer\x05local\x00\x00\x01\x00\x01\x00\x00\x00\x78\x00\x04\x7f\x00\x00\x01";
        let bytes = [&[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0], &record[..]].concat();
        let hears = async |from: SocketAddr| {
            let mut search = Search::new(port, &query).unwrap();
            let received = Received::Packet(Packet {
                interface: loopback.index,
                from,
                bytes: bytes.clone(),
            });
            (
                search.learn(received).await,
                search.conclude(&query).is_ok(),
            )
        };
        crate::runtime::block_on(async {
            let other = if port > 1024 { port - 1 } else { port + 1 };
            for (from, is_heard) in [
                (SocketAddr::from(([127, 0, 0, 1], port)), true),
                (SocketAddr::from(([127, 0, 0, 1], other)), false),
                (SocketAddr::from(([192, 0, 2, 1], port)), false),
            ] {
                assert_eq!(hears(from).await, (is_heard, is_heard), "{from}");
            }
        })
        .unwrap();
    }
}
