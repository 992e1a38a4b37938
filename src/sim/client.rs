//! The client stack at the host's end of the cable: smoltcp, polled directly.
//!
//! Plain state, told the time by whoever owns it: [`super::network::VirtualNetwork`] drives it on
//! the bench's thread, [`super::stream`] on one of its own for async streams.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::Waker;

use embassy_time::Instant;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, IpListenEndpoint};

use super::cable::{End, MAX_FRAME};
use super::observer::Observer;
use super::router::Router;
use tcpctl_engine::readiness::{ConnectFailure, ConnectionInfo};

/// The client's own hardware address: locally administered.
const MAC: [u8; 6] = [0x02, 0x74, 0x63, 0x70, 0x00, 0x02];

/// Receive and send buffers of one connection, bytes: a usual desktop's window without scaling.
const BUFFER: usize = 65_535;

/// The ports that a client picks from (RFC 6335, section 6).
const FIRST_EPHEMERAL_PORT: u16 = 49_152;

/// The client's TCP/IP stack.
pub struct ClientStack {
    interface: Interface,
    sockets: SocketSet<'static>,
    device: CableDevice,
    next_port: u16,
    router: Option<Router>,
}

/// A connection of the client stack, until it is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle {
    socket: SocketHandle,
    /// Its own port, which smoltcp forgets when the connection has ended.
    port: u16,
}

