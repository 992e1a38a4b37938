//! Events of a running virtual board.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::time;

use embassy_time::Duration;
use tcpctl_greeter::console::{Console, Request};
use tcpctl_greeter::dhcp::LeaseEvent;
use tcpctl_greeter::server::RECEIVE_BUFFER;
use tcpctl_greeter::trial;
use tcpctl_settings::{HostName, Mode};
use tokio::sync::{mpsc, watch};

/// Maximum queued events. More are dropped and counted, as on the chip's serial line, so that a
/// flood does not stall the network.
const MAX_EVENTS: usize = 4096;

/// An event of a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoardEvent {
    /// The board is reachable.
    Ready(Online),
    /// The board lost its address or link, or could not join its network.
    Lost {
        /// Reason; `None` if the link is down.
        reason: Option<String>,
    },
    /// The newest settings are or were on trial, and are not confirmed.
    Trial(trial::Report),
    /// A DHCP lease changed, in AP mode.
    Lease(LeaseEvent),
    /// The board claimed this mDNS host name.
    Named {
        /// Host name, without `.local`.
        host_name: String,
    },
    /// A request was answered, or its connection broke.
    Request {
        /// The client.
        peer: SocketAddrV4,
        /// Length of the request in bytes.
        len: usize,
        /// The beginning of the request, at most one receive buffer.
        bytes: Vec<u8>,
        /// Bytes of the reply; `None` if the connection broke.
        sent: Option<usize>,
        /// Time from reading the request to the end of the reply.
        elapsed: time::Duration,
    },
}

/// A board that is reachable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Online {
    /// The greeting server's address.
    pub address: SocketAddrV4,
    /// Access point or station.
    pub mode: Mode,
    /// Host name of the settings.
    pub host_name: HostName,
    /// Connections served at once.
    pub workers: u8,
    /// Connections that can wait.
    pub backlog: u8,
    /// Whether the management channel is on.
    pub management: bool,
    /// Firmware version, if the board accepts images.
    pub firmware: Option<String>,
}

/// The sender of a board's events.
pub type Events = mpsc::Sender<BoardEvent>;

/// A channel for a board's events.
pub fn events() -> (Events, mpsc::Receiver<BoardEvent>) {
    mpsc::channel(MAX_EVENTS)
}

/// A console that forwards events, and drops those that do not fit the channel.
pub struct EventConsole {
    events: Option<Events>,
    online: Option<watch::Sender<Option<Online>>>,
    dropped: Cell<u64>,
    /// Requests that are being answered, by peer.
    pending: RefCell<HashMap<SocketAddrV4, PendingRequest>>,
}

/// A request that is being answered.
#[derive(Default)]
struct PendingRequest {
    /// Bytes received so far.
    len: usize,
    /// The first bytes, at most one receive buffer.
    bytes: Vec<u8>,
}

impl EventConsole {
    /// A console that sends to `events`, if given.
    pub fn new(events: Option<Events>) -> Self {
        Self {
            events,
            online: None,
            dropped: Cell::new(0),
            pending: RefCell::default(),
        }
    }

    /// Also shows in `online` whether the board is reachable.
    #[must_use]
    pub fn with_online(self, online: watch::Sender<Option<Online>>) -> Self {
        Self {
            online: Some(online),
            ..self
        }
    }

    pub(super) fn emit(&self, event: BoardEvent) {
        if let Some(online) = &self.online {
            match &event {
                BoardEvent::Ready(now) => {
                    online.send_replace(Some(now.clone()));
                }
                BoardEvent::Lost { .. } => {
                    online.send_replace(None);
                }
                _ => {}
            }
        }
        if let Some(events) = &self.events
            && events.try_send(event).is_err()
        {
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    /// Dropped events.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}

impl Console for EventConsole {
    fn request(&self, request: &Request<'_>) {
        if self.events.is_some() {
            let mut pending = self.pending.borrow_mut();
            let pending = pending.entry(request.peer).or_default();
            let room = RECEIVE_BUFFER.saturating_sub(pending.bytes.len());
            pending.bytes.extend(request.bytes.iter().take(room));
            pending.len += request.bytes.len();
        }
    }

    fn finished(&self, peer: SocketAddrV4, sent: Option<usize>, elapsed: Duration) {
        let pending = self.pending.borrow_mut().remove(&peer);
        if let Some(PendingRequest { len, bytes }) = pending {
            self.emit(BoardEvent::Request {
                peer,
                len,
                bytes,
                sent,
                elapsed: elapsed.into(),
            });
        }
    }
}
