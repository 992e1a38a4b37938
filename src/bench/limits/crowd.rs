//! The finder's own connections: who came, in which order, who was asked, answered or sent away.
//!
//! A crowd lets go of every connection that it still has when it is dropped, whatever the reason.

mod guest;
mod letting_go;

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::finding::Reason;
use super::{LimitsPlan, Step};
pub(super) use guest::{End, Guest, Name, Settles};
use tcpctl_engine::readiness::{ConnectFailure, Event, Network, NetworkTime, Release};

/// How long to wait at most before looking at the stop flag again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why a phase ends early.
#[derive(Debug)]
pub(super) enum Halt {
    /// Somebody said stop.
    Stopped,
    /// The budget is used up.
    OutOfTime,
    /// A silent connection was answered or ended, after so long: the hold is no longer whole.
    Stale(Duration),
    /// An answer came that was given up on: all that was concluded from silence is void.
    Late(Duration),
    /// Nothing to be said of the server.
    Failed(Reason),
}

/// All connections that the finder has at a time.
pub(super) struct Crowd<'a, N: Network> {
    network: &'a mut N,
    pub(super) plan: &'a LimitsPlan,
    observer: &'a mut dyn FnMut(Step),
    deadline: NetworkTime,
    /// In the order of their handshakes: that is the order in which a server takes them.
    guests: Vec<Guest>,
    names: usize,
    events: Vec<Event>,
    /// How long an answer may take; longer than planned, once a late one was seen.
    pub(super) reply_timeout: Duration,
    /// After how long the server is known to answer or end a silent connection.
    pub(super) silence_ends_after: Option<Duration>,
    /// Connections started in all.
    pub(super) opened: usize,
    /// The most that were open at a time, the unanswered SYNs with them.
    pub(super) most_open: usize,
    /// The most that were connected at a time.
    pub(super) most_live: usize,
    /// The most that were connected at a time and surely held: what can be said when there is no
    /// time for more.
    pub(super) most_settled: usize,
    /// When a connection is surely held.
    pub(super) settles: Settles,
    /// Retransmissions on connections that got through.
    pub(super) losses: usize,
}

impl<'a, N: Network> Crowd<'a, N> {
    pub(super) fn new(
        network: &'a mut N,
        plan: &'a LimitsPlan,
        observer: &'a mut dyn FnMut(Step),
    ) -> Self {
        let deadline = network.now() + plan.budget;
        Self {
            network,
            plan,
            observer,
            deadline,
            guests: Vec::new(),
            names: 0,
            events: Vec::new(),
            reply_timeout: plan.reply_timeout,
            silence_ends_after: None,
            opened: 0,
            most_open: 0,
            most_live: 0,
            most_settled: 0,
            settles: Settles::default(),
            losses: 0,
        }
    }

    pub(super) fn now(&self) -> NetworkTime {
        self.network.now()
    }

    /// How long ago that was.
    pub(super) fn since(&self, earlier: NetworkTime) -> Duration {
        self.now().saturating_sub(earlier)
    }

    pub(super) fn tell(&mut self, step: Step) {
        (self.observer)(step);
    }

    pub(super) fn guests(&self) -> &[Guest] {
        &self.guests
    }

    pub(super) fn guest(&self, name: Name) -> Option<&Guest> {
        self.guests.iter().find(|guest| guest.name == name)
    }

    /// Connected and not ended.
    pub(super) fn live(&self) -> usize {
        self.guests.iter().filter(|guest| guest.is_live()).count()
    }

    /// Open in any way: what counts against the maximum.
    pub(super) fn open(&self) -> usize {
        self.guests
            .iter()
            .filter(|guest| guest.id.is_some())
            .count()
    }

    /// Those on which nothing was said, eldest first.
    pub(super) fn silents(&self) -> Vec<Name> {
        self.guests
            .iter()
            .filter(|guest| guest.is_silent())
            .map(|guest| guest.name)
            .collect()
    }

    /// How many silent ones came before `name`.
    pub(super) fn silents_before(&self, name: Name) -> usize {
        self.guests
            .iter()
            .take_while(|guest| guest.name != name)
            .filter(|guest| guest.is_silent())
            .count()
    }

    /// SYNs of a connection that were sent again; `None` where the stack can't be asked.
    pub(super) fn syn_retransmissions(&self, name: Name) -> Option<u32> {
        let guest = self.guest(name)?;
        let Some(id) = guest.id else {
            return guest.syn_retransmissions;
        };
        Some(self.network.info(id)?.syn_retransmissions)
    }

    /// Data that was sent again; `None` where the stack can't be asked.
    pub(super) fn retransmissions(&self, name: Name) -> Option<u32> {
        let guest = self.guest(name)?;
        let Some(id) = guest.id else {
            return guest.retransmissions;
        };
        Some(self.network.info(id)?.retransmissions)
    }

    /// Starts a connection from the plan's first source address.
    pub(super) fn connect(&mut self) -> Result<Name, Halt> {
        let source = self.plan.sources.first().copied();
        self.connect_from(source)
    }

    pub(super) fn connect_from(&mut self, source: Option<std::net::IpAddr>) -> Result<Name, Halt> {
        let name = Name(self.names);
        self.names += 1;
        let mut guest = Guest {
            name,
            id: None,
            started: self.network.now(),
            connected: None,
            asked: None,
            has_left: false,
            written: 0,
            first_byte: None,
            ended: None,
            syn_retransmissions: None,
            retransmissions: None,
        };
        match self.network.connect(self.plan.target, source) {
            Ok(id) => guest.id = Some(id),
            // Loopback and the like know at once.
            Err(ConnectFailure::Refused) => guest.ended = Some((guest.started, End::Refused)),
            Err(failure) => return Err(ours(failure)),
        }
        self.guests.push(guest);
        self.opened += 1;
        self.most_open = self.most_open.max(self.open());
        Ok(name)
    }

