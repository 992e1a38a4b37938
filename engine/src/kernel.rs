//! The readiness interface over the operating system's sockets: mio, edge-triggered.
//!
//! As few system calls as a connection can be had for. What readiness has told already is not
//! asked again: a short read has emptied the socket, and a FIN that the event has announced
//! follows it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::clock::Clock;
#[cfg(target_os = "linux")]
use super::punctual::Punctual;
use super::readiness::{
    ConnectFailure, ConnectionId, ConnectionInfo, Event, Network, NetworkTime, Release, nanos,
};
use crate::sys;

/// Events taken from the kernel at a time: few enough that the last of them is not old when its
/// turn comes.
const EVENTS: usize = 128;

/// What a connection's poll tells of.
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// A handshake that took longer than this may have had its SYN repeated: no kernel repeats one
/// sooner. Those that were faster are not asked.
const SYN_MAY_HAVE_BEEN_REPEATED: Duration = Duration::from_millis(100);

/// A message longer than this is more than one segment on some path (RFC 9293, section 3.7.1).
const SMALLEST_MSS: usize = 536;

/// The operating system's sockets.
pub struct KernelNetwork {
    poll: Poll,
    ready: Events,
    connections: Vec<Option<Connection>>,
    /// Numbers that are free again.
    free: Vec<usize>,
    clock: Clock,
    /// Connections that stood at once, and are not told of yet.
    standing: Vec<ConnectionId>,
    #[cfg(target_os = "linux")]
    alarm: Punctual,
}

/// A connection, and what its readiness has told.
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that the kernel tells one by one, in any combination"
)]
struct Connection {
    stream: TcpStream,
    /// An error that was taken from the socket (asking for it clears it), not yet told.
    error: Option<io::ErrorKind>,
    /// SYNs that were sent again.
    syn_retransmissions: u32,
    /// When it was opened, or the clock read before that, milliseconds: for
    /// [`SYN_MAY_HAVE_BEEN_REPEATED`].
    opened: u32,
    phase: Phase,
    /// A read has taken all that there was; the next event says when there is more.
    drained: bool,
    /// The peer's FIN is behind what can be read.
    finished: bool,
    /// Something else may be behind it: an error, which no further event will tell of.
    suspect: bool,
    /// A write was short.
    wants_write: bool,
    /// The poll tells of room to write.
    hears_of_room: bool,
    /// Something was written already.
    has_written: bool,
    /// Nagle's algorithm is off.
    no_delay: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Connected,
    Failed,
}

impl KernelNetwork {
    /// Raises this process's limit of open files as far as it goes, and opens the poll.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        // Where that fails, the limit is met as `LocalFiles`, and said then.
        let _ = sys::limits::raise_open_files();
        let poll = Poll::new()?;
        #[cfg(target_os = "linux")]
        let alarm = Punctual::new(&poll)?;
        Ok(Self {
            poll,
            ready: Events::with_capacity(EVENTS),
            connections: Vec::new(),
            free: Vec::new(),
            clock: Clock::new(),
            standing: Vec::new(),
            #[cfg(target_os = "linux")]
            alarm,
        })
    }

    /// A connection, and the clock that its system calls move on.
    fn connection(&mut self, id: ConnectionId) -> io::Result<(&mut Connection, &Clock)> {
        let connection = self.connections.get_mut(id.0).and_then(Option::as_mut);
        let connection = connection.ok_or(io::ErrorKind::NotConnected)?;
        Ok((connection, &self.clock))
    }

    /// Waits in the kernel, and takes the first of what is ready. May return early.
    fn select(&mut self, until: Option<NetworkTime>) -> io::Result<()> {
        let until = until.map(nanos);
        #[cfg(target_os = "linux")]
        return self
            .alarm
            .poll(&mut self.poll, &mut self.ready, &self.clock, until);
        #[cfg(not(target_os = "linux"))]
        {
            let left = until.map(|until| until.saturating_sub(self.clock.recent()));
            self.clock.moves();
            let left = left.map(Duration::from_nanos);
            self.poll.poll(&mut self.ready, left)
        }
    }
}

/// Opens a socket and sends the SYN.
fn dial(to: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let kind = Type::STREAM.nonblocking();
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let kind = Type::STREAM;
    let socket = Socket::new(Domain::for_address(to), kind, Some(Protocol::TCP))?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    socket.set_nonblocking(true)?;
    if let Some(source) = source {
        // Without it ports run out sooner; that is no reason not to try.
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

/// Why there is no connection, in the readiness interface's words.
fn failure(error: &io::Error) -> ConnectFailure {
    #[cfg(unix)]
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
            return ConnectFailure::LocalFiles;
        }
        // EAGAIN: connect(2) on Linux, for want of a port or a route's entry.
        Some(libc::EADDRNOTAVAIL | libc::EADDRINUSE | libc::EAGAIN) => {
            return ConnectFailure::LocalPorts;
        }
        _ => {}
    }
    match error.kind() {
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => ConnectFailure::LocalPorts,
        io::ErrorKind::TimedOut => ConnectFailure::TimedOut,
        // A reset to the SYN; on a socket that a listener has dropped, it reads as the others.
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted => ConnectFailure::Refused,
        // No route, a firewall's word, or an address that can't be connected to.
        _ => ConnectFailure::Unreachable,
    }
}

