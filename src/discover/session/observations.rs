//! Handles mDNS events and the results of connections.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::{Session, TaskResult};
use crate::discover::confirm;
use crate::discover::connections::{Claim, Route};
use crate::discover::plan::Ending;
use crate::discover::registry::{BoardId, Observation, Reachability, SourceKey};
use crate::discover::report::Status;
use crate::mdns::MdnsEvent;

impl Session<'_> {
    pub(super) fn take_mdns_event(&mut self, event: MdnsEvent) {
        match event {
            MdnsEvent::Found(origin, service) => {
                let speaker = service.speaker.as_ref();
                let claim = if speaker.is_some_and(|it| service.addresses.contains(it)) {
                    Claim::Direct
                } else {
                    Claim::ThirdParty
                };
                let mdns = self.mdns.as_ref();
                let interface = mdns.and_then(|it| it.interface(origin.interface));
                let observation = Observation::of_service(origin, &service, interface);
                self.observe(observation, claim);
            }
            MdnsEvent::Host(..) => {}
            // Any host can send a goodbye for another's name, so connect to the board to check.
            MdnsEvent::Leaving(origin) => {
                let board = self
                    .registry
                    .board_with(&SourceKey::Mdns(origin))
                    .map(|it| it.id);
                if let Some(id) = board.filter(|_| self.plan.ending == Ending::Never) {
                    self.check(id, Instant::now());
                }
            }
        }
    }

    pub(super) fn observe(&mut self, observation: Observation, claim: Claim) {
        let interfaces = &self.interfaces;
        let is_ours = |it: &SocketAddr| interfaces.iter().any(|own| own.has(it.ip()));
        let Some((id, true)) = self.registry.observe(observation, is_ours) else {
            return;
        };
        let Some(route) = self.route(id) else {
            return;
        };
        let answered = self.registry.boards().find_map(|other| {
            let (address, rtt) = other.connected()?;
            let is_here = route.addresses.contains(&address);
            let is_same_route =
                is_here && self.required_interface(other.id, &other.addresses()) == route.interface;
            is_same_route.then_some(Reachability::Reachable { address, rtt })
        });
        match answered {
            // The board was connected to under another name.
            Some(reached) => self.registry.set_reachability(id, reached, Status::Online),
            None => self.connections.enqueue(id, route, claim),
        }
    }

    /// The route to a board.
    pub(super) fn route(&self, id: BoardId) -> Option<Route> {
        let addresses = self.registry.board(id)?.addresses();
        let interface = self.required_interface(id, &addresses);
        Some(Route {
            addresses,
            interface,
        })
    }

    /// Starts the connections that may start.
    pub(super) fn connect_waiting(&mut self) {
        while let Some((id, route)) = self.connections.start_next() {
            self.tasks.push(Box::pin(async move {
                let reached = confirm::connect(route.clone(), confirm::CONNECT_TIMEOUT).await;
                TaskResult::Connected(id, route, reached)
            }));
        }
    }

    /// Interface to connect through, if an address is on the links of several.
    pub(super) fn required_interface(
        &self,
        id: BoardId,
        addresses: &[SocketAddr],
    ) -> Option<String> {
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

    pub(super) fn take(&mut self, outcome: TaskResult) {
        match outcome {
            TaskResult::Connected(id, route, reached) => {
                self.decide(id, &route, reached);
                self.decide_waiting(id, &route, reached);
            }
            TaskResult::Checked(id, route, reached) => {
                self.decide_waiting(id, &route, reached);
                if reached == Reachability::Unreachable {
                    self.lose(id);
                }
            }
            TaskResult::Gateway(address, reached, line) => {
                self.answered(SourceKey::Gateway(address), address, reached, line);
            }
            TaskResult::Probed(address, reached, line) => {
                self.probing -= 1;
                self.answered(SourceKey::Probe(address), address, reached, line);
            }
            TaskResult::Ports(listed) => self.ports(listed),
        }
    }

    /// Applies the result of a connection to the boards that waited for the same route.
    fn decide_waiting(&mut self, ended: BoardId, route: &Route, reached: Reachability) {
        for id in self.connections.finish(ended) {
            self.decide(id, route, reached);
        }
    }

    /// Applies the result of a connection to a board.
    fn decide(&mut self, id: BoardId, route: &Route, reached: Reachability) {
        let status = match reached {
            Reachability::Reachable { .. } => Status::Online,
            Reachability::Unreachable => Status::Unreachable,
        };
        // The board may have other addresses by now.
        let is_there = self.registry.board(id).is_some_and(|board| {
            let addresses = board.addresses();
            route.addresses.iter().any(|it| addresses.contains(it))
        });
        if is_there {
            self.registry.set_reachability(id, reached, status);
        }
    }

    pub(super) fn answered(
        &mut self,
        key: SourceKey,
        address: SocketAddr,
        reached: Reachability,
        line: Option<String>,
    ) {
        if reached == Reachability::Unreachable {
            if matches!(key, SourceKey::Gateway(_)) {
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
        let observation = Observation {
            addresses: vec![address],
            interface: interface.map(|it| it.name.clone()),
            greeting: line,
            ..Observation::new(key)
        };
        if let Some((id, _)) = self.registry.observe(observation, |_| false)
            && self.registry.board(id).is_some_and(|it| !it.is_online())
        {
            self.registry.set_reachability(id, reached, status);
        }
    }
}