impl ClientStack {
    /// A stack at `end` with one address.
    pub fn new(end: End, address: Ipv4Addr, prefix: u8, now: Instant, seed: u64) -> Self {
        let mut device = CableDevice {
            end,
            observer: Observer::default(),
        };
        let mut config = Config::new(EthernetAddress(MAC).into());
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut device, timestamp(now));
        interface.update_ip_addrs(|addresses| {
            // The list of a new interface is empty and holds at least one.
            let _ = addresses.push(IpCidr::new(address.into(), prefix));
        });
        // The seed moves the first port, so that a board that remembers sees new connections.
        let span = u64::from(u16::MAX - FIRST_EPHEMERAL_PORT);
        let offset = u16::try_from(seed % span).unwrap_or_default();
        Self {
            interface,
            sockets: SocketSet::new(Vec::new()),
            device,
            next_port: FIRST_EPHEMERAL_PORT + offset,
            router: None,
        }
    }

    /// The same stack, and the DHCP server of its network.
    #[must_use]
    pub fn with_router(mut self, address: Ipv4Addr, prefix: u8) -> Self {
        self.router = Some(Router::new(&mut self.sockets, address, prefix));
        self
    }

    /// Starts a connection; the SYN goes out with the next [`ClientStack::poll`].
    ///
    /// # Errors
    /// [`ConnectFailure::Unreachable`] for an address that this stack can't have on its cable,
    /// [`ConnectFailure::LocalPorts`] when every port is in use.
    pub fn connect(&mut self, to: SocketAddr) -> Result<Handle, ConnectFailure> {
        let IpAddr::V4(address) = to.ip() else {
            return Err(ConnectFailure::Unreachable);
        };
        let port = self.free_port().ok_or(ConnectFailure::LocalPorts)?;
        let mut socket = tcp::Socket::new(
            tcp::SocketBuffer::new(vec![0; BUFFER]),
            tcp::SocketBuffer::new(vec![0; BUFFER]),
        );
        // A desktop's client: small writes leave at once, and an ACK is not held back longer than
        // Linux does in its quick-ACK mode.
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        let local = IpListenEndpoint { addr: None, port };
        socket
            .connect(
                self.interface.context(),
                (IpAddress::Ipv4(address), to.port()),
                local,
            )
            .map_err(|_| ConnectFailure::Unreachable)?;
        self.device.observer.opened(port);
        Ok(Handle {
            socket: self.sockets.add(socket),
            port,
        })
    }

    /// Sends and receives what there is; wakes the wakers of the sockets concerned.
    pub fn poll(&mut self, now: Instant) {
        loop {
            self.interface
                .poll(timestamp(now), &mut self.device, &mut self.sockets);
            let router = self.router.as_mut();
            if !router.is_some_and(|router| router.serve(&mut self.sockets, now)) {
                return;
            }
        }
    }

    /// When to poll again, if nobody touches the stack before; `None` is only when woken.
    pub fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        let stack = self
            .interface
            .poll_at(timestamp(now), &self.sockets)
            .map(|at| Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or_default()));
        // What the stack wants to send now, and could not, goes when the cable has room.
        let stack = match (stack, self.device.end.room(now)) {
            (Some(at), Err(room)) if at <= now => room,
            (at, _) => at,
        };
        [stack, self.device.end.next_arrival()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Wakes `waker` when a frame comes or the cable has room again.
    pub fn wake(&mut self, waker: &Waker) {
        self.device.end.wake(waker);
    }

    /// The connection's state, in terms of RFC 9293.
    pub fn state(&self, handle: Handle) -> State {
        self.socket(handle).state()
    }

    /// Reads what has come. `Ok(0)` is the peer's FIN.
    ///
    /// # Errors
    /// `WouldBlock` when nothing has come, `ConnectionReset` after a reset.
    pub fn read(&mut self, handle: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        match self.socket_mut(handle).recv_slice(buffer) {
            Ok(0) if !buffer.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            Ok(length) => Ok(length),
            Err(tcp::RecvError::Finished) => Ok(0),
            Err(tcp::RecvError::InvalidState) => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    /// Queues bytes to be sent.
    ///
    /// # Errors
    /// `WouldBlock` when the send buffer is full, `BrokenPipe` after our own FIN,
    /// `ConnectionReset` after a reset.
    pub fn write(&mut self, handle: Handle, data: &[u8]) -> io::Result<usize> {
        let socket = self.socket_mut(handle);
        match socket.send_slice(data) {
            Ok(0) if !data.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            Ok(length) => Ok(length),
            Err(tcp::SendError::InvalidState) if socket.state() == State::Closed => {
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Err(tcp::SendError::InvalidState) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Sends a FIN after all that was written; reading goes on.
    pub fn finish(&mut self, handle: Handle) {
        self.socket_mut(handle).close();
    }

    /// Resets the connection.
    pub fn abort(&mut self, handle: Handle) {
        self.socket_mut(handle).abort();
    }

    /// Bytes that were written and not yet acknowledged, a FIN that was not included.
    pub fn unacknowledged(&self, handle: Handle) -> usize {
        let socket = self.socket(handle);
        let fin = matches!(
            socket.state(),
            State::FinWait1 | State::Closing | State::LastAck
        );
        socket.send_queue() + usize::from(fin)
    }

    /// Whether the connection is over: nothing of it is left to send or to wait for.
    pub fn is_over(&self, handle: Handle) -> bool {
        let socket = self.socket(handle);
        match socket.state() {
            State::TimeWait => true,
            // A reset that has not been sent yet still has its endpoint.
            State::Closed => socket.remote_endpoint().is_none(),
            _ => false,
        }
    }

    /// Forgets a connection. Whatever of it has not been sent is lost.
    pub fn release(&mut self, handle: Handle) {
        self.device.observer.closed(handle.port);
        self.sockets.remove(handle.socket);
    }

    /// Whether there is something to read: bytes, a FIN or a reset.
    pub fn can_read(&self, handle: Handle) -> bool {
        let socket = self.socket(handle);
        socket.can_recv() || !socket.may_recv() && socket.state() != State::SynSent
    }

    /// Whether bytes have come that nobody has read.
    pub fn has_unread(&self, handle: Handle) -> bool {
        self.socket(handle).recv_queue() > 0
    }

    /// Whether bytes can be written now.
    pub fn can_write(&self, handle: Handle) -> bool {
        self.socket(handle).can_send()
    }

    /// Wakes `waker` once, when there is something to read.
    pub fn wake_reader(&mut self, handle: Handle, waker: &Waker) {
        self.socket_mut(handle).register_recv_waker(waker);
    }

    /// Wakes `waker` once, when bytes were acknowledged or the state has changed.
    pub fn wake_writer(&mut self, handle: Handle, waker: &Waker) {
        self.socket_mut(handle).register_send_waker(waker);
    }

    /// The connection's own address.
    pub fn local_address(&self, handle: Handle) -> Option<SocketAddr> {
        let local = self.socket(handle).local_endpoint()?;
        Some(SocketAddr::new(local.addr.into(), local.port))
    }

    /// What was seen by `now` of the connection on the cable.
    pub fn info(&self, handle: Handle, now: Instant) -> Option<ConnectionInfo> {
        self.device.observer.info(handle.port, now)
    }

    fn socket(&self, handle: Handle) -> &tcp::Socket<'static> {
        self.sockets.get(handle.socket)
    }

    fn socket_mut(&mut self, handle: Handle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle.socket)
    }

    /// The next port that no connection uses.
    fn free_port(&mut self) -> Option<u16> {
        for _ in FIRST_EPHEMERAL_PORT..=u16::MAX {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
            if !self.device.observer.is_open(port) {
                return Some(port);
            }
        }
        None
    }
}

/// smoltcp's time for the clock's.
fn timestamp(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

/// The cable's end as smoltcp's device.
struct CableDevice {
    end: End,
    observer: Observer,
}

impl Device for CableDevice {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, timestamp: smoltcp::time::Instant) -> Option<(Received, Sending<'_>)> {
        let now = clock_time(timestamp);
        let frame = self.end.receive(now)?;
        self.observer.received(&frame, now);
        Some((Received(frame), Sending { device: self, now }))
    }

    fn transmit(&mut self, timestamp: smoltcp::time::Instant) -> Option<Sending<'_>> {
        let now = clock_time(timestamp);
        self.end.room(now).ok()?;
        Some(Sending { device: self, now })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MAX_FRAME;
        capabilities
    }
}

fn clock_time(timestamp: smoltcp::time::Instant) -> Instant {
    Instant::from_micros(u64::try_from(timestamp.total_micros()).unwrap_or_default())
}

/// A frame that has arrived.
struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// Room for a frame to send.
struct Sending<'a> {
    device: &'a mut CableDevice,
    now: Instant,
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.device.observer.sent(&frame, self.now);
        self.device.end.send(self.now, frame);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::cable::cable;
    use crate::sim::fate::Quality;

    #[test]
    fn a_connection_that_was_refused_is_still_known_and_gives_its_port_back() {
        let now = Instant::from_ticks(0);
        let (board_end, host_end) = cable(Quality::IDEAL);
        let there = Ipv4Addr::new(192, 168, 1, 1);
        let mut client = ClientStack::new(host_end, Ipv4Addr::new(192, 168, 1, 2), 24, now, 1);
        // Nobody listens there.
        let mut board = ClientStack::new(board_end, there, 24, now, 2);
        let handle = client.connect((there, 3000).into()).expect("a free port");
        for _ in 0..8 {
            client.poll(now);
            board.poll(now);
        }
        assert_eq!(client.state(handle), State::Closed);
        assert!(client.device.observer.is_open(handle.port));
        assert_eq!(client.info(handle, now), Some(ConnectionInfo::default()));
        client.release(handle);
        assert!(!client.device.observer.is_open(handle.port));
    }
}
