//! What a flow leaves behind.

use std::time::Duration;

use crate::bench::throughput::limit::SendTimes;
use crate::bench::throughput::trouble::Trouble;

/// What a flow has moved.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Streams that were asked for.
    pub asked: usize,
    /// Streams that moved bytes in the measured part.
    pub streams: usize,
    /// Streams that stood, and moved none.
    pub idle: usize,
    /// Why others did not stand.
    pub unconnected: Vec<Trouble>,
    /// How long the measured part took.
    pub elapsed: Duration,
    /// Bytes that got through in it.
    pub bytes: u64,
    /// The same, in each second; the last may be a part of one.
    pub seconds: Vec<u64>,
    /// Segments sent again in it; `None` where the stack can't tell.
    pub retransmissions: Option<u64>,
    /// What this end's sending was spent with; `None` where the stack can't tell.
    pub sending: Option<SendTimes>,
    /// The smallest round-trip time of all streams; `None` where the stack can't tell.
    pub min_rtt: Option<Duration>,
    /// Streams that ended before the flow, and when in the measured part.
    pub ended: Vec<(Trouble, Duration)>,
    /// CPU time of this thread in the measured part.
    pub cpu: Option<Duration>,
    /// Whether what a download began with is chargen's pattern; `None` for other flows.
    pub is_chargen: Option<bool>,
    /// Whether bytes count when they are acknowledged, or when the stack here has taken them.
    pub is_acknowledged: bool,
    /// Whether it was stopped.
    pub interrupted: bool,
}

impl Record {
    /// The record, of a service that is what it is taken for: a rate of wrong bytes is none.
    pub(in crate::bench::throughput) fn of_the_service(self) -> Result<Self, Trouble> {
        let wrong = self.ended.iter().find(|(trouble, _)| trouble.is_wrong());
        match wrong {
            Some((trouble, _)) => Err(*trouble),
            None => Ok(self),
        }
    }
}
