//! A watch: detects boards that disappear, and retries boards.

use std::time::Instant;

use super::{CHECK_INTERVAL, PROBE_INTERVAL, RETRY_INTERVAL, STALE_AFTER, Session, TaskResult};
use crate::discover::confirm;
use crate::discover::connections::Claim;
use crate::discover::probe::Pacer;
use crate::discover::registry::{BoardId, SourceKey};
use crate::discover::report::Status;
use crate::mdns::{Origin, SUSPECT_AFTER};

impl Session<'_> {
    /// Connects to silent boards, and to boards that mDNS does not reach.
    pub(super) fn check_silent(&mut self, now: Instant) {
        let mut silent = Vec::new();
        let mut stale = Vec::new();
        for board in self.registry.boards() {
            let heard = |origin: &Origin| self.mdns.as_ref()?.last_heard(origin);
            let last = board.origins().filter_map(heard).max();
            let silence = last.map(|at| now.saturating_duration_since(at));
            if silence.is_none_or(|it| it > SUSPECT_AFTER) {
                let checked = self.checked.get(&board.id);
                let recently = checked.is_some_and(|at| now.duration_since(*at) < CHECK_INTERVAL);
                if board.is_reported() && !board.addresses().is_empty() && !recently {
                    silent.push(board.id);
                }
                continue;
            }
            // The board's other services are heard, so these are stale.
            let is_stale = |origin: &&Origin| {
                heard(origin).is_none_or(|at| now.saturating_duration_since(at) > STALE_AFTER)
            };
            stale.extend(board.origins().filter(is_stale).cloned());
        }
        for origin in stale {
            self.forget(&SourceKey::Mdns(origin));
        }
        for id in silent {
            if self.has_another_name(id, now) {
                self.lose(id);
            } else {
                self.check(id, now);
            }
        }
    }

    /// Whether the address of a silent service also has another name that is heard. A connection to
    /// it then does not prove that the service still exists.
    pub(super) fn has_another_name(&self, id: BoardId, now: Instant) -> bool {
        let Some(silent) = self.registry.board(id) else {
            return false;
        };
        let addresses = silent.addresses();
        let links: Vec<_> = silent.origins().map(|origin| origin.interface).collect();
        self.registry.boards().any(|other| {
            let is_heard = |origin: &Origin| {
                let heard = self.mdns.as_ref().and_then(|mdns| mdns.last_heard(origin));
                links.contains(&origin.interface)
                    && heard.is_some_and(|at| now.saturating_duration_since(at) <= SUSPECT_AFTER)
            };
            let is_there = || other.addresses().iter().any(|it| addresses.contains(it));
            other.id != id && other.origins().any(is_heard) && is_there()
        })
    }

    /// Retries unreachable boards, the gateway, and the probe.
    pub(super) fn try_again(&mut self, now: Instant) {
        let unreachable: Vec<_> = self
            .registry
            .boards()
            .filter(|board| board.status() == Some(Status::Unreachable))
            .map(|board| board.id)
            .collect();
        for id in unreachable {
            let tried = *self.checked.entry(id).or_insert(now);
            if now.duration_since(tried) >= RETRY_INTERVAL
                && let Some(route) = self.route(id)
            {
                self.checked.insert(id, now);
                self.connections.enqueue(id, route, Claim::ThirdParty);
            }
        }
        if self.plan.gateway && self.gateway_at.is_none() && !self.gateway_asked {
            self.gateway_at = Some(now + RETRY_INTERVAL);
        }
        let probed = self.pacer.as_ref().is_some_and(|it| it.due().is_none());
        if probed && self.probing == 0 {
            let pause = *self.probed_at.get_or_insert(now);
            if now.duration_since(pause) >= PROBE_INTERVAL {
                self.probed_at = None;
                self.pacer = self.plan.probe.map(|network| Pacer::new(network, now));
            }
        }
    }

    pub(super) fn check(&mut self, id: BoardId, now: Instant) {
        let Some(route) = self.route(id) else {
            return;
        };
        if !self.connections.start(id, route.clone(), Claim::Direct) {
            return;
        }
        self.checked.insert(id, now);
        self.tasks.push(Box::pin(async move {
            let reached = confirm::connect(route.clone(), confirm::CHECK_TIMEOUT).await;
            TaskResult::Checked(id, route, reached)
        }));
    }

    pub(super) fn lose(&mut self, id: BoardId) {
        self.checked.remove(&id);
        let Some(board) = self.registry.board(id) else {
            return;
        };
        let keys: Vec<_> = board.network_keys().cloned().collect();
        for key in keys {
            self.forget(&key);
        }
    }

    pub(super) fn forget(&mut self, key: &SourceKey) {
        if let (SourceKey::Mdns(origin), Some(mdns)) = (key, &mut self.mdns) {
            mdns.forget(origin);
        }
        if matches!(key, SourceKey::Gateway(_)) {
            self.gateway_asked = false;
        }
        self.registry.forget(key);
    }
}
