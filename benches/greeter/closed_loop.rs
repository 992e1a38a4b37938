//! Clients that connect, send, read the reply and close in a loop: over the readiness interface, on
//! one thread.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::Result;
use hdrhistogram::Histogram;
use tcpctl_engine::readiness::{
    ConnectFailure, ConnectionId, Event, Network, NetworkTime, Release,
};

/// The request of the tutorial's client.
pub(crate) const REQUEST: &[u8] = b"Hello TCP world!\r\n";
/// The expected reply.
pub(crate) const GREETING: &[u8] = b"Hello World";

/// A run without an event for this long has hung.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The results of the clients.
pub(crate) struct Seen {
    /// From the SYN to the peer's FIN, nanoseconds, of successful exchanges.
    pub(crate) latency: Histogram<u64>,
    /// Refused connections.
    pub(crate) refused: u64,
    /// Connections that were reset or closed without the greeting.
    pub(crate) broken: u64,
    pub(crate) elapsed: Duration,
}

/// A histogram of times up to a minute in nanoseconds, with three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3)
        .unwrap_or_else(|error| unreachable!("the bounds are constants: {error}"))
}

/// One exchange.
struct Exchange {
    start: NetworkTime,
    answer: Vec<u8>,
}

/// Keeps `clients` connections busy until `count` exchanges have ended.
///
/// # Errors
/// When nothing happens any more, or a connection can't be started at all.
pub(crate) fn run(
    network: &mut impl Network,
    to: SocketAddr,
    clients: usize,
    count: u64,
) -> Result<Seen> {
    let mut closed_loop = ClosedLoop {
        to,
        exchanges: Vec::new(),
        seen: Seen {
            latency: histogram(),
            refused: 0,
            broken: 0,
            elapsed: Duration::ZERO,
        },
    };
    let start = network.now();
    let mut begun = 0;
    let mut open = 0_usize;
    let mut events = Vec::new();
    loop {
        while open < clients && begun < count {
            closed_loop.begin(network)?;
            begun += 1;
            open += 1;
        }
        if open == 0 {
            closed_loop.seen.elapsed = network.now().saturating_sub(start);
            return Ok(closed_loop.seen);
        }
        let deadline = network.now() + TIMEOUT;
        network.wait(Some(deadline), &mut events)?;
        if events.is_empty() && network.now() >= deadline {
            return Err(format!("{open} of {clients} clients: no event for {TIMEOUT:?}").into());
        }
        for event in events.drain(..) {
            open -= usize::from(closed_loop.is_over(network, event));
        }
    }
}

struct ClosedLoop {
    to: SocketAddr,
    /// Exchanges by connection number.
    exchanges: Vec<Option<Exchange>>,
    seen: Seen,
}

impl ClosedLoop {
    fn begin(&mut self, network: &mut impl Network) -> Result<()> {
        let exchange = Exchange {
            start: network.now(),
            answer: Vec::with_capacity(64),
        };
        let ConnectionId(number) = network.connect(self.to, None)?;
        if self.exchanges.len() <= number {
            self.exchanges.resize_with(number + 1, || None);
        }
        self.exchanges[number] = Some(exchange);
        Ok(())
    }

    /// Advances an exchange; returns whether it has ended.
    fn is_over(&mut self, network: &mut impl Network, event: Event) -> bool {
        match event {
            Event::Connected(id) => {
                // One write fits any empty send buffer.
                if network.write(id, REQUEST).is_err() {
                    return self.end(network, id);
                }
                self.read(network, id)
            }
            Event::Readable(id) => self.read(network, id),
            Event::Writable(_) => false,
            Event::Failed(id, failure) => {
                let refused = failure == ConnectFailure::Refused;
                self.seen.refused += u64::from(refused);
                self.seen.broken += u64::from(!refused);
                self.exchanges[id.0] = None;
                network.release(id, Release::Reset);
                true
            }
        }
    }

    fn read(&mut self, network: &mut impl Network, id: ConnectionId) -> bool {
        let mut buffer = [0; 256];
        loop {
            match network.read(id, &mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) | Ok(0) => return self.end(network, id),
                Ok(length) => {
                    if let Some(exchange) = &mut self.exchanges[id.0] {
                        exchange.answer.extend_from_slice(&buffer[..length]);
                    }
                }
            }
        }
    }

    fn end(&mut self, network: &mut impl Network, id: ConnectionId) -> bool {
        let Some(exchange) = self.exchanges[id.0].take() else {
            return false;
        };
        network.release(id, Release::Fin);
        if exchange.answer == GREETING {
            let took = network.now().saturating_sub(exchange.start);
            let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            self.seen.latency.saturating_record(took);
        } else {
            self.seen.broken += 1;
        }
        true
    }
}
