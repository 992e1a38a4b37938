//! Throughput of a server: uploads to discard, downloads from chargen, round trips on echo, with
//! one stream and with several.
//!
//! ```text
//! service.rs ──> flow.rs ──────> Network
//!  port and       streams for     kernel.rs, sim/network.rs,
//!  direction      a fixed time    a test's script
//!                 stream.rs
//!                      │
//!                      └──> limit.rs ──> conclude.rs
//!                       what limited it    the report and its evidence
//! ```
//!
//! An upload counts the bytes that the server's stack has acknowledged. Echoed bytes are compared
//! with what was sent. Of chargen's bytes the first kilobyte is checked; the kernel discards the
//! rest uncopied where it can (`MSG_TRUNC` on Linux). Where the host has none of the services,
//! `replies.rs` and an upload use the target's own port.
//!
//! Uploads are ordinary writes from one buffer of a mebibyte. Ways to avoid the copy were measured
//! on loopback (CPU s/GB, medians of 7 in turn): this 0.19, `splice` from a pipe 0.21,
//! `MSG_ZEROCOPY` 0.24, `sendfile` from memory 0.31; pinning and counting pages costs more than
//! copying bytes that are in the cache.

mod conclude;
mod error;
mod flow;
mod limit;
mod pattern;
mod replies;
mod service;
mod stream;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

pub use error::StreamError;
pub use flow::FlowRecord;
pub use limit::{FlowLimit, SendTimes};
pub use replies::Replies;
pub use service::{Ports, Service};
use tcpctl_engine::readiness::Network;

use crate::exchange::MESSAGE;

/// Default number of streams: a virtual board's services have as many slots, and a small server can
/// serve them.
pub const DEFAULT_STREAMS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// Maximum number of streams. More streams would be a load test instead of a measurement of the path.
pub const MAX_STREAMS: usize = 64;

/// Maximum default warm-up.
const MAX_WARM_UP: Duration = Duration::from_secs(1);

/// What to measure, and for how long.
#[derive(Debug, Clone)]
pub struct ThroughputPlan {
    /// Address of the server's own port. The services are on the same host.
    pub target: SocketAddr,
    /// Ports of the services.
    pub ports: Ports,
    /// Addresses to connect from, in turn. Empty: the system chooses.
    pub sources: Vec<IpAddr>,
    /// Concurrent streams, measured after a single one. 1: measure only the single one.
    pub streams: NonZeroUsize,
    /// Length of the measured part of each flow.
    pub duration: Duration,
    /// Warm-up before the measured part, for slow start. `None`: a tenth of the duration, at most 1
    /// s.
    pub warm_up: Option<Duration>,
    /// Request for the server's own port, if the host has no service.
    pub message: Vec<u8>,
    /// Limit from the SYN to the established connection.
    pub connect_timeout: Duration,
    /// A stream on which no byte moves for this long has failed.
    pub silence: Duration,
}

impl ThroughputPlan {
    /// The defaults for a server: the standard ports, 1 and 4 streams for 5 s each.
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            ports: Ports::STANDARD,
            sources: Vec::new(),
            streams: DEFAULT_STREAMS,
            duration: Duration::from_secs(5),
            warm_up: None,
            message: MESSAGE.to_vec(),
            connect_timeout: Duration::from_secs(5),
            silence: Duration::from_secs(10),
        }
    }

    /// The warm-up of each flow.
    fn warm_up(&self) -> Duration {
        self.warm_up
            .unwrap_or_else(|| (self.duration / 10).min(MAX_WARM_UP))
    }

    /// Estimated duration if the host offers all services.
    pub fn estimate(&self) -> Duration {
        let flows = if self.streams.get() > 1 { 6 } else { 3 };
        flows * (self.duration + self.warm_up())
    }
}

/// Results for one service.
#[derive(Debug)]
pub struct ServiceResult {
    /// Result for a single stream.
    pub single: Result<FlowRecord, StreamError>,
    /// Result for several streams; `None` if they were not requested, or the single one failed.
    pub several: Option<Result<FlowRecord, StreamError>>,
}

/// All results of a measurement.
#[derive(Debug)]
pub struct ThroughputFinding {
    /// The plan.
    pub plan: ThroughputPlan,
    /// Results by service, up to where the run was stopped.
    pub services: Vec<(Service, ServiceResult)>,
    /// Results for the server's own port, if there was no service.
    pub own_port: Option<OwnPort>,
}

/// Results for the server's own port.
#[derive(Debug)]
pub struct OwnPort {
    /// One endless request, for as long as the server accepts it.
    pub upload: Result<FlowRecord, StreamError>,
    /// The server's replies, one after another; `None` if the run was stopped before.
    pub replies: Option<Result<Replies, StreamError>>,
}

/// The state of a flow.
#[derive(Debug, Clone, Copy)]
pub struct ThroughputProgress<'a> {
    /// Name of the flow.
    pub what: &'a str,
    /// Connected streams.
    pub streams: usize,
    /// Time since the start of the measured part; `None` before it.
    pub elapsed: Option<Duration>,
    /// Bytes in the measured part so far.
    pub bytes: u64,
    /// Bytes in each second of the measured part.
    pub seconds: &'a [u64],
}

/// Follows a measurement.
pub trait Observer {
    /// Called every 100 ms.
    fn progress(&mut self, progress: &ThroughputProgress<'_>) {
        let _ = progress;
    }

    /// Whether to end the measurement early. Asked at least every 100 ms.
    fn should_stop(&self) -> bool {
        false
    }
}

impl Observer for () {}

/// Measures each service, and the server's own port if the host has none. Blocks in
/// [`Network::wait`] until it is done or stopped. All connections have been released with a reset
/// by then, which also discards data in flight.
pub fn measure<N: Network>(
    network: &mut N,
    plan: &ThroughputPlan,
    observer: &mut impl Observer,
) -> ThroughputFinding {
    let mut finding = ThroughputFinding {
        plan: plan.clone(),
        services: Vec::new(),
        own_port: None,
    };
    for service in Service::ALL {
        if observer.should_stop() {
            return finding;
        }
        let flow = |streams| flow::FlowPlan::of_service(plan, service, streams);
        let mut run = |streams| {
            let record = flow::run(network, &flow(streams), observer);
            record.and_then(FlowRecord::check_service)
        };
        let single = run(1);
        let is_complete = matches!(&single, Ok(record) if !record.interrupted);
        let several = (is_complete && plan.streams.get() > 1).then(|| run(plan.streams.get()));
        finding
            .services
            .push((service, ServiceResult { single, several }));
    }
    if finding.has_no_service() && !observer.should_stop() {
        finding.own_port = Some(own_port(network, plan, observer));
    }
    finding
}

impl ThroughputFinding {
    /// Whether the host is reachable and offers none of the services.
    fn has_no_service(&self) -> bool {
        self.services.iter().all(|(_, outcome)| {
            outcome
                .single
                .as_ref()
                .is_err_and(StreamError::is_of_the_service)
        })
    }
}

fn own_port<N: Network>(
    network: &mut N,
    plan: &ThroughputPlan,
    observer: &mut impl Observer,
) -> OwnPort {
    let upload = flow::run(network, &flow::FlowPlan::one_request(plan), observer);
    let is_reachable = match &upload {
        // If the port refuses connections, there are no replies either.
        Err(error) => error.is_after_connecting(),
        Ok(_) => true,
    };
    let should_continue = is_reachable && !observer.should_stop();
    OwnPort {
        replies: should_continue.then(|| replies::run(network, plan, observer)),
        upload,
    }
}
