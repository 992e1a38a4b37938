//! What `send` tells a program: `tcpctl.send/1` and `tcpctl.send.summary/1`.

use std::net::SocketAddr;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::exchange::Outcome;
use super::rule::EndedBy;

/// One exchange.
#[derive(Debug, Serialize)]
pub(super) struct SendReport<'a> {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    target: &'a str,
    address: SocketAddr,
    sent_bytes: u64,
    received_bytes: u64,
    #[serde(flatten)]
    reply: Reply<'a>,
    /// Whether the reply is longer than what is here.
    truncated: bool,
    ended_by: EndedBy,
    /// From the first connection attempt to the established connection.
    connect_us: u64,
    /// From the established connection to the reply's first byte.
    first_byte_us: Option<u64>,
    /// From the first connection attempt to the end.
    total_us: u64,
    exit_code: u8,
    /// Why it is not what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// The beginning of a reply, as text where it is text.
#[derive(Debug, Serialize)]
enum Reply<'a> {
    #[serde(rename = "reply")]
    Text(&'a str),
    #[serde(rename = "reply_base64")]
    Bytes(String),
}

impl<'a> SendReport<'a> {
    pub(super) fn new(
        target: &'a str,
        address: SocketAddr,
        connect_time: Duration,
        outcome: &'a Outcome,
        seq: Option<u64>,
    ) -> Self {
        let truncated = outcome.received > outcome.reply.len() as u64;
        Self {
            schema: "tcpctl.send/1",
            seq,
            target,
            address,
            sent_bytes: outcome.sent,
            received_bytes: outcome.received,
            reply: Reply::new(&outcome.reply, truncated),
            truncated,
            ended_by: outcome.ended_by,
            connect_us: microseconds(connect_time),
            first_byte_us: outcome.first_byte.map(microseconds),
            total_us: microseconds(connect_time + outcome.took),
            exit_code: outcome.exit.code(),
            message: outcome
                .failure
                .as_ref()
                .map(|failure| failure.message.as_str()),
        }
    }
}

impl<'a> Reply<'a> {
    /// A character that only our own limit cut in two does not make a text something else.
    fn new(bytes: &'a [u8], truncated: bool) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) if truncated && error.error_len().is_none() => {
                let whole = &bytes[..error.valid_up_to()];
                Self::Text(std::str::from_utf8(whole).unwrap_or_default())
            }
            Err(_) => Self::Bytes(BASE64_STANDARD.encode(bytes)),
        }
    }
}

/// Statistics over tries, in constant memory.
#[derive(Debug)]
pub(super) struct Statistics {
    sent: u64,
    received: u64,
    /// Of the round-trip times, in microseconds; empty where no reply is wanted.
    times: Histogram<u64>,
}

impl Statistics {
    pub(super) fn new() -> Self {
        // From 1 us to an hour, to three digits.
        let times = Histogram::new_with_bounds(1, 3_600_000_000, 3);
        Self {
            sent: 0,
            received: 0,
            times: times.unwrap_or_else(|_| unreachable!("the bounds are constants")),
        }
    }

    /// One more try that has ended: whether it was good, and its round-trip time.
    pub(super) fn record(&mut self, good: bool, round_trip: Option<Duration>) {
        self.sent += 1;
        self.received += u64::from(good);
        if let Some(time) = round_trip.filter(|_| good) {
            self.times.saturating_record(microseconds(time).max(1));
        }
    }

    pub(super) fn summary<'a>(&self, target: &'a str) -> Summary<'a> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a mean of values up to an hour"
        )]
        let times = (!self.times.is_empty()).then(|| RoundTrip {
            min: self.times.min(),
            mean: self.times.mean().round() as u64,
            max: self.times.max(),
            p50: self.times.value_at_quantile(0.5),
            p99: self.times.value_at_quantile(0.99),
        });
        Summary {
            schema: "tcpctl.send.summary/1",
            target,
            sent: self.sent,
            received: self.received,
            lost: self.sent - self.received,
            rtt_us: times,
        }
    }
}

/// Several tries at one target.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    schema: &'static str,
    pub target: &'a str,
    /// Tries that ran to their end.
    pub sent: u64,
    /// Tries that ended as was asked.
    pub received: u64,
    pub lost: u64,
    /// Of the good tries: from the established connection to the reply's first byte.
    pub rtt_us: Option<RoundTrip>,
}

/// A distribution of round-trip times, in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct RoundTrip {
    pub min: u64,
    pub mean: u64,
    pub max: u64,
    pub p50: u64,
    pub p99: u64,
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_cut_is_forgiven() {
        let cut = "aä".as_bytes().split_last().unwrap().1;
        assert!(matches!(Reply::new(cut, true), Reply::Text("a")));
        assert!(matches!(Reply::new(cut, false), Reply::Bytes(_)));
        assert!(matches!(Reply::new(b"a\xffb", true), Reply::Bytes(_)));
    }

    #[test]
    fn statistics_count_what_was_lost() {
        let mut statistics = Statistics::new();
        for milliseconds in [1, 2, 3] {
            statistics.record(true, Some(Duration::from_millis(milliseconds)));
        }
        statistics.record(false, None);
        let summary = statistics.summary("board");
        assert_eq!((summary.sent, summary.received, summary.lost), (4, 3, 1));
        let times = summary.rtt_us.unwrap();
        assert_eq!((times.min, times.mean), (1000, 2000));
        assert!((1999..=2001).contains(&times.p50), "{times:?}");
        assert!((2999..=3003).contains(&times.max), "{times:?}");
    }

    #[test]
    fn without_a_reply_there_is_no_time() {
        let mut statistics = Statistics::new();
        statistics.record(true, None);
        assert!(statistics.summary("board").rtt_us.is_none());
    }
}
