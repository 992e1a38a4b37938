//! The board's first frame, unencrypted.

/// Version of the protocol.
pub const PROTOCOL_VERSION: u8 = 1;

const MAGIC: [u8; 4] = *b"TCPM";

/// Identifies the board before authentication. It is an unverified claim until the handshake succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Version of the protocol that the board uses.
    pub version: u8,
    /// MAC address of the board on its network, with which the client finds the key. That of an
    /// access point is one more than that of the station, under which `tcpctl flash` stores the
    /// key.
    pub mac: [u8; 6],
}

impl Hello {
    /// Length of a hello of version 1. A later version may append bytes.
    pub(crate) const LEN: usize = 11;
    /// Longest hello of any version.
    pub(crate) const MAX_LEN: usize = 64;

    pub(crate) fn encode(self) -> [u8; Self::LEN] {
        let [m0, m1, m2, m3] = MAGIC;
        let [a0, a1, a2, a3, a4, a5] = self.mac;
        [m0, m1, m2, m3, self.version, a0, a1, a2, a3, a4, a5]
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.strip_prefix(&MAGIC)?.split_first()?;
        let mac = *rest.first_chunk()?;
        Some(Self { version, mac })
    }
}
