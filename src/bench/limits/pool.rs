//! The connections of a search, in the order in which they were established.
//!
//! Dropping the pool releases every connection that it still has.

mod connection;
mod release;

use std::io;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::model::{Abort, ConnectionEnd, FailureReason};
use super::timing::Settling;
use super::{LimitsPlan, LimitsProgress};
use connection::FirstLine;
pub(super) use connection::{Handle, HeldConnection};
use tcpctl_engine::readiness::{ConnectFailure, Event, Network, NetworkTime, Release};

/// A wake-up that is later than this is a delay of this computer, not a silence of the server.
const LATE_WAKE_UP: Duration = Duration::from_millis(2);
/// Interval at which waits check the stop flag.
const STOP_INTERVAL: Duration = Duration::from_millis(50);
/// Pauses before a refused SYN is tried again. By then a slot may listen again.
const BACK_OFF: [Duration; 5] = [
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(60),
    Duration::from_millis(150),
    Duration::from_millis(300),
];

/// The connections of a search.
pub(super) struct ConnectionPool<'a, N: Network> {
    network: &'a mut N,
    pub(super) plan: &'a LimitsPlan,
    observer: &'a mut dyn FnMut(LimitsProgress),
    deadline: NetworkTime,
    /// By how much wake-ups were late, in total.
    pub(super) late: Duration,
    /// In the order of their handshakes, in which a server accepts them.
    connections: Vec<HeldConnection>,
    next_handle: usize,
    events: Vec<Event>,
    /// Reply timeout; longer than planned once a late reply was seen.
    pub(super) reply_timeout: Duration,
    /// The time after which the server answers or closes a silent connection, once known.
    pub(super) silence_ends_after: Option<Duration>,
    /// Connections started in total.
    pub(super) opened: usize,
    /// Maximum connections open at the same time, unanswered SYNs included.
    pub(super) max_open: usize,
    /// Maximum connections established at the same time.
    pub(super) max_live: usize,
    /// Maximum connections established at the same time and counted as held: a lower bound if there
    /// is no time for more.
    pub(super) max_settled: usize,
    /// When a connection counts as held.
    pub(super) settling: Settling,
    /// Retransmissions on connections that were established.
    pub(super) retransmissions: usize,
}

impl<'a, N: Network> ConnectionPool<'a, N> {
    pub(super) fn new(
        network: &'a mut N,
        plan: &'a LimitsPlan,
        observer: &'a mut dyn FnMut(LimitsProgress),
    ) -> Self {
        let deadline = network.now() + plan.budget;
        Self {
            network,
            plan,
            observer,
            deadline,
            late: Duration::ZERO,
            connections: Vec::new(),
            next_handle: 0,
            events: Vec::new(),
            reply_timeout: plan.reply_timeout,
            silence_ends_after: None,
            opened: 0,
            max_open: 0,
            max_live: 0,
            max_settled: 0,
            settling: Settling::default(),
            retransmissions: 0,
        }
    }

    /// The time on the network's clock without the delays of late wake-ups, so that a silence of the
    /// server includes only time in which this process could have received an answer.
    pub(super) fn now(&self) -> NetworkTime {
        self.network.now().saturating_sub(self.late)
    }

    /// The time on the network's clock.
    pub(super) fn network_time(&self) -> NetworkTime {
        self.network.now()
    }

    /// The time since `earlier`.
    pub(super) fn since(&self, earlier: NetworkTime) -> Duration {
        self.now().saturating_sub(earlier)
    }

    pub(super) fn report(&mut self, progress: LimitsProgress) {
        (self.observer)(progress);
    }

    pub(super) fn connections(&self) -> &[HeldConnection] {
        &self.connections
    }

    pub(super) fn get(&self, handle: Handle) -> Option<&HeldConnection> {
        self.connections.iter().find(|it| it.handle == handle)
    }

