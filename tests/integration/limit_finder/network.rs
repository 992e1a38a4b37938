//! A network with one server in simulated time. Segments are delayed, lost and retransmitted as by a
//! kernel.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tcpctl_engine::readiness::{
    ConnectFailure, ConnectionId, ConnectionInfo, Event, Network, NetworkTime, Release,
};

use super::server::{App, Beyond, Crash, Greeting, OnFin, Server, Stack};

/// A future event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    SynArrives,
    SynRepeats,
    SynAckArrives,
    SynAckRepeats,
    AckArrives,
    RefusalArrives,
    ServerGets(Segment),
    ClientGets(Segment),
    ServiceDone,
    RequestTimeout,
    DataRepeats(Duration),
    SlotListens,
    Accepts,
    AcceptTimer,
    OtherLeaves,
    OtherComes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Data,
    Fin,
    Reset,
}

/// The state of a connection on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    None,
    HalfOpen,
    Queued,
    Idle,
    Busy,
    Stalled,
    /// Closed; the slot does not listen again yet.
    Closing,
    /// Closed; the application still counts it.
    Uncollected,
}

#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what has arrived at either end, in any combination"
)]
struct Connection {
    /// Whether the client under test holds it.
    open: bool,
    other: bool,
    source: Option<IpAddr>,
    connected: bool,
    failed: bool,
    inbox: VecDeque<Segment>,
    wants_read: bool,
    syns: u32,
    repeated: u32,
    side: Side,
    has_data: bool,
    has_fin: bool,
    has_reset: bool,
    /// Whether it was answered.
    was_served: bool,
}

/// Obstacles between the client and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    NoRoute,
    Firewall,
    NoListener,
}

#[expect(clippy::struct_excessive_bools, reason = "independent faults")]
pub(crate) struct Simulated {
    server: Server,
    now: Duration,
    agenda: BinaryHeap<Reverse<(Duration, u64, usize, Action)>>,
    sequence: u64,
    connections: Vec<Connection>,
    queue: VecDeque<usize>,
    events: Vec<Event>,
    random: u64,
    has_crashed: bool,
    /// Whether the application waits for its timer before it accepts again.
    is_paused: bool,
    /// Maximum connections that the client had open.
    pub(crate) max_open: usize,
    /// File descriptors of this computer.
    pub(crate) files: usize,
    pub(crate) obstacle: Option<Obstacle>,
    /// Number of connections at which the server's radio sleeps once, and for how long. Segments to
    /// it wait.
    pub(crate) sleeps: Option<(usize, Duration)>,
    /// When the radio wakes up.
    wakes_at: Duration,
    /// Whether the stack does not report retransmissions.
    pub(crate) hides_info: bool,
    /// Whether the server acknowledges a request only with its reply, so that it is retransmitted
    /// after 200 ms.
    pub(crate) acknowledges_late: bool,
    /// Number of the client's first SYNs that are lost.
    pub(crate) lost_syns: u32,
    /// The share of waits and connects after which the client is stopped, and the maximum length of a
    /// stop.
    pub(crate) stops: Option<(f64, Duration)>,
}

impl Simulated {
    pub(crate) fn new(server: Server) -> Self {
        let mut network = Self {
            server,
            now: Duration::ZERO,
            agenda: BinaryHeap::new(),
            sequence: 0,
            connections: Vec::new(),
            queue: VecDeque::new(),
            events: Vec::new(),
            random: server.seed,
            has_crashed: false,
            is_paused: false,
            max_open: 0,
            files: 10_000,
            obstacle: None,
            sleeps: None,
            wakes_at: Duration::ZERO,
            hides_info: false,
            acknowledges_late: false,
            lost_syns: 0,
            stops: None,
        };
        if server.others.is_some() {
            network.at(Duration::ZERO, 0, Action::OtherComes);
        }
        network
    }

    /// Connections that the client has not released.
    pub(crate) fn left_open(&self) -> usize {
        self.connections
            .iter()
            .filter(|it| it.open && !it.other)
            .count()
    }

    /// Connections of this client that the server still has after a minute.
    pub(crate) fn left_on_server(&mut self) -> usize {
        let until = self.now + Duration::from_mins(1);
        while self.step(until) {}
        self.connections
            .iter()
            .filter(|it| it.side != Side::None && !it.other)
            .count()
    }

    fn at(&mut self, after: Duration, which: usize, action: Action) {
        self.sequence += 1;
        let entry = (self.now + after, self.sequence, which, action);
        self.agenda.push(Reverse(entry));
    }

