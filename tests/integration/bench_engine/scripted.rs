//! A network in simulated time with a scripted server: no sockets, no sleeps.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tcpctl_engine::readiness::{
    ConnectFailure, ConnectionId, ConnectionInfo, Event, Network, NetworkTime, Release,
};

/// The server's reaction to a SYN.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handshake {
    /// Accepts after this many milliseconds.
    Accept(u64),
    /// Fails after this many milliseconds.
    Fail(u64, ConnectFailure),
    /// The call fails at once.
    FailHere(ConnectFailure),
    /// No reply.
    Drop,
}

/// An action on an established connection.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Send(Vec<u8>),
    Fin,
    Reset,
}

/// A scripted server. Times are milliseconds of the simulated clock, delays relative.
pub(crate) trait Server {
    /// Decides about connection number `connection`.
    fn handshake(&mut self, connection: usize, now: u64) -> Handshake {
        let _ = (connection, now);
        Handshake::Accept(0)
    }

    /// The reaction to a complete message, the `request`th of all, from 0.
    fn request(&mut self, connection: usize, request: usize, now: u64) -> Vec<(u64, Act)>;
}

/// A server with the same reaction on all connections.
impl<F: FnMut(usize) -> Vec<(u64, Act)>> Server for F {
    fn request(&mut self, _: usize, request: usize, _: u64) -> Vec<(u64, Act)> {
        self(request)
    }
}

/// Sends `Hello World` after `after` milliseconds and closes.
pub(crate) fn greet(after: u64) -> Vec<(u64, Act)> {
    vec![
        (after, Act::Send(b"Hello World".to_vec())),
        (after, Act::Fin),
    ]
}

/// A record of the engine's calls.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Time of each SYN in milliseconds, and its source.
    pub(crate) syns: Vec<(u64, Option<IpAddr>)>,
    pub(crate) released: Vec<Release>,
    /// Open connections, and their maximum.
    pub(crate) open: usize,
    pub(crate) max_open: usize,
    /// SYNs since the last wait, and the maximum between two waits.
    burst: usize,
    pub(crate) longest_burst: usize,
}

pub(crate) struct Scripted<S> {
    server: S,
    now: Duration,
    /// Length of the message: the script reacts when it is complete.
    message: usize,
    /// Scheduled actions.
    pending: BTreeMap<(Duration, usize), (usize, Action)>,
    scheduled: usize,
    connections: Vec<Option<Connection>>,
    /// The smallest free number is reused first, as descriptors are.
    free: BTreeSet<Reverse<usize>>,
    /// Total connections and requests.
    syns: usize,
    requests: usize,
    /// Delay of the server's FIN after the client's FIN; `None`: the server does not close.
    pub(crate) fin_after: Option<u64>,
    /// When the client is stopped, and for how long, milliseconds.
    pub(crate) stop: Option<(u64, u64)>,
    /// Bytes per write; the rest waits for `Writable`.
    pub(crate) write_at_a_time: usize,
    /// Information that is returned for each connection.
    pub(crate) info: ConnectionInfo,
    pub(crate) log: Rc<RefCell<Log>>,
}

#[derive(Debug)]
enum Action {
    Connected,
    Failed(ConnectFailure),
    Act(Act),
    Writable,
}

struct Connection {
    /// Unique number; `ConnectionId`s are reused.
    serial: usize,
    inbox: VecDeque<u8>,
    finished: bool,
    reset: bool,
    wants_read: bool,
    received: usize,
}

impl<S: Server> Scripted<S> {
    pub(crate) fn new(server: S, message: &[u8]) -> Self {
        Self {
            server,
            now: Duration::ZERO,
            message: message.len(),
            pending: BTreeMap::new(),
            scheduled: 0,
            connections: Vec::new(),
            free: BTreeSet::new(),
            syns: 0,
            requests: 0,
            fin_after: None,
            stop: None,
            write_at_a_time: usize::MAX,
            info: ConnectionInfo {
                syn_retransmissions: 1,
                retransmissions: 2,
                smoothed_rtt: Some(Duration::from_millis(3)),
                ..ConnectionInfo::default()
            },
            log: Rc::default(),
        }
    }

