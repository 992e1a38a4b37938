//! Clients on kernel sockets: threads that connect, send, read the reply and close in a loop.

use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use hdrhistogram::Histogram;
use socket2::{Domain, Protocol, Socket, Type};

use crate::closed_loop::{GREETING, REQUEST, histogram};

/// Timeout of connecting, reading and writing; the kernel retransmits a SYN after 1 s.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Exchanges before the first client port is reused.
pub(crate) const FIRST: u64 = 2_000;

/// The results of one round.
pub(crate) struct Seen {
    /// Exchanges completed in time.
    pub(crate) served: u64,
    /// Duration of the first [`FIRST`] exchanges, if reached.
    pub(crate) first: Option<Duration>,
    /// From the SYN to the peer's FIN, nanoseconds; for unanswered connections, the time waited.
    pub(crate) latency: Histogram<u64>,
    /// Refused connections.
    pub(crate) refused: u64,
    /// Connections that were reset or closed without the greeting.
    pub(crate) broken: u64,
    /// Connections without a result within [`TIMEOUT`].
    pub(crate) unanswered: u64,
    /// Retransmitted SYNs.
    pub(crate) syn_retransmissions: u64,
}

/// Keeps `clients` threads busy for `duration`.
pub(crate) fn run(to: SocketAddr, clients: usize, duration: Duration) -> Seen {
    let start = Instant::now();
    let served = AtomicU64::new(0);
    let syns_before = syn_retransmissions();
    let client = || {
        let mut seen = Seen {
            served: 0,
            first: None,
            latency: histogram(),
            refused: 0,
            broken: 0,
            unanswered: 0,
            syn_retransmissions: 0,
        };
        while start.elapsed() < duration {
            let begun = Instant::now();
            let result = exchange(to);
            if start.elapsed() >= duration && result.is_ok() {
                // The exchange ended too late to count, but its latency is known.
                seen.record(begun.elapsed());
                break;
            }
            match result {
                Ok(()) => {
                    seen.record(begun.elapsed());
                    seen.served += 1;
                    if served.fetch_add(1, Ordering::Relaxed) + 1 == FIRST {
                        seen.first = Some(start.elapsed());
                    }
                }
                Err(error) => seen.count(&error, begun.elapsed()),
            }
        }
        seen
    };
    let mut seen = thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        let all = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        all.reduce(Seen::and)
            .unwrap_or_else(|| unreachable!("at least one client"))
    });
    seen.syn_retransmissions = syn_retransmissions() - syns_before;
    seen
}

/// Waits until the server replies.
///
/// # Errors
/// When it does not within ten seconds.
pub(crate) fn wait_for(to: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = exchange(to) {
        if Instant::now() > deadline {
            return Err(format!("no reply from {to}: {error}").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

impl Seen {
    fn record(&mut self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.latency.saturating_record(nanoseconds);
    }

    fn count(&mut self, error: &io::Error, took: Duration) {
        // A blocking connect reports its timeout with this error.
        let in_progress = error.raw_os_error() == Some(libc::EINPROGRESS);
        match error.kind() {
            io::ErrorKind::ConnectionRefused => self.refused += 1,
            kind if in_progress
                || matches!(kind, io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) =>
            {
                self.unanswered += 1;
                self.record(took);
            }
            _ => self.broken += 1,
        }
    }

    fn and(mut self, other: Self) -> Self {
        self.served += other.served;
        self.first = self.first.or(other.first);
        self.latency += other.latency;
        self.refused += other.refused;
        self.broken += other.broken;
        self.unanswered += other.unanswered;
        self
    }
}

/// One exchange with few system calls.
fn exchange(to: SocketAddr) -> io::Result<()> {
    let mut socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    // The write timeout also applies to a blocking connect (Linux, socket(7)).
    socket.set_write_timeout(Some(TIMEOUT))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.connect(&to.into())?;
    socket.write_all(REQUEST)?;
    let mut answer = Vec::with_capacity(64);
    socket.read_to_end(&mut answer)?;
    if answer == GREETING {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// `TCPSynRetrans` of this namespace; zero if unreadable.
fn syn_retransmissions() -> u64 {
    let statistics = fs::read_to_string("/proc/net/netstat").unwrap_or_default();
    let mut lines = statistics
        .lines()
        .filter(|line| line.starts_with("TcpExt:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return 0;
    };
    let mut pairs = names.split(' ').zip(values.split(' '));
    let value = pairs.find_map(|(name, value)| (name == "TCPSynRetrans").then_some(value));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}
