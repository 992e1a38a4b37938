//! Turns the measurements into the report: rates, limits and evidence.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::error::StreamError;
use super::flow::FlowRecord;
use super::limit::{self, FlowLimit};
use super::replies::Replies;
use super::service::Service;
use super::{OwnPort, ServiceResult, ThroughputFinding};
use crate::bench::report::{Evidence, EvidenceKind, Flow, LimitedBy, Throughput, Via};
use crate::failure::Kind;
use crate::output::human;

/// Minimum duration for a rate: a shorter one has a few segments over a few clock ticks.
const MIN_DURATION: Duration = Duration::from_millis(100);

const STOPPED: &str = "the run was stopped before";

/// Evidence of the report, by field.
struct EvidenceMap<'a>(&'a mut BTreeMap<String, Evidence>);

impl EvidenceMap<'_> {
    fn insert(&mut self, field: impl Into<String>, kind: EvidenceKind, detail: impl Into<String>) {
        self.0.insert(field.into(), Evidence::new(kind, detail));
    }

    fn observed(&mut self, field: &str, detail: impl Into<String>) {
        self.insert(field, EvidenceKind::Observed, detail);
    }

    fn not_measured(&mut self, field: &str, detail: impl Into<String>) {
        self.insert(field, EvidenceKind::NotMeasured, detail);
    }

    fn limit(&mut self, flow: &str, limit: FlowLimit) -> Option<LimitedBy> {
        self.0.insert(format!("{flow}.limited_by"), limit.evidence);
        limit.limited_by
    }

    /// Removes and returns the detail of a field.
    fn take(&mut self, field: &str) -> String {
        self.0.remove(field).map_or(String::new(), |it| it.detail)
    }
}

impl ThroughputFinding {
    /// The throughput part of the report.
    pub fn report(&self) -> Throughput {
        let mut throughput = Throughput::default();
        let mut evidence = EvidenceMap(&mut throughput.evidence);
        for service in Service::ALL {
            let field = match service {
                Service::Discard => &mut throughput.upload,
                Service::Chargen => &mut throughput.download,
                Service::Echo => &mut throughput.echo,
            };
            let port = self.plan.ports.of(service);
            match self.services.iter().find(|(of, _)| *of == service) {
                Some((_, result)) => *field = of_service(service, port, result, &mut evidence),
                None => evidence.not_measured(service.flow(), STOPPED),
            }
        }
        if let Some(own) = &self.own_port {
            let port = self.plan.target.port();
            throughput.upload = upload_to_own_port(own, port, &mut evidence);
            throughput.download = download_from_own_port(own, port, &mut evidence);
        }
        throughput
    }

    /// The kind and message of the failure, if nothing could be measured.
    pub fn failure(&self) -> Option<(Kind, String)> {
        let report = self.report();
        let flows = [report.upload, report.download, report.echo];
        if flows.iter().any(Option::is_some) {
            return None;
        }
        let own = self.own_port.as_ref().map(|own| &own.upload);
        let of_services = self.services.iter().map(|(_, result)| &result.single);
        let errors: Vec<StreamError> = own
            .into_iter()
            .chain(of_services)
            .filter_map(|result| result.as_ref().err().copied())
            .collect();
        // This computer's errors say nothing about the server. Of the others, that of the server's
        // own port is the most useful.
        let local = errors.iter().find(|error| error.is_local());
        let error = local.or(errors.first());
        let kind = match error {
            Some(error) if error.is_local() => Kind::Internal,
            Some(StreamError::Refused | StreamError::NoAnswer | StreamError::Unreachable) => {
                Kind::Connect
            }
            Some(StreamError::Silent) => Kind::Timeout,
            Some(StreamError::Closed | StreamError::Reset) => Kind::Broken,
            _ => Kind::Negative,
        };
        let why = match error {
            Some(StreamError::Answered) if own.is_some() => {
                "its replies are too few for a rate".to_owned()
            }
            Some(error) => error.to_string(),
            None => STOPPED.to_owned(),
        };
        let ports = self.plan.ports;
        Some((
            kind,
            format!(
                "no throughput could be measured on ports {} (discard), {} (chargen), {} (echo) \
                 and {}: {why}",
                ports.discard,
                ports.chargen,
                ports.echo,
                self.plan.target.port()
            ),
        ))
    }
}

