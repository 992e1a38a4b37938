//! Networks in CIDR notation (RFC 4632).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::sanitize;

/// A network: its host addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    first: u128,
    last: u128,
    is_v4: bool,
}

impl FromStr for Cidr {
    type Err = String;

    /// Parses `192.168.1.0/24` or `2001:db8::/120`; a bare address is a network of one.
    fn from_str(text: &str) -> Result<Self, String> {
        let example = "e.g. 192.168.1.0/24";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| {
            format!(
                "'{}' is not an IP address, {example}",
                sanitize::one_line(address)
            )
        })?;
        let (bits, value, is_v4) = match address {
            IpAddr::V4(v4) => (32, u128::from(v4.to_bits()), true),
            IpAddr::V6(v6) => (128, v6.to_bits(), false),
        };
        let prefix: u32 = match prefix {
            None => bits,
            Some(text) => text
                .parse()
                .ok()
                .filter(|prefix| *prefix <= bits && text.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| format!("the prefix length must be 0 to {bits}, {example}"))?,
        };
        let span = u128::MAX.checked_shr(128 - (bits - prefix)).unwrap_or(0);
        let first = value & !span;
        // The first and last address of an IPv4 network are not hosts (RFC 950), except in a /31
        // (RFC 3021).
        let edge = u128::from(is_v4 && prefix < 31);
        Ok(Self {
            first: first + edge,
            last: first + span - edge,
            is_v4,
        })
    }
}

impl Cidr {
    /// The number of host addresses; `u128::MAX` for all of IPv6.
    pub const fn count(self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    /// Whether the addresses are valid on one link only (RFC 4291 section 2.5.6).
    pub const fn needs_interface(self) -> bool {
        !self.is_v4 && Ipv6Addr::from_bits(self.first).is_unicast_link_local()
    }

    /// The first host address as a number.
    pub(crate) const fn first(self) -> u128 {
        self.first
    }

    /// The last host address as a number.
    pub(crate) const fn last(self) -> u128 {
        self.last
    }

    /// The address with this number.
    pub(crate) fn address(self, value: u128) -> IpAddr {
        match u32::try_from(value) {
            Ok(v4) if self.is_v4 => Ipv4Addr::from_bits(v4).into(),
            _ => Ipv6Addr::from_bits(value).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_known_before_anything_is_sent() {
        for (text, count) in [
            ("10.0.0.0/20", 4094),
            ("10.0.0.0/19", 8190),
            ("0.0.0.0/0", (1 << 32) - 2),
            ("::/0", u128::MAX),
            ("2001:db8::/116", 4096),
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap().count(), count, "{text}");
        }
    }

    #[test]
    fn invalid_networks_are_rejected_with_an_example() {
        for text in [
            "",
            "board",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::/129",
            "1.2.3/8",
        ] {
            let error = text.parse::<Cidr>().unwrap_err();
            assert!(error.contains("192.168.1.0/24"), "{text}: {error}");
        }
    }
}
