//! The readiness interface over the operating system's sockets: mio, edge-triggered.
//!
//! Written for few system calls per connection: what an event has already reported is not asked
//! again. A short read has emptied the socket, and an announced FIN follows it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::clock::Clock;
#[cfg(target_os = "linux")]
use super::precise_timer::PreciseTimer;
use super::readiness::{
    ConnectFailure, ConnectionId, ConnectionInfo, Event, Network, NetworkTime, Release, nanos,
};
use crate::sys;

/// Maximum events per poll: few enough that the last one is still recent when it is handled.
const EVENTS: usize = 128;

const READ_AND_WRITE: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Handshakes longer than this may include a retransmitted SYN (no kernel retransmits sooner) and
/// are checked with `TCP_INFO`.
const SYN_RETRANSMISSION_POSSIBLE: Duration = Duration::from_millis(100);

/// Bytes that are read at most this long after their arrival count as read at once, nanoseconds.
#[cfg(target_os = "linux")]
const PROMPT: u64 = 20_000;

/// Average time between two connects below which a thread counts as saturated, nanoseconds.
#[cfg(target_os = "linux")]
const SATURATED_CONNECT_GAP: u64 = 100_000;

/// Messages longer than this take several segments on some paths (RFC 9293, section 3.7.1).
const MIN_MSS: usize = 536;

/// The operating system's sockets.
pub struct KernelNetwork {
    poll: Poll,
    ready: Events,
    connections: Vec<Option<Connection>>,
    /// Free connection numbers.
    free: Vec<usize>,
    clock: Clock,
    /// Connections established by connect(2) itself and not reported yet.
    established: Vec<ConnectionId>,
    #[cfg(target_os = "linux")]
    timer: PreciseTimer,
    #[cfg(target_os = "linux")]
    arrivals: Arrivals,
}

/// The arrival times of received bytes. Events are reported in the order of arrival.
#[cfg(target_os = "linux")]
struct Arrivals {
    /// A socket that keeps the kernel's timestamping enabled: enabling it is expensive. `None` without
    /// timestamps.
    keeper: Option<Socket>,
    /// `CLOCK_REALTIME` minus this network's clock; read once after each wait.
    offset: Option<u64>,
    /// When the last wait ended.
    woken_at: u64,
    /// Whether bytes read after the last wait had arrived just before its end. The later ones arrived in
    /// that short time as well, and need no timestamp.
    is_prompt: bool,
    /// The arrival of the last read's bytes, on this network's clock.
    last: Option<u64>,
    connects: Pace,
}

/// The average time between two events. It detects a saturated thread, which system
/// calls for timestamps would slow it down further.
#[cfg(target_os = "linux")]
struct Pace {
    last: u64,
    average_gap: u64,
    /// Average gap below which a thread counts as saturated.
    saturated_gap: u64,
}

#[cfg(target_os = "linux")]
impl Pace {
    const fn new(saturated_gap: u64) -> Self {
        Self {
            last: 0,
            average_gap: 2 * saturated_gap,
            saturated_gap,
        }
    }

    /// Records an event. Returns whether the thread is saturated.
    fn is_saturated(&mut self, now: u64) -> bool {
        let gap = now.saturating_sub(self.last);
        self.last = now;
        self.average_gap = self.average_gap - self.average_gap / 256 + gap / 256;
        self.average_gap < self.saturated_gap
    }
}

