//! The plan of a load: what is sent to whom, what is expected back, how many at a time or how
//! often, and for how long.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use regex::bytes::Regex;

use crate::readiness::Release;

/// A load, complete: the engine asks for nothing else.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where to.
    pub target: SocketAddr,
    /// The addresses to connect from, in turn; empty lets the system choose.
    pub sources: Vec<IpAddr>,
    /// What each request sends; empty waits for a server that speaks first.
    pub message: Vec<u8>,
    /// When a reply is complete and right.
    pub expect: Expectation,
    /// What starts a request.
    pub pace: Pace,
    /// When to stop.
    pub extent: Extent,
    /// How many requests a connection carries.
    pub reuse: Reuse,
    /// How connections are let go of, however the request has ended.
    pub close: Release,
    /// From the SYN to the established connection.
    pub connect_timeout: Duration,
    /// From the established connection (a kept one: the start of the request) to the complete
    /// reply.
    pub reply_timeout: Duration,
    /// Requests that start before it is over are made and not measured.
    pub warm_up: Duration,
    /// A target with which there has been no connection for this long, while every attempt
    /// failed, is gone, and the run over; `None` goes on trying.
    pub gone_after: Option<Duration>,
    /// How finely the distributions are kept.
    pub detail: Detail,
}

/// How finely distributions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// One of the whole run.
    Run,
    /// Also one of each second, which takes about 10 kB a second.
    Seconds,
}

/// When a reply is complete, and whether it is right.
#[derive(Debug, Clone)]
pub enum Expectation {
    /// At least one byte, and then the server's FIN: what a server does that serves one request
    /// a connection. A FIN without a byte is [`ClosedEarly`].
    ///
    /// [`ClosedEarly`]: super::measurement::ErrorClass::ClosedEarly
    Close,
    /// The reply is complete, and right, as soon as this matches what has come of it; the rest
    /// that came with it is dropped. Where the server closes before, the reply was a wrong one.
    Match(Regex),
    /// So many bytes. More are a wrong reply; a FIN before is [`ClosedEarly`].
    ///
    /// [`ClosedEarly`]: super::measurement::ErrorClass::ClosedEarly
    Length(NonZeroU64),
    /// For kept connections to a server that is not known: the first reply is over when nothing
    /// more has come for [`LEARNING_SILENCE`] (its time is its last byte's); from then on a reply
    /// is as long as that one was, as with `Length`. If the server has closed after the first
    /// reply, it does not keep connections, and the rule is `Close` from then on.
    ///
    /// A server whose replies differ in length, or come in pieces that far apart, needs `Match`.
    Learn,
}

/// The silence that ends the first reply of [`Expectation::Learn`]. Longer than a delayed ACK (40
/// to 200 ms) holds back the second half of a reply that was written in two.
pub const LEARNING_SILENCE: Duration = Duration::from_millis(250);

/// What starts a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// The end of the one before: so many connections, each with a request at a time. After a
    /// refusal, a connection waits before it tries again, and twice as long after the next.
    Closed {
        /// Connections at a time.
        connections: NonZeroUsize,
    },
    /// The clock: a constant schedule, which nothing that the server does delays, and latency
    /// counts from the intended start. Refusals are not backed off from: the rate is the limit.
    Open {
        /// Requests a second.
        rate: Rate,
        /// Requests that are on their way at a time. Where that many are, the next start late,
        /// and their latency still counts from when they should have.
        max_in_flight: NonZeroUsize,
    },
}

/// Requests a second: a finite number above zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// `None` for what is no rate: zero, negative, infinite, or less than one request a year.
    pub fn new(per_second: f64) -> Option<Self> {
        let possible = 1.0 / (365.0 * 86_400.0)..=1e9;
        possible.contains(&per_second).then_some(Self(per_second))
    }

    /// Requests a second.
    pub fn per_second(self) -> f64 {
        self.0
    }
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// After this time: no request starts later, those under way come to their end (or run into
    /// their timeouts) and count.
    Duration(Duration),
    /// After so many requests, exactly.
    Requests(NonZeroU64),
}

/// How many requests a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// One: connect, send, receive, close.
    PerRequest,
    /// As many as it lasts for, one at a time.
    KeepAlive,
}

impl Load {
    /// What `tcpctl bench TARGET --only latency` does: one connection at a time, one request a
    /// connection, for 5 s.
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            sources: Vec::new(),
            message: b"Hello TCP world!\r\n".to_vec(),
            expect: Expectation::Close,
            pace: Pace::Closed {
                connections: NonZeroUsize::MIN,
            },
            extent: Extent::Duration(Duration::from_secs(5)),
            reuse: Reuse::PerRequest,
            close: Release::Fin,
            connect_timeout: Duration::from_secs(5),
            reply_timeout: Duration::from_secs(10),
            warm_up: Duration::ZERO,
            gone_after: Some(Duration::from_secs(3)),
            detail: Detail::Run,
        }
    }

    /// The threads that this load can keep busy, of those that were asked for.
    pub(crate) fn threads(&self, wanted: NonZeroUsize) -> usize {
        let by_connections = match self.pace {
            Pace::Closed { connections } => connections,
            Pace::Open { max_in_flight, .. } => max_in_flight,
        };
        let threads = wanted.min(by_connections).get();
        match self.extent {
            Extent::Requests(requests) => usize::try_from(requests.get())
                .unwrap_or(usize::MAX)
                .min(threads),
            Extent::Duration(_) => threads,
        }
    }
}

/// One thread's part of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Which part, from 0.
    pub(crate) index: usize,
    /// Of how many.
    pub(crate) of: usize,
}

impl Share {
    /// All of it.
    pub(crate) const WHOLE: Self = Self { index: 0, of: 1 };

    /// This part of a number, so that the parts add up to it.
    pub(crate) fn part(self, whole: usize) -> usize {
        whole / self.of + usize::from(self.index < whole % self.of)
    }

    /// This part of a number of requests, so that the parts add up to it.
    pub(crate) fn requests(self, whole: u64) -> u64 {
        let (index, of) = (self.index as u64, self.of as u64);
        whole / of + u64::from(index < whole % of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for of in 1..7 {
            let shares = (0..of).map(|index| Share { index, of });
            assert_eq!(
                shares.clone().map(|share| share.part(20)).sum::<usize>(),
                20
            );
            assert_eq!(shares.map(|share| share.requests(1001)).sum::<u64>(), 1001);
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9, 1e10] {
            assert_eq!(Rate::new(rate), None, "{rate}");
        }
        assert_eq!(Rate::new(0.5).map(Rate::per_second), Some(0.5));
    }
}
