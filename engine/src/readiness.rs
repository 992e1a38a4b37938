//! The readiness interface: what the load engine and the limit finder need of a network, and all
//! that they need.
//!
//! Connections are numbered, nothing blocks but [`Network::wait`], and time is the network's own:
//! the kernel's sockets in real time, a virtual board's cable, or a scripted server in a test.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A connection, from [`Network::connect`] to [`Network::release`]. Numbers are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub usize);

/// A time on the network's clock: since its start.
pub type NetworkTime = Duration;

/// A time as the engine counts, in nanoseconds: 584 years of it.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFailure {
    /// The SYN was answered with a reset.
    #[error("refused")]
    Refused,
    /// The address can't be reached: no route, or a router's or the kernel's word.
    #[error("unreachable")]
    Unreachable,
    /// The kernel gave up on the SYN.
    #[error("timed out")]
    TimedOut,
    /// No local address or port is free here.
    #[error("no local port is free")]
    LocalPorts,
    /// No more file descriptors here.
    #[error("no file descriptor is free")]
    LocalFiles,
}

/// What has become possible on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The handshake is complete.
    Connected(ConnectionId),
    /// There will be no connection. Said once; the connection is still to be released.
    Failed(ConnectionId, ConnectFailure),
    /// There are bytes, a FIN or a reset to read.
    Readable(ConnectionId),
    /// A write that was short can go on.
    Writable(ConnectionId),
}

/// How to let go of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// With a FIN, after what was written.
    Fin,
    /// With a reset, at once.
    Reset,
}

/// What the stack knows of a connection: `TCP_INFO` on Linux, what was seen on a virtual cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionInfo {
    /// SYNs that were sent again.
    pub syn_retransmissions: u32,
    /// Data segments that were sent again.
    pub retransmissions: u32,
    /// The smoothed round-trip time, where it is known.
    pub smoothed_rtt: Option<Duration>,
    /// The smallest round-trip time of late, where it is known.
    pub min_rtt: Option<Duration>,
    /// How long the peer's receive window held back what was to be sent, where it is known.
    pub receiver_limited: Option<Duration>,
    /// How long the send buffer was too small for the path, where it is known.
    pub send_buffer_limited: Option<Duration>,
    /// How long there was something to send or to be acknowledged, the two above included, where
    /// it is known.
    pub busy: Option<Duration>,
}

/// Connections over a readiness interface.
pub trait Network {
    /// The present on this network's clock.
    fn now(&self) -> NetworkTime;

    /// The present, to within what this thread has done itself since the network's last system
    /// call: cheaper than [`Network::now`], for who asks often.
    fn recent(&self) -> NetworkTime {
        self.now()
    }

    /// Starts a connection, from `source` where one is given. Does not wait.
    ///
    /// # Errors
    /// What is known at once; everything else comes as an [`Event`].
    fn connect(
        &mut self,
        to: SocketAddr,
        source: Option<IpAddr>,
    ) -> Result<ConnectionId, ConnectFailure>;

    /// Reads what has come; `Ok(0)` is the peer's FIN.
    ///
    /// # Errors
    /// `WouldBlock`: wait for [`Event::Readable`]. `ConnectionReset`: the peer's reset.
    fn read(&mut self, id: ConnectionId, buffer: &mut [u8]) -> io::Result<usize>;

    /// Reads what has come and forgets it: as [`Network::read`], but for what is in `buffer`
    /// afterwards. Cheaper where the kernel can drop bytes without copying them.
    ///
    /// # Errors
    /// As [`Network::read`].
    fn discard(&mut self, id: ConnectionId, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(id, buffer)
    }

    /// Writes what fits.
    ///
    /// # Errors
    /// `WouldBlock`: wait for [`Event::Writable`]. `ConnectionReset`: the peer's reset.
    fn write(&mut self, id: ConnectionId, data: &[u8]) -> io::Result<usize>;

    /// Sends a FIN after what was written; reading goes on.
    fn finish(&mut self, id: ConnectionId);

    /// Ends the connection. Its number is free.
    fn release(&mut self, id: ConnectionId, how: Release);

    /// What the stack knows of the connection; `None` where it can't be asked.
    fn info(&self, id: ConnectionId) -> Option<ConnectionInfo>;

    /// The bytes written that the peer's stack has not acknowledged yet; `None` where it can't be
    /// asked.
    fn unacknowledged(&self, id: ConnectionId) -> Option<u64> {
        let _ = id;
        None
    }

    /// Blocks until something has happened or `until` has come (`None`: for ever), and appends
    /// what has happened to `events`. It may return early with nothing.
    ///
    /// # Errors
    /// What the operating system's own wait fails with.
    fn wait(&mut self, until: Option<NetworkTime>, events: &mut Vec<Event>) -> io::Result<()>;
}