    /// Whether `test` holds for a connection. One that was released passes any test.
    pub(super) fn is(&self, handle: Handle, test: impl FnOnce(&HeldConnection) -> bool) -> bool {
        self.get(handle).is_none_or(test)
    }

    pub(super) fn any(&self, test: impl Fn(&HeldConnection) -> bool) -> bool {
        self.connections.iter().any(test)
    }

    pub(super) fn count(&self, test: impl Fn(&HeldConnection) -> bool) -> usize {
        self.connections.iter().filter(|it| test(it)).count()
    }

    /// Number of established connections that have not ended.
    pub(super) fn live(&self) -> usize {
        self.count(HeldConnection::is_live)
    }

    /// Number of open connections of any state. It counts against the maximum.
    pub(super) fn open(&self) -> usize {
        self.count(|it| it.id.is_some())
    }

    /// Whether the maximum number of connections is open.
    pub(super) fn is_at_maximum(&self) -> bool {
        self.open() >= self.plan.max_connections
    }

    /// Established connections without data from this side, oldest first.
    pub(super) fn silent(&self) -> Vec<Handle> {
        let silent = self.connections.iter().filter(|it| it.is_silent());
        silent.map(|it| it.handle).collect()
    }

    /// Number of silent connections established before `handle`.
    pub(super) fn silent_before(&self, handle: Handle) -> usize {
        self.connections
            .iter()
            .take_while(|it| it.handle != handle)
            .filter(|it| it.is_silent())
            .count()
    }

    /// SYN retransmissions of a connection; `None` where the stack cannot report them.
    pub(super) fn syn_retransmissions(&self, handle: Handle) -> Option<u32> {
        let connection = self.get(handle)?;
        let Some(id) = connection.id else {
            return connection.syn_retransmissions;
        };
        Some(self.network.info(id)?.syn_retransmissions)
    }

    /// Data retransmissions of a connection; `None` where the stack cannot report them.
    pub(super) fn retransmissions(&self, handle: Handle) -> Option<u32> {
        let connection = self.get(handle)?;
        let Some(id) = connection.id else {
            return connection.retransmissions;
        };
        Some(self.network.info(id)?.retransmissions)
    }

    /// Whether anything on a connection was retransmitted.
    pub(super) fn has_retransmitted(&self, handle: Handle) -> bool {
        let syns = self.syn_retransmissions(handle).unwrap_or_default();
        syns + self.retransmissions(handle).unwrap_or_default() > 0
    }

    /// Starts a connection from the plan's first source address.
    pub(super) fn connect(&mut self) -> Result<Handle, Abort> {
        let source = self.plan.sources.first().copied();
        self.connect_from(source)
    }

    pub(super) fn connect_from(&mut self, source: Option<IpAddr>) -> Result<Handle, Abort> {
        let handle = Handle(self.next_handle);
        self.next_handle += 1;
        let mut connection = HeldConnection {
            handle,
            id: None,
            started: self.now(),
            connected: None,
            asked: None,
            has_sent_fin: false,
            written: 0,
            first_byte: None,
            unsolicited: FirstLine::EMPTY,
            ended: None,
            syn_retransmissions: None,
            retransmissions: None,
        };
        match self.network.connect(self.plan.target, source) {
            Ok(id) => connection.id = Some(id),
            // On loopback the refusal may come at once.
            Err(ConnectFailure::Refused) => {
                connection.ended = Some((connection.started, ConnectionEnd::Refused));
            }
            Err(failure) => return Err(abort(failure)),
        }
        self.connections.push(connection);
        self.opened += 1;
        self.max_open = self.max_open.max(self.open());
        Ok(handle)
    }

    /// Starts a connection and waits for the answer to its SYN, at most for `timeout`.
    pub(super) fn connect_within(&mut self, timeout: Duration) -> Result<Handle, Abort> {
        let handle = self.connect()?;
        self.wait_for_handshake(handle, timeout)?;
        Ok(handle)
    }