#[cfg(target_os = "linux")]
impl Arrivals {
    fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).ok();
        Self {
            keeper: socket.filter(|socket| sys::tcp::enable_timestamps(socket).is_ok()),
            offset: None,
            woken_at: 0,
            is_prompt: false,
            last: None,
            connects: Pace::new(SATURATED_CONNECT_GAP),
        }
    }

    /// Enables receive timestamps on a new socket, unless the thread is saturated.
    fn watch_new(&mut self, socket: &TcpStream, now: u64) -> bool {
        !self.connects.is_saturated(now) && self.watch(socket)
    }

    /// Enables receive timestamps on a socket. Without them, the time of a reply is when it was read.
    fn watch(&self, socket: &TcpStream) -> bool {
        self.keeper.is_some() && sys::tcp::enable_timestamps(socket).is_ok()
    }

    /// Forgets the events of an earlier wait.
    fn begin_wait(&mut self) {
        self.offset = None;
        self.is_prompt = false;
    }

    /// The arrival of the bytes that are read next, if it is known without a timestamp.
    fn expected(&self) -> Option<u64> {
        self.is_prompt.then_some(self.woken_at)
    }

    /// Records the timestamp of bytes that were read.
    fn note(&mut self, realtime: u64, clock: &Clock) {
        let offset = *self
            .offset
            .get_or_insert_with(|| sys::clocks::realtime().saturating_sub(clock.now()));
        let arrival = realtime.saturating_sub(offset);
        self.is_prompt = self.woken_at.saturating_sub(arrival) <= PROMPT;
        self.last = Some(arrival);
    }
}

/// A connection and its readiness state.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts reported by the kernel"
)]
struct Connection {
    stream: TcpStream,
    /// An error that was taken from the socket, which clears it there, and not reported yet.
    error: Option<io::ErrorKind>,
    /// Retransmitted SYNs.
    syn_retransmissions: u32,
    /// When it was opened (cached clock), milliseconds, for [`SYN_RETRANSMISSION_POSSIBLE`].
    opened: u32,
    phase: Phase,
    /// Whether a read has emptied the socket; the next event reports more.
    drained: bool,
    /// Whether the peer's FIN follows the readable bytes.
    finished: bool,
    /// Whether an error may follow the readable bytes. No further event reports it.
    suspect: bool,
    wants_write: bool,
    /// Whether the poll reports writability.
    reports_writable: bool,
    has_written: bool,
    /// Whether `TCP_NODELAY` is set.
    no_delay: bool,
    /// Whether the socket has receive timestamps.
    #[cfg(target_os = "linux")]
    has_timestamps: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Connected,
    Failed,
}

impl KernelNetwork {
    /// Raises this process's limit of open files and creates the poll.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        // If it fails, load errors are reported as `LocalFiles` later.
        let _ = sys::limits::raise_open_files();
        let poll = Poll::new()?;
        #[cfg(target_os = "linux")]
        let timer = PreciseTimer::new(&poll)?;
        Ok(Self {
            poll,
            ready: Events::with_capacity(EVENTS),
            connections: Vec::new(),
            free: Vec::new(),
            clock: Clock::new(),
            established: Vec::new(),
            #[cfg(target_os = "linux")]
            timer,
            #[cfg(target_os = "linux")]
            arrivals: Arrivals::new(),
        })
    }

    /// Like [`Self::new`], but without the kernel's receive timestamps, to measure their cost. A
    /// reply's time is then when it was read.
    ///
    /// # Errors
    /// The system has no more descriptors.
    #[cfg(target_os = "linux")]
    pub fn without_timestamps() -> io::Result<Self> {
        let mut network = Self::new()?;
        network.arrivals.keeper = None;
        Ok(network)
    }

    /// A connection and the clock that its system calls invalidate.
    fn connection(&mut self, id: ConnectionId) -> io::Result<(&mut Connection, &Clock)> {
        let connection = self.connections.get_mut(id.0).and_then(Option::as_mut);
        let connection = connection.ok_or(io::ErrorKind::NotConnected)?;
        Ok((connection, &self.clock))
    }

    /// Waits in the kernel and collects ready events. May return early.
    fn select(&mut self, until: Option<NetworkTime>) -> io::Result<()> {
        let until = until.map(nanos);
        #[cfg(target_os = "linux")]
        self.arrivals.begin_wait();
        #[cfg(target_os = "linux")]
        return self
            .timer
            .poll(&mut self.poll, &mut self.ready, &self.clock, until);
        #[cfg(not(target_os = "linux"))]
        {
            let left = until.map(|until| until.saturating_sub(self.clock.recent()));
            self.clock.invalidate();
            let left = left.map(Duration::from_nanos);
            self.poll.poll(&mut self.ready, left)
        }
    }
}

