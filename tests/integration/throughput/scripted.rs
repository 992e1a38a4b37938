//! A host with a simulated clock whose ports move bytes at known rates: no sockets, no sleeps.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tcpctl_engine::readiness::{
    ConnectFailure, ConnectionId, ConnectionInfo, Event, Network, NetworkTime, Release,
};

/// The step of the simulated clock.
const STEP: Duration = Duration::from_millis(5);

/// Size of the local send buffer.
const SEND_BUFFER: u64 = 64 * 1024;

/// The reaction of a port to a SYN.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handshake {
    Accept,
    Fail(ConnectFailure),
    FailHere(ConnectFailure),
    Drop,
}

/// How the server ends a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Fin,
    Reset,
}

/// A port.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    pub(crate) handshake: Handshake,
    /// Maximum connections; the next one is refused.
    pub(crate) places: usize,
    /// Maximum connections that are served; the next one is established but idle.
    pub(crate) served: usize,
    /// Bytes per second that a connection receives.
    pub(crate) takes: u64,
    /// Bytes per second that a connection sends, from this pattern in a loop.
    pub(crate) gives: u64,
    pub(crate) text: Vec<u8>,
    /// Whether it echoes received bytes; the byte at this offset is changed.
    pub(crate) echoes: bool,
    pub(crate) spoils: Option<u64>,
    /// Time before which no data moves on a connection.
    pub(crate) starts_after: Duration,
    /// When and how a connection is ended.
    pub(crate) ends: Option<(Duration, End)>,
    /// Whether it replies to the first byte with this text, then closes.
    pub(crate) sends_first: bool,
    /// Whether there is always more to read, with each read taking a millisecond.
    pub(crate) floods: bool,
}

impl Port {
    /// A port that accepts connections and does nothing.
    pub(crate) fn silent() -> Self {
        Self {
            handshake: Handshake::Accept,
            places: usize::MAX,
            served: usize::MAX,
            takes: 0,
            gives: 0,
            text: b"x".to_vec(),
            echoes: false,
            spoils: None,
            starts_after: Duration::ZERO,
            ends: None,
            sends_first: false,
            floods: false,
        }
    }

    pub(crate) fn discard(takes: u64) -> Self {
        Self {
            takes,
            ..Self::silent()
        }
    }

    pub(crate) fn chargen(gives: u64) -> Self {
        let line = |start: u8| (0..72).map(move |at| b' ' + (start + at) % 95);
        let text = (0..95)
            .flat_map(|start| line(start).chain(*b"\r\n"))
            .collect();
        Self {
            gives,
            text,
            ..Self::silent()
        }
    }

    pub(crate) fn echo(takes: u64) -> Self {
        Self {
            echoes: true,
            ..Self::discard(takes)
        }
    }

    pub(crate) fn greeter() -> Self {
        Self {
            sends_first: true,
            text: b"Hello World".to_vec(),
            ..Self::silent()
        }
    }

    pub(crate) fn failing(failure: ConnectFailure) -> Self {
        Self {
            handshake: Handshake::Fail(failure),
            ..Self::silent()
        }
    }
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of a script, in any combination"
)]
struct Connection {
    port: u16,
    since: Duration,
    is_served: bool,
    reported: bool,
    written: Vec<u8>,
    acknowledged: u64,
    /// Bytes received, and the number of them that were read.
    came: u64,
    read: u64,
    ended: Option<End>,
    wants_read: bool,
    wants_write: bool,
}

/// The host and a record of its use.
#[derive(Default)]
pub(crate) struct Host {
    now: Duration,
    ports: BTreeMap<u16, Port>,
    connections: Vec<Option<Connection>>,
    /// SYNs by port.
    pub(crate) syns: BTreeMap<u16, usize>,
    pub(crate) open: usize,
    pub(crate) max_open: usize,
    pub(crate) released: Vec<Release>,
    /// Share of the busy time for which every connection reports that the receiver's window was
    /// closed.
    pub(crate) window_shut: Option<f64>,
}

impl Host {
    /// A host with these ports. All others refuse.
    pub(crate) fn new<const N: usize>(ports: [(u16, Port); N]) -> Self {
        Self {
            ports: ports.into(),
            ..Self::default()
        }
    }

    fn connection(&mut self, id: ConnectionId) -> &mut Connection {
        self.connections[id.0].as_mut().expect("an open connection")
    }

