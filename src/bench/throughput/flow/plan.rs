//! What a flow is to be.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::bench::throughput::ThroughputPlan;
use crate::bench::throughput::service::Service;
use crate::bench::throughput::stream::Direction;

/// One flow.
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

    /// One request without an end to the server's own port. What it takes before it answers
    /// counts from the first byte: there may be no second moment.
    pub(in crate::bench::throughput) fn one_request(plan: &'a ThroughputPlan) -> Self {
        Self {
            to: plan.target,
            warm_up: Duration::ZERO,
            ..Self::of_service(plan, Service::Discard, 1)
        }
    }
}
