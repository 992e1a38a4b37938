//! The client's TCP/IP stack at the host's end of the link: smoltcp, polled directly.
//!
//! Plain state: the owner passes the time. [`super::network::VirtualNetwork`] drives it on the bench
//! thread, [`super::stream`] on a thread of its own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::Waker;

use embassy_time::Instant;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, IpListenEndpoint};

use super::link::{End, MAX_FRAME};
use super::observer::Observer;
use super::router::Router;
use tcpctl_engine::readiness::{ConnectFailure, ConnectionInfo};

/// The client's MAC address: locally administered.
const MAC: [u8; 6] = [0x02, 0x74, 0x63, 0x70, 0x00, 0x02];

/// Receive and send buffer of one connection, bytes: the largest window without scaling.
const BUFFER: usize = 65_535;

/// First dynamic port (RFC 6335 section 6).
const FIRST_EPHEMERAL_PORT: u16 = 49_152;

/// The client's TCP/IP stack.
pub struct ClientStack {
    interface: Interface,
    sockets: SocketSet<'static>,
    device: LinkDevice,
    next_port: u16,
    router: Option<Router>,
}

/// A connection of the client stack, valid until it is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle {
    socket: SocketHandle,
    /// Local port, which smoltcp forgets when the connection ends.
    port: u16,
}

impl ClientStack {
    /// A stack at `end` with one address.
    pub fn new(end: End, address: Ipv4Addr, prefix: u8, now: Instant, seed: u64) -> Self {
        let mut device = LinkDevice {
            end,
            observer: Observer::default(),
        };
        let mut config = Config::new(EthernetAddress(MAC).into());
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut device, timestamp(now));
        interface.update_ip_addrs(|addresses| {
            // A new interface has room for an address.
            let _ = addresses.push(IpCidr::new(address.into(), prefix));
        });
        // The seed sets the first port, so that a board that remembers peers gets new ones.
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

    /// Adds the DHCP server of the network.
    #[must_use]
    pub fn with_router(mut self, address: Ipv4Addr, prefix: u8) -> Self {
        self.router = Some(Router::new(&mut self.sockets, address, prefix));
        self
    }

