//! Hints after a search that found nothing.

use std::env;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use super::plan::DiscoverPlan;
use super::session::Diagnostics;
use crate::board::ACCESS_POINT_ADDRESS;
use crate::net::interfaces::Interface;
use crate::sanitize;

/// Maximum number of hints.
const MAX_HINTS: usize = 3;

/// The operating system that the command runs on.
#[derive(Debug, Clone, Copy, Default)]
struct System {
    is_wsl: bool,
    is_container: bool,
    is_macos: bool,
}

impl System {
    fn detect() -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            is_wsl: kernel.to_ascii_lowercase().contains("microsoft"),
            is_container: Path::new("/.dockerenv").exists()
                || Path::new("/run/.containerenv").exists()
                || env::var_os("container").is_some(),
            is_macos: cfg!(target_os = "macos"),
        }
    }
}

/// The hints for a search without results, the most likely first.
pub(super) fn hints(plan: &DiscoverPlan, diagnostics: &Diagnostics) -> Vec<String> {
    let mut hints = hints_on(System::detect(), plan, diagnostics);
    hints.truncate(MAX_HINTS);
    hints
}

fn hints_on(system: System, plan: &DiscoverPlan, diagnostics: &Diagnostics) -> Vec<String> {
    let mut hints = Vec::new();
    if let Some(port) = diagnostics.forbidden_ports.first() {
        hints.push(format!(
            "no permission to open {}: run sudo usermod -aG dialout $USER and log in again",
            sanitize::one_line(port)
        ));
    }
    if diagnostics.unreachable > 0 {
        hints.push(
            "a board announces itself but cannot be connected to: check that its server is up and \
             that no firewall or client isolation of the access point blocks TCP"
                .to_owned(),
        );
    }
    let interfaces = diagnostics.interfaces.iter();
    let networks: Vec<_> = interfaces.filter(|it| !it.is_loopback).collect();
    if networks.is_empty() {
        hints.push(match &plan.interface {
            Some(name) => format!(
                "interface {} cannot reach a board: it is down, has no address, or is the loopback",
                sanitize::one_line(name)
            ),
            None => "this computer is on no network: join the Wi-Fi of the board".to_owned(),
        });
    } else if plan.service_type.is_some() {
        hints.extend(mdns_hints(system, diagnostics, &networks));
        if !networks.iter().any(|it| it.reaches(ACCESS_POINT_ADDRESS)) {
            hints.push("if the board is an access point, join its Wi-Fi".to_owned());
        }
        if plan.probe.is_none() {
            hints.push(format!(
                "a firewall or a guest Wi-Fi may block multicast: try {}",
                probes(&networks)
            ));
        }
    }
    if hints.is_empty() {
        hints.push("check that the board is on, or wait longer with --timeout 10s".to_owned());
    }
    hints
}

/// Hints about mDNS problems on this computer.
fn mdns_hints(system: System, diagnostics: &Diagnostics, networks: &[&Interface]) -> Vec<String> {
    let mut hints = Vec::new();
    if let Some(name) = diagnostics.blocked_interfaces.first() {
        hints.push(format!(
            "a firewall on this computer blocks mDNS queries on {}: allow UDP port 5353 to \
             224.0.0.251 and ff02::fb",
            sanitize::one_line(name)
        ));
    }
    if let Some(interface) = networks.iter().find(|it| !it.has_multicast) {
        hints.push(format!(
            "interface {} has no multicast, so boards there are not found by mDNS",
            sanitize::one_line(&interface.name)
        ));
    }
    if system.is_wsl {
        hints.push(
            "WSL does not pass multicast: use --probe, or set networkingMode=mirrored".to_owned(),
        );
    }
    let is_bridged = |it: &&Interface| {
        it.is_container_bridge()
            || (system.is_container
                && !it.v4.is_empty()
                && it.v4.iter().copied().all(is_container_address))
    };
    if networks.iter().all(is_bridged) {
        hints.push(
            "container bridges do not pass multicast: use --network host, or --probe".to_owned(),
        );
    }
    if system.is_macos {
        hints.push(
            "macOS needs a permission: System Settings, Privacy & Security, Local Network"
                .to_owned(),
        );
    }
    if !diagnostics.is_port_shared {
        hints.push("another program holds UDP port 5353 without sharing it".to_owned());
    }
    hints
}

