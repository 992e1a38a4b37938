//! The engine's readiness interface over the virtual link, on the caller's thread.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Wake, Waker};

use embassy_time::Instant;
use smoltcp::socket::tcp::State;

use super::client::{ClientStack, Handle};
use super::clock::{self, Park, ThreadPark};
use tcpctl_engine::readiness::{
    ConnectFailure, ConnectionId, ConnectionInfo, Event, Network, NetworkTime, Release,
};

/// A virtual board's network for the load engine.
///
/// Belongs to the thread that created it: [`Network::wait`] parks that thread.
pub struct VirtualNetwork {
    stack: ClientStack,
    connections: Vec<Option<Connection>>,
    /// Released connections that have not ended yet.
    closing: Vec<Handle>,
    start: Instant,
    park: Box<dyn Park>,
}

/// A connection and the events reported for it.
struct Connection {
    handle: Handle,
    phase: Phase,
    /// Whether the last read or write would have blocked, so that the next readiness is an event.
    wants_read: bool,
    wants_write: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Connected,
    Failed,
}

/// Ends a wait.
struct Unpark(Box<dyn Fn() + Send + Sync>);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        (self.0)();
    }
}

impl VirtualNetwork {
    /// Drives a client stack.
    pub fn new(stack: ClientStack) -> Self {
        Self::with_park(stack, Box::new(ThreadPark::new()))
    }

    /// A network with another way to wait.
    pub(super) fn with_park(mut stack: ClientStack, park: Box<dyn Park>) -> Self {
        stack.wake(&Waker::from(Arc::new(Unpark(park.unparker()))));
        Self {
            stack,
            connections: Vec::new(),
            closing: Vec::new(),
            start: Instant::now(),
            park,
        }
    }

    fn handle(&self, id: ConnectionId) -> Option<Handle> {
        self.connections
            .get(id.0)?
            .as_ref()
            .map(|connection| connection.handle)
    }

    fn poll(&mut self) {
        self.stack.poll(Instant::now());
        let stack = &mut self.stack;
        self.closing.retain(|&handle| {
            let over = stack.is_over(handle);
            if over {
                stack.release(handle);
            }
            !over
        });
    }

    /// Appends new readiness events.
    fn collect(&mut self, events: &mut Vec<Event>) {
        for (number, slot) in self.connections.iter_mut().enumerate() {
            let Some(connection) = slot else { continue };
            let id = ConnectionId(number);
            if connection.phase == Phase::Connecting {
                match self.stack.state(connection.handle) {
                    State::SynSent | State::SynReceived => continue,
                    State::Closed => {
                        connection.phase = Phase::Failed;
                        events.push(Event::Failed(id, ConnectFailure::Refused));
                        continue;
                    }
                    _ => {
                        connection.phase = Phase::Connected;
                        events.push(Event::Connected(id));
                    }
                }
            }
            if connection.phase == Phase::Failed {
                continue;
            }
            if connection.wants_read && self.stack.can_read(connection.handle) {
                connection.wants_read = false;
                events.push(Event::Readable(id));
            }
            if connection.wants_write && self.stack.can_write(connection.handle) {
                connection.wants_write = false;
                events.push(Event::Writable(id));
            }
        }
    }
}

impl Network for VirtualNetwork {
    fn now(&self) -> NetworkTime {
        (Instant::now() - self.start).into()
    }

    fn connect(
        &mut self,
        to: SocketAddr,
        source: Option<IpAddr>,
    ) -> Result<ConnectionId, ConnectFailure> {
        if source.is_some() {
            // The client has a single address.
            return Err(ConnectFailure::Unreachable);
        }
        let handle = self.stack.connect(to)?;
        let connection = Connection {
            handle,
            phase: Phase::Connecting,
            wants_read: true,
            wants_write: false,
        };
        let free = self.connections.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        self.connections[number] = Some(connection);
        Ok(ConnectionId(number))
    }

    fn read(&mut self, id: ConnectionId, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(Some(connection)) = self.connections.get_mut(id.0) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let result = self.stack.read(connection.handle, buffer);
        connection.wants_read = would_block(&result);
        result
    }

    fn write(&mut self, id: ConnectionId, data: &[u8]) -> io::Result<usize> {
        let Some(Some(connection)) = self.connections.get_mut(id.0) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let result = self.stack.write(connection.handle, data);
        let is_short = matches!(result, Ok(length) if length < data.len());
        connection.wants_write = is_short || would_block(&result);
        result
    }

    fn finish(&mut self, id: ConnectionId) {
        if let Some(handle) = self.handle(id) {
            self.stack.finish(handle);
        }
    }

    fn release(&mut self, id: ConnectionId, how: Release) {
        let Some(connection) = self.connections.get_mut(id.0).and_then(Option::take) else {
            return;
        };
        match how {
            Release::Fin => self.stack.finish(connection.handle),
            Release::Reset => self.stack.abort(connection.handle),
        }
        self.closing.push(connection.handle);
    }

    fn info(&self, id: ConnectionId) -> Option<ConnectionInfo> {
        self.stack.info(self.handle(id)?, Instant::now())
    }

    fn unacknowledged(&self, id: ConnectionId) -> Option<u64> {
        u64::try_from(self.stack.unacknowledged(self.handle(id)?)).ok()
    }

    fn wait(&mut self, until: Option<NetworkTime>, events: &mut Vec<Event>) -> io::Result<()> {
        let until = until.map(|until| self.start + clock::duration(until));
        let before = events.len();
        loop {
            self.poll();
            self.collect(events);
            let now = Instant::now();
            if events.len() > before || until.is_some_and(|until| until <= now) {
                return Ok(());
            }
            let until = [until, self.stack.poll_at(now)].into_iter().flatten().min();
            self.park.park(until);
        }
    }
}

fn would_block<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl Drop for VirtualNetwork {
    fn drop(&mut self) {
        // One poll sends all resets, so that no connection stays on the board.
        for connection in self.connections.drain(..).flatten() {
            self.stack.abort(connection.handle);
        }
        self.stack.poll(Instant::now());
    }
}