    /// Sends the request on a connection.
    pub(super) fn ask(&mut self, name: Name) {
        let now = self.network.now();
        let Some(index) = self.guests.iter().position(|guest| guest.name == name) else {
            return;
        };
        self.guests[index].asked = Some(now);
        self.write(index);
    }

    /// Ends our side of one on which nothing was said, as a question: who serves it sees that soon,
    /// and ends the other side; who has it in a queue does not look. What comes of it is heard.
    pub(super) fn hang_up(&mut self, name: Name) {
        let now = self.network.now();
        let Some(guest) = self.guests.iter_mut().find(|guest| guest.name == name) else {
            return;
        };
        guest.asked = Some(now);
        guest.has_left = true;
        if let Some(id) = guest.id {
            self.network.finish(id);
        }
    }

    fn write(&mut self, index: usize) {
        let guest = &mut self.guests[index];
        let Some(id) = guest.id.filter(|_| !guest.has_left) else {
            return;
        };
        while guest.written < self.plan.message.len() {
            match self.network.write(id, &self.plan.message[guest.written..]) {
                Ok(written) => guest.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // What happened to it is read.
                Err(_) => return self.read(index),
            }
        }
    }

    /// Lets time pass, and takes note of what happens in it.
    pub(super) fn sleep(&mut self, time: Duration) -> Result<(), Halt> {
        let until = self.now() + time;
        self.until(until, |_| false).map(|_| ())
    }

    /// Waits until `done` says so (`true`) or for `time` (`false`).
    pub(super) fn wait(
        &mut self,
        time: Duration,
        done: impl FnMut(&Self) -> bool,
    ) -> Result<bool, Halt> {
        let until = self.now() + time;
        self.until(until, done)
    }

    /// Waits until `done` says so (`true`) or until a time (`false`).
    pub(super) fn until(
        &mut self,
        until: NetworkTime,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Result<bool, Halt> {
        loop {
            if self.plan.stop.load(Ordering::Relaxed) {
                return Err(Halt::Stopped);
            }
            if done(self) {
                return Ok(true);
            }
            let now = self.now();
            if !self.settles.needs_newcomer {
                self.count_settled();
            }
            if now >= until {
                return Ok(false);
            }
            if now >= self.deadline {
                return Err(Halt::OutOfTime);
            }
            let mut events = std::mem::take(&mut self.events);
            let until = until.min(now + LOOK_AGAIN).min(self.deadline);
            let waited = self.network.wait(Some(until), &mut events);
            for event in events.drain(..) {
                self.note(event)?;
            }
            self.events = events;
            waited.map_err(|error| Halt::Failed(Reason::Wait(error)))?;
        }
    }

    /// Takes note of how many are surely held, now that the server is seen to take more.
    pub(super) fn count_settled(&mut self) {
        let latest = self.now().saturating_sub(self.settles.after);
        let is_settled =
            |guest: &&Guest| guest.is_live() && guest.connected.is_some_and(|at| at <= latest);
        let settled = self.guests.iter().filter(is_settled).count();
        self.most_settled = self.most_settled.max(settled);
    }

    fn note(&mut self, event: Event) -> Result<(), Halt> {
        let (Event::Connected(id)
        | Event::Failed(id, _)
        | Event::Readable(id)
        | Event::Writable(id)) = event;
        let found = self.guests.iter().position(|guest| guest.id == Some(id));
        let Some(index) = found else { return Ok(()) };
        match event {
            Event::Connected(_) => {
                let mut guest = self.guests.remove(index);
                guest.connected = Some(self.network.now());
                self.guests.push(guest);
                self.most_live = self.most_live.max(self.live());
            }
            Event::Failed(_, failure) => {
                let end = match failure {
                    ConnectFailure::Refused => End::Refused,
                    ConnectFailure::TimedOut => End::TimedOut,
                    failure => return Err(ours(failure)),
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
            let Some(id) = self.guests[index].id else {
                return;
            };
            match self.network.read(id, &mut buffer) {
                Ok(0) => return self.end(index, End::Fin),
                Ok(_) => {
                    let now = self.network.now();
                    self.guests[index].first_byte.get_or_insert(now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.end(index, End::Reset),
            }
        }
    }

    fn end(&mut self, index: usize, end: End) {
        self.guests[index].ended = Some((self.network.now(), end));
        let how = match end {
            End::Fin => Release::Fin,
            End::Refused | End::TimedOut | End::Reset => Release::Reset,
        };
        self.let_go(index, how);
    }
}

impl<N: Network> Drop for Crowd<'_, N> {
    fn drop(&mut self) {
        self.release_all();
    }
}

/// A failure that says nothing about the server.
fn ours(failure: ConnectFailure) -> Halt {
    Halt::Failed(match failure {
        ConnectFailure::LocalPorts => Reason::LocalPorts,
        ConnectFailure::LocalFiles => Reason::LocalFiles,
        ConnectFailure::Unreachable => Reason::Unreachable,
        ConnectFailure::Refused => Reason::NothingListens,
        ConnectFailure::TimedOut => Reason::NoAnswer,
    })
}
