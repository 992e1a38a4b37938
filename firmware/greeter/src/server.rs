//! The greeting server: reads a request, shows it, answers with the greeting, closes.
//!
//! A server is a number of *slots*, each a future with a socket and its buffers: `workers` plus
//! `backlog` of them. Every free slot listens. A connection that finds no free slot is refused
//! by the stack; one that finds a slot but no free worker waits for one in arrival order.

use core::cell::Cell;
use core::fmt::Write as _;
use core::net::SocketAddrV4;

use embassy_futures::select::{Either, select};
use embassy_net::tcp::{State, TcpSocket};
use embassy_net::{IpAddress, IpEndpoint, Stack};
use embassy_time::{Duration, Timer, with_timeout};
use tcpctl_settings::ServerSettings;

use crate::backlog::Backlog;
use crate::connection;
use crate::console::{Console, Request};
use crate::counters::{Counters, Tally, add_bytes};
use crate::status::{self, Board, Report};

/// A good size for a slot's receive buffer, bytes: a browser's request fits.
pub const RECEIVE_BUFFER: usize = 1024;
/// A good size for a slot's send buffer, bytes.
pub const SEND_BUFFER: usize = 512;

/// How a greeting server behaves.
#[derive(Debug, Clone, Copy)]
pub struct Config<'a> {
    /// The TCP port. Not zero.
    pub port: u16,
    /// The answer to every request, of any length.
    pub greeting: &'a [u8],
    /// Connections served at the same time. At least one, or none is ever served.
    pub workers: usize,
    /// Connections beyond those that are accepted and wait their turn.
    pub backlog: usize,
    /// How long a worker waits for the first byte of a request before it greets all the same.
    /// Zero is the tutorial's way: read what has come, greet.
    pub request_timeout: Duration,
    /// How long a worker is busy with a request before it answers. Zero on a chip; the virtual
    /// board plays a slow one with it.
    pub service_time: Duration,
    /// After how long a peer that no longer answers loses its slot: in the handshake, while it
    /// waits, and in the middle.
    pub peer_timeout: Duration,
    /// How long a peer that has its whole answer has to close its side before it is reset.
    pub close_timeout: Duration,
}

impl<'a> Config<'a> {
    /// As `settings` want it; what no setting says is the firmware's.
    pub fn of(settings: &'a ServerSettings) -> Self {
        Self {
            port: settings.port().get(),
            greeting: settings.greeting().as_bytes(),
            workers: settings.workers().get().into(),
            backlog: settings.backlog().get().into(),
            request_timeout: Duration::from_millis(settings.request_timeout().as_millis().into()),
            ..Config::DEFAULT
        }
    }
}

impl Config<'_> {
    /// The defaults of the firmware: port 3000, `Hello World`, 4 workers, a backlog of 4, 5 s
    /// for a silent request.
    pub const DEFAULT: Config<'static> = Config {
        port: 3000,
        greeting: b"Hello World",
        workers: 4,
        backlog: 4,
        request_timeout: Duration::from_secs(5),
        service_time: Duration::from_ticks(0),
        peer_timeout: Duration::from_secs(10),
        close_timeout: Duration::from_secs(2),
    };

    /// How many slots this server needs: [`Server::slot`] is to be run that many times.
    pub const fn slots(&self) -> usize {
        self.workers + self.backlog
    }

    /// The same with at most `slots` of them: a board that has no room for all gives up places to
    /// wait first, workers after that.
    #[must_use]
    pub fn within(self, slots: usize) -> Self {
        let workers = self.workers.min(slots);
        Self {
            workers,
            backlog: self.backlog.min(slots - workers),
            ..self
        }
    }
}

/// The state that the slots of one server share. `SLOTS` bounds their number.
pub struct Server<'a, C, const SLOTS: usize> {
    stack: Stack<'a>,
    config: Config<'a>,
    backlog: Backlog<SLOTS>,
    console: C,
    tally: Tally,
    refused: Option<&'a Cell<u32>>,
    status: Option<&'a dyn Board>,
}

impl<'a, C: Console, const SLOTS: usize> Server<'a, C, SLOTS> {
    /// A server on `stack`. It serves when its slots run.
    ///
    /// `refused` is the counter of a [`crate::refusals::Refusals`] driver, where there is one.
    pub fn new(
        stack: Stack<'a>,
        config: Config<'a>,
        console: C,
        refused: Option<&'a Cell<u32>>,
    ) -> Self {
        Self {
            stack,
            config,
            backlog: Backlog::new(config.workers),
            console,
            tally: Tally::default(),
            refused,
            status: None,
        }
    }

    /// The same, and a request of `status` is answered with the readings of `board`.
    #[must_use]
    pub fn with_status(self, board: &'a dyn Board) -> Self {
        Self {
            status: Some(board),
            ..self
        }
    }

    /// What has been counted so far.
    pub fn counters(&self) -> Counters {
        Counters {
            accepted: self.tally.accepted.get(),
            served: self.tally.served.get(),
            refused: self.refused.map(Cell::get),
            timed_out: self.tally.timed_out.get(),
            reset: self.tally.reset.get(),
            bytes_in: self.tally.bytes_in.get(),
            bytes_out: self.tally.bytes_out.get(),
            in_use: self.backlog.serving(),
            waiting: self.backlog.waiting(),
        }
    }