impl Connection {
    /// Decides how the handshake has ended.
    fn settle(&mut self, failed: bool, now: Duration) -> Result<(), ConnectFailure> {
        // Without an error flag, writable is connected: the socket need not be asked.
        if failed && let Ok(Some(error)) = self.stream.take_error() {
            match error.kind() {
                // Connected, and reset before anybody has looked.
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    self.has_met(error.kind());
                }
                _ => return Err(failure(&error)),
            }
        }
        let opened = Duration::from_millis(self.opened.into());
        if now.saturating_sub(opened) > SYN_MAY_HAVE_BEEN_REPEATED {
            let info = sys::tcp::info(&self.stream);
            self.syn_retransmissions = info.map_or(0, |info| info.total_retransmissions);
        }
        Ok(())
    }

    /// Takes up to `room` bytes by `read`, which is not asked where there are none.
    fn take(
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
                // The socket no longer knows the reset that was taken from it.
                self.drained = true;
                Err(self.error.unwrap_or(io::ErrorKind::Other).into())
            }
            Ok(length) => {
                // Another edge comes with whatever comes after this read; on Windows only a read
                // that would block arms the next one.
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

    /// Keeps an error that the socket has told, and with that forgotten: a read is to know it
    /// still, after the bytes that came before it.
    fn has_met(&mut self, error: io::ErrorKind) {
        if error == io::ErrorKind::BrokenPipe {
            // A reset after the peer's FIN: whoever reads comes to the FIN first.
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
        self.clock.moves();
        let mut stream = dial(to, source).map_err(|error| failure(&error))?;
        let number = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        // Over loopback the handshake is done when connect(2) returns, but for a full queue. What
        // is known then costs no event, nor does room in an empty buffer.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let stands = to.ip().is_loopback() && sys::tcp::has_peer(&stream);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let stands = false;
        let interest = if stands { Interest::READABLE } else { BOTH };
        let registered = self
            .poll
            .registry()
            .register(&mut stream, Token(number), interest);
        if registered.is_err() {
            self.free.push(number);
            // ENOSPC (epoll's limit of watches) or ENOMEM.
            return Err(ConnectFailure::LocalFiles);
        }
        let opened = self.clock.last() / 1_000_000;
        self.connections[number] = Some(Connection {
            stream,
            error: None,
            syn_retransmissions: 0,
            opened: u32::try_from(opened).unwrap_or(u32::MAX),
            phase: if stands {
                Phase::Connected
            } else {
                Phase::Connecting
            },
            drained: true,
            finished: false,
            suspect: false,
            wants_write: false,
            hears_of_room: !stands,
            has_written: false,
            no_delay: false,
        });
        if stands {
            self.standing.push(ConnectionId(number));
        }
        Ok(ConnectionId(number))
    }

    fn read(&mut self, id: ConnectionId, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        let (connection, clock) = self.connection(id)?;
        connection.take(room, |stream| {
            clock.moves();
            stream.read(buffer)
        })
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn discard(&mut self, id: ConnectionId, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        let (connection, clock) = self.connection(id)?;
        connection.take(room, |stream| {
            clock.moves();
            sys::tcp::discard(stream, room)
        })
    }

    fn write(&mut self, id: ConnectionId, data: &[u8]) -> io::Result<usize> {
        let Some(Some(connection)) = self.connections.get_mut(id.0) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        self.clock.moves();
        // Nagle can only hold back what follows something: a first, short message needs no
        // system call to be let go.
        if !connection.no_delay && (connection.has_written || data.len() > SMALLEST_MSS) {
            connection.no_delay = connection.stream.set_nodelay(true).is_ok();
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
        if connection.wants_write && !connection.hears_of_room {
            let registry = self.poll.registry();
            registry.reregister(&mut connection.stream, Token(id.0), BOTH)?;
            connection.hears_of_room = true;
        }
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::WouldBlock
        {
            connection.has_met(error.kind());
        }
        result
    }

    fn finish(&mut self, id: ConnectionId) {
        if let Ok((connection, clock)) = self.connection(id) {
            clock.moves();
            // It fails only where the connection is gone, which a read tells.
            let _ = connection.stream.shutdown(std::net::Shutdown::Write);
        }
    }

    fn release(&mut self, id: ConnectionId, how: Release) {
        let Some(connection) = self.connections.get_mut(id.0).and_then(Option::take) else {
            return;
        };
        self.clock.moves();
        self.free.push(id.0);
        if !self.standing.is_empty() {
            self.standing.retain(|&standing| standing != id);
        }
        if how == Release::Reset {
            // Closing with unsent or unread bytes is then no FIN either.
            let _ = SockRef::from(&connection.stream).set_linger(Some(Duration::ZERO));
        }
        // Closing takes it out of the poll.
        drop(connection);
    }

    fn info(&self, id: ConnectionId) -> Option<ConnectionInfo> {
        let connection = self.connections.get(id.0)?.as_ref()?;
        self.clock.moves();
        let info = sys::tcp::info(&connection.stream)?;
        let total = info.total_retransmissions;
        let is_data = info.bytes_retransmitted != Some(0);
        let syns = match connection.phase {
            Phase::Connected if is_data => connection.syn_retransmissions.min(total),
            // Never connected, or not a byte of data was repeated.
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
        self.clock.moves();
        let bytes = sys::tcp::unacknowledged(&connection.stream)
            .ok()
            .flatten()?;
        u64::try_from(bytes).ok()
    }

    fn wait(&mut self, until: Option<NetworkTime>, events: &mut Vec<Event>) -> io::Result<()> {
        let known = self.standing.len();
        events.extend(self.standing.drain(..).map(Event::Connected));
        if known > 0 && known == self.connections.len() - self.free.len() {
            // They have said nothing yet, and there is nobody else.
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
                // Closed for both directions is a reset, or the read is to find out.
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
