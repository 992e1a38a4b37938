//! How many bytes a second a server takes, gives and sends back: uploads to discard, downloads
//! from chargen, round trips on echo, with one stream and with several.
//!
//! ```text
//! service.rs ──> flow.rs ──────> Network
//!  which port,    some streams    kernel.rs, sim/network.rs,
//!  which way      for a time      a test's script
//!                 stream.rs
//!                      │
//!                      └──> limit.rs ──> conclude.rs
//!                       what held it back  the report, and what was done in words
//! ```
//!
//! An upload counts what the server's stack has acknowledged, not what this one has taken from
//! us. What comes back from echo is compared byte by byte. What comes from chargen is looked at
//! in its first kilobyte; the rest is dropped in the kernel, uncopied, where the kernel can do
//! that (`MSG_TRUNC` on Linux). Where the host has none of the services, `replies.rs` and an
//! upload measure what can be measured on the target's own port.
//!
//! Uploads are ordinary writes from one buffer of a mebibyte. The ways round the copy were
//! measured on loopback (CPU s/GB, medians of 7 in turn): this 0.19, `splice` from a pipe 0.21,
//! `MSG_ZEROCOPY` 0.24, `sendfile` from memory 0.31; pinning and counting pages costs more than
//! copying bytes that are in the cache.

mod conclude;
mod flow;
mod limit;
mod pattern;
mod replies;
mod service;
mod stream;
mod trouble;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

pub use flow::Record;
pub use limit::{Cause, SendTimes};
pub use replies::Replies;
pub use service::{Ports, Service};
use tcpctl_engine::readiness::Network;
pub use trouble::Trouble;

/// Streams at a time where nothing else is asked for: as many as a virtual board's services have
/// places, and few enough for a small server.
pub const DEFAULT_STREAMS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// Streams at a time, at most: more tell nothing of a path, and are a load test.
pub const MOST_STREAMS: usize = 64;

/// The longest warm-up that is not asked for; a tenth of the flow where that is less.
const LONGEST_WARM_UP: Duration = Duration::from_secs(1);

/// What to measure, and for how long.
#[derive(Debug, Clone)]
pub struct ThroughputPlan {
    /// The server's own port; its host has the services.
    pub target: SocketAddr,
    /// Where the services are.
    pub ports: Ports,
    /// The addresses to connect from, in turn; empty lets the system choose.
    pub sources: Vec<IpAddr>,
    /// Streams at a time, beside the one alone: 1 is the one alone.
    pub streams: NonZeroUsize,
    /// The measured part of each flow.
    pub duration: Duration,
    /// What comes before it: a path's slow start is not its throughput. `None` is a tenth of the
    /// duration, at most 1 s.
    pub warm_up: Option<Duration>,
    /// The request on the server's own port, where there is no service.
    pub message: Vec<u8>,
    /// From the SYN to the established connection.
    pub connect_timeout: Duration,
    /// A stream on which nothing moves for so long has failed.
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
            message: b"Hello TCP world!\r\n".to_vec(),
            connect_timeout: Duration::from_secs(5),
            silence: Duration::from_secs(10),
        }
    }

    /// The warm-up of each flow.
    fn warm_up(&self) -> Duration {
        self.warm_up
            .unwrap_or_else(|| (self.duration / 10).min(LONGEST_WARM_UP))
    }

    /// How long it takes where every service is there.
    pub fn estimate(&self) -> Duration {
        let flows = if self.streams.get() > 1 { 6 } else { 3 };
        flows * (self.duration + self.warm_up())
    }
}

/// What was seen of one service.
#[derive(Debug)]
pub struct Outcome {
    /// One stream alone.
    pub single: Result<Record, Trouble>,
    /// Several at a time; `None` where that was not asked, or one alone failed.
    pub several: Option<Result<Record, Trouble>>,
}

/// All that was seen.
#[derive(Debug)]
pub struct Finding {
    /// Where it was looked for.
    pub plan: ThroughputPlan,
    /// By service; a service that was not reached before the run was stopped is not in it.
    pub services: Vec<(Service, Outcome)>,
    /// What was measured on the server's own port, where there was no service.
    pub own_port: Option<OwnPort>,
}

/// What was seen of the server's own port.
#[derive(Debug)]
pub struct OwnPort {
    /// One request without an end, for as long as the server takes it.
    pub upload: Result<Record, Trouble>,
    /// Its replies, one after the other; `None` where the run was stopped before.
    pub replies: Option<Result<Replies, Trouble>>,
}

/// How a flow stands.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// What is done, in a word.
    pub what: &'a str,
    /// Streams that stand.
    pub streams: usize,
    /// Since the measured part began; `None` before.
    pub elapsed: Option<Duration>,
    /// Bytes in the measured part so far.
    pub bytes: u64,
    /// The same, in each second of it.
    pub seconds: &'a [u64],
}

/// Who follows the measurement. Nothing has to be done.
pub trait Observer {
    /// Takes note of how a flow stands, every 100 ms.
    fn progress(&mut self, progress: &Progress<'_>) {
        let _ = progress;
    }

    /// Whether to end now, with what is there. Asked at least every 100 ms.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Nobody follows.
impl Observer for () {}

/// Measures each service, and the server's own port where there is none. Blocks in
/// [`Network::wait`] until it is done or stopped; then every connection that it made has been
/// released, with a reset: what is still on its way is nobody's.
pub fn measure<N: Network>(
    network: &mut N,
    plan: &ThroughputPlan,
    observer: &mut impl Observer,
) -> Finding {
    let mut finding = Finding {
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
            record.and_then(Record::of_the_service)
        };
        let single = run(1);
        let goes_on = matches!(&single, Ok(record) if !record.interrupted);
        let several = (goes_on && plan.streams.get() > 1).then(|| run(plan.streams.get()));
        finding
            .services
            .push((service, Outcome { single, several }));
    }
    if finding.has_no_service() && !observer.should_stop() {
        finding.own_port = Some(own_port(network, plan, observer));
    }
    finding
}

impl Finding {
    /// Whether the host is there, and has none of the services.
    fn has_no_service(&self) -> bool {
        self.services.iter().all(|(_, outcome)| {
            outcome
                .single
                .as_ref()
                .is_err_and(Trouble::is_of_the_service)
        })
    }
}

fn own_port<N: Network>(
    network: &mut N,
    plan: &ThroughputPlan,
    observer: &mut impl Observer,
) -> OwnPort {
    let upload = flow::run(network, &flow::FlowPlan::one_request(plan), observer);
    let goes_on = match &upload {
        // A port that nobody listens on has no replies either.
        Err(trouble) => trouble.is_after_connecting(),
        Ok(_) => true,
    };
    let goes_on = goes_on && !observer.should_stop();
    OwnPort {
        replies: goes_on.then(|| replies::run(network, plan, observer)),
        upload,
    }
}
