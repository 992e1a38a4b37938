//! The greeting server: reads a request, prints it, replies with the greeting, closes.
//!
//! A server has `workers` plus `backlog` *slots*, each a future with a socket and its buffers. Every
//! free slot listens. Without a free slot the stack refuses a connection. Without a free worker an
//! accepted connection waits in order of arrival.

use core::cell::{Cell, RefCell};
use core::net::SocketAddrV4;

use embassy_futures::select::{Either, select};
use embassy_net::tcp::{State, TcpSocket};
use embassy_net::{IpAddress, IpEndpoint, Stack};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use tcpctl_settings::{Greeting, ServerSettings};

use crate::backlog::Backlog;
use crate::connection;
use crate::console::{Console, Request};
use crate::counters::{Counters, Tally, add_bytes};
use crate::handler::{MAX_LINE, Reply, RequestHandler, request_line};

/// Size of a slot's receive buffer, in bytes. A browser's request fits.
pub const RECEIVE_BUFFER: usize = 1024;
/// Size of a slot's send buffer, in bytes. The longest reply of a command.
pub const SEND_BUFFER: usize = 800;

const _: () = assert!(crate::status::MAX_LEN < SEND_BUFFER);

/// Configuration of a greeting server.
#[derive(Debug, Clone, Copy)]
pub struct Config<'a> {
    /// The TCP port. Not zero.
    pub port: u16,
    /// The reply to every request, of any length.
    pub greeting: &'a [u8],
    /// Connections served at once, at least one.
    pub workers: usize,
    /// Accepted connections that wait for a worker.
    pub backlog: usize,
    /// Time to wait for the first byte of a request before replying. With zero, the server reads what
    /// has arrived and replies.
    pub request_timeout: Duration,
    /// Time that a worker is busy with a request before it replies. Zero on a chip; a virtual board
    /// simulates a slow one with it.
    pub service_time: Duration,
    /// Timeout for a peer that no longer replies, in any state of the connection.
    pub peer_timeout: Duration,
    /// Time for a peer that has its whole reply to close its side. After it the peer is reset.
    pub close_timeout: Duration,
}

