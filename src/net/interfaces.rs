//! This computer's network interfaces.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use if_addrs::{IfAddr, IfOperStatus};

/// A network interface with an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Interface name.
    pub name: String,
    /// Interface index, as in IPv6 zones.
    pub index: u32,
    /// IPv4 addresses with their prefix lengths.
    pub v4: Vec<(Ipv4Addr, u8)>,
    /// IPv6 addresses.
    pub v6: Vec<Ipv6Addr>,
    /// Whether it is the loopback interface.
    pub is_loopback: bool,
    /// Whether it supports multicast; many tunnels do not.
    pub has_multicast: bool,
}

impl Interface {
    /// Whether `address` is on the link of this interface.
    pub fn reaches(&self, address: Ipv4Addr) -> bool {
        self.v4.iter().any(|(own, prefix)| {
            let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
            own.to_bits() & mask == address.to_bits() & mask
        })
    }

    /// Whether `address` belongs to this interface.
    pub fn has(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.iter().any(|(own, _)| *own == address),
            IpAddr::V6(address) => self.v6.contains(&address),
        }
    }

    /// Whether a board on this interface can have `address`. A message may contain any address, and
    /// all found addresses are connected to.
    pub fn may_lead_to(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) if v4.is_loopback() => self.is_loopback,
            IpAddr::V4(v4) => {
                let ordinary = !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast();
                ordinary && (self.reaches(v4) || v4.is_private() || v4.is_link_local())
            }
            IpAddr::V6(v6) if v6.is_loopback() => self.is_loopback,
            IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast(),
        }
    }

    /// Whether it is the bridge of containers or virtual machines, which does not forward
    /// multicast.
    pub fn is_container_bridge(&self) -> bool {
        ["docker", "br-", "podman", "cni", "virbr", "lxc"]
            .iter()
            .any(|start| self.name.starts_with(start))
    }
}

/// The interfaces that are up and have an address, by index.
///
/// # Errors
/// The system cannot list them.
pub fn list() -> io::Result<Vec<Interface>> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for found in if_addrs::get_if_addrs()? {
        let Some(index) = found.index else {
            continue;
        };
        let down = [
            IfOperStatus::Down,
            IfOperStatus::NotPresent,
            IfOperStatus::LowerLayerDown,
        ];
        if down.contains(&found.oper_status) {
            continue;
        }
        let position = interfaces.iter().position(|known| known.index == index);
        let at = position.unwrap_or_else(|| {
            interfaces.push(Interface {
                name: found.name.clone(),
                index,
                v4: Vec::new(),
                v6: Vec::new(),
                is_loopback: found.is_loopback(),
                has_multicast: has_multicast(&found.name),
            });
            interfaces.len() - 1
        });
        let interface = &mut interfaces[at];
        match found.addr {
            IfAddr::V4(v4) => interface.v4.push((v4.ip, v4.prefixlen)),
            IfAddr::V6(v6) => interface.v6.push(v6.ip),
        }
    }
    interfaces.sort_by_key(|interface| interface.index);
    Ok(interfaces)
}

fn has_multicast(name: &str) -> bool {
    /// `IFF_MULTICAST` of Linux.
    const MULTICAST: u32 = 1 << 12;
    let flags = std::fs::read_to_string(format!("/sys/class/net/{name}/flags"));
    let flags = flags.ok().and_then(|text| {
        let digits = text.trim().strip_prefix("0x")?;
        u32::from_str_radix(digits, 16).ok()
    });
    flags.is_none_or(|flags| flags & MULTICAST != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_reaches_itself() {
        let interfaces = list().unwrap();
        let loopback = interfaces.iter().find(|it| it.is_loopback).unwrap();
        assert!(loopback.has(Ipv4Addr::LOCALHOST.into()), "{loopback:?}");
        assert!(loopback.reaches(Ipv4Addr::new(127, 9, 9, 9)));
        assert!(!loopback.reaches(Ipv4Addr::new(192, 168, 1, 1)));
    }

    #[test]
    fn the_prefix_decides_what_is_on_the_link() {
        let with = |prefix| Interface {
            name: "eth0".into(),
            index: 7,
            v4: vec![(Ipv4Addr::new(192, 168, 1, 77), prefix)],
            v6: Vec::new(),
            is_loopback: false,
            has_multicast: true,
        };
        let board = Ipv4Addr::new(192, 168, 1, 1);
        let elsewhere = Ipv4Addr::new(10, 0, 0, 1);
        for (prefix, near, far) in [
            (0, true, true),
            (24, true, false),
            (26, false, false),
            (32, false, false),
        ] {
            let interface = with(prefix);
            let reached = (interface.reaches(board), interface.reaches(elsewhere));
            assert_eq!(reached, (near, far), "/{prefix}");
        }
    }

    #[test]
    fn addresses_on_the_internet_are_not_credible() {
        let interface = Interface {
            name: "wlan0".into(),
            index: 3,
            v4: vec![("203.0.113.7".parse().unwrap(), 24)],
            v6: Vec::new(),
            is_loopback: false,
            has_multicast: true,
        };
        for (address, credible) in [
            ("203.0.113.9", true),
            ("192.168.1.1", true),
            ("169.254.3.4", true),
            ("8.8.8.8", false),
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.251", false),
            ("255.255.255.255", false),
            ("fe80::1", true),
            ("::1", false),
            ("ff02::fb", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(interface.may_lead_to(address), credible, "{address}");
        }
    }
}