    /// The next number in [0, 1), by `SplitMix64`.
    fn chance(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn is_lost(&mut self) -> bool {
        self.server.loss > 0.0 && self.chance() < self.server.loss
    }

    /// Sends a segment that is not retransmitted.
    fn send(&mut self, which: usize, action: Action) {
        if !self.is_lost() {
            self.at(self.server.delay, which, action);
        }
    }

    /// Sends a segment that is retransmitted until it arrives. Returns the number of
    /// retransmissions.
    fn send_reliably(&mut self, which: usize, action: Action) -> u32 {
        let mut after = self.server.delay;
        let mut timeout = Duration::from_millis(200) + 2 * self.server.delay;
        let mut repeated = 0;
        while self.is_lost() {
            after += timeout;
            timeout *= 2;
            repeated += 1;
        }
        self.at(after, which, action);
        repeated
    }

    fn start(&mut self, other: bool, source: Option<IpAddr>) -> usize {
        self.connections.push(Connection {
            open: true,
            other,
            source,
            connected: false,
            failed: false,
            inbox: VecDeque::new(),
            wants_read: true,
            syns: 0,
            repeated: 0,
            side: Side::None,
            has_data: false,
            has_fin: false,
            has_reset: false,
            was_served: false,
        });
        let which = self.connections.len() - 1;
        self.syn(which);
        which
    }

    fn syn(&mut self, which: usize) {
        self.connections[which].syns += 1;
        if self.lost_syns > 0 && !self.connections[which].other {
            self.lost_syns -= 1;
        } else {
            self.send(which, Action::SynArrives);
        }
        self.at(Duration::from_secs(1), which, Action::SynRepeats);
    }

    /// Stops the client with the probability of `stops`.
    fn maybe_stop(&mut self) {
        if let Some((share, longest)) = self.stops
            && self.chance() < share
        {
            let until = self.now + longest.mul_f64(self.chance());
            while self.step(until) {}
            self.now = until;
        }
    }

    /// Runs the next event, if it happens by `until`.
    fn step(&mut self, until: Duration) -> bool {
        match self.agenda.peek() {
            Some(&Reverse((at, ..))) if at <= until => {}
            _ => return false,
        }
        if let Some(Reverse((at, _, which, action))) = self.agenda.pop() {
            self.now = self.now.max(at);
            self.act(which, action);
        }
        true
    }

    fn act(&mut self, which: usize, action: Action) {
        let to_server = matches!(
            action,
            Action::SynArrives | Action::AckArrives | Action::ServerGets(_)
        );
        if to_server && (self.has_crashed || self.obstacle == Some(Obstacle::Firewall)) {
            let refuses = matches!(self.server.crashes_at, Some((_, Crash::Resets)));
            if self.has_crashed && refuses && action == Action::SynArrives {
                self.send(which, Action::RefusalArrives);
            }
            return;
        }
        if let Some((_, time)) = self.sleeps.filter(|&(at, _)| self.inside() >= at) {
            self.sleeps = None;
            self.wakes_at = self.now + time;
        }
        if to_server && self.now < self.wakes_at {
            return self.at(self.wakes_at.saturating_sub(self.now), which, action);
        }
        match action {
            Action::SynArrives => self.syn_arrives(which),
            Action::SynRepeats => {
                let it = &self.connections[which];
                if it.open && !it.connected && !it.failed {
                    self.syn(which);
                }
            }
            Action::SynAckArrives => self.syn_ack_arrives(which),
            Action::SynAckRepeats => {
                if self.connections[which].side == Side::HalfOpen {
                    self.syn_ack(which);
                }
            }
            Action::AckArrives => self.established(which),
            Action::RefusalArrives => {
                let it = &mut self.connections[which];
                if it.open && !it.connected && !it.failed {
                    it.failed = true;
                    if !it.other {
                        let id = ConnectionId(which);
                        self.events.push(Event::Failed(id, ConnectFailure::Refused));
                    }
                }
            }
            Action::ServerGets(segment) => self.server_gets(which, segment),
            Action::ClientGets(segment) => self.client_gets(which, segment),
            Action::ServiceDone => self.service_done(which),
            Action::RequestTimeout => {
                if self.connections[which].side == Side::Idle {
                    self.serve(which);
                }
            }
            Action::DataRepeats(next) => self.data_repeats(which, next),
            Action::SlotListens => {
                self.connections[which].side = Side::None;
            }
            Action::AcceptTimer => {
                self.is_paused = false;
                self.accept();
            }
            Action::Accepts => {
                self.accept_next();
                if !self.queue.is_empty() {
                    self.at(self.server.accepts_in, 0, Action::Accepts);
                }
            }
            Action::OtherLeaves => self.release(ConnectionId(which), Release::Reset),
            Action::OtherComes => self.other_comes(),
        }
    }

    fn other_comes(&mut self) {
        let Some(mean) = self.server.others else {
            return;
        };
        let which = self.start(true, None);
        let stays = mean.mul_f64(2.0 * self.chance());
        self.at(stays, which, Action::OtherLeaves);
        let next = mean.mul_f64(2.0 * self.chance());
        self.at(next, 0, Action::OtherComes);
    }

    // The server side.

    pub(crate) fn inside(&self) -> usize {
        let inside = |it: &&Connection| it.side != Side::None;
        self.connections.iter().filter(inside).count()
    }

    fn inside_from(&self, source: Option<IpAddr>) -> usize {
        self.connections
            .iter()
            .filter(|it| it.side != Side::None && it.source == source)
            .count()
    }

    fn working(&self) -> usize {
        self.connections
            .iter()
            .filter(|it| matches!(it.side, Side::Idle | Side::Busy | Side::Uncollected))
            .count()
    }

    fn syn_arrives(&mut self, which: usize) {
        if self.connections[which].side == Side::HalfOpen {
            return self.syn_ack(which);
        }
        if self.connections[which].side != Side::None {
            return;
        }
        if self.obstacle == Some(Obstacle::NoListener) {
            return self.send(which, Action::RefusalArrives);
        }
        let half_open = self
            .connections
            .iter()
            .filter(|it| it.side == Side::HalfOpen)
            .count();
        let is_full = match self.server.stack {
            Stack::Linux { k } => self.queue.len() > k,
            Stack::Lwip { k } => self.queue.len() + half_open >= k,
            Stack::Slots { n } if self.server.per_client => {
                self.inside_from(self.connections[which].source) >= n
            }
            Stack::Slots { n } => self.inside() >= n,
        };
        match (is_full, self.server.stack) {
            (true, Stack::Slots { .. }) => self.send(which, Action::RefusalArrives),
            (true, _) => {}
            (false, _) => {
                self.connections[which].side = Side::HalfOpen;
                self.syn_ack(which);
            }
        }
        if let Some((at, crash)) = self.server.crashes_at
            && self.inside() >= at
        {
            self.has_crashed = true;
            for which in 0..self.connections.len() {
                if crash == Crash::Resets && self.connections[which].side != Side::None {
                    self.send(which, Action::ClientGets(Segment::Reset));
                }
                self.connections[which].side = Side::None;
            }
        }
    }

    fn syn_ack(&mut self, which: usize) {
        self.send(which, Action::SynAckArrives);
        self.at(Duration::from_secs(1), which, Action::SynAckRepeats);
    }

    fn established(&mut self, which: usize) {
        if self.connections[which].side != Side::HalfOpen {
            return;
        }
        if let Stack::Linux { k } = self.server.stack
            && self.queue.len() > k
        {
            return;
        }
        self.connections[which].side = Side::Queued;
        self.queue.push_back(which);
        if self.server.accepts_in.is_zero() {
            self.accept();
        } else if self.queue.len() == 1 {
            self.at(self.server.accepts_in, 0, Action::Accepts);
        }
    }

    fn accept(&mut self) {
        while self.server.accepts_in.is_zero() && self.accept_next() {}
    }

    fn accept_next(&mut self) -> bool {
        let working = self.working();
        if let App::Workers(workers) = self.server.app
            && working >= workers
        {
            if let Some(interval) = self.server.accept_timer
                && !self.is_paused
                && working > 0
            {
                self.is_paused = true;
                let interval = interval.as_nanos();
                let rest = interval - self.now.as_nanos() % interval;
                let rest = Duration::from_nanos(u64::try_from(rest).expect("a timer"));
                self.at(rest, 0, Action::AcceptTimer);
            }
            return false;
        }
        if self.is_paused {
            return false;
        }
        let Some(which) = self.queue.pop_front() else {
            return false;
        };
        match self.server.app {
            App::Cap(most, Beyond::Fin) if working >= most => self.end(which, Segment::Fin),
            App::Cap(most, Beyond::Reset) if working >= most => self.end(which, Segment::Reset),
            App::Cap(most, Beyond::Stall) if working >= most => {
                self.connections[which].side = Side::Stalled;
            }
            App::Cap(most, Beyond::Evict(count)) if working >= most => {
                for _ in 0..count {
                    let oldest = self
                        .connections
                        .iter()
                        .position(|it| matches!(it.side, Side::Idle | Side::Busy));
                    if let Some(oldest) = oldest {
                        self.end(oldest, Segment::Fin);
                    }
                }
                self.begin(which);
            }
            _ => self.begin(which),
        }
        true
    }

    /// A worker starts to serve the connection.
    fn begin(&mut self, which: usize) {
        let it = &mut self.connections[which];
        it.side = Side::Idle;
        if it.has_reset {
            return self.end(which, Segment::Reset);
        }
        match self.server.greeting {
            Greeting::ThenCloses => return self.serve(which),
            Greeting::ThenWaits => {
                self.send_reliably(which, Action::ClientGets(Segment::Data));
            }
            Greeting::None => {}
        }
        let it = &self.connections[which];
        if it.has_data || (it.has_fin && self.server.on_fin == OnFin::Serves) {
            self.serve(which);
        } else if self.connections[which].has_fin {
            self.end(which, Segment::Fin);
        } else if let Some(timeout) = self.server.request_timeout {
            self.at(timeout, which, Action::RequestTimeout);
        }
    }

    fn serve(&mut self, which: usize) {
        self.connections[which].side = Side::Busy;
        let factor = 1.0 + f64::from(self.server.max_slowdown - 1) * self.chance();
        self.at(
            self.server.service.mul_f64(factor),
            which,
            Action::ServiceDone,
        );
    }

    fn service_done(&mut self, which: usize) {
        if self.connections[which].side != Side::Busy {
            return;
        }
        if !self.connections[which].has_reset {
            self.send_reliably(which, Action::ClientGets(Segment::Data));
        }
        let it = &mut self.connections[which];
        it.has_data = false;
        it.was_served = true;
        if self.server.closes || it.has_fin || it.has_reset {
            self.end(which, Segment::Fin);
        } else {
            it.side = Side::Idle;
        }
    }

    fn end(&mut self, which: usize, how: Segment) {
        if !self.connections[which].has_reset {
            match how {
                Segment::Reset => self.send(which, Action::ClientGets(how)),
                _ => {
                    self.send_reliably(which, Action::ClientGets(how));
                }
            }
        }
        if let Stack::Slots { .. } = self.server.stack {
            self.connections[which].side = Side::Closing;
            let until_closed = 2 * self.server.delay + Duration::from_micros(300);
            self.at(until_closed, which, Action::SlotListens);
        } else if !self.server.notices_after.is_zero()
            && matches!(self.connections[which].side, Side::Idle | Side::Busy)
        {
            self.connections[which].side = Side::Uncollected;
            self.at(self.server.notices_after, which, Action::SlotListens);
        } else {
            self.connections[which].side = Side::None;
        }
        self.accept();
    }

    fn data_repeats(&mut self, which: usize, next: Duration) {
        let it = &mut self.connections[which];
        if !it.open || it.side != Side::HalfOpen {
            return;
        }
        it.repeated += 1;
        self.at(next, which, Action::DataRepeats(2 * next));
        self.send(which, Action::ServerGets(Segment::Data));
    }

    fn server_gets(&mut self, which: usize, segment: Segment) {
        // The segment carries the acknowledgment that may have been lost.
        if segment != Segment::Reset {
            self.established(which);
        }
        if self.connections[which].side == Side::HalfOpen && segment == Segment::Data {
            // The queue is full, so the segment is not acknowledged, and is retransmitted.
            if self.connections[which].repeated == 0 {
                let first = Duration::from_millis(200) + self.server.delay;
                self.at(first, which, Action::DataRepeats(2 * first));
            }
            return;
        }
        let is_slot = matches!(self.server.stack, Stack::Slots { .. });
        let it = &mut self.connections[which];
        match segment {
            Segment::Data => it.has_data = true,
            Segment::Fin => it.has_fin = true,
            Segment::Reset => it.has_reset = true,
        }
        match (it.side, segment) {
            (Side::None | Side::Closing | Side::Uncollected, Segment::Data) => {
                self.send(which, Action::ClientGets(Segment::Reset));
            }
            (Side::HalfOpen, Segment::Reset) => it.side = Side::None,
            (Side::Queued, Segment::Reset) if is_slot => {
                self.queue.retain(|&queued| queued != which);
                self.end(which, Segment::Reset);
            }
            (Side::Queued, Segment::Fin)
                if self.server.on_fin == OnFin::RuntimeCloses && !it.has_data =>
            {
                self.queue.retain(|&queued| queued != which);
                self.end(which, Segment::Fin);
            }
            (Side::Idle, Segment::Data) => self.serve(which),
            (Side::Idle, Segment::Fin) if self.server.on_fin == OnFin::Serves && !it.was_served => {
                self.serve(which);
            }
            (Side::Idle | Side::Stalled, Segment::Fin) => self.end(which, Segment::Fin),
            (Side::Idle | Side::Stalled, Segment::Reset) => self.end(which, Segment::Reset),
            _ => {}
        }
    }

    // The client side.

    fn syn_ack_arrives(&mut self, which: usize) {
        let it = &mut self.connections[which];
        if !it.open || it.failed {
            return self.send(which, Action::ServerGets(Segment::Reset));
        }
        if !it.connected {
            it.connected = true;
            if !it.other {
                self.events.push(Event::Connected(ConnectionId(which)));
            }
        }
        self.send(which, Action::AckArrives);
    }

    fn client_gets(&mut self, which: usize, segment: Segment) {
        let it = &mut self.connections[which];
        if !it.open {
            if segment == Segment::Data {
                self.send(which, Action::ServerGets(Segment::Reset));
            }
            return;
        }
        if !it.connected {
            return;
        }
        it.inbox.push_back(segment);
        if it.wants_read && !it.other {
            it.wants_read = false;
            self.events.push(Event::Readable(ConnectionId(which)));
        }
    }
}

impl Network for Simulated {
    fn now(&self) -> NetworkTime {
        self.now
    }

