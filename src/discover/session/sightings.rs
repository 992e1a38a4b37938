//! What is seen of boards, which of them are connected to, and what came of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::{Outcome, Session};
use crate::discover::confirm;
use crate::discover::connections::{Way, Word};
use crate::discover::plan::Ending;
use crate::discover::registry::{Id, Key, Reached, Sighting};
use crate::discover::report::Status;
use crate::mdns::directory::Service;
use crate::mdns::{MdnsEvent, Origin, socket_addresses};
use crate::serial;

impl Session<'_> {
    pub(super) fn heard(&mut self, event: MdnsEvent) {
        match event {
            MdnsEvent::Found(origin, service) => {
                let speaker = service.speaker.as_ref();
                let word = if speaker.is_some_and(|it| service.addresses.contains(it)) {
                    Word::Own
                } else {
                    Word::Hearsay
                };
                let sighting = self.sighting(origin, &service);
                self.see(sighting, word);
            }
            MdnsEvent::Host(..) => {}
            // Anybody can say goodbye in another's name: the board is asked itself.
            MdnsEvent::Leaving(origin) => {
                let board = self.registry.seen_by(&Key::Mdns(origin)).map(|it| it.id);
                if let Some(id) = board.filter(|_| self.plan.ending == Ending::Never) {
                    self.check(id, Instant::now());
                }
            }
        }
    }

    pub(super) fn sighting(&self, origin: Origin, service: &Service) -> Sighting {
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
            addresses: socket_addresses(service, origin.interface),
            chip: text("chip"),
            mode: text("mode"),
            firmware: text("fw"),
            mac: text("mac").and_then(|mac| serial::mac_address(&mac)),
            interface: name.map(|it| it.name.clone()),
            ..Sighting::new(Key::Mdns(origin))
        }
    }

    pub(super) fn see(&mut self, sighting: Sighting, word: Word) {
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
    pub(super) fn way(&self, id: Id) -> Option<Way> {
        let addresses = self.registry.board(id)?.addresses();
        let interface = self.only_way(id, &addresses);
        Some(Way {
            addresses,
            interface,
        })
    }

    /// Connects to those that wait for it.
    pub(super) fn connect_waiting(&mut self) {
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
    pub(super) fn only_way(&self, id: Id, addresses: &[SocketAddr]) -> Option<String> {
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

    pub(super) fn take(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Connected(id, way, reached) => {
                self.decide(id, &way, reached);
                self.decide_waiting(id, &way, reached);
            }
            Outcome::Checked(id, way, reached) => {
                self.decide_waiting(id, &way, reached);
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

    /// What came of a connection is true of the boards that have waited to go the same way.
    fn decide_waiting(&mut self, ended: Id, way: &Way, reached: Reached) {
        for id in self.connections.end(ended) {
            self.decide(id, way, reached);
        }
    }

    /// Notes what came of a connection that a board has told of itself for.
    fn decide(&mut self, id: Id, way: &Way, reached: Reached) {
        let status = match reached {
            Reached::Yes { .. } => Status::Online,
            Reached::No => Status::Unreachable,
        };
        // What was true of other addresses says nothing about these.
        let is_there = self.registry.board(id).is_some_and(|board| {
            let addresses = board.addresses();
            way.addresses.iter().any(|it| addresses.contains(it))
        });
        if is_there {
            self.registry.reached(id, reached, status);
        }
    }

    pub(super) fn answered(
        &mut self,
        key: Key,
        address: SocketAddr,
        reached: Reached,
        line: Option<String>,
    ) {
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
}
