//! What a virtual board tells while it runs.

use std::cell::Cell;
use std::net::SocketAddrV4;

use tcpctl_greeter::console::{Console, Request};
use tcpctl_greeter::dhcp::LeaseEvent;
use tokio::sync::mpsc;

/// Events that may wait for a console that is slow to print. What comes on top is dropped and
/// counted, as on the chip's serial line: a flood must not starve the network.
const MAX_EVENTS: usize = 4096;

/// What a board tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoardEvent {
    /// It can be reached.
    Ready {
        /// The greeting server's address.
        address: SocketAddrV4,
    },
    /// It has lost its address or its link.
    Lost,
    /// A DHCP lease of its own began, went on or ended, in AP mode.
    Lease(LeaseEvent),
    /// It answers to this host name over mDNS.
    Named {
        /// Without `.local`.
        host_name: String,
    },
    /// A request was read.
    Request {
        /// Who sent it.
        peer: SocketAddrV4,
        /// What had come, one receive buffer at the most.
        bytes: Vec<u8>,
    },
}

/// A place for a board's events.
pub type Events = mpsc::Sender<BoardEvent>;

/// A channel for a board's events.
pub fn events() -> (Events, mpsc::Receiver<BoardEvent>) {
    mpsc::channel(MAX_EVENTS)
}

/// A console that hands everything on, and drops what nobody takes.
pub struct EventConsole {
    events: Option<Events>,
    ready: Option<std::sync::mpsc::Sender<SocketAddrV4>>,
    dropped: Cell<u64>,
}

impl EventConsole {
    /// A console for `events`, if anybody wants them.
    pub fn new(events: Option<Events>) -> Self {
        Self {
            events,
            ready: None,
            dropped: Cell::new(0),
        }
    }

    /// The same, and `ready` is told whenever the board can be reached.
    #[must_use]
    pub fn with_ready(self, ready: std::sync::mpsc::Sender<SocketAddrV4>) -> Self {
        Self {
            ready: Some(ready),
            ..self
        }
    }

    pub(super) fn say(&self, event: BoardEvent) {
        if let (BoardEvent::Ready { address }, Some(ready)) = (&event, &self.ready) {
            // Nobody may wait for it any more.
            let _ = ready.send(*address);
        }
        if let Some(events) = &self.events
            && events.try_send(event).is_err()
        {
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    /// Events that nobody took in time.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}

impl Console for EventConsole {
    fn request(&self, request: &Request<'_>) {
        if self.events.is_some() {
            self.say(BoardEvent::Request {
                peer: request.peer,
                bytes: request.bytes.to_vec(),
            });
        }
    }
}
