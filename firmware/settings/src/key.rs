//! Key of the management channel.

use core::fmt;

/// The 256-bit key of one board. `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct ManagementKey([u8; Self::LEN]);

impl ManagementKey {
    /// Length of a key, in bytes.
    pub const LEN: usize = 32;

    /// A key from random bytes.
    pub const fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The key, for the handshake, for flash and for the key file. Never print it.
    pub const fn reveal(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for ManagementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ManagementKey(..)")
    }
}