    fn schedule(&mut self, after: u64, serial: usize, action: Action) {
        self.scheduled += 1;
        let at = self.now + Duration::from_millis(after);
        self.pending.insert((at, self.scheduled), (serial, action));
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.now.as_millis()).expect("a short test")
    }

    fn perform(&mut self, serial: usize, action: Action, events: &mut Vec<Event>) {
        let found = self.connections.iter_mut().enumerate();
        let mut found = found.filter_map(|(number, slot)| Some((number, slot.as_mut()?)));
        let Some((number, connection)) = found.find(|(_, c)| c.serial == serial) else {
            return;
        };
        let id = ConnectionId(number);
        match action {
            Action::Connected => {
                events.push(Event::Connected(id));
                connection.wants_read = true;
                if self.message == 0 {
                    let acts = self.server.request(serial, self.requests, self.now_ms());
                    self.requests += 1;
                    for (after, act) in acts {
                        self.schedule(after, serial, Action::Act(act));
                    }
                }
            }
            Action::Failed(failure) => events.push(Event::Failed(id, failure)),
            Action::Writable => events.push(Event::Writable(id)),
            Action::Act(act) => {
                match act {
                    Act::Send(bytes) => connection.inbox.extend(bytes),
                    Act::Fin => connection.finished = true,
                    Act::Reset => connection.reset = true,
                }
                if std::mem::take(&mut connection.wants_read) {
                    events.push(Event::Readable(id));
                }
            }
        }
    }
}

impl<S: Server> Network for Scripted<S> {
    fn now(&self) -> NetworkTime {
        self.now
    }

    fn connect(
        &mut self,
        _: SocketAddr,
        source: Option<IpAddr>,
    ) -> Result<ConnectionId, ConnectFailure> {
        let (serial, now) = (self.syns, self.now_ms());
        self.syns += 1;
        self.log.borrow_mut().syns.push((now, source));
        match self.server.handshake(serial, now) {
            Handshake::Accept(after) => self.schedule(after, serial, Action::Connected),
            Handshake::Fail(after, failure) => {
                self.schedule(after, serial, Action::Failed(failure));
            }
            Handshake::FailHere(failure) => return Err(failure),
            Handshake::Drop => {}
        }
        let number = self.free.pop_last().map_or_else(
            || {
                self.connections.push(None);
                self.connections.len() - 1
            },
            |Reverse(number)| number,
        );
        self.connections[number] = Some(Connection {
            serial,
            inbox: VecDeque::new(),
            finished: false,
            reset: false,
            wants_read: false,
            received: 0,
        });
        let mut log = self.log.borrow_mut();
        log.open += 1;
        log.max_open = log.max_open.max(log.open);
        log.burst += 1;
        log.longest_burst = log.longest_burst.max(log.burst);
        Ok(ConnectionId(number))
    }

    fn read(&mut self, id: ConnectionId, buffer: &mut [u8]) -> io::Result<usize> {
        let connection = self.connections[id.0].as_mut().expect("an open connection");
        if connection.inbox.is_empty() {
            if connection.reset {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if connection.finished {
                return Ok(0);
            }
            connection.wants_read = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = buffer.len().min(connection.inbox.len());
        for (to, from) in buffer.iter_mut().zip(connection.inbox.drain(..length)) {
            *to = from;
        }
        Ok(length)
    }

    fn write(&mut self, id: ConnectionId, data: &[u8]) -> io::Result<usize> {
        let connection = self.connections[id.0].as_mut().expect("an open connection");
        if connection.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let serial = connection.serial;
        let length = data.len().min(self.write_at_a_time);
        connection.received += length;
        if connection.received == self.message {
            connection.received = 0;
            let (request, now) = (self.requests, self.now_ms());
            self.requests += 1;
            for (after, act) in self.server.request(serial, request, now) {
                self.schedule(after, serial, Action::Act(act));
            }
        } else if length < data.len() {
            self.schedule(1, serial, Action::Writable);
        }
        Ok(length)
    }

    fn finish(&mut self, id: ConnectionId) {
        let connection = self.connections[id.0].as_ref().expect("an open connection");
        if let Some(after) = self.fin_after {
            self.schedule(after, connection.serial, Action::Act(Act::Fin));
        }
    }

    fn release(&mut self, id: ConnectionId, how: Release) {
        assert!(self.connections[id.0].take().is_some(), "released twice");
        self.free.insert(Reverse(id.0));
        let mut log = self.log.borrow_mut();
        log.open -= 1;
        log.released.push(how);
    }

    fn info(&self, _: ConnectionId) -> Option<ConnectionInfo> {
        Some(self.info)
    }

    fn wait(&mut self, until: Option<NetworkTime>, events: &mut Vec<Event>) -> io::Result<()> {
        self.log.borrow_mut().burst = 0;
        let next = self.pending.keys().next().map(|&(at, _)| at);
        let wake = [until, next].into_iter().flatten().min();
        // Without a wake-up the engine would sleep forever.
        let wake = wake.expect("something to wait for");
        self.now = self.now.max(wake);
        if let Some((at, length)) = self.stop
            && self.now >= Duration::from_millis(at)
        {
            self.stop = None;
            self.now += Duration::from_millis(length);
        }
        assert!(self.now < Duration::from_hours(1), "the run does not end");
        while let Some(entry) = self.pending.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (serial, action) = entry.remove();
            self.perform(serial, action, events);
        }
        Ok(())
    }
}