    fn go_on(&mut self, number: usize, events: &mut Vec<Event>) {
        let Some(connection) = &mut self.connections[number] else {
            return;
        };
        let id = ConnectionId(number);
        let refusing = Port::failing(ConnectFailure::Refused);
        let port = self.ports.get(&connection.port).unwrap_or(&refusing);
        if !connection.reported {
            match port.handshake {
                Handshake::Accept if connection.is_served || port.places == usize::MAX => {
                    connection.reported = true;
                    connection.since = self.now;
                    events.push(Event::Connected(id));
                }
                Handshake::Accept => {
                    connection.reported = true;
                    events.push(Event::Failed(id, ConnectFailure::Refused));
                }
                Handshake::Fail(failure) | Handshake::FailHere(failure) => {
                    connection.reported = true;
                    events.push(Event::Failed(id, failure));
                }
                Handshake::Drop => {}
            }
            return;
        }
        let age = self.now.saturating_sub(connection.since);
        if let Some((after, how)) = port.ends
            && age >= after
        {
            connection.ended.get_or_insert(how);
        } else if connection.is_served && age > port.starts_after {
            let share = |rate: u64| {
                u64::try_from(u128::from(rate) * STEP.as_micros() / 1_000_000).expect("small")
            };
            let written = connection.written.len() as u64;
            connection.acknowledged = written.min(connection.acknowledged + share(port.takes));
            connection.came += share(port.gives);
            if port.echoes {
                connection.came = connection.acknowledged;
            }
            if port.sends_first && !connection.written.is_empty() {
                connection.acknowledged = written;
                connection.came = port.text.len() as u64;
                connection.ended.get_or_insert(End::Fin);
            }
        }
        let can_read = connection.came > connection.read || connection.ended.is_some();
        if can_read && std::mem::take(&mut connection.wants_read) {
            events.push(Event::Readable(id));
        }
        let waiting = connection.written.len() as u64 - connection.acknowledged;
        if waiting < SEND_BUFFER && std::mem::take(&mut connection.wants_write) {
            events.push(Event::Writable(id));
        }
    }
}

impl Network for Host {
    fn now(&self) -> NetworkTime {
        self.now
    }

    fn connect(
        &mut self,
        to: SocketAddr,
        _: Option<IpAddr>,
    ) -> Result<ConnectionId, ConnectFailure> {
        *self.syns.entry(to.port()).or_default() += 1;
        let there = self.connections.iter().flatten();
        let there = there
            .filter(|connection| connection.port == to.port())
            .count();
        let port = self.ports.get(&to.port());
        if let Some(Port {
            handshake: Handshake::FailHere(failure),
            ..
        }) = port
        {
            return Err(*failure);
        }
        let most = port.map_or(0, |port| port.places.min(port.served));
        self.connections.push(Some(Connection {
            port: to.port(),
            since: self.now,
            is_served: there < most,
            reported: false,
            written: Vec::new(),
            acknowledged: 0,
            came: 0,
            read: 0,
            ended: None,
            wants_read: true,
            wants_write: false,
        }));
        self.open += 1;
        self.max_open = self.max_open.max(self.open);
        Ok(ConnectionId(self.connections.len() - 1))
    }

    fn read(&mut self, id: ConnectionId, buffer: &mut [u8]) -> io::Result<usize> {
        let number = self.connection(id).port;
        let port = self.ports[&number].clone();
        if port.floods {
            self.now += Duration::from_millis(1);
        }
        let connection = self.connection(id);
        if port.floods && !connection.written.is_empty() {
            connection.came += buffer.len() as u64;
        }
        let length = buffer
            .len()
            .min(usize::try_from(connection.came - connection.read).expect("small"));
        if length == 0 {
            return match connection.ended {
                Some(End::Fin) => Ok(0),
                Some(End::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
                None => {
                    connection.wants_read = true;
                    Err(io::ErrorKind::WouldBlock.into())
                }
            };
        }
        for (to, at) in buffer[..length].iter_mut().zip(connection.read..) {
            let place = usize::try_from(at).expect("small");
            *to = if port.echoes {
                connection.written[place]
            } else {
                port.text[place % port.text.len()]
            };
            if port.spoils == Some(at) {
                *to = b'\n';
            }
        }
        connection.read += length as u64;
        Ok(length)
    }

    fn write(&mut self, id: ConnectionId, data: &[u8]) -> io::Result<usize> {
        let connection = self.connection(id);
        if let Some(End::Reset) = connection.ended {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let waiting = connection.written.len() as u64 - connection.acknowledged;
        let room = usize::try_from(SEND_BUFFER.saturating_sub(waiting)).expect("small");
        if room == 0 {
            connection.wants_write = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = data.len().min(room);
        connection.wants_write = length < data.len();
        connection.written.extend(&data[..length]);
        Ok(length)
    }

    fn finish(&mut self, _: ConnectionId) {}

    fn release(&mut self, id: ConnectionId, how: Release) {
        assert!(self.connections[id.0].take().is_some(), "released twice");
        self.open -= 1;
        self.released.push(how);
    }

    fn info(&self, id: ConnectionId) -> Option<ConnectionInfo> {
        let connection = self.connections[id.0].as_ref().expect("an open connection");
        let age = self.now.saturating_sub(connection.since);
        let share = self.window_shut;
        Some(ConnectionInfo {
            retransmissions: u32::try_from(age.as_secs()).expect("a short test"),
            busy: share.map(|_| age),
            receiver_limited: share.map(|share| age.mul_f64(share)),
            ..ConnectionInfo::default()
        })
    }

    fn unacknowledged(&self, id: ConnectionId) -> Option<u64> {
        let connection = self.connections[id.0].as_ref().expect("an open connection");
        Some(connection.written.len() as u64 - connection.acknowledged)
    }

    fn wait(&mut self, until: Option<NetworkTime>, events: &mut Vec<Event>) -> io::Result<()> {
        let until = until.expect("something to wait for");
        if until <= self.now {
            return Ok(());
        }
        self.now += STEP;
        assert!(
            self.now < Duration::from_hours(1),
            "it does not come to its end"
        );
        for number in 0..self.connections.len() {
            self.go_on(number, events);
        }
        Ok(())
    }
}