    /// Waits until the SYN of a connection is answered (`true`) or for `timeout` (`false`).
    pub(super) fn wait_for_handshake(
        &mut self,
        handle: Handle,
        timeout: Duration,
    ) -> Result<bool, Abort> {
        self.wait(timeout, |pool| pool.is(handle, |it| !it.is_pending()))
    }

    /// Establishes a connection. Retries after a refusal, because a slot may be about to listen
    /// again. `is_first`: the server has not answered before. Returns the duration of the
    /// handshake.
    pub(super) fn connect_with_retries(
        &mut self,
        is_first: bool,
    ) -> Result<(Handle, Duration), Abort> {
        let failed = |reason| {
            let reason = if is_first {
                reason
            } else {
                FailureReason::Died { held: 1 }
            };
            Err(Abort::Failed(reason))
        };
        for pause in BACK_OFF {
            let handle = self.connect()?;
            let is_answered = self.wait_for_handshake(handle, self.plan.connect_timeout)?;
            let connection = self.get(handle).copied();
            if let Some(at) = connection.and_then(|it| it.connected) {
                let started = connection.map_or(at, |it| it.started);
                return Ok((handle, at.saturating_sub(started)));
            }
            let ended = connection.and_then(|it| it.ended);
            self.release(handle, Release::Reset);
            if !is_answered || ended.is_some_and(|(_, end)| end == ConnectionEnd::TimedOut) {
                return failed(FailureReason::NoAnswer);
            }
            self.sleep(pause)?;
        }
        failed(FailureReason::NothingListens)
    }

    /// Waits before retrying a rejected connection, longer each time.
    pub(super) fn back_off(&mut self, rejections: usize) -> Result<(), Abort> {
        self.sleep(BACK_OFF[rejections.min(BACK_OFF.len() - 1)])
    }

    /// Sends the request on a connection.
    pub(super) fn send_request(&mut self, handle: Handle) {
        let now = self.now();
        let Some(index) = self.connections.iter().position(|it| it.handle == handle) else {
            return;
        };
        self.connections[index].asked = Some(now);
        self.write(index);
    }

    /// Sends a FIN on a silent connection instead of a request. A server that serves the connection
    /// soon closes its side; one that has it in a queue does not react.
    pub(super) fn send_fin(&mut self, handle: Handle) {
        let now = self.now();
        let Some(connection) = self.connections.iter_mut().find(|it| it.handle == handle) else {
            return;
        };
        connection.asked = Some(now);
        connection.has_sent_fin = true;
        if let Some(id) = connection.id {
            self.network.finish(id);
        }
    }

    fn write(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        let Some(id) = connection.id.filter(|_| !connection.has_sent_fin) else {
            return;
        };
        while connection.written < self.plan.message.len() {
            let rest = &self.plan.message[connection.written..];
            match self.network.write(id, rest) {
                Ok(written) => connection.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Reading shows how the connection ended.
                Err(_) => return self.read(index),
            }
        }
    }

    /// Handles events for this duration.
    pub(super) fn sleep(&mut self, time: Duration) -> Result<(), Abort> {
        let until = self.now() + time;
        self.until(until, |_| false).map(|_| ())
    }

    /// Waits until `is_done` (returns `true`) or for `time` (returns `false`).
    pub(super) fn wait(
        &mut self,
        time: Duration,
        is_done: impl FnMut(&Self) -> bool,
    ) -> Result<bool, Abort> {
        let until = self.now() + time;
        self.until(until, is_done)
    }

