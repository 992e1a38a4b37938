//! Finds what limited a flow from what the sender's stack reports.

use std::ops::AddAssign;
use std::time::Duration;

use crate::bench::report::{Evidence, EvidenceKind, LimitedBy};
use tcpctl_engine::readiness::ConnectionInfo;

/// Share of a core above which this computer limited the flow.
pub(super) const SATURATED: f64 = 0.9;

/// How the sending time of one or more streams was spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SendTimes {
    /// Time with data to send or to be acknowledged.
    pub busy: Duration,
    /// Part of `busy` in which the peer's window was full.
    pub receiver: Duration,
    /// Part of `busy` in which the send buffer was too small for the path.
    pub send_buffer: Duration,
}

impl SendTimes {
    /// The times between two samples; `None` if the stack does not report them.
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

/// What limited a flow, and the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowLimit {
    /// What limited it; `None` if unknown.
    pub limited_by: Option<LimitedBy>,
    /// Evidence, or why it is unknown.
    pub evidence: Evidence,
}

impl FlowLimit {
    pub(super) fn observed(limited_by: Option<LimitedBy>, detail: impl Into<String>) -> Self {
        Self {
            limited_by,
            evidence: Evidence::new(EvidenceKind::Observed, detail),
        }
    }

    pub(super) fn unknowable(detail: impl Into<String>) -> Self {
        Self {
            limited_by: None,
            evidence: Evidence::new(EvidenceKind::Unknowable, detail),
        }
    }
}

/// Finds what limited streams that were open for `open` in total, with the `times` that this
/// stack reports. `cpu_share` is this thread's share of a core.
pub(super) fn find(times: Option<SendTimes>, open: Duration, cpu_share: Option<f64>) -> FlowLimit {
    if let Some(share) = cpu_share.filter(|share| *share > SATURATED) {
        let percent = share * 100.0;
        return FlowLimit::observed(
            Some(LimitedBy::Sender),
            format!("this computer: its CPU was busy sending {percent:.0}% of the time"),
        );
    }
    let Some(times) = times else {
        return FlowLimit::unknowable(
            "this computer's stack does not report why sending had to wait",
        );
    };
    let idle = open.saturating_sub(times.busy);
    let elsewhere = times
        .busy
        .saturating_sub(times.receiver)
        .saturating_sub(times.send_buffer);
    let total = (idle + times.busy).as_secs_f64();
    // If parts are equal, the first wins: measured times come before the remainder.
    let parts = [
        (
            times.receiver,
            LimitedBy::ReceiverWindow,
            "waited for the receiver's window",
        ),
        (
            times.send_buffer,
            LimitedBy::Sender,
            "waited for the send buffer of this computer",
        ),
        (
            elsewhere,
            LimitedBy::Network,
            "waited for the network: bandwidth, congestion, loss",
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
    FlowLimit::observed(
        limited_by.filter(|_| total > 0.0).map(|(_, by, _)| *by),
        format!("of the sending time, {}", shares.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn of(busy: u64, receiver: u64, send_buffer: u64) -> FlowLimit {
        let ms = Duration::from_millis;
        let times = SendTimes {
            busy: ms(busy),
            receiver: ms(receiver),
            send_buffer: ms(send_buffer),
        };
        find(Some(times), SECOND, Some(0.1))
    }

    #[test]
    fn largest_part_is_the_limit() {
        for (found, limit) in [
            (of(1000, 700, 0), LimitedBy::ReceiverWindow),
            (of(1000, 100, 600), LimitedBy::Sender),
            (of(1000, 100, 100), LimitedBy::Network),
            (of(200, 100, 0), LimitedBy::Sender),
        ] {
            assert_eq!(found.limited_by, Some(limit), "{:?}", found.evidence);
        }
        let detail = of(1000, 700, 0).evidence.detail;
        assert!(detail.contains("70% waited for the receiver"), "{detail}");
    }

    #[test]
    fn busy_computer_is_the_limit() {
        let times = SendTimes {
            busy: SECOND,
            receiver: SECOND,
            ..SendTimes::default()
        };
        let found = find(Some(times), SECOND, Some(0.97));
        assert_eq!(found.limited_by, Some(LimitedBy::Sender));
        assert!(
            found.evidence.detail.contains("97%"),
            "{:?}",
            found.evidence
        );
    }

    #[test]
    fn stack_without_send_times_has_no_known_limit() {
        let found = find(None, SECOND, Some(0.1));
        assert_eq!(found.limited_by, None);
        assert_eq!(found.evidence.kind, EvidenceKind::Unknowable);
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
