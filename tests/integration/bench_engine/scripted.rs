//! A network with its own clock, and a server that is a script: no sockets, no sleeps.

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

/// What a server does about a SYN.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handshake {
    /// Answers it after so many milliseconds.
    Accept(u64),
    /// Resets it after so many milliseconds, or whatever else the network says.
    Fail(u64, ConnectFailure),
    /// The call fails at once.
    FailHere(ConnectFailure),
    /// Says nothing.
    Drop,
}

/// What a server does on an established connection.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Send(Vec<u8>),
    Fin,
    Reset,
}

/// A server. Times are in milliseconds of the simulated clock, delays from now.
pub(crate) trait Server {
    /// Connection number `connection` asks to be accepted.
    fn handshake(&mut self, connection: usize, now: u64) -> Handshake {
        let _ = (connection, now);
        Handshake::Accept(0)
    }

    /// A whole message has come; the `request`th of all, from 0.
    fn request(&mut self, connection: usize, request: usize, now: u64) -> Vec<(u64, Act)>;
}

/// A server that does the same for every request.
impl<F: FnMut(usize) -> Vec<(u64, Act)>> Server for F {
    fn request(&mut self, _: usize, request: usize, _: u64) -> Vec<(u64, Act)> {
        self(request)
    }
}

/// Says `Hello World` after so many milliseconds, and closes.
pub(crate) fn greet(after: u64) -> Vec<(u64, Act)> {
    vec![
        (after, Act::Send(b"Hello World".to_vec())),
        (after, Act::Fin),
    ]
}

/// What the engine did, for a test to look at after the run.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// When each SYN was sent, milliseconds, and from where.
    pub(crate) syns: Vec<(u64, Option<IpAddr>)>,
    /// How connections were let go of.
    pub(crate) released: Vec<Release>,
    /// Connections that are open now, and the most that were.
    pub(crate) open: usize,
    pub(crate) most_open: usize,
    /// SYNs since the last wait, and the most between two.
    burst: usize,
    pub(crate) longest_burst: usize,
}

pub(crate) struct Scripted<S> {
    server: S,
    now: Duration,
    /// How long the message is: the script is asked when it is complete.
    message: usize,
    /// What will happen, in order.
    agenda: BTreeMap<(Duration, usize), (usize, Happening)>,
    scheduled: usize,
    connections: Vec<Option<Connection>>,
    /// The smallest number that is free is used next, as descriptors are.
    free: BTreeSet<Reverse<usize>>,
    /// Connections so far, and requests.
    syns: usize,
    requests: usize,
    /// Delay of the server's FIN after the client's; `None`: it does not close.
    pub(crate) fin_after: Option<u64>,
    /// When the client is stopped, and for how long, milliseconds.
    pub(crate) stop: Option<(u64, u64)>,
    /// How much a write takes; the rest has to wait for `Writable`.
    pub(crate) write_at_a_time: usize,
    /// What is known of each connection.
    pub(crate) info: ConnectionInfo,
    pub(crate) log: Rc<RefCell<Log>>,
}

#[derive(Debug)]
enum Happening {
    Connected,
    Failed(ConnectFailure),
    Act(Act),
    Writable,
}

struct Connection {
    /// Which of all connections: a number can be used again.
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
            agenda: BTreeMap::new(),
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

    fn schedule(&mut self, after: u64, serial: usize, happening: Happening) {
        self.scheduled += 1;
        let at = self.now + Duration::from_millis(after);
        self.agenda
            .insert((at, self.scheduled), (serial, happening));
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.now.as_millis()).expect("a short test")
    }

    fn happen(&mut self, serial: usize, happening: Happening, events: &mut Vec<Event>) {
        let found = self.connections.iter_mut().enumerate();
        let mut found = found.filter_map(|(number, slot)| Some((number, slot.as_mut()?)));
        let Some((number, connection)) = found.find(|(_, c)| c.serial == serial) else {
            return;
        };
        let id = ConnectionId(number);
        match happening {
            Happening::Connected => {
                events.push(Event::Connected(id));
                connection.wants_read = true;
                if self.message == 0 {
                    let acts = self.server.request(serial, self.requests, self.now_ms());
                    self.requests += 1;
                    for (after, act) in acts {
                        self.schedule(after, serial, Happening::Act(act));
                    }
                }
            }
            Happening::Failed(failure) => events.push(Event::Failed(id, failure)),
            Happening::Writable => events.push(Event::Writable(id)),
            Happening::Act(act) => {
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
            Handshake::Accept(after) => self.schedule(after, serial, Happening::Connected),
            Handshake::Fail(after, failure) => {
                self.schedule(after, serial, Happening::Failed(failure));
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
        log.most_open = log.most_open.max(log.open);
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
                self.schedule(after, serial, Happening::Act(act));
            }
        } else if length < data.len() {
            self.schedule(1, serial, Happening::Writable);
        }
        Ok(length)
    }

    fn finish(&mut self, id: ConnectionId) {
        let connection = self.connections[id.0].as_ref().expect("an open connection");
        if let Some(after) = self.fin_after {
            self.schedule(after, connection.serial, Happening::Act(Act::Fin));
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
        let next = self.agenda.keys().next().map(|&(at, _)| at);
        let wake = [until, next].into_iter().flatten().min();
        // For ever: the engine has forgotten to wake itself up.
        let wake = wake.expect("something to wait for");
        self.now = self.now.max(wake);
        if let Some((at, length)) = self.stop
            && self.now >= Duration::from_millis(at)
        {
            self.stop = None;
            self.now += Duration::from_millis(length);
        }
        assert!(
            self.now < Duration::from_hours(1),
            "the run does not come to its end"
        );
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (serial, happening) = entry.remove();
            self.happen(serial, happening, events);
        }
        Ok(())
    }
}