    /// One slot: listens, serves, listens again, for ever.
    ///
    /// `receive` bounds the request that the console is shown (what does not fit is read and
    /// discarded after the answer); `send` bounds nothing, a longer greeting is sent in parts.
    /// Takes one TCP socket of the stack for as long as it runs.
    pub async fn slot(&self, receive: &mut [u8], send: &mut [u8]) {
        let mut socket = TcpSocket::new(self.stack, receive, send);
        // The answer is one write, and the FIN goes with it: there is nothing to coalesce.
        socket.set_nagle_enabled(false);
        connection::watch_peer(&mut socket, self.config.peer_timeout);
        loop {
            if socket.accept(self.config.port).await.is_err() {
                // Only a socket that is still open: it can't be, but must not spin here if it is.
                connection::reset(&mut socket).await;
                Timer::after(self.config.close_timeout).await;
                continue;
            }
            // A handshake that was never completed ends here too, timed out.
            let Some(peer) = socket
                .remote_endpoint()
                .and_then(ipv4)
                .filter(|_| is_alive(&socket))
            else {
                connection::reset(&mut socket).await;
                continue;
            };
            self.tally.accepted.add_one();
            let worker = match select(self.backlog.worker(), connection::gone(&socket)).await {
                Either::First(Some(worker)) if is_alive(&socket) => worker,
                _ => {
                    self.tally.reset.add_one();
                    connection::reset(&mut socket).await;
                    continue;
                }
            };
            if self.answer(&mut socket, peer).await.is_err() {
                self.tally.reset.add_one();
            }
            // Whoever waits is served while this peer takes its time to close.
            drop(worker);
            let Config {
                peer_timeout,
                close_timeout,
                ..
            } = self.config;
            connection::close(&mut socket, peer_timeout, close_timeout).await;
        }
    }

    /// Reads the request, shows it, writes the greeting. Fails when the peer resets or vanishes.
    async fn answer(
        &self,
        socket: &mut TcpSocket<'_>,
        peer: SocketAddrV4,
    ) -> Result<(), embassy_net::tcp::Error> {
        let mut asks = None;
        let show = |bytes: &mut [u8]| {
            asks = self.status.filter(|_| status::is_request(bytes));
            add_bytes(&self.tally.bytes_in, bytes.len());
            self.console.request(&Request { peer, bytes });
            (bytes.len(), ())
        };
        // Reading first matters: data that comes after the answer would find its ACK delayed and
        // the socket gone, and a stray reset would be sent.
        let read = with_timeout(self.config.request_timeout, socket.read_with(show)).await;
        match read {
            Ok(Ok(())) => {}
            // Closed without a byte: it may have half-closed, and wait.
            Ok(Err(_)) if is_alive(socket) => self.console.request(&Request { peer, bytes: &[] }),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                if self.config.request_timeout > Duration::from_ticks(0) {
                    self.tally.timed_out.add_one();
                }
                self.console.request(&Request { peer, bytes: &[] });
            }
        }
        if self.config.service_time > Duration::from_ticks(0) {
            let work = Timer::after(self.config.service_time);
            if let Either::Second(()) = select(work, connection::gone(socket)).await {
                return Err(embassy_net::tcp::Error::ConnectionReset);
            }
        }
        match asks {
            Some(board) => {
                let report = Report {
                    vitals: board.vitals(),
                    counters: self.counters(),
                };
                let mut line = heapless::String::<{ status::MAX_LEN }>::new();
                // It fits: see the test of `MAX_LEN`.
                let _ = writeln!(line, "{report}");
                self.send(socket, line.as_bytes()).await?;
            }
            None => self.send(socket, self.config.greeting).await?,
        }
        self.tally.served.add_one();
        Ok(())
    }

    /// Writes an answer of any length.
    async fn send(
        &self,
        socket: &mut TcpSocket<'_>,
        mut rest: &[u8],
    ) -> Result<(), embassy_net::tcp::Error> {
        while !rest.is_empty() {
            let written = socket.write(rest).await?;
            add_bytes(&self.tally.bytes_out, written);
            rest = &rest[written..];
        }
        Ok(())
    }
}

/// Whether the connection can still be answered.
fn is_alive(socket: &TcpSocket<'_>) -> bool {
    matches!(socket.state(), State::Established | State::CloseWait)
}

/// The peer's address. The stack is built without IPv6.
#[expect(
    clippy::unnecessary_wraps,
    reason = "not when the stack is built with IPv6"
)]
fn ipv4(endpoint: IpEndpoint) -> Option<SocketAddrV4> {
    match endpoint.addr {
        IpAddress::Ipv4(address) => Some(SocketAddrV4::new(address, endpoint.port)),
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn a_small_board_gives_up_waiting_places_first() {
        for (workers, backlog, slots, fits) in [
            (4, 4, 16, (4, 4)),
            (12, 12, 16, (12, 4)),
            (32, 32, 16, (16, 0)),
            (1, 32, 16, (1, 15)),
        ] {
            let config = Config {
                workers,
                backlog,
                ..Config::DEFAULT
            };
            let config = config.within(slots);
            assert_eq!((config.workers, config.backlog), fits);
        }
    }
}
