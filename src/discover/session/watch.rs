//! A watch: which boards are gone, and which are tried again.

use std::time::Instant;

use super::{CHECK, ONE_OF_SEVERAL, Outcome, PROBE_AGAIN, Session, TRY_AGAIN};
use crate::discover::confirm;
use crate::discover::connections::{Way, Word};
use crate::discover::probe::Pace;
use crate::discover::registry::{Id, Key};
use crate::discover::report::Status;
use crate::mdns::{Origin, SUSPECT_AFTER};

impl Session<'_> {
    /// Connects to those that have fallen silent, or that can't be asked in another way.
    pub(super) fn check_silent(&mut self, now: Instant) {
        let mut silent = Vec::new();
        let mut stale = Vec::new();
        for board in self.registry.boards() {
            let heard = |origin: &Origin| self.mdns.as_ref()?.last_heard(origin);
            let last = board.origins().filter_map(heard).max();
            let silence = last.map(|at| now.saturating_duration_since(at));
            if silence.is_none_or(|it| it > SUSPECT_AFTER) {
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
    pub(super) fn has_another_name(&self, id: Id, now: Instant) -> bool {
        let Some(silent) = self.registry.board(id) else {
            return false;
        };
        let addresses = silent.addresses();
        let links: Vec<_> = silent.origins().map(|origin| origin.interface).collect();
        self.registry.boards().any(|other| {
            let speaks = |origin: &Origin| {
                let heard = self.mdns.as_ref().and_then(|mdns| mdns.last_heard(origin));
                links.contains(&origin.interface)
                    && heard.is_some_and(|at| now.saturating_duration_since(at) <= SUSPECT_AFTER)
            };
            let is_there = || other.addresses().iter().any(|it| addresses.contains(it));
            other.id != id && other.origins().any(speaks) && is_there()
        })
    }

    /// Connects again to those that tell of themselves and could not be connected to, and to those
    /// that have no way to tell of themselves.
    pub(super) fn try_again(&mut self, now: Instant) {
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

    pub(super) fn check(&mut self, id: Id, now: Instant) {
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
        } = way.clone();
        self.tasks.push(Box::pin(async move {
            let reached = confirm::connect(addresses, interface, confirm::SHORT_PATIENCE).await;
            Outcome::Checked(id, way, reached)
        }));
    }

    pub(super) fn lose(&mut self, id: Id) {
        self.checked.remove(&id);
        let Some(board) = self.registry.board(id) else {
            return;
        };
        let keys: Vec<_> = board.network_keys().cloned().collect();
        for key in keys {
            self.forget(&key);
        }
    }

    pub(super) fn forget(&mut self, key: &Key) {
        if let (Key::Mdns(origin), Some(mdns)) = (key, &mut self.mdns) {
            mdns.forget(origin);
        }
        if matches!(key, Key::Gateway(_)) {
            self.gateway_asked = false;
        }
        self.registry.forget(key);
    }
}