fn upload_to_own_port(own: &OwnPort, port: u16, evidence: &mut EvidenceMap<'_>) -> Option<Flow> {
    const FIELD: &str = "upload";
    let no_discard = evidence.take(FIELD);
    let record = match &own.upload {
        Ok(record) => record,
        Err(error) => {
            evidence.not_measured(FIELD, format!("port {port}: {error} ({no_discard})"));
            return None;
        }
    };
    let bytes = human::count(record.bytes, "byte");
    let time = human::time(record.elapsed);
    let end = match record.ended.first() {
        Some((error, _)) => format!("until it was {error}"),
        None => "for the whole duration".to_owned(),
    };
    let done = format!("one endless request to port {port}, {end}: {bytes} in {time}");
    if record.elapsed < MIN_DURATION {
        let detail = format!("{done}, too short for a rate ({no_discard})");
        evidence.not_measured(FIELD, detail);
        return None;
    }
    evidence.observed(FIELD, format!("{done} ({no_discard})"));
    let limited_by = evidence.limit(FIELD, find_limit(Service::Discard, record));
    Some(Flow {
        via: Via::OwnPort,
        ..flow(record, limited_by)
    })
}

fn download_from_own_port(
    own: &OwnPort,
    port: u16,
    evidence: &mut EvidenceMap<'_>,
) -> Option<Flow> {
    const FIELD: &str = "download";
    let no_chargen = evidence.take(FIELD);
    match &own.replies {
        Some(Ok(replies)) if replies.elapsed >= MIN_DURATION => {
            let done = describe(replies, port);
            evidence.observed(FIELD, format!("{done} ({no_chargen})"));
            evidence.limit(FIELD, limit_of_sender());
            Some(flow_of_replies(replies))
        }
        Some(Ok(replies)) => {
            let done = describe(replies, port);
            let detail = format!("{done}, too short for a rate ({no_chargen})");
            evidence.not_measured(FIELD, detail);
            None
        }
        Some(Err(error)) => {
            let detail = format!("no reply from port {port}: {error} ({no_chargen})");
            evidence.not_measured(FIELD, detail);
            None
        }
        None => {
            evidence.not_measured(FIELD, no_chargen);
            None
        }
    }
}

/// The flow of one service, with its evidence.
fn of_service(
    service: Service,
    port: u16,
    result: &ServiceResult,
    evidence: &mut EvidenceMap<'_>,
) -> Option<Flow> {
    let name = service.flow();
    let single = match &result.single {
        Ok(record) => record,
        Err(error) => {
            evidence.not_measured(name, explain(service, port, *error));
            return None;
        }
    };
    if let Some(Err(error)) = &result.several
        && error.is_wrong_service()
    {
        let why = explain(service, port, *error);
        evidence.not_measured(name, format!("{why}, with several streams"));
        return None;
    }
    let several = result.several.as_ref().and_then(|it| it.as_ref().ok());
    let record = several.unwrap_or(single);
    let mut detail = format!("{} on port {port}", service.name());
    match result.several.as_ref() {
        Some(Ok(record)) => detail.push_str(&missing_streams(record)),
        Some(Err(error)) => {
            let _ = write!(detail, "; several streams moved nothing: {error}");
        }
        None => detail.push_str(&missing_streams(single)),
    }
    detail.push_str(&remarks(service, record));
    evidence.observed(name, detail);
    let limited_by = evidence.limit(name, find_limit(service, record));
    let mut measured = flow(record, limited_by);
    if several.is_some() {
        let limited_by = evidence.limit(&format!("{name}.single"), find_limit(service, single));
        measured.single = Some(Box::new(flow(single, limited_by)));
    }
    Some(measured)
}

/// Why a service was not measured.
fn explain(service: Service, port: u16, error: StreamError) -> String {
    let name = service.name();
    match error {
        StreamError::Refused => format!("{name} is not offered: port {port} refuses connections"),
        StreamError::NoAnswer => {
            format!("port {port} ({name}) does not answer: filtered by a firewall, or no such host")
        }
        StreamError::Silent => format!("port {port} accepts connections, but no bytes move"),
        StreamError::Answered => format!("port {port} sends data, unlike the {name} service"),
        StreamError::Closed => format!("port {port} closes connections, unlike the {name} service"),
        StreamError::WrongEcho { at } => {
            format!("port {port} is no {name} service: byte {at} of the echo is wrong")
        }
        other => format!("port {port} ({name}): {other}"),
    }
}

