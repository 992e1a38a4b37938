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

/// Default number of streams: as many as a virtual board's services have slots, and few enough for
/// a small server.
pub const DEFAULT_STREAMS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// The most streams: more say nothing about a path, and are a load test.
pub const MAX_STREAMS: usize = 64;

/// The longest default warm-up.
const MAX_WARM_UP: Duration = Duration::from_secs(1);

/// What to measure, and for how long.
#[derive(Debug, Clone)]
pub struct ThroughputPlan {
    /// The server's own port; its host has the services.
    pub target: SocketAddr,
    /// The ports of the services.
    pub ports: Ports,
    /// Addresses to connect from, in turn. Empty: as the system chooses.
    pub sources: Vec<IpAddr>,
    /// Streams at a time, measured after a single one. 1: only the single one.
    pub streams: NonZeroUsize,
    /// The measured part of each flow.
    pub duration: Duration,
    /// The time before it, for slow start. `None`: a tenth of the duration, at most 1 s.
    pub warm_up: Option<Duration>,
    /// The request on the server's own port, where there is no service.
    pub message: Vec<u8>,
    /// From the SYN to the established connection.
    pub connect_timeout: Duration,
    /// A stream on which no byte moves for this time has failed.
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

    /// The duration where all services are offered.
    pub fn estimate(&self) -> Duration {
        let flows = if self.streams.get() > 1 { 6 } else { 3 };
        flows * (self.duration + self.warm_up())
    }
}

/// What was measured with one service.
#[derive(Debug)]
pub struct ServiceResult {
    /// A single stream.
    pub single: Result<FlowRecord, StreamError>,
    /// Several at a time; `None` where that was not requested, or the single one failed.
    pub several: Option<Result<FlowRecord, StreamError>>,
}

/// Everything that was measured.
#[derive(Debug)]
pub struct ThroughputFinding {
    /// The plan.
    pub plan: ThroughputPlan,
    /// By service, as far as the run came before it was stopped.
    pub services: Vec<(Service, ServiceResult)>,
    /// What was measured on the server's own port, where there was no service.
    pub own_port: Option<OwnPort>,
}

/// What was measured on the server's own port.
#[derive(Debug)]
pub struct OwnPort {
    /// One endless request, for as long as the server takes it.
    pub upload: Result<FlowRecord, StreamError>,
    /// Its replies, one after the other; `None` where the run was stopped before.
    pub replies: Option<Result<Replies, StreamError>>,
}

/// The state of a flow.
#[derive(Debug, Clone, Copy)]
pub struct ThroughputProgress<'a> {
    /// What is measured.
    pub what: &'a str,
    /// Connected streams.
    pub streams: usize,
    /// Since the measured part began; `None` before.
    pub elapsed: Option<Duration>,
    /// Bytes in the measured part so far.
    pub bytes: u64,
    /// The same, in each second of it.
    pub seconds: &'a [u64],
}

/// Follows the measurement.
pub trait Observer {
    /// Called every 100 ms.
    fn progress(&mut self, progress: &ThroughputProgress<'_>) {
        let _ = progress;
    }

    /// Whether to end now, with what is there. Asked at least every 100 ms.
    fn should_stop(&self) -> bool {
        false
    }
}

impl Observer for () {}

/// Measures each service, and the server's own port where there is none. Blocks in
/// [`Network::wait`] until it is done or stopped; then every connection that it made has been
/// released with a reset, which also discards data in flight.
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
        // A port that refuses connections has no replies either.
        Err(error) => error.is_after_connecting(),
        Ok(_) => true,
    };
    let should_continue = is_reachable && !observer.should_stop();
    OwnPort {
        replies: should_continue.then(|| replies::run(network, plan, observer)),
        upload,
    }
}
