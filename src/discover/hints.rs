//! What to try where nothing was found: only what fits this computer.

use std::env;
use std::fs;
use std::path::Path;

use super::plan::Plan;
use super::session::Circumstances;
use crate::sanitize;
use crate::sim::servers::ADDRESS;

/// What is to be known of this computer, apart from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct System {
    /// The Windows Subsystem for Linux.
    wsl: bool,
    /// A container.
    container: bool,
    /// macOS.
    macos: bool,
}

impl System {
    fn here() -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            wsl: kernel.to_ascii_lowercase().contains("microsoft"),
            container: Path::new("/.dockerenv").exists()
                || Path::new("/run/.containerenv").exists()
                || env::var_os("container").is_some(),
            macos: cfg!(target_os = "macos"),
        }
    }
}

/// The hints for this computer, the likeliest first.
pub(super) fn hints(plan: &Plan, met: &Circumstances) -> Vec<String> {
    hints_for(plan, met, System::here())
}

fn hints_for(plan: &Plan, met: &Circumstances, system: System) -> Vec<String> {
    let mut hints = Vec::new();
    if let Some(port) = met.forbidden_ports.first() {
        hints.push(format!(
            "no permission on {}: sudo usermod -aG dialout $USER, and log in again",
            sanitize::one_line(port)
        ));
    }
    if met.unreachable > 0 {
        hints.push(
            "a board tells of itself and can't be connected to: is its server up? a firewall or \
             client isolation of the access point is in the way of TCP, too"
                .to_owned(),
        );
    }
    let outward: Vec<_> = met.interfaces.iter().filter(|it| !it.is_loopback).collect();
    let mdns = plan.service_type.is_some();
    if outward.is_empty() {
        hints.push(match &plan.interface {
            Some(name) => format!(
                "interface {} leads to no board: it is down, has no address, or is the loopback",
                sanitize::one_line(name)
            ),
            None => "this computer is on no network: join the board's Wi-Fi, or its own".to_owned(),
        });
    } else if mdns {
        if let Some(name) = met.forbidden_interfaces.first() {
            hints.push(format!(
                "a firewall of this computer's keeps questions from going out on {}: allow UDP port \
                 5353 to 224.0.0.251 and ff02::fb",
                sanitize::one_line(name)
            ));
        }
        if let Some(deaf) = outward.iter().find(|it| !it.has_multicast) {
            let name = sanitize::one_line(&deaf.name);
            hints.push(format!(
                "there is no multicast on interface {name}, so no board can be asked for there"
            ));
        }
        if system.wsl {
            hints.push(
                "WSL passes no multicast from the network: use --probe, or networkingMode=mirrored"
                    .to_owned(),
            );
        }
        if system.container || outward.iter().all(|it| it.is_container_bridge()) {
            hints.push(
                "a container's bridge passes no multicast: run with --network host, or use --probe"
                    .to_owned(),
            );
        }
        if system.macos {
            hints.push(
                "macOS asks for a permission: System Settings, Privacy & Security, Local Network"
                    .to_owned(),
            );
        }
        if !met.hears_announcements {
            hints.push("port 5353 is taken by a program that does not share it".to_owned());
        }
        let in_ap = outward.iter().any(|it| it.reaches(ADDRESS));
        if !in_ap {
            hints.push("is the board an access point of its own? join its Wi-Fi".to_owned());
        }
        if plan.probe.is_none() {
            let network = outward.iter().find_map(|it| {
                let (address, _) = it.v4.iter().find(|(_, prefix)| *prefix >= 20)?;
                let [a, b, c, _] = address.octets();
                Some(format!("{a}.{b}.{c}.0/24"))
            });
            hints.push(format!(
                "multicast may not get through (a firewall, a guest Wi-Fi): try --probe {}",
                network.as_deref().unwrap_or("NETWORK/24")
            ));
        }
    }
    if hints.is_empty() {
        hints.push("is the board on? --timeout 10s gives it longer".to_owned());
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::plan::{Ending, Serial};
    use crate::mdns::message::DnsName;
    use crate::net::interfaces::Interface;

    fn plan() -> Plan {
        Plan {
            service_type: DnsName::of_text("_tcpctl._tcp.local"),
            mdns_port: 5353,
            serial: Serial::Boards,
            gateway: true,
            probe: None,
            interface: None,
            ending: Ending::Never,
        }
    }

    fn interface(name: &str, address: &str) -> Interface {
        Interface {
            name: name.into(),
            index: 2,
            v4: vec![(address.parse().unwrap(), 24)],
            v6: Vec::new(),
            is_loopback: name == "lo",
            has_multicast: true,
        }
    }

    fn on(interfaces: Vec<Interface>) -> Circumstances {
        Circumstances {
            interfaces,
            hears_announcements: true,
            ..Circumstances::default()
        }
    }

    fn text(met: &Circumstances, system: System) -> String {
        hints_for(&plan(), met, system).join("\n")
    }

    #[test]
    fn each_hint_is_given_where_it_fits_and_nowhere_else() {
        let here = System::default();
        let lan = || {
            on(vec![
                interface("lo", "127.0.0.1"),
                interface("eth0", "10.1.2.3"),
            ])
        };
        let plain = text(&lan(), here);
        assert!(plain.contains("--probe 10.1.2.0/24"), "{plain}");
        assert!(plain.contains("join its Wi-Fi"), "{plain}");
        for absent in [
            "WSL",
            "container",
            "macOS",
            "5353",
            "dialout",
            "no network",
            "no multicast",
            "firewall of this",
            "TCP",
        ] {
            assert!(!plain.contains(absent), "{absent}: {plain}");
        }
        let wsl = System { wsl: true, ..here };
        assert!(text(&lan(), wsl).contains("WSL"));
        let container = System {
            container: true,
            ..here
        };
        assert!(text(&lan(), container).contains("--network host"));
        let macos = System {
            macos: true,
            ..here
        };
        assert!(text(&lan(), macos).contains("Local Network"));
        let bridge = on(vec![interface("docker0", "172.17.0.1")]);
        assert!(text(&bridge, here).contains("bridge"));
        let alone = on(vec![interface("lo", "127.0.0.1")]);
        let said = text(&alone, wsl);
        assert!(
            said.contains("no network") && !said.contains("WSL"),
            "{said}"
        );
        let joined = text(&on(vec![interface("wlan0", "192.168.1.100")]), here);
        assert!(!joined.contains("join its Wi-Fi"), "{joined}");
        let deaf = Circumstances {
            hears_announcements: false,
            ..lan()
        };
        assert!(text(&deaf, here).contains("5353"));
        let mut tunnel = lan();
        tunnel.interfaces[1].has_multicast = false;
        let said = text(&tunnel, here);
        assert!(said.contains("no multicast on interface eth0"), "{said}");
        let walled = Circumstances {
            forbidden_interfaces: vec!["eth0".into()],
            ..lan()
        };
        assert!(text(&walled, here).contains("firewall of this computer's"));
        let isolated = Circumstances {
            unreachable: 1,
            ..lan()
        };
        assert!(text(&isolated, here).contains("client isolation"));
        let forbidden = Circumstances {
            forbidden_ports: vec!["/dev/ttyUSB0".into()],
            ..lan()
        };
        assert!(text(&forbidden, here).starts_with("no permission on /dev/ttyUSB0"));
    }
}
