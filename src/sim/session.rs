//! A virtual board with its cable and the client at the other end.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use embassy_time::Instant;
use tcpctl_settings::Mode;

use super::board::Board;
use super::cable::{End, cable};
use super::client::ClientStack;
use super::clock::ThreadPark;
use super::driver::CableDriver;
use super::event::Events;
use super::network::VirtualNetwork;
use super::router;
use super::servers::{ADDRESS, Neighbours, PREFIX, Summary};
use super::spec::Spec;
use super::stream::{Client, Connector, VirtualStream};

/// The client's address on the cable.
const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);

/// A virtual board for one command alone; its threads end when it is dropped.
pub struct Session {
    // Dropped first: it says goodbye to the board.
    client: Client,
    board: Board,
    address: SocketAddr,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.address).finish()
    }
}

impl Session {
    /// Starts a board and a client.
    ///
    /// # Errors
    /// When the operating system gives no threads.
    pub fn start(spec: &Spec) -> io::Result<Self> {
        Self::start_with(spec, None)
    }

    /// Starts a board that tells what happens, and a client.
    ///
    /// # Errors
    /// When the operating system gives no threads.
    pub fn start_with(spec: &Spec, events: Option<Events>) -> io::Result<Self> {
        let (board, stack) = plug(spec, events)?;
        Ok(Self {
            client: Client::start(stack)?,
            board,
            address: address(spec),
        })
    }

    /// The greeting server's address on the cable.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects to the board. Waits for as long as the stack repeats its SYN: bound it by a
    /// timeout.
    ///
    /// # Errors
    /// `ConnectionRefused` on a reset, `HostUnreachable` for an address that is not the board's.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<VirtualStream> {
        self.client.connect(to).await
    }

    /// What makes connections without borrowing the session. They end with it all the same.
    pub fn connector(&self) -> Connector {
        self.client.connector()
    }

    /// Stops the board and returns what it has counted.
    pub fn stop(self) -> Summary {
        drop(self.client);
        self.board.stop()
    }
}

/// Starts a board and returns the readiness interface to it, for the bench's thread.
///
/// # Errors
/// When the operating system gives no thread.
pub fn network(spec: &Spec, events: Option<Events>) -> io::Result<(Board, VirtualNetwork)> {
    let (board, stack) = plug(spec, events)?;
    Ok((board, VirtualNetwork::new(stack)))
}

/// The greeting server's address of a board on a cable.
pub fn address(spec: &Spec) -> SocketAddr {
    let address = match spec.mode {
        Mode::AccessPoint => ADDRESS,
        Mode::Station => router::LEASED,
    };
    SocketAddr::new(address.into(), spec.server.port().get())
}

/// A board at one end of a cable, and a client stack at the other.
fn plug(spec: &Spec, events: Option<Events>) -> io::Result<(Board, ClientStack)> {
    let (board_end, host_end): (End, End) = cable(spec.quality);
    let board = Board::start(spec, Neighbours::OneClient, events, move |mac| {
        Ok((CableDriver::new(board_end, mac), ThreadPark::new()))
    })?;
    let stack = ClientStack::new(
        host_end,
        CLIENT_ADDRESS,
        PREFIX,
        Instant::now(),
        spec.quality.seed,
    );
    let stack = match spec.mode {
        Mode::AccessPoint => stack,
        Mode::Station => lease(&board, stack.with_router(CLIENT_ADDRESS, PREFIX))?,
    };
    Ok((board, stack))
}

/// Plays the router until the board has its address. Blocks.
fn lease(board: &Board, mut stack: ClientStack) -> io::Result<ClientStack> {
    // On a cable that loses frames the board asks more than once, after seconds.
    const PATIENCE: Duration = Duration::from_mins(1);
    const LOOK_AGAIN: Duration = Duration::from_millis(1);
    let start = std::time::Instant::now();
    while board.reached().is_none() {
        if start.elapsed() > PATIENCE {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the virtual board got no address by DHCP over its cable in a minute",
            ));
        }
        stack.poll(Instant::now());
        thread::sleep(LOOK_AGAIN);
    }
    Ok(stack)
}