/// Describes missing streams: fewer than requested, or ended early.
fn missing_streams(record: &FlowRecord) -> String {
    let mut text = String::new();
    if record.streams < record.requested {
        let _ = write!(text, "; {} of {} streams", record.streams, record.requested);
        let reasons = &record.unconnected;
        for (at, reason) in reasons.iter().enumerate() {
            if !reasons[..at].contains(reason) {
                let count = reasons.iter().filter(|it| *it == reason).count();
                let _ = write!(text, ", {count} {reason}");
            }
        }
        if record.idle > 0 {
            let _ = write!(text, ", {} connected but not served", record.idle);
        }
    }
    for (error, when) in &record.ended {
        let _ = write!(text, "; one {error} after {}", human::time(*when));
    }
    text
}

/// Further remarks for the reader.
fn remarks(service: Service, record: &FlowRecord) -> String {
    match service {
        Service::Discard if record.is_acknowledged => "; bytes acknowledged".to_owned(),
        Service::Discard => {
            "; bytes handed to this computer's stack, which does not report acknowledgements"
                .to_owned()
        }
        Service::Chargen => {
            let pattern = match record.is_chargen {
                Some(false) => "; the data is not chargen's pattern: it may be another service",
                _ => "",
            };
            let window = record.min_rtt.filter(|rtt| !rtt.is_zero()).map(|rtt| {
                let each = rate(record.bytes, record.elapsed) * rtt.as_secs_f64()
                    / record.streams.max(1) as f64;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "bytes for people"
                )]
                let each = human::count(each as u64, "byte");
                let rtt = human::time(rtt);
                format!("; {each} per stream and round trip (minimum RTT {rtt})")
            });
            format!("{pattern}{}", window.unwrap_or_default())
        }
        Service::Echo => "; the echo is what was sent".to_owned(),
    }
}

/// The limit of a download.
fn limit_of_sender() -> FlowLimit {
    FlowLimit::unknowable("the server is the sender, and its stack cannot be asked")
}

fn find_limit(service: Service, record: &FlowRecord) -> FlowLimit {
    let share = cpu_share(record);
    if service == Service::Chargen {
        return match share.filter(|share| *share > limit::SATURATED) {
            Some(share) => FlowLimit::observed(
                None,
                format!(
                    "this computer may be the limit: its CPU was busy {:.0}% of the time",
                    share * 100.0
                ),
            ),
            None => limit_of_sender(),
        };
    }
    let streams = u32::try_from(record.streams).unwrap_or(u32::MAX).max(1);
    limit::find(record.sending, record.elapsed * streams, share)
}

fn cpu_share(record: &FlowRecord) -> Option<f64> {
    let elapsed = record.elapsed.as_secs_f64();
    (elapsed > 0.0).then_some(record.cpu?.as_secs_f64() / elapsed)
}

fn rate(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 / elapsed.as_secs_f64()
}

fn flow(record: &FlowRecord, limited_by: Option<LimitedBy>) -> Flow {
    Flow {
        bytes_per_s: rate(record.bytes, record.elapsed),
        streams: record.streams as u64,
        retransmissions: record.retransmissions,
        limited_by,
        single: None,
        seconds: record.seconds.clone(),
        duration_us: record.elapsed.as_secs_f64() * 1e6,
        client_cpu_share: cpu_share(record),
        interrupted: record.interrupted,
        via: Via::Service,
    }
}

fn flow_of_replies(replies: &Replies) -> Flow {
    Flow {
        bytes_per_s: rate(replies.bytes, replies.elapsed),
        streams: 1,
        duration_us: replies.elapsed.as_secs_f64() * 1e6,
        interrupted: replies.interrupted,
        via: Via::OwnPort,
        ..Flow::default()
    }
}

fn describe(replies: &Replies, port: u16) -> String {
    let mean = human::count(replies.bytes / replies.count.max(1), "byte");
    let failed = match replies.failed {
        0 => String::new(),
        failed => format!(", {} failed", human::grouped(failed)),
    };
    format!(
        "replies of port {port}, one connection each: {} of {mean} in {}{failed}",
        human::grouped(replies.count),
        human::time(replies.elapsed)
    )
}