fn open_socket(to: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let kind = Type::STREAM.nonblocking();
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let kind = Type::STREAM;
    let socket = Socket::new(Domain::for_address(to), kind, Some(Protocol::TCP))?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    socket.set_nonblocking(true)?;
    if let Some(source) = source {
        // Optional: without it, local ports run out sooner.
        let _ = sys::tcp::bind_address_only(&socket);
        socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))?;
    }
    match socket.connect(&SockAddr::from(to)) {
        Ok(()) => {}
        #[cfg(unix)]
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && cfg!(windows) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

fn failure(error: &io::Error) -> ConnectFailure {
    #[cfg(unix)]
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
            return ConnectFailure::LocalFiles;
        }
        // EAGAIN: connect(2) on Linux without a free port or routing entry.
        Some(libc::EADDRNOTAVAIL | libc::EADDRINUSE | libc::EAGAIN) => {
            return ConnectFailure::LocalPorts;
        }
        _ => {}
    }
    match error.kind() {
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => ConnectFailure::LocalPorts,
        io::ErrorKind::TimedOut => ConnectFailure::TimedOut,
        // The SYN was answered with a reset, or the listener dropped the connection.
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted => ConnectFailure::Refused,
        // No route, a firewall's ICMP error, or an address that cannot be connected to.
        _ => ConnectFailure::Unreachable,
    }
}