    fn connect(
        &mut self,
        _to: SocketAddr,
        source: Option<IpAddr>,
    ) -> Result<ConnectionId, ConnectFailure> {
        if self.obstacle == Some(Obstacle::NoRoute) {
            return Err(ConnectFailure::Unreachable);
        }
        if self.left_open() >= self.files {
            return Err(ConnectFailure::LocalFiles);
        }
        let which = self.start(false, source);
        self.max_open = self.max_open.max(self.left_open());
        self.maybe_stop();
        Ok(ConnectionId(which))
    }

    fn read(&mut self, id: ConnectionId, _buffer: &mut [u8]) -> io::Result<usize> {
        let it = &mut self.connections[id.0];
        assert!(it.open, "used after its release");
        match it.inbox.front() {
            None => {
                it.wants_read = true;
                Err(io::ErrorKind::WouldBlock.into())
            }
            Some(Segment::Data) => {
                it.inbox.pop_front();
                Ok(11)
            }
            Some(Segment::Fin) => Ok(0),
            Some(Segment::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    fn write(&mut self, id: ConnectionId, data: &[u8]) -> io::Result<usize> {
        let it = &self.connections[id.0];
        assert!(it.open && it.connected, "written while not open");
        if it.inbox.contains(&Segment::Reset) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let repeated = self.send_reliably(id.0, Action::ServerGets(Segment::Data));
        self.connections[id.0].repeated += repeated;
        let resends = self.acknowledges_late && self.server.service >= Duration::from_millis(200);
        self.connections[id.0].repeated += u32::from(resends);
        Ok(data.len())
    }

    fn finish(&mut self, id: ConnectionId) {
        assert!(self.connections[id.0].open);
        self.send_reliably(id.0, Action::ServerGets(Segment::Fin));
    }

    fn release(&mut self, id: ConnectionId, how: Release) {
        let it = &mut self.connections[id.0];
        assert!(it.open, "released once");
        it.open = false;
        if it.connected {
            match how {
                Release::Fin => {
                    self.send_reliably(id.0, Action::ServerGets(Segment::Fin));
                }
                Release::Reset => self.send(id.0, Action::ServerGets(Segment::Reset)),
            }
        }
    }

    fn info(&self, id: ConnectionId) -> Option<ConnectionInfo> {
        let it = Some(&self.connections[id.0]).filter(|_| !self.hides_info)?;
        #[allow(clippy::needless_update, reason = "other platforms report more")]
        Some(ConnectionInfo {
            syn_retransmissions: it.syns - 1,
            retransmissions: it.repeated,
            ..ConnectionInfo::default()
        })
    }

    fn wait(&mut self, until: Option<NetworkTime>, events: &mut Vec<Event>) -> io::Result<()> {
        let until = until.expect("the finder always waits with a timeout");
        while self.events.is_empty() && self.step(until) {}
        if self.events.is_empty() {
            self.now = self.now.max(until);
        }
        self.maybe_stop();
        let connections = &self.connections;
        let released = |event: &Event| {
            let (Event::Connected(id)
            | Event::Failed(id, _)
            | Event::Readable(id)
            | Event::Writable(id)) = *event;
            !connections[id.0].open
        };
        events.extend(self.events.drain(..).filter(|event| !released(event)));
        Ok(())
    }
}