impl<'a> Config<'a> {
    /// The configuration for `settings`, with defaults for everything else.
    pub fn from_settings(settings: &'a ServerSettings) -> Self {
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
    /// Port 3000, `Hello World`, 4 workers, backlog 4, request timeout 5 s.
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

    /// Number of slots: run [`Server::slot`] that many times.
    pub const fn slots(&self) -> usize {
        self.workers + self.backlog
    }

    /// Limits the number of slots. The backlog is reduced first, then the workers.
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

/// State shared by the slots of a server. `SLOTS` bounds their number.
pub struct Server<'a, C, const SLOTS: usize> {
    stack: Stack<'a>,
    config: Config<'a>,
    backlog: Backlog<SLOTS>,
    console: C,
    tally: Tally,
    refused: Option<&'a Cell<u32>>,
    handler: Option<&'a dyn RequestHandler>,
    request_timeout: Cell<Duration>,
    /// A greeting that replaces that of the configuration.
    greeting: RefCell<Option<Greeting>>,
}

impl<'a, C: Console, const SLOTS: usize> Server<'a, C, SLOTS> {
    /// A server on `stack`. It serves while its slots run.
    ///
    /// `refused` is the counter of a [`crate::refusals::Refusals`] driver, if any.
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
            handler: None,
            request_timeout: Cell::new(config.request_timeout),
            greeting: RefCell::new(None),
        }
    }

    /// Sets a handler for requests that are commands.
    #[must_use]
    pub fn with_handler(self, handler: &'a dyn RequestHandler) -> Self {
        Self {
            handler: Some(handler),
            ..self
        }
    }

    /// Applies the settings that a running server can change: the greeting and the request timeout,
    /// from the next request on.
    pub fn apply(&self, settings: &ServerSettings) {
        let timeout = settings.request_timeout().as_millis();
        self.request_timeout
            .set(Duration::from_millis(timeout.into()));
        *self.greeting.borrow_mut() = Some(settings.greeting().clone());
    }

    /// The counters.
    pub fn counters(&self) -> Counters {
        Counters {
            accepted: self.tally.accepted.get(),
            served: self.tally.served.get(),
            refused: self.refused.map(Cell::get),
            timed_out: self.tally.timed_out.get(),
            reset: self.tally.reset.get(),
            bytes_in: self.tally.bytes_in.get(),
            bytes_out: self.tally.bytes_out.get(),
            slots: self.config.slots(),
            in_use: self.backlog.serving(),
            waiting: self.backlog.waiting(),
        }
    }

    /// One slot: listens and serves in a loop.
    ///
    /// `receive` bounds the part of a request that is printed; the rest is discarded after the reply.
    /// A reply longer than `send` is sent in parts. Uses one TCP socket of the stack.
    pub async fn slot(&self, receive: &mut [u8], send: &mut [u8]) {
        let answer = async |socket: &mut TcpSocket<'_>, peer| self.answer(socket, peer).await;
        self.slot_with(receive, send, answer).await;
    }

    /// Like [`Server::slot`], with a protocol of the caller instead of the greeting. `answer` returns
    /// the bytes sent; its error resets the connection.
    pub async fn slot_with(
        &self,
        receive: &mut [u8],
        send: &mut [u8],
        answer: impl AsyncFn(&mut TcpSocket<'_>, SocketAddrV4) -> Result<usize, embassy_net::tcp::Error>,
    ) {
        let mut socket = TcpSocket::new(self.stack, receive, send);
        // The reply is one write followed by the FIN, so there is nothing to coalesce.
        socket.set_nagle_enabled(false);
        connection::watch_peer(&mut socket, self.config.peer_timeout);
        loop {
            if socket.accept(self.config.port).await.is_err() {
                // Should not happen, but the loop must not spin.
                connection::reset(&mut socket).await;
                Timer::after(self.config.close_timeout).await;
                continue;
            }
            // An incomplete handshake times out and ends here as well.
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
            let start = Instant::now();
            let sent = answer(&mut socket, peer).await.ok();
            match sent {
                Some(_) => self.tally.served.add_one(),
                None => self.tally.reset.add_one(),
            }
            self.console.finished(peer, sent, start.elapsed());
            // The next connection is served while this peer closes.
            drop(worker);
            let Config {
                peer_timeout,
                close_timeout,
                ..
            } = self.config;
            connection::close(&mut socket, peer_timeout, close_timeout).await;
        }
    }

    /// Reads the request, prints it and replies. Returns the bytes sent. Fails if the peer resets or
    /// vanishes.
    async fn answer(
        &self,
        socket: &mut TcpSocket<'_>,
        peer: SocketAddrV4,
    ) -> Result<usize, embassy_net::tcp::Error> {
        let mut line = None;
        let show = |bytes: &mut [u8]| {
            line = self.handler.and_then(|_| request_line(bytes));
            add_bytes(&self.tally.bytes_in, bytes.len());
            self.console.request(&Request { peer, bytes });
            (bytes.len(), ())
        };
        let request_timeout = self.request_timeout.get();
        // Read before replying: data that arrives after the close would be answered with a reset.
        let read = with_timeout(request_timeout, socket.read_with(show)).await;
        match read {
            Ok(Ok(())) => {}
            // A FIN without data: the peer may have half-closed and wait for the reply.
            Ok(Err(_)) if is_alive(socket) => self.console.request(&Request { peer, bytes: &[] }),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                if request_timeout > Duration::from_ticks(0) {
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
        if let Some(sent) = self.run_command(socket, line).await? {
            return Ok(sent);
        }
        if self.greeting.borrow().is_some() {
            return self.send_new_greeting(socket).await;
        }
        self.send(socket, self.config.greeting).await?;
        Ok(self.config.greeting.len())
    }

    /// Writes the greeting of [`apply`](Self::apply) straight into the send buffer, so that no slot
    /// needs memory for a copy. In one piece: the buffer is empty and larger than any greeting.
    async fn send_new_greeting(
        &self,
        socket: &mut TcpSocket<'_>,
    ) -> Result<usize, embassy_net::tcp::Error> {
        let sent = socket
            .write_with(|buffer| {
                let greeting = self.greeting.borrow();
                let bytes = greeting.as_ref().map_or(&[][..], Greeting::as_bytes);
                let length = bytes.len().min(buffer.len());
                buffer[..length].copy_from_slice(&bytes[..length]);
                (length, length)
            })
            .await?;
        add_bytes(&self.tally.bytes_out, sent);
        Ok(sent)
    }

    /// Writes the reply of a command straight into the send buffer, which is still empty. Returns its
    /// length; `None` if the request is not a command.
    async fn run_command(
        &self,
        socket: &mut TcpSocket<'_>,
        line: Option<heapless::String<MAX_LINE>>,
    ) -> Result<Option<usize>, embassy_net::tcp::Error> {
        let (Some(handler), Some(line)) = (self.handler, line) else {
            return Ok(None);
        };
        let counters = self.counters();
        let written = socket
            .write_with(|buffer| {
                let mut reply = Reply::new(buffer);
                let is_command = handler.reply(&line, &counters, &mut reply);
                let length = if is_command { reply.len() } else { 0 };
                (length, is_command.then_some(length))
            })
            .await?;
        add_bytes(&self.tally.bytes_out, written.unwrap_or(0));
        Ok(written)
    }

    /// Prints a request that was read by a protocol of the caller.
    pub fn report(&self, peer: SocketAddrV4, bytes: &[u8]) {
        add_bytes(&self.tally.bytes_in, bytes.len());
        self.console.request(&Request { peer, bytes });
    }

    /// Waits until the connection is reset by the peer or timed out; a FIN does not count.
    pub async fn gone(socket: &TcpSocket<'_>) {
        connection::gone(socket).await;
    }

    /// Writes a reply of any length.
    ///
    /// # Errors
    /// The peer resets or vanishes.
    pub async fn send(
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

/// Whether a reply can still be sent.
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
    extern crate std;

    use embassy_net::StackResources;
    use tcpctl_settings::{RequestTimeout, ServerParts};

    use super::*;
    use crate::link_tests::{Link, finish, fixed, until_done};

    #[test]
    fn backlog_is_reduced_before_workers() {
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

    #[test]
    fn status_counts_the_slots_that_fit() {
        let wanted = Config {
            workers: 16,
            backlog: 16,
            ..Config::DEFAULT
        };
        let link = Link::default();
        let mut resources = StackResources::<1>::new();
        let network = embassy_net::Config::default();
        let (stack, _) = embassy_net::new(link.board(), network, &mut resources, 7);
        let server = Server::<_, 32>::new(stack, wanted.within(27), (), None);
        assert_eq!(server.counters().slots, 27);
    }

    /// The reply to a connection that sends nothing, and the seconds until it arrives.
    async fn silent(stack: embassy_net::Stack<'_>) -> (std::vec::Vec<u8>, u64) {
        let (mut receive, mut send) = ([0; 256], [0; 64]);
        let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
        let address = (core::net::Ipv4Addr::new(192, 168, 1, 1), 3000);
        socket.connect(address).await.unwrap();
        let start = Instant::now();
        let mut reply = std::vec::Vec::new();
        let mut piece = [0; 64];
        while let Ok(length @ 1..) = socket.read(&mut piece).await {
            reply.extend_from_slice(&piece[..length]);
        }
        (reply, start.elapsed().as_secs())
    }

    #[test]
    fn greeting_and_request_timeout_change_while_it_runs() {
        let config = Config {
            workers: 2,
            backlog: 0,
            ..Config::DEFAULT
        };
        let link = Link::default();
        let (mut a, mut b) = (StackResources::<2>::new(), StackResources::<2>::new());
        let (board, mut board_runner) = embassy_net::new(link.board(), fixed(1), &mut a, 7);
        let (peer, mut peer_runner) = embassy_net::new(link.peer(), fixed(2), &mut b, 7);
        let server = Server::<_, 2>::new(board, config, (), None);
        let (mut receive, mut send) = ([0; RECEIVE_BUFFER], [0; SEND_BUFFER]);
        let long = [b'x'; Greeting::MAX_LEN];
        let parts = ServerParts {
            greeting: Greeting::new(long).unwrap(),
            request_timeout: RequestTimeout::from_millis(2000).unwrap(),
            ..ServerParts::default()
        };
        let slot = server.slot(&mut receive, &mut send);
        finish(until_done(
            &mut board_runner,
            &mut peer_runner,
            slot,
            async {
                assert_eq!(silent(peer).await, (b"Hello World".to_vec(), 5));
                Timer::after_secs(3).await;
                server.apply(&ServerSettings::new(parts).unwrap());
                assert_eq!(silent(peer).await, (long.to_vec(), 2));
            },
        ));
    }
}