    /// Starts a connection; the SYN goes out with the next [`ClientStack::poll`].
    ///
    /// # Errors
    /// [`ConnectFailure::Unreachable`] for an address that is not on the link,
    /// [`ConnectFailure::LocalPorts`] when all ports are in use.
    pub fn connect(&mut self, to: SocketAddr) -> Result<Handle, ConnectFailure> {
        let IpAddr::V4(address) = to.ip() else {
            return Err(ConnectFailure::Unreachable);
        };
        let port = self.free_port().ok_or(ConnectFailure::LocalPorts)?;
        let mut socket = tcp::Socket::new(
            tcp::SocketBuffer::new(vec![0; BUFFER]),
            tcp::SocketBuffer::new(vec![0; BUFFER]),
        );
        // Behaves like a desktop: no Nagle, and no delayed ACKs as in Linux's quick-ACK mode.
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

    /// Processes pending frames and wakes the sockets concerned.
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

    /// When to poll again at the latest; `None`: when woken.
    pub fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        let stack = self
            .interface
            .poll_at(timestamp(now), &self.sockets)
            .map(|at| Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or_default()));
        // Pending output waits until the link has room.
        let stack = match (stack, self.device.end.room(now)) {
            (Some(at), Err(room)) if at <= now => room,
            (at, _) => at,
        };
        [stack, self.device.end.next_arrival()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Registers a waker for arriving frames and room on the link.
    pub fn wake(&mut self, waker: &Waker) {
        self.device.end.wake(waker);
    }

    /// The TCP state (RFC 9293).
    pub fn state(&self, handle: Handle) -> State {
        self.socket(handle).state()
    }

    /// Reads received bytes. `Ok(0)` is the peer's FIN.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing to read, `ConnectionReset` after a reset.
    pub fn read(&mut self, handle: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        match self.socket_mut(handle).recv_slice(buffer) {
            Ok(0) if !buffer.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            Ok(length) => Ok(length),
            Err(tcp::RecvError::Finished) => Ok(0),
            Err(tcp::RecvError::InvalidState) => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    /// Queues bytes to send.
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

    /// Sends a FIN after all written bytes. Reading stays possible.
    pub fn finish(&mut self, handle: Handle) {
        self.socket_mut(handle).close();
    }

    /// Resets the connection.
    pub fn abort(&mut self, handle: Handle) {
        self.socket_mut(handle).abort();
    }

    /// Bytes written and not yet acknowledged; a FIN counts as one.
    pub fn unacknowledged(&self, handle: Handle) -> usize {
        let socket = self.socket(handle);
        let fin = matches!(
            socket.state(),
            State::FinWait1 | State::Closing | State::LastAck
        );
        socket.send_queue() + usize::from(fin)
    }

    /// Whether nothing is left to send or receive.
    pub fn is_over(&self, handle: Handle) -> bool {
        let socket = self.socket(handle);
        match socket.state() {
            State::TimeWait => true,
            // A pending reset keeps its endpoint until it is sent.
            State::Closed => socket.remote_endpoint().is_none(),
            _ => false,
        }
    }

    /// Removes a connection. Unsent data is lost.
    pub fn release(&mut self, handle: Handle) {
        self.device.observer.closed(handle.port);
        self.sockets.remove(handle.socket);
    }

    /// Whether a read returns bytes, a FIN or a reset.
    pub fn can_read(&self, handle: Handle) -> bool {
        let socket = self.socket(handle);
        socket.can_recv() || !socket.may_recv() && socket.state() != State::SynSent
    }

    /// Whether there are unread bytes.
    pub fn has_unread(&self, handle: Handle) -> bool {
        self.socket(handle).recv_queue() > 0
    }

    /// Whether the send buffer has room.
    pub fn can_write(&self, handle: Handle) -> bool {
        self.socket(handle).can_send()
    }

    /// Wakes `waker` once, when a read is possible.
    pub fn wake_reader(&mut self, handle: Handle, waker: &Waker) {
        self.socket_mut(handle).register_recv_waker(waker);
    }

    /// Wakes `waker` once, when bytes are acknowledged or the state changes.
    pub fn wake_writer(&mut self, handle: Handle, waker: &Waker) {
        self.socket_mut(handle).register_send_waker(waker);
    }

    /// The local address.
    pub fn local_address(&self, handle: Handle) -> Option<SocketAddr> {
        let local = self.socket(handle).local_endpoint()?;
        Some(SocketAddr::new(local.addr.into(), local.port))
    }

    /// Counters of the connection as of `now`.
    pub fn info(&self, handle: Handle, now: Instant) -> Option<ConnectionInfo> {
        self.device.observer.info(handle.port, now)
    }

    fn socket(&self, handle: Handle) -> &tcp::Socket<'static> {
        self.sockets.get(handle.socket)
    }

    fn socket_mut(&mut self, handle: Handle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle.socket)
    }

    /// The next unused port.
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

/// Converts to smoltcp's time.
fn timestamp(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

/// The end of the link as a smoltcp device.
struct LinkDevice {
    end: End,
    observer: Observer,
}

impl Device for LinkDevice {
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

/// A received frame.
struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// Permission to send one frame.
struct Sending<'a> {
    device: &'a mut LinkDevice,
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
    use crate::sim::impairment::LinkConfig;
    use crate::sim::link::link;

    #[test]
    fn refused_connection_keeps_its_port_until_release() {
        let now = Instant::from_ticks(0);
        let (board_end, host_end) = link(LinkConfig::IDEAL);
        let there = Ipv4Addr::new(192, 168, 1, 1);
        let mut client = ClientStack::new(host_end, Ipv4Addr::new(192, 168, 1, 2), 24, now, 1);
        // No socket listens on this port.
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
