//! The plan of a flow, and its results.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::bench::throughput::ThroughputPlan;
use crate::bench::throughput::error::StreamError;
use crate::bench::throughput::limit::SendTimes;
use crate::bench::throughput::service::Service;
use crate::bench::throughput::stream::Direction;

/// The plan of one flow.
#[derive(Debug, Clone)]
pub(in crate::bench::throughput) struct FlowPlan<'a> {
    pub(in crate::bench::throughput) name: &'static str,
    pub(in crate::bench::throughput) to: SocketAddr,
    pub(in crate::bench::throughput) sources: &'a [IpAddr],
    pub(in crate::bench::throughput) direction: Direction,
    pub(in crate::bench::throughput) streams: usize,
    pub(in crate::bench::throughput) warm_up: Duration,
    pub(in crate::bench::throughput) duration: Duration,
    pub(in crate::bench::throughput) connect_timeout: Duration,
    pub(in crate::bench::throughput) silence: Duration,
}

impl<'a> FlowPlan<'a> {
    /// A flow over a service.
    pub(in crate::bench::throughput) fn of_service(
        plan: &'a ThroughputPlan,
        service: Service,
        streams: usize,
    ) -> Self {
        let mut to = plan.target;
        to.set_port(plan.ports.of(service));
        Self {
            name: service.flow(),
            to,
            sources: &plan.sources,
            direction: match service {
                Service::Discard => Direction::Up,
                Service::Chargen => Direction::Down,
                Service::Echo => Direction::RoundTrip,
            },
            streams,
            warm_up: plan.warm_up(),
            duration: plan.duration,
            connect_timeout: plan.connect_timeout,
            silence: plan.silence,
        }
    }

    /// The plan of one endless request to the server's own port. It is measured from the first
    /// byte, because the server may answer and close at any time.
    pub(in crate::bench::throughput) fn one_request(plan: &'a ThroughputPlan) -> Self {
        Self {
            to: plan.target,
            warm_up: Duration::ZERO,
            ..Self::of_service(plan, Service::Discard, 1)
        }
    }
}

/// The results of a flow.
#[derive(Debug, Clone, Default)]
pub struct FlowRecord {
    /// Streams that were requested.
    pub requested: usize,
    /// Streams that moved bytes in the measured part.
    pub streams: usize,
    /// Streams that connected and moved no bytes.
    pub idle: usize,
    /// Errors of the streams that did not connect.
    pub unconnected: Vec<StreamError>,
    /// Duration of the measured part.
    pub elapsed: Duration,
    /// Bytes moved in the measured part.
    pub bytes: u64,
    /// Bytes in each second; the last may be incomplete.
    pub seconds: Vec<u64>,
    /// Segments retransmitted in the measured part; `None` if the stack cannot report them.
    pub retransmissions: Option<u64>,
    /// How the sending time was spent; `None` if the stack cannot report it.
    pub sending: Option<SendTimes>,
    /// Minimum round-trip time of all streams; `None` if the stack cannot report it.
    pub min_rtt: Option<Duration>,
    /// Streams that ended early, and when in the measured part.
    pub ended: Vec<(StreamError, Duration)>,
    /// CPU time of this thread in the measured part.
    pub cpu: Option<Duration>,
    /// Whether a download starts with chargen's pattern; `None` for other flows.
    pub is_chargen: Option<bool>,
    /// Whether bytes count once they are acknowledged, or already once this stack has accepted
    /// them.
    pub is_acknowledged: bool,
    /// Whether the flow was stopped.
    pub interrupted: bool,
}

impl FlowRecord {
    /// Fails if the port has another service than expected: the rate would be meaningless.
    pub(in crate::bench::throughput) fn check_service(self) -> Result<Self, StreamError> {
        let mut errors = self.ended.iter().map(|(error, _)| *error);
        match errors.find(|error| error.is_wrong_service()) {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}
