//! The sources besides mDNS: the gateway, probed addresses and serial ports.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Instant;

use super::{GATEWAY_DELAY, Session, TaskResult};
use crate::board::ACCESS_POINT_ADDRESS;
use crate::discover::connections::Claim;
use crate::discover::plan::SerialPorts;
use crate::discover::registry::{Observation, SourceKey};
use crate::discover::report::UsbReport;
use crate::discover::{confirm, probe};
use crate::failure::reason;
use crate::mdns::Origin;
use crate::net::interfaces;
use crate::net::interfaces::Interface;
use crate::sanitize;
use crate::serial::{self, Port};
use crate::target::DEFAULT_PORT;

impl Session<'_> {
    pub(super) fn list_interfaces(&mut self) {
        let mut interfaces = match interfaces::list() {
            Ok(interfaces) => interfaces,
            Err(error) => {
                self.problem(format!(
                    "cannot list the network interfaces: {}",
                    reason(&error)
                ));
                return;
            }
        };
        if let Some(only) = &self.plan.interface {
            interfaces.retain(|it| it.name == *only);
        }
        if interfaces == self.interfaces {
            return;
        }
        self.interfaces.clone_from(&interfaces);
        self.forget_links();
        if let Some(mdns) = &mut self.mdns {
            for (name, error) in mdns.use_interfaces(&interfaces) {
                let name = sanitize::one_line(&name);
                self.problem(format!(
                    "cannot use mDNS on interface {name}: {}",
                    reason(&error)
                ));
            }
        }
        if self.plan.gateway {
            self.gateway_asked = false;
            self.gateway_at = Some(Instant::now() + GATEWAY_DELAY);
        }
    }

    /// Removes the services on links that no longer exist.
    pub(super) fn forget_links(&mut self) {
        let is_here = |origin: &Origin| {
            let mut interfaces = self.interfaces.iter();
            interfaces.any(|it| it.index == origin.interface)
        };
        let boards = self.registry.boards();
        let gone = boards.flat_map(|board| board.origins().filter(|it| !is_here(it)).cloned());
        for origin in gone.collect::<Vec<_>>() {
            self.forget(&SourceKey::Mdns(origin));
        }
    }

    pub(super) fn problem(&mut self, problem: String) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    pub(super) fn ask_gateway(&mut self) {
        let address = SocketAddr::new(ACCESS_POINT_ADDRESS.into(), DEFAULT_PORT);
        let on_link = |it: &Interface| !it.is_loopback && it.reaches(ACCESS_POINT_ADDRESS);
        let wanted = self.interfaces.iter().any(on_link)
            && !self.is_ours(&address)
            && !self.registry.is_known_at(address)
            && !self.gateway_asked;
        if wanted {
            self.gateway_asked = true;
            let interface = self.plan.interface.clone();
            self.tasks.push(Box::pin(async move {
                let (reached, line) =
                    confirm::greet(address, interface, confirm::CONNECT_TIMEOUT).await;
                TaskResult::Gateway(address, reached, line)
            }));
        }
    }

    pub(super) fn is_ours(&self, address: &SocketAddr) -> bool {
        self.interfaces.iter().any(|it| it.has(address.ip()))
    }

    pub(super) fn probe(&mut self, now: Instant) {
        while self.probing < probe::MAX_CONCURRENT {
            let Some(address) = self.pacer.as_mut().and_then(|pacer| pacer.take(now)) else {
                return;
            };
            let interface = self.plan.interface.clone();
            let scope = interface.as_deref().and_then(crate::sys::interface_index);
            let address = match (address, scope) {
                (IpAddr::V6(v6), Some(scope)) if v6.is_unicast_link_local() => {
                    SocketAddrV6::new(v6, DEFAULT_PORT, 0, scope).into()
                }
                (address, _) => SocketAddr::new(address, DEFAULT_PORT),
            };
            if self.registry.is_known_at(address) {
                continue;
            }
            self.probing += 1;
            self.tasks.push(Box::pin(async move {
                let (reached, line) =
                    confirm::greet(address, interface, probe::CONNECT_TIMEOUT).await;
                TaskResult::Probed(address, reached, line)
            }));
        }
    }

    pub(super) fn list_ports(&mut self) {
        if self.plan.serial == SerialPorts::None || self.listing_ports {
            return;
        }
        self.listing_ports = true;
        self.tasks.push(Box::pin(async {
            let ports = tokio::task::spawn_blocking(serial::list).await;
            TaskResult::Ports(ports.unwrap_or_else(|error| Err(std::io::Error::other(error))))
        }));
    }

    pub(super) fn ports(&mut self, listed: std::io::Result<Vec<Port>>) {
        self.listing_ports = false;
        let mut ports = match listed {
            Ok(ports) => ports,
            Err(error) => {
                self.problem(format!("cannot list the serial ports: {}", reason(&error)));
                return;
            }
        };
        ports.retain(|port| self.plan.serial == SerialPorts::All || port.adapter().is_some());
        let known = std::mem::replace(&mut self.ports, ports.clone());
        // The same path with another USB device is another board.
        for gone in known.iter().filter(|port| !self.ports.contains(port)) {
            self.registry.forget(&SourceKey::Serial(gone.path.clone()));
        }
        for port in ports {
            if known.contains(&port) {
                continue;
            }
            if port.adapter().is_some()
                && !crate::sys::may_read_and_write(&port.path)
                && !self.forbidden_ports.contains(&port.path)
            {
                self.forbidden_ports.push(port.path.clone());
            }
            let observation = Observation {
                mac: port.usb.as_ref().and_then(serial::Usb::mac),
                usb: port.usb.as_ref().map(UsbReport::from),
                ..Observation::new(SourceKey::Serial(port.path))
            };
            self.observe(observation, Claim::Direct);
        }
    }
}
