//! The reports of `send`: `tcpctl.send/1` and `tcpctl.send.summary/1`.

use std::net::SocketAddr;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::exchange::Outcome;
use super::rule::EndedBy;
use crate::units;

/// The report of one exchange.
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
    /// Whether the reply is longer than `reply`.
    truncated: bool,
    ended_by: EndedBy,
    /// Time from the first connection attempt to the established connection.
    connect_us: u64,
    /// Time from the established connection to the first byte of the reply.
    first_byte_us: Option<u64>,
    /// Time from the first connection attempt to the end.
    total_us: u64,
    exit_code: u8,
    /// Why the exchange failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// First bytes of a reply, as text if they are UTF-8.
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
            connect_us: units::microseconds(connect_time),
            first_byte_us: outcome.first_byte.map(units::microseconds),
            total_us: units::microseconds(connect_time + outcome.duration),
            exit_code: outcome.exit.code(),
            message: outcome
                .failure
                .as_ref()
                .map(|failure| failure.message.as_str()),
        }
    }
}

impl<'a> Reply<'a> {
    /// A character that is cut at the capture limit does not make the reply binary.
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

/// Statistics over tries in constant memory.
#[derive(Debug)]
pub(super) struct Statistics {
    sent: u64,
    received: u64,
    /// Times to the first byte in microseconds; empty if no reply is expected.
    times: Histogram<u64>,
    /// Minimum and maximum of these times, because the histogram rounds them.
    range: Option<(u64, u64)>,
}

impl Statistics {
    pub(super) fn new() -> Self {
        // The range is 1 µs to an hour, with three digits.
        let times = Histogram::new_with_bounds(1, 3_600_000_000, 3);
        Self {
            sent: 0,
            received: 0,
            times: times.unwrap_or_else(|_| unreachable!("the bounds are constants")),
            range: None,
        }
    }

    /// Counts a try.
    pub(super) fn record(&mut self, succeeded: bool, first_byte: Option<Duration>) {
        self.sent += 1;
        self.received += u64::from(succeeded);
        if let Some(time) = first_byte.filter(|_| succeeded) {
            let time = units::microseconds(time).max(1);
            self.times.saturating_record(time);
            let (min, max) = self.range.unwrap_or((time, time));
            self.range = Some((min.min(time), max.max(time)));
        }
    }

    pub(super) fn summary<'a>(&self, target: &'a str) -> Summary<'a> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a mean of values up to an hour"
        )]
        let times = self.range.map(|(min, max)| {
            let percentile = |quantile| self.times.value_at_quantile(quantile).clamp(min, max);
            Times {
                min,
                mean: self.times.mean().round() as u64,
                max,
                p50: percentile(0.5),
                p99: percentile(0.99),
            }
        });
        Summary {
            schema: "tcpctl.send.summary/1",
            target,
            sent: self.sent,
            received: self.received,
            lost: self.sent - self.received,
            first_byte_us: times,
        }
    }
}

/// Several tries at one target.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    schema: &'static str,
    pub target: &'a str,
    /// Tries that were not interrupted.
    pub sent: u64,
    /// Tries that succeeded.
    pub received: u64,
    /// Tries that failed.
    pub lost: u64,
    /// Time from the established connection to the first byte of the reply, of successful tries.
    pub first_byte_us: Option<Times>,
}

/// A distribution of times in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct Times {
    pub min: u64,
    pub mean: u64,
    pub max: u64,
    pub p50: u64,
    pub p99: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_characters_do_not_make_a_reply_binary() {
        let cut = "aä".as_bytes().split_last().unwrap().1;
        assert!(matches!(Reply::new(cut, true), Reply::Text("a")));
        assert!(matches!(Reply::new(cut, false), Reply::Bytes(_)));
        assert!(matches!(Reply::new(b"a\xffb", true), Reply::Bytes(_)));
    }

    #[test]
    fn statistics_count_lost_tries() {
        let mut statistics = Statistics::new();
        for milliseconds in [1, 2, 3] {
            statistics.record(true, Some(Duration::from_millis(milliseconds)));
        }
        statistics.record(false, None);
        let summary = statistics.summary("board");
        assert_eq!((summary.sent, summary.received, summary.lost), (4, 3, 1));
        let times = summary.first_byte_us.unwrap();
        assert_eq!((times.min, times.mean), (1000, 2000));
        assert!((1999..=2001).contains(&times.p50), "{times:?}");
        assert_eq!((times.p99, times.max), (3000, 3000));
    }

    #[test]
    fn tries_without_a_reply_have_no_times() {
        let mut statistics = Statistics::new();
        statistics.record(true, None);
        assert!(statistics.summary("board").first_byte_us.is_none());
    }
}