    /// Waits until `is_done` (returns `true`) or until a time (returns `false`).
    pub(super) fn until(
        &mut self,
        until: NetworkTime,
        mut is_done: impl FnMut(&Self) -> bool,
    ) -> Result<bool, Abort> {
        let mut is_behind = false;
        loop {
            if self.plan.stop.load(Ordering::Relaxed) {
                return Err(Abort::Stopped);
            }
            if is_done(self) {
                return Ok(true);
            }
            let now = self.now();
            if !self.settling.needs_another {
                self.count_settled();
            }
            if now >= until && !is_behind {
                return Ok(false);
            }
            if self.network.now() >= self.deadline {
                return Err(Abort::OutOfTime);
            }
            let mut events = std::mem::take(&mut self.events);
            let wake_up = until.clamp(now, now + STOP_INTERVAL) + self.late;
            let wake_up = wake_up.min(self.deadline);
            let waited = self.network.wait(Some(wake_up), &mut events);
            let late = self.network.now().saturating_sub(wake_up);
            if late > LATE_WAKE_UP {
                self.late += late;
                is_behind = true;
            }
            // One wait does not return all events of a long delay.
            is_behind &= !events.is_empty();
            for event in events.drain(..) {
                self.handle(event)?;
            }
            self.events = events;
            waited.map_err(|error| Abort::Failed(FailureReason::Wait(error)))?;
        }
    }

    /// Counts the connections that are held for certain, after the server has accepted another one.
    pub(super) fn count_settled(&mut self) {
        let latest = self.now().saturating_sub(self.settling.after);
        let settled = self.count(|it| it.is_live() && it.connected.is_some_and(|at| at <= latest));
        self.max_settled = self.max_settled.max(settled);
    }

    fn handle(&mut self, event: Event) -> Result<(), Abort> {
        let (Event::Connected(id)
        | Event::Failed(id, _)
        | Event::Readable(id)
        | Event::Writable(id)) = event;
        let found = self.connections.iter().position(|it| it.id == Some(id));
        let Some(index) = found else { return Ok(()) };
        match event {
            Event::Connected(_) => {
                let mut connection = self.connections.remove(index);
                connection.connected = Some(self.now());
                self.connections.push(connection);
                self.max_live = self.max_live.max(self.live());
            }
            Event::Failed(_, failure) => {
                let end = match failure {
                    ConnectFailure::Refused => ConnectionEnd::Refused,
                    ConnectFailure::TimedOut => ConnectionEnd::TimedOut,
                    failure => return Err(abort(failure)),
                };
                self.end(index, end);
            }
            Event::Readable(_) => self.read(index),
            Event::Writable(_) => self.write(index),
        }
        Ok(())
    }

    fn read(&mut self, index: usize) {
        let mut buffer = [0; 4096];
        loop {
            let Some(id) = self.connections[index].id else {
                return;
            };
            match self.network.read(id, &mut buffer) {
                Ok(0) => return self.end(index, ConnectionEnd::Fin),
                Ok(length) => {
                    let now = self.now();
                    let connection = &mut self.connections[index];
                    connection.first_byte.get_or_insert(now);
                    if connection.asked.is_none() {
                        connection.unsolicited.extend(&buffer[..length]);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.end(index, ConnectionEnd::Reset),
            }
        }
    }

    fn end(&mut self, index: usize, end: ConnectionEnd) {
        self.connections[index].ended = Some((self.now(), end));
        let how = match end {
            ConnectionEnd::Fin => Release::Fin,
            ConnectionEnd::Refused | ConnectionEnd::TimedOut | ConnectionEnd::Reset => {
                Release::Reset
            }
        };
        self.release_at(index, how);
    }
}

impl<N: Network> Drop for ConnectionPool<'_, N> {
    fn drop(&mut self) {
        self.release_all();
    }
}

/// A failure that is unrelated to the server's limits.
fn abort(failure: ConnectFailure) -> Abort {
    Abort::Failed(match failure {
        ConnectFailure::LocalPorts => FailureReason::LocalPorts,
        ConnectFailure::LocalFiles => FailureReason::LocalFiles,
        ConnectFailure::Unreachable => FailureReason::Unreachable,
        ConnectFailure::Refused => FailureReason::NothingListens,
        ConnectFailure::TimedOut => FailureReason::NoAnswer,
    })
}
