//! The plan of a load: what to send, what to expect, how much, and for how long.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

use crate::readiness::Release;

/// The plan of a load, complete.
#[derive(Debug, Clone)]
pub struct Load {
    /// The server.
    pub target: SocketAddr,
    /// Local addresses, used in turn; empty lets the system choose.
    pub sources: Vec<IpAddr>,
    /// The bytes of each request; empty for a server that speaks first.
    pub message: Vec<u8>,
    /// When a reply is complete.
    pub expect: Expectation,
    /// When requests start.
    pub pace: Pace,
    /// When the load ends.
    pub extent: Extent,
    /// Requests per connection.
    pub reuse: Reuse,
    /// How connections are closed.
    pub close: Release,
    /// Time allowed from the SYN to the established connection.
    pub connect_timeout: Duration,
    /// Time allowed from the established connection (or the start of the request on a kept one) to
    /// the complete reply.
    pub reply_timeout: Duration,
    /// Requests started in this time are not measured.
    pub warm_up: Duration,
    /// The load ends when no connection succeeded for this long while every attempt failed; `None`
    /// continues.
    pub gone_after: Option<Duration>,
    /// Resolution of the distributions.
    pub detail: Detail,
}

/// Resolution of the distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// One distribution per run.
    Run,
    /// Also one per second, about 10 kB each.
    Seconds,
}

/// When a reply is complete.
#[derive(Debug, Clone)]
pub enum ReplyRule {
    /// At least one byte, then the server's FIN. A FIN without a byte is [`ClosedEarly`].
    ///
    /// [`ClosedEarly`]: super::measurement::ErrorClass::ClosedEarly
    Close,
    /// A number of bytes. More are a wrong reply; a FIN before is [`ClosedEarly`].
    ///
    /// [`ClosedEarly`]: super::measurement::ErrorClass::ClosedEarly
    Bytes(NonZeroU64),
    /// A number of lines, each ended by LF, the last one also by a FIN; bytes after them are dropped. A FIN
    /// before is [`ClosedEarly`].
    ///
    /// [`ClosedEarly`]: super::measurement::ErrorClass::ClosedEarly
    Lines(NonZeroU64),
    /// Complete as soon as the received part matches; bytes after it are dropped. A FIN before is
    /// [`WrongReply`](super::measurement::ErrorClass::WrongReply).
    Expect(Regex),
    /// Silence of this length, or a FIN. The time of the reply is that of its last byte.
    Idle(Duration),
}

impl ReplyRule {
    /// The kind of the rule, for reports.
    pub const fn kind(&self) -> RuleKind {
        match self {
            Self::Close => RuleKind::Close,
            Self::Bytes(_) => RuleKind::Bytes,
            Self::Lines(_) => RuleKind::Lines,
            Self::Expect(_) => RuleKind::Expect,
            Self::Idle(_) => RuleKind::Idle,
        }
    }
}

/// The kinds of [`ReplyRule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// By the server's FIN.
    Close,
    /// By length.
    Bytes,
    /// By a number of lines.
    Lines,
    /// By a pattern.
    Expect,
    /// By silence.
    Idle,
}

/// Where the rule comes from that decides when a reply is complete.
#[derive(Debug, Clone)]
pub enum Expectation {
    /// Given: a reply that ends differently fails.
    Given(ReplyRule),
    /// To be learned from the first exchanges. A reply ends when the server closes, else with a
    /// silence of [`LEARNING_SILENCE`]. Replies of one length are then expected to have that length,
    /// replies of one number of lines that number; all others end by silence.
    ///
    /// Until the rule is known only one connection is used, and the load's clock stops during the
    /// silence.
    Learn,
    /// Learned in an earlier run. A reply that ends differently does not fail: it is counted in
    /// [`RuleUse::mismatches`](super::measurement::RuleUse), and the rule is revised.
    Learned(LearnedRule),
}

/// A rule that was learned from replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LearnedRule {
    /// The server closes after a reply.
    Close,
    /// The length of the first reply of a connection, which may include a greeting, and of the
    /// later ones.
    Bytes {
        /// Length of a connection's first reply.
        first: u64,
        /// Length of its later replies.
        next: u64,
    },
    /// The number of lines, in the same way.
    Lines {
        /// Lines of a connection's first reply.
        first: u64,
        /// Lines of its later replies.
        next: u64,
    },
    /// A silence of [`LEARNING_SILENCE`].
    Idle,
}

impl LearnedRule {
    /// The kind of the rule, for reports.
    pub const fn kind(self) -> RuleKind {
        match self {
            Self::Close => RuleKind::Close,
            Self::Bytes { .. } => RuleKind::Bytes,
            Self::Lines { .. } => RuleKind::Lines,
            Self::Idle => RuleKind::Idle,
        }
    }
}

/// The silence that ends a reply where no rule is given. Longer than a delayed ACK (40 to 200 ms)
/// holds back the second half of a reply written in two parts.
pub const LEARNING_SILENCE: Duration = Duration::from_millis(250);

/// What starts a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// A closed loop: each connection starts its next request when the previous one has ended.
    /// After a refusal it waits before the next attempt, twice as long after each further one.
    Closed {
        /// Concurrent connections.
        connections: NonZeroUsize,
    },
    /// An open loop: a constant schedule that a slow server does not delay. Latency counts from the
    /// intended start. Refusals do not back off, because the rate is the limit.
    Open {
        /// Requests per second.
        rate: Rate,
        /// Maximum number of requests in flight. At the maximum, further requests start late, and
        /// their latency still counts from the intended start.
        max_in_flight: NonZeroUsize,
    },
}

/// Requests per second: finite and greater than zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// `None` unless the rate is finite, positive and at least one request a year.
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
    /// No request starts after this time; those in flight complete (or time out) and count.
    Duration(Duration),
    /// After exactly this many requests.
    Requests(NonZeroU64),
}

/// How many requests a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// One request per connection: connect, send, receive, close.
    PerRequest,
    /// Requests one after another for as long as the connection lasts.
    KeepAlive,
}

impl Load {
    /// The load of `tcpctl bench TARGET --only latency`: one connection, one request per
    /// connection, 5 s.
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            sources: Vec::new(),
            message: b"Hello TCP world!\r\n".to_vec(),
            expect: Expectation::Learn,
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

    /// The number of threads that this load can use.
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

/// One thread's share of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Index of the share.
    pub(crate) index: usize,
    /// Number of shares.
    pub(crate) of: usize,
}

impl Share {
    /// The whole load.
    pub(crate) const WHOLE: Self = Self { index: 0, of: 1 };

    /// This share of a number; all shares add up to it.
    pub(crate) fn part(self, whole: usize) -> usize {
        whole / self.of + usize::from(self.index < whole % self.of)
    }

    /// This share of a number of requests; all shares add up to it.
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
    fn invalid_rates_are_rejected() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9, 1e10] {
            assert_eq!(Rate::new(rate), None, "{rate}");
        }
        assert_eq!(Rate::new(0.5).map(Rate::per_second), Some(0.5));
    }
}
