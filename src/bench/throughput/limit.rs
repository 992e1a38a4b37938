//! What held a flow back, as far as its sender's stack can tell.

use std::iter::Sum;
use std::ops::AddAssign;
use std::time::Duration;

use crate::bench::report::LimitedBy;
use tcpctl_engine::readiness::ConnectionInfo;

/// Above this share of a core, this computer held it back whatever the network did.
pub(super) const SATURATED: f64 = 0.9;

/// What the sending of one stream, or of several together, was spent with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SendTimes {
    /// There was something to send, or to be acknowledged.
    pub busy: Duration,
    /// Of that: the peer's window had no room.
    pub receiver: Duration,
    /// Of that: the send buffer here was too small for the path; zero where there is none to
    /// speak of, as on a virtual cable.
    pub send_buffer: Duration,
}

impl SendTimes {
    /// What was spent between the two; `None` where the stack does not account for it.
    pub(super) fn between(before: &ConnectionInfo, after: &ConnectionInfo) -> Option<Self> {
        let spent = |of: fn(&ConnectionInfo) -> Option<Duration>| {
            let (before, after) = (of(before).unwrap_or_default(), of(after)?);
            Some(after.saturating_sub(before))
        };
        Some(Self {
            busy: spent(|info| info.busy)?,
            receiver: spent(|info| info.receiver_limited)?,
            send_buffer: spent(|info| info.send_buffer_limited).unwrap_or_default(),
        })
    }
}

impl AddAssign for SendTimes {
    fn add_assign(&mut self, other: Self) {
        self.busy += other.busy;
        self.receiver += other.receiver;
        self.send_buffer += other.send_buffer;
    }
}

impl Sum for SendTimes {
    fn sum<I: Iterator<Item = Self>>(times: I) -> Self {
        times.fold(Self::default(), |mut sum, times| {
            sum += times;
            sum
        })
    }
}

/// What held a flow back, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What it was; `None` where it can't be known.
    pub limited_by: Option<LimitedBy>,
    /// How that is known, or why it is not: one sentence.
    pub why: String,
}

/// Finds the cause for streams that were open for `open` in all, of which this end's stack says
/// `times`; `cpu_share` is this thread's share of a core.
pub(super) fn cause(times: Option<SendTimes>, open: Duration, cpu_share: Option<f64>) -> Cause {
    if let Some(share) = cpu_share.filter(|share| *share > SATURATED) {
        return Cause {
            limited_by: Some(LimitedBy::Sender),
            why: format!(
                "this computer: its CPU was busy with sending {:.0}% of the time",
                share * 100.0
            ),
        };
    }
    let Some(times) = times else {
        return Cause {
            limited_by: None,
            why: "not known: the stack here does not tell what its sending waited for".to_owned(),
        };
    };
    let idle = open.saturating_sub(times.busy);
    let elsewhere = times
        .busy
        .saturating_sub(times.receiver)
        .saturating_sub(times.send_buffer);
    let total = (idle + times.busy).as_secs_f64();
    // Of equals the first: what is certain before what is left over.
    let parts = [
        (
            times.receiver,
            LimitedBy::ReceiverWindow,
            "waited for the receiver's window",
        ),
        (
            times.send_buffer,
            LimitedBy::Sender,
            "waited for the send buffer here",
        ),
        (
            elsewhere,
            LimitedBy::Network,
            "was the network's: bandwidth, congestion, loss",
        ),
        (idle, LimitedBy::Sender, "had nothing to send"),
    ];
    let most = parts.iter().map(|(time, ..)| *time).max();
    let limited_by = parts.iter().find(|(time, ..)| Some(*time) == most);
    let shares: Vec<_> = parts
        .iter()
        .map(|(time, _, what)| (time.as_secs_f64() / total * 100.0, what))
        .filter(|(percent, _)| *percent >= 0.5)
        .map(|(percent, what)| format!("{percent:.0}% {what}"))
        .collect();
    Cause {
        limited_by: limited_by.filter(|_| total > 0.0).map(|(_, by, _)| *by),
        why: format!("of the sending time {}", shares.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn of(busy: u64, receiver: u64, send_buffer: u64) -> Cause {
        let ms = Duration::from_millis;
        let times = SendTimes {
            busy: ms(busy),
            receiver: ms(receiver),
            send_buffer: ms(send_buffer),
        };
        cause(Some(times), SECOND, Some(0.1))
    }

    #[test]
    fn the_largest_part_is_the_limit() {
        for (cause, limit) in [
            (of(1000, 700, 0), LimitedBy::ReceiverWindow),
            (of(1000, 100, 600), LimitedBy::Sender),
            (of(1000, 100, 100), LimitedBy::Network),
            (of(200, 100, 0), LimitedBy::Sender),
        ] {
            assert_eq!(cause.limited_by, Some(limit), "{}", cause.why);
        }
        assert!(of(1000, 700, 0).why.contains("70% waited for the receiver"));
    }

    #[test]
    fn a_busy_computer_is_never_the_networks_fault() {
        let times = SendTimes {
            busy: SECOND,
            receiver: SECOND,
            ..SendTimes::default()
        };
        let cause = cause(Some(times), SECOND, Some(0.97));
        assert_eq!(cause.limited_by, Some(LimitedBy::Sender));
        assert!(cause.why.contains("97%"), "{}", cause.why);
    }

    #[test]
    fn what_the_stack_does_not_tell_is_not_guessed() {
        let cause = cause(None, SECOND, Some(0.1));
        assert_eq!(cause.limited_by, None);
        assert!(cause.why.starts_with("not known"), "{}", cause.why);
    }

    #[test]
    fn only_the_measured_part_counts() {
        let at = |busy, receiver| ConnectionInfo {
            busy: Some(Duration::from_millis(busy)),
            receiver_limited: Some(Duration::from_millis(receiver)),
            ..ConnectionInfo::default()
        };
        let times = SendTimes::between(&at(500, 400), &at(1500, 500)).unwrap();
        assert_eq!(times.busy, SECOND);
        assert_eq!(times.receiver, Duration::from_millis(100));
        let unknown = ConnectionInfo::default();
        assert_eq!(SendTimes::between(&unknown, &unknown), None);
    }
}
