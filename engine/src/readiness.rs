//! The readiness interface: what the load engine and the limit search need of a network.
//!
//! Connections are numbered, only [`Network::wait`] blocks, and time is the network's own.
//! Implementations: the kernel's sockets in real time, a virtual board's link, and scripted servers
//! in tests.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A connection, from [`Network::connect`] to [`Network::release`]. Numbers are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub usize);

/// Time since the start of the network's clock.
pub type NetworkTime = Duration;

/// Nanoseconds, enough for 584 years.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Why a connection attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFailure {
    /// The SYN was answered with a reset.
    #[error("refused")]
    Refused,
    /// No route, or an ICMP error.
    #[error("unreachable")]
    Unreachable,
    /// The kernel gave up retransmitting the SYN.
    #[error("timed out")]
    TimedOut,
    /// No local address or port is available.
    #[error("no local port is free")]
    LocalPorts,
    /// No file descriptor is available.
    #[error("no file descriptor is free")]
    LocalFiles,
}

/// A readiness event of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The handshake is complete.
    Connected(ConnectionId),
    /// The attempt failed. Reported once; the connection must still be released.
    Failed(ConnectionId, ConnectFailure),
    /// Bytes, a FIN or a reset can be read.
    Readable(ConnectionId),
    /// A short write can continue.
    Writable(ConnectionId),
}

/// How to close a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// A FIN after the written data.
    Fin,
    /// An immediate reset.
    Reset,
}

/// What the stack reports about a connection: `TCP_INFO` on Linux, observed frames on a virtual
/// link. Unknown fields are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionInfo {
    /// Retransmitted SYNs.
    pub syn_retransmissions: u32,
    /// Retransmitted data segments.
    pub retransmissions: u32,
    /// The smoothed round-trip time.
    pub smoothed_rtt: Option<Duration>,
    /// The minimum round-trip time.
    pub min_rtt: Option<Duration>,
    /// Time limited by the peer's receive window.
    pub receiver_limited: Option<Duration>,
    /// Time limited by the send buffer.
    pub send_buffer_limited: Option<Duration>,
    /// Time with data to send or to be acknowledged, the two above included.
    pub busy: Option<Duration>,
}

/// A network with a readiness interface.
pub trait Network {
    /// The current time on this network's clock.
    fn now(&self) -> NetworkTime;

    /// The current time, late by at most the work done since the last system call. Cheaper than
    /// [`Network::now`].
    fn recent(&self) -> NetworkTime {
        self.now()
    }

    /// Starts a connection, from `source` if given. Does not block.
    ///
    /// # Errors
    /// Failures known immediately; later ones are an [`Event::Failed`].
    fn connect(
        &mut self,
        to: SocketAddr,
        source: Option<IpAddr>,
    ) -> Result<ConnectionId, ConnectFailure>;

    /// Reads received bytes; `Ok(0)` is the peer's FIN.
    ///
    /// # Errors
    /// `WouldBlock`: wait for [`Event::Readable`]. `ConnectionReset`: the peer's reset.
    fn read(&mut self, id: ConnectionId, buffer: &mut [u8]) -> io::Result<usize>;

    /// When the bytes of the last read arrived at this computer; `None` if the network does not
    /// report it. The caller may have read them later.
    fn arrival(&self) -> Option<NetworkTime> {
        None
    }

    /// As [`Network::read`], but the content of `buffer` is unspecified afterwards: the kernel may
    /// drop bytes without copying them.
    ///
    /// # Errors
    /// As [`Network::read`].
    fn discard(&mut self, id: ConnectionId, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(id, buffer)
    }

    /// Writes as many bytes as fit.
    ///
    /// # Errors
    /// `WouldBlock`: wait for [`Event::Writable`]. `ConnectionReset`: the peer's reset.
    fn write(&mut self, id: ConnectionId, data: &[u8]) -> io::Result<usize>;

    /// Sends a FIN after the written data. Reading continues.
    fn finish(&mut self, id: ConnectionId);

    /// Closes the connection and frees its number.
    fn release(&mut self, id: ConnectionId, how: Release);

    /// What the stack reports about the connection; `None` if it reports nothing.
    fn info(&self, id: ConnectionId) -> Option<ConnectionInfo>;

    /// Written bytes that the peer has not acknowledged; `None` where unsupported.
    fn unacknowledged(&self, id: ConnectionId) -> Option<u64> {
        let _ = id;
        None
    }

    /// Blocks until an event occurs or `until` is reached (`None`: forever), and appends the
    /// events. May return early without events.
    ///
    /// # Errors
    /// The error of the operating system's wait.
    fn wait(&mut self, until: Option<NetworkTime>, events: &mut Vec<Event>) -> io::Result<()>;
}
