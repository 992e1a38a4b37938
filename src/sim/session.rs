//! A virtual board, its link, and the client at the other end.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use embassy_time::Instant;
use futures_util::FutureExt;
use tcpctl_settings::{ManagementKey, Mode};
use tokio::sync::{oneshot, watch};

use super::board::Board;
use super::boot::{self, Hardware};
use super::client::ClientStack;
use super::clock::{Park, Simulation, ThreadPark};
use super::driver::LinkDriver;
use super::event::{EventConsole, Events, Online};
use super::link::{End, link};
use super::network::VirtualNetwork;
use super::router;
use super::servers::{ADDRESS, Neighbors, PREFIX, Summary};
use super::spec::Spec;
use super::stream::{Client, Connector, VirtualStream};
use crate::keys;

/// The client's address on the link.
const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);

/// A virtual board for one command. Dropping it ends its threads.
pub struct Session {
    // Dropped first, because it closes its connections to the board.
    client: Client,
    board: Board,
    /// Address of the greeting server before the board is reachable for the first time.
    first: SocketAddr,
    /// Key of a board that exists only for this command, if its management is on.
    management_key: Option<ManagementKey>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.address()).finish()
    }
}

impl Session {
    /// Starts a board and a client.
    ///
    /// # Errors
    /// No thread can be created.
    pub fn start(spec: &Spec) -> io::Result<Self> {
        let key = keys::generate().map_err(io::Error::other)?;
        let spec = &Spec {
            management_key: Some(key),
            ..spec.clone()
        };
        let (board, stack) = start(spec, Hardware::new(spec)?, None)?;
        let stack = wait_for_lease(spec, &board, stack)?;
        Ok(Self {
            client: Client::start(stack)?,
            board,
            first: address(spec),
            management_key: spec
                .management_key
                .clone()
                .filter(|_| spec.server.management().is_on()),
        })
    }

    /// Starts a board that reports `events`, and a client. A station may not be reachable yet.
    ///
    /// # Errors
    /// No thread can be created.
    pub fn start_with(spec: &Spec, hardware: Hardware, events: Events) -> io::Result<Self> {
        let (board, stack) = start(spec, hardware, Some(events))?;
        Ok(Self {
            client: Client::start(stack)?,
            board,
            first: address(spec),
            management_key: None,
        })
    }

    /// The greeting server's address on the link.
    pub fn address(&self) -> SocketAddr {
        let online = self.online().borrow();
        online.as_ref().map_or(self.first, |it| it.address.into())
    }

    /// The management key of a board that exists only for one command, if its management is on.
    pub fn management_key(&self) -> Option<&ManagementKey> {
        self.management_key.as_ref()
    }

    /// Whether the board is reachable, and where.
    pub fn online(&self) -> &watch::Receiver<Option<Online>> {
        self.board.online()
    }

    /// Connects to the board. The stack retransmits its SYN without limit: use a timeout.
    ///
    /// # Errors
    /// `ConnectionRefused` on a reset, `HostUnreachable` for an address that is not the board's.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<VirtualStream> {
        self.client.connect(to).await
    }

    /// Makes connections without borrowing the session. They end with the session.
    pub fn connector(&self) -> Connector {
        self.client.connector()
    }

    /// Stops the board and returns its counters.
    pub fn stop(self) -> Summary {
        drop(self.client);
        self.board.stop()
    }
}

/// Starts a board and returns the engine's interface to it, for the calling thread.
///
/// # Errors
/// No thread can be created.
pub fn network(spec: &Spec, events: Option<Events>) -> io::Result<(Board, VirtualNetwork)> {
    let (board, stack) = start(spec, Hardware::new(spec)?, events)?;
    let stack = wait_for_lease(spec, &board, stack)?;
    Ok((board, VirtualNetwork::new(stack)))
}

/// A virtual board in simulated time, on the calling thread. Drop its network first.
pub struct SimulatedBoard {
    simulation: Rc<RefCell<Simulation>>,
    /// The board stops when the sender is dropped.
    stop: oneshot::Sender<()>,
    summary: Rc<Cell<Summary>>,
}