/// The default networks of Docker (172.16.0.0/12) and Podman (10.88.0.0/16).
fn is_container_address((address, _): (Ipv4Addr, u8)) -> bool {
    matches!(address.octets(), [172, 16..32, ..] | [10, 88, ..])
}

/// The options that probe each of these networks.
fn probes(networks: &[&Interface]) -> String {
    let mut probes: Vec<_> = networks
        .iter()
        .filter_map(|it| {
            let (address, _) = it.v4.iter().find(|(_, prefix)| *prefix >= 20)?;
            let [a, b, c, _] = address.octets();
            Some(format!("--probe {a}.{b}.{c}.0/24"))
        })
        .collect();
    probes.dedup();
    match &probes[..] {
        [] => "--probe NETWORK/24".to_owned(),
        probes => probes.join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::plan::{Ending, SerialPorts};
    use crate::mdns::message::DnsName;
    use crate::net::interfaces::Interface;

    fn plan() -> DiscoverPlan {
        DiscoverPlan {
            service_type: DnsName::of_text("_tcpctl._tcp.local"),
            mdns_port: 5353,
            serial: SerialPorts::Boards,
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

    fn on(interfaces: Vec<Interface>) -> Diagnostics {
        Diagnostics {
            interfaces,
            is_port_shared: true,
            ..Diagnostics::default()
        }
    }

    fn lan() -> Diagnostics {
        on(vec![
            interface("lo", "127.0.0.1"),
            interface("eth0", "10.1.2.3"),
        ])
    }

    fn text(diagnostics: &Diagnostics, system: System) -> String {
        hints_on(system, &plan(), diagnostics).join("\n")
    }

    const PLAIN: System = System {
        is_wsl: false,
        is_container: false,
        is_macos: false,
    };
    const CONTAINER: System = System {
        is_container: true,
        ..PLAIN
    };

    #[test]
    fn a_plain_network_gets_two_hints() {
        for system in [PLAIN, CONTAINER] {
            let hints = hints_on(system, &plan(), &lan());
            let [join, probe] = &hints[..] else {
                panic!("{hints:?}")
            };
            assert!(join.contains("join its Wi-Fi"), "{join}");
            assert!(probe.contains("--probe 10.1.2.0/24"), "{probe}");
        }
    }

    #[test]
    fn each_network_is_offered_for_probing() {
        let two = on(vec![
            interface("eth0", "10.1.2.3"),
            interface("wlan0", "192.168.7.5"),
        ]);
        let printed = text(&two, PLAIN);
        let both = "--probe 10.1.2.0/24 or --probe 192.168.7.0/24";
        assert!(printed.contains(both), "{printed}");
    }

    #[test]
    fn hints_follow_the_system_and_the_network() {
        let wsl = System {
            is_wsl: true,
            ..PLAIN
        };
        let macos = System {
            is_macos: true,
            ..PLAIN
        };
        let docker = on(vec![interface("eth0", "172.17.0.2")]);
        let bridge = on(vec![interface("docker0", "172.17.0.1")]);
        let alone = on(vec![interface("lo", "127.0.0.1")]);
        let mut tunnel = lan();
        tunnel.interfaces[1].has_multicast = false;
        let held = Diagnostics {
            is_port_shared: false,
            ..lan()
        };
        let blocked = Diagnostics {
            blocked_interfaces: vec!["eth0".into()],
            ..lan()
        };
        let isolated = Diagnostics {
            unreachable: 1,
            ..lan()
        };
        let forbidden = Diagnostics {
            forbidden_ports: vec!["/dev/ttyUSB0".into()],
            ..lan()
        };
        for (diagnostics, system, expected) in [
            (&lan(), wsl, "WSL"),
            (&lan(), macos, "Local Network"),
            (&docker, CONTAINER, "--network host"),
            (&bridge, PLAIN, "container bridges"),
            (&alone, wsl, "on no network"),
            (&tunnel, PLAIN, "eth0 has no multicast"),
            (&held, PLAIN, "5353"),
            (&blocked, PLAIN, "blocks mDNS queries on eth0"),
            (&isolated, PLAIN, "client isolation"),
            (&forbidden, PLAIN, "no permission to open /dev/ttyUSB0"),
        ] {
            let hints = hints_on(system, &plan(), diagnostics);
            assert!(hints[0].contains(expected), "{expected}: {hints:?}");
        }
        let joined = text(&on(vec![interface("wlan0", "192.168.1.100")]), PLAIN);
        assert!(!joined.contains("join its Wi-Fi"), "{joined}");
    }
}