impl Connection {
    /// Determines the handshake's result.
    fn settle(&mut self, failed: bool, now: Duration) -> Result<(), ConnectFailure> {
        // Writable without an error flag means connected, so no system call is needed.
        if failed && let Ok(Some(error)) = self.stream.take_error() {
            match error.kind() {
                // The connection was established, then reset before this event was handled.
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    self.keep_error(error.kind());
                }
                _ => return Err(failure(&error)),
            }
        }
        let opened = Duration::from_millis(self.opened.into());
        if now.saturating_sub(opened) > SYN_RETRANSMISSION_POSSIBLE {
            let info = sys::tcp::info(&self.stream);
            self.syn_retransmissions = info.map_or(0, |info| info.total_retransmissions);
        }
        Ok(())
    }

    /// Calls `read` for up to `room` bytes, unless the socket is known to be empty.
    fn read_with(
        &mut self,
        room: usize,
        read: impl FnOnce(&mut TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.drained {
            return match self.error {
                Some(kind) => Err(kind.into()),
                None if self.finished => Ok(0),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        match read(&mut self.stream) {
            Ok(0) if room > 0 && self.error.is_some() => {
                // The reset was taken from the socket before.
                self.drained = true;
                Err(self.error.unwrap_or(io::ErrorKind::Other).into())
            }
            Ok(length) => {
                // Later data causes a new edge. On Windows only a read that would block re-arms it.
                self.drained = length < room && !self.suspect && cfg!(not(windows));
                self.finished |= length == 0 && room > 0;
                Ok(length)
            }
            Err(error) => {
                self.drained = true;
                Err(error)
            }
        }
    }

    /// Keeps an error taken from the socket, for a read to report after the bytes before it.
    fn keep_error(&mut self, error: io::ErrorKind) {
        if error == io::ErrorKind::BrokenPipe {
            // The reset came after the peer's FIN, so the reader gets the FIN first.
            self.finished = true;
        } else {
            self.error = Some(error);
        }
        self.drained = false;
    }
}

impl Network for KernelNetwork {
    fn now(&self) -> NetworkTime {
        NetworkTime::from_nanos(self.clock.now())
    }

    fn recent(&self) -> NetworkTime {
        NetworkTime::from_nanos(self.clock.recent())
    }

    fn connect(
        &mut self,
        to: SocketAddr,
        source: Option<IpAddr>,
    ) -> Result<ConnectionId, ConnectFailure> {
        self.clock.invalidate();
        let mut stream = open_socket(to, source).map_err(|error| failure(&error))?;
        #[cfg(target_os = "linux")]
        let has_timestamps = self.arrivals.watch_new(&stream, self.clock.last());
        let number = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        // Over loopback the handshake is complete when connect(2) returns, unless the accept queue
        // is full. That needs no event, nor does room in an empty buffer.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let is_established = to.ip().is_loopback() && sys::tcp::has_peer(&stream);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let is_established = false;
        let interest = if is_established {
            Interest::READABLE
        } else {
            READ_AND_WRITE
        };
        let registered = self
            .poll
            .registry()
            .register(&mut stream, Token(number), interest);
        if registered.is_err() {
            self.free.push(number);
            // ENOSPC (epoll's watch limit) or ENOMEM.
            return Err(ConnectFailure::LocalFiles);
        }
        let opened = self.clock.last() / 1_000_000;
        self.connections[number] = Some(Connection {
            stream,
            error: None,
            syn_retransmissions: 0,
            opened: u32::try_from(opened).unwrap_or(u32::MAX),
            phase: if is_established {
                Phase::Connected
            } else {
                Phase::Connecting
            },
            drained: true,
            finished: false,
            suspect: false,
            wants_write: false,
            reports_writable: !is_established,
            has_written: false,
            no_delay: false,
            #[cfg(target_os = "linux")]
            has_timestamps,
        });
        if is_established {
            self.established.push(ConnectionId(number));
        }
        Ok(ConnectionId(number))
    }

    #[cfg(target_os = "linux")]
    fn read(&mut self, id: ConnectionId, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        let expected = self.arrivals.expected();
        let mut timestamp = None;
        let (connection, clock) = self.connection(id)?;
        let asks = expected.is_none() && connection.has_timestamps;
        let result = connection.read_with(room, |stream| {
            clock.invalidate();
            if !asks {
                return stream.read(buffer);
            }
            let (length, time) = sys::tcp::receive(stream, buffer)?;
            timestamp = time;
            Ok(length)
        });
        self.arrivals.last = expected;
        if let Some(timestamp) = timestamp {
            self.arrivals.note(timestamp, &self.clock);
        }
        result
    }

    #[cfg(target_os = "linux")]
    fn arrival(&self) -> Option<NetworkTime> {
        self.arrivals.last.map(NetworkTime::from_nanos)
    }

    #[cfg(not(target_os = "linux"))]
    fn read(&mut self, id: ConnectionId, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        let (connection, clock) = self.connection(id)?;
        connection.read_with(room, |stream| {
            clock.invalidate();
            stream.read(buffer)
        })
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn discard(&mut self, id: ConnectionId, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        let (connection, clock) = self.connection(id)?;
        connection.read_with(room, |stream| {
            clock.invalidate();
            sys::tcp::discard(stream, room)
        })
    }

    fn write(&mut self, id: ConnectionId, data: &[u8]) -> io::Result<usize> {
        let Some(Some(connection)) = self.connections.get_mut(id.0) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        self.clock.invalidate();
        // Nagle's algorithm only delays data that follows other data: a first, short message does
        // not need the system call.
        if !connection.no_delay && (connection.has_written || data.len() > MIN_MSS) {
            connection.no_delay = connection.stream.set_nodelay(true).is_ok();
            // A second request shows that the connection is kept, so the system call pays off.
            #[cfg(target_os = "linux")]
            if !connection.has_timestamps {
                connection.has_timestamps = self.arrivals.watch(&connection.stream);
            }
        }
        if let Some(kind) = connection.error {
            return Err(kind.into());
        }
        let result = connection.stream.write(data);
        connection.has_written = true;
        connection.wants_write = match &result {
            Ok(length) => *length < data.len(),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if connection.wants_write && !connection.reports_writable {
            let registry = self.poll.registry();
            registry.reregister(&mut connection.stream, Token(id.0), READ_AND_WRITE)?;
            connection.reports_writable = true;
        }
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::WouldBlock
        {
            connection.keep_error(error.kind());
        }
        result
    }

    fn finish(&mut self, id: ConnectionId) {
        if let Ok((connection, clock)) = self.connection(id) {
            clock.invalidate();
            // Fails only if the connection is broken, which the next read reports.
            let _ = connection.stream.shutdown(std::net::Shutdown::Write);
        }
    }

    fn release(&mut self, id: ConnectionId, how: Release) {
        let Some(connection) = self.connections.get_mut(id.0).and_then(Option::take) else {
            return;
        };
        self.clock.invalidate();
        self.free.push(id.0);
        if !self.established.is_empty() {
            self.established.retain(|&connected| connected != id);
        }
        if how == Release::Reset {
            // Resets even with unsent or unread bytes.
            let _ = SockRef::from(&connection.stream).set_linger(Some(Duration::ZERO));
        }
        // Closing deregisters it.
        drop(connection);
    }

    fn info(&self, id: ConnectionId) -> Option<ConnectionInfo> {
        let connection = self.connections.get(id.0)?.as_ref()?;
        self.clock.invalidate();
        let info = sys::tcp::info(&connection.stream)?;
        let total = info.total_retransmissions;
        let is_data = info.bytes_retransmitted != Some(0);
        let syns = match connection.phase {
            Phase::Connected if is_data => connection.syn_retransmissions.min(total),
            // The connection was never established, or no data was retransmitted.
            _ => total,
        };
        Some(ConnectionInfo {
            syn_retransmissions: syns,
            retransmissions: total - syns,
            smoothed_rtt: info.smoothed_rtt,
            min_rtt: info.min_rtt,
            receiver_limited: info.receiver_limited,
            send_buffer_limited: info.send_buffer_limited,
            busy: info.busy,
        })
    }

    fn unacknowledged(&self, id: ConnectionId) -> Option<u64> {
        let connection = self.connections.get(id.0)?.as_ref()?;
        self.clock.invalidate();
        let bytes = sys::tcp::unacknowledged(&connection.stream)
            .ok()
            .flatten()?;
        u64::try_from(bytes).ok()
    }

    fn wait(&mut self, until: Option<NetworkTime>, events: &mut Vec<Event>) -> io::Result<()> {
        let known = self.established.len();
        events.extend(self.established.drain(..).map(Event::Connected));
        if known > 0 && known == self.connections.len() - self.free.len() {
            // No other connection can have events.
            return Ok(());
        }
        let until = if known > 0 {
            Some(NetworkTime::ZERO)
        } else {
            until
        };
        match self.select(until) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        #[cfg(target_os = "linux")]
        {
            self.arrivals.woken_at = self.clock.recent();
        }
        for event in &self.ready {
            let Token(number) = event.token();
            let Some(Some(connection)) = self.connections.get_mut(number) else {
                continue;
            };
            let id = ConnectionId(number);
            match connection.phase {
                Phase::Failed => continue,
                Phase::Connecting => {
                    let failed = event.is_error();
                    if !failed && !event.is_writable() {
                        continue;
                    }
                    match connection.settle(failed, NetworkTime::from_nanos(self.clock.recent())) {
                        Ok(()) => {
                            connection.phase = Phase::Connected;
                            events.push(Event::Connected(id));
                        }
                        Err(failure) => {
                            connection.phase = Phase::Failed;
                            events.push(Event::Failed(id, failure));
                            continue;
                        }
                    }
                }
                Phase::Connected => {}
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                connection.drained = false;
                // Closed in both directions means a reset; the next read confirms it.
                connection.suspect |= event.is_error() || event.is_write_closed();
                connection.finished |= event.is_read_closed() && !connection.suspect;
                events.push(Event::Readable(id));
            }
            if connection.wants_write && event.is_writable() {
                connection.wants_write = false;
                events.push(Event::Writable(id));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