impl SimulatedBoard {
    /// Stops the board and returns its counters.
    pub fn stop(self) -> Summary {
        drop(self.stop);
        self.simulation.borrow_mut().finish();
        self.summary.take()
    }
}

/// Waits in simulated time.
struct SimulatedPark(Rc<RefCell<Simulation>>);

impl Park for SimulatedPark {
    fn unparker(&self) -> Box<dyn Fn() + Send + Sync> {
        self.0.borrow().unparker()
    }

    fn park(&mut self, until: Option<Instant>) {
        self.0.borrow_mut().park(until);
    }
}

/// An access point and the engine's interface to it in simulated time: everything runs on the
/// calling thread, no wait takes time, and a busy computer changes nothing.
///
/// # Errors
/// The settings do not fit the virtual flash.
///
/// # Panics
/// Another simulation runs on this thread.
pub fn simulated(spec: &Spec) -> io::Result<(SimulatedBoard, VirtualNetwork)> {
    let hardware = Hardware::new(spec)?;
    let mut simulation = Simulation::new();
    let (board_end, stack) = stack(spec);
    let (stop, stopped) = oneshot::channel();
    let summary = Rc::new(Cell::new(Summary::default()));
    let (own, result) = (spec.clone(), Rc::clone(&summary));
    simulation.run(async move {
        let driver = LinkDriver::new(board_end, hardware.mac);
        let console = EventConsole::new(None);
        let stop = stopped.map(drop);
        let neighbors = Neighbors::OneClient;
        let stopped = boot::run(&own, hardware, driver, neighbors, console, stop).await;
        result.set(stopped.summary);
    });
    let simulation = Rc::new(RefCell::new(simulation));
    let park = SimulatedPark(Rc::clone(&simulation));
    let board = SimulatedBoard {
        simulation,
        stop,
        summary,
    };
    Ok((board, VirtualNetwork::with_park(stack, Box::new(park))))
}

/// The greeting server's address of a new board on a link.
pub fn address(spec: &Spec) -> SocketAddr {
    let address = match spec.mode {
        Mode::AccessPoint => ADDRESS,
        Mode::Station => router::LEASED,
    };
    SocketAddr::new(address.into(), spec.server.port().get())
}

/// Starts a board at one end of a link and a client stack at the other. The client is also the DHCP
/// server of the network that a station joins.
fn start(
    spec: &Spec,
    hardware: Hardware,
    events: Option<Events>,
) -> io::Result<(Board, ClientStack)> {
    let (board_end, stack) = stack(spec);
    let board = Board::start(spec, hardware, Neighbors::OneClient, events, move |mac| {
        Ok((LinkDriver::new(board_end, mac), ThreadPark::new()))
    })?;
    Ok((board, stack))
}

/// A link: the board's end, and a client stack at the other.
fn stack(spec: &Spec) -> (End, ClientStack) {
    let (board_end, host_end) = link(spec.link);
    let now = Instant::now();
    let stack = ClientStack::new(host_end, CLIENT_ADDRESS, PREFIX, now, spec.link.seed);
    (board_end, stack.with_router(CLIENT_ADDRESS, PREFIX))
}

/// Serves DHCP until a station has its address. Blocks.
fn wait_for_lease(spec: &Spec, board: &Board, mut stack: ClientStack) -> io::Result<ClientStack> {
    // On a lossy link the board repeats its request after seconds.
    const TIMEOUT: Duration = Duration::from_mins(1);
    const POLL_INTERVAL: Duration = Duration::from_millis(1);
    let start = std::time::Instant::now();
    while spec.mode == Mode::Station && board.online().borrow().is_none() {
        if start.elapsed() > TIMEOUT {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the virtual board got no DHCP address within a minute",
            ));
        }
        stack.poll(Instant::now());
        thread::sleep(POLL_INTERVAL);
    }
    Ok(stack)
}
