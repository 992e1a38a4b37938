//! The validated pool and its parameters.

use core::fmt;
use core::net::Ipv4Addr;

/// The addresses and times of a [`Server`](super::Server). A value of this type is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub(super) server: Ipv4Addr,
    pub(super) mask: Ipv4Addr,
    pub(super) first: Ipv4Addr,
    pub(super) size: u32,
    pub(super) lease_seconds: u32,
}

/// Why a pool cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The prefix leaves no room for a server and a client: it must be 1 to 30 bits.
    Prefix,
    /// The server's address is the subnet's own address or its broadcast address.
    ServerAddress,
    /// The pool's last address comes before its first.
    EmptyPool,
    /// The pool reaches outside the subnet, or includes its own or its broadcast address.
    PoolOutsideSubnet,
    /// The server's own address is in the pool.
    ServerInPool,
    /// The pool has more addresses than the server's table has entries.
    PoolTooLarge,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "the prefix must be 1 to 30 bits",
            Self::ServerAddress => "the server's address is not one for a host in its subnet",
            Self::EmptyPool => "the pool's last address comes before its first",
            Self::PoolOutsideSubnet => "the pool reaches outside the subnet",
            Self::ServerInPool => "the pool contains the server's own address",
            Self::PoolTooLarge => "the pool has more addresses than the lease table has entries",
        })
    }
}

impl core::error::Error for ConfigError {}

impl Config {
    /// Default lease time: two hours.
    pub const DEFAULT_LEASE_SECONDS: u32 = 2 * 60 * 60;

    /// A server at `server` in a subnet of `prefix` bits that hands out `first..=last`.
    ///
    /// Leases last two hours. The board is the router: without one, phones may consider the network
    /// broken and leave it. It is no DNS server.
    ///
    /// # Errors
    /// The pool is not valid.
    pub fn new(
        server: Ipv4Addr,
        prefix: u8,
        first: Ipv4Addr,
        last: Ipv4Addr,
    ) -> Result<Self, ConfigError> {
        if !(1..=30).contains(&prefix) {
            return Err(ConfigError::Prefix);
        }
        let mask = u32::MAX << (32 - u32::from(prefix));
        let mask_address = Ipv4Addr::from_bits(mask);
        if !is_host(server, server, mask_address) {
            return Err(ConfigError::ServerAddress);
        }
        if last < first {
            return Err(ConfigError::EmptyPool);
        }
        if !is_host(first, server, mask_address) || !is_host(last, server, mask_address) {
            return Err(ConfigError::PoolOutsideSubnet);
        }
        if (first..=last).contains(&server) {
            return Err(ConfigError::ServerInPool);
        }
        Ok(Self {
            server,
            mask: mask_address,
            first,
            // Cannot overflow: both are hosts of one subnet of at most 2^31 addresses.
            size: last.to_bits() - first.to_bits() + 1,
            lease_seconds: Self::DEFAULT_LEASE_SECONDS,
        })
    }

    /// Index of `address` in the pool, or `None` if it is outside.
    pub(super) fn index_of(&self, address: Ipv4Addr) -> Option<usize> {
        let offset = address.to_bits().checked_sub(self.first.to_bits())?;
        if offset < self.size {
            usize::try_from(offset).ok()
        } else {
            None
        }
    }

    /// The address at an index of the pool.
    pub(super) fn address_at(&self, index: usize) -> Ipv4Addr {
        let offset = u32::try_from(index).unwrap_or(u32::MAX);
        Ipv4Addr::from_bits(self.first.to_bits().saturating_add(offset))
    }

    /// Whether `address` is a host address of the subnet.
    pub(super) fn is_host(&self, address: Ipv4Addr) -> bool {
        is_host(address, self.server, self.mask)
    }
}

/// Whether `address` is in the subnet of `base`, and neither its network nor its broadcast address.
fn is_host(address: Ipv4Addr, base: Ipv4Addr, mask: Ipv4Addr) -> bool {
    let host = address & !mask;
    address & mask == base & mask && host != Ipv4Addr::UNSPECIFIED && host != !mask
}
