//! From what was seen to the report: numbers, what limited them, and in words what was done.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::flow::Record;
use super::limit::{self, Cause};
use super::replies::Replies;
use super::service::Service;
use super::trouble::Trouble;
use super::{Finding, Outcome, OwnPort};
use crate::bench::report::{Flow, LimitedBy, Throughput, Via};
use crate::failure::Kind;
use crate::output::human;

/// In less time than this there is no rate: it would be a few segments over a few clock ticks.
const SHORTEST: Duration = Duration::from_millis(100);

/// What is said of a download's limit.
const SENDER_IS_THERE: &str = "not known: the sender is the server, and its stack can't be asked";

impl Finding {
    /// The report's part.
    pub fn report(&self) -> Throughput {
        let mut throughput = Throughput::default();
        for service in Service::ALL {
            let outcome = self.services.iter().find(|(of, _)| *of == service);
            let field = match service {
                Service::Discard => &mut throughput.upload,
                Service::Chargen => &mut throughput.download,
                Service::Echo => &mut throughput.echo,
            };
            let port = self.plan.ports.of(service);
            if let Some((_, outcome)) = outcome {
                *field = tell(service, port, outcome, &mut throughput.evidence);
            } else {
                let why = "the run was stopped before".to_owned();
                throughput.evidence.insert(service.flow().to_owned(), why);
            }
        }
        if let Some(own) = &self.own_port {
            self.tell_own_port(own, &mut throughput);
        }
        throughput
    }

    /// Why there is not one number, if there is none: the kind of the failure, and what to say.
    pub fn failure(&self) -> Option<(Kind, String)> {
        let report = self.report();
        if [report.upload, report.download, report.echo]
            .iter()
            .any(Option::is_some)
        {
            return None;
        }
        let own = self.own_port.as_ref().map(|own| &own.upload);
        let of_services = self.services.iter().map(|(_, outcome)| &outcome.single);
        let troubles: Vec<_> = own
            .into_iter()
            .chain(of_services)
            .filter_map(|result| result.as_ref().err().copied())
            .collect();
        // The server's own port says most; but what is wrong here is no server's fault.
        let is_local = |trouble: &&Trouble| {
            matches!(
                trouble,
                Trouble::LocalPorts | Trouble::LocalFiles | Trouble::Wait(_)
            )
        };
        let telling = troubles.iter().find(is_local).or(troubles.first());
        let kind = match telling {
            Some(Trouble::LocalPorts | Trouble::LocalFiles | Trouble::Wait(_)) => Kind::Internal,
            Some(Trouble::Refused | Trouble::NoAnswer | Trouble::Unreachable) => Kind::Connect,
            Some(Trouble::Silent) => Kind::Timeout,
            Some(Trouble::Closed | Trouble::Reset) => Kind::Broken,
            Some(Trouble::Answered | Trouble::WrongEcho { .. } | Trouble::Stopped) | None => {
                Kind::Negative
            }
        };
        let ports = self.plan.ports;
        let why = match telling {
            Some(Trouble::Answered) if own.is_some() => {
                "its replies are too few to tell a rate".to_owned()
            }
            Some(trouble) => trouble.to_string(),
            None => "the run was stopped before".to_owned(),
        };
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

    fn tell_own_port(&self, own: &OwnPort, throughput: &mut Throughput) {
        let port = self.plan.target.port();
        let evidence = &mut throughput.evidence;
        let missing = |evidence: &mut BTreeMap<String, String>, name: &str| {
            evidence.remove(name).unwrap_or_default()
        };
        let no_discard = missing(evidence, "upload");
        throughput.upload = match &own.upload {
            Ok(record) => {
                let taken = human::count(record.bytes, "byte");
                let time = human::time(record.elapsed);
                let end = match record.ended.first() {
                    Some((trouble, _)) => format!("until it was {trouble}"),
                    None => "for as long as was asked".to_owned(),
                };
                let did = format!(
                    "{no_discard}; instead one request without an end to port {port}, {end}: \
                     {taken} in {time}"
                );
                if record.elapsed < SHORTEST {
                    let text = format!("{did}, too short to tell a rate");
                    evidence.insert("upload".to_owned(), text);
                    None
                } else {
                    evidence.insert("upload".to_owned(), did);
                    let cause = cause(Service::Discard, record);
                    evidence.insert("upload.limited_by".to_owned(), cause.why);
                    Some(Flow {
                        via: Via::OwnPort,
                        ..flow(record, cause.limited_by)
                    })
                }
            }
            Err(trouble) => {
                let text = format!("{no_discard}; port {port}: {trouble}");
                evidence.insert("upload".to_owned(), text);
                None
            }
        };
        let no_chargen = missing(evidence, "download");
        throughput.download = match &own.replies {
            Some(Ok(replies)) if replies.elapsed >= SHORTEST => {
                evidence.insert(
                    "download".to_owned(),
                    format!("{no_chargen}; instead {}", told(replies, port)),
                );
                evidence.insert("download.limited_by".to_owned(), SENDER_IS_THERE.to_owned());
                Some(flow_of_replies(replies))
            }
            Some(Ok(replies)) => {
                let text = format!(
                    "{no_chargen}; instead {}, too short to tell a rate",
                    told(replies, port)
                );
                evidence.insert("download".to_owned(), text);
                None
            }
            Some(Err(trouble)) => {
                let text = format!("{no_chargen}; no reply from port {port}: {trouble}");
                evidence.insert("download".to_owned(), text);
                None
            }
            None => {
                evidence.insert("download".to_owned(), no_chargen);
                None
            }
        };
    }
}

/// One service's flow, and how it came about.
fn tell(
    service: Service,
    port: u16,
    outcome: &Outcome,
    evidence: &mut BTreeMap<String, String>,
) -> Option<Flow> {
    let name = service.flow();
    let single = match &outcome.single {
        Ok(record) => record,
        Err(trouble) => {
            let why = not_measured(service, port, *trouble);
            evidence.insert(name.to_owned(), why);
            return None;
        }
    };
    if let Some(Err(trouble)) = &outcome.several
        && trouble.is_wrong()
    {
        let why = not_measured(service, port, *trouble);
        evidence.insert(name.to_owned(), format!("{why}, with several streams"));
        return None;
    }
    let several = outcome.several.as_ref().and_then(|it| it.as_ref().ok());
    let record = several.unwrap_or(single);
    let cause = cause(service, record);
    let mut text = format!("{} on port {port}", service.name());
    if let Some(asked) = outcome.several.as_ref() {
        match asked {
            Ok(record) => text.push_str(&streams(record)),
            Err(trouble) => {
                let _ = write!(text, "; several streams moved nothing: {trouble}");
            }
        }
    } else {
        text.push_str(&streams(single));
    }
    text.push_str(&remarks(service, record));
    evidence.insert(name.to_owned(), text);
    evidence.insert(format!("{name}.limited_by"), cause.why);
    let mut told = flow(record, cause.limited_by);
    if several.is_some() {
        let cause = self::cause(service, single);
        evidence.insert(format!("{name}.single.limited_by"), cause.why);
        told.single = Some(Box::new(flow(single, cause.limited_by)));
    }
    Some(told)
}

fn not_measured(service: Service, port: u16, trouble: Trouble) -> String {
    let name = service.name();
    match trouble {
        Trouble::Refused => format!("{name} is not offered: port {port} refuses connections"),
        Trouble::NoAnswer => {
            format!("port {port} ({name}) does not answer: behind a firewall, or no host")
        }
        Trouble::Silent => format!("port {port} takes connections, and then nothing moves"),
        Trouble::Answered => format!("port {port} answers, as {name} never does"),
        Trouble::Closed => format!("port {port} closes connections, as {name} never does"),
        Trouble::WrongEcho { at } => {
            format!("port {port} is no {name}: byte {at} came back wrong")
        }
        other => format!("port {port} ({name}): {other}"),
    }
}

/// How many streams there were, where that is not what was asked.
fn streams(record: &Record) -> String {
    let mut text = String::new();
    if record.streams < record.asked {
        let _ = write!(text, "; {} of {} streams", record.streams, record.asked);
        let reasons = &record.unconnected;
        for (at, reason) in reasons.iter().enumerate() {
            if !reasons[..at].contains(reason) {
                let count = reasons.iter().filter(|it| *it == reason).count();
                let _ = write!(text, ", {count} {reason}");
            }
        }
        if record.idle > 0 {
            let _ = write!(text, ", {} connected and not served", record.idle);
        }
    }
    for (trouble, when) in &record.ended {
        let _ = write!(text, "; one {trouble} after {}", human::time(*when));
    }
    text
}

/// What else a reader is to know.
fn remarks(service: Service, record: &Record) -> String {
    match service {
        Service::Discard if record.is_acknowledged => "; bytes acknowledged".to_owned(),
        Service::Discard => "; bytes handed to the stack here, which can't tell what is \
                             acknowledged"
            .to_owned(),
        Service::Chargen => {
            let what = match record.is_chargen {
                Some(false) => {
                    "; what came is not chargen's pattern, and something else may be there"
                }
                _ => "",
            };
            let trip = record.min_rtt.filter(|rtt| !rtt.is_zero()).map(|rtt| {
                let each = rate(record.bytes, record.elapsed) * rtt.as_secs_f64()
                    / record.streams.max(1) as f64;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "bytes for people"
                )]
                let each = human::count(each as u64, "byte");
                format!(
                    "; {each} a stream in the shortest round trip, {}",
                    human::time(rtt)
                )
            });
            format!("{what}{}", trip.unwrap_or_default())
        }
        Service::Echo => "; what came back is what was sent".to_owned(),
    }
}

fn cause(service: Service, record: &Record) -> Cause {
    let share = cpu_share(record);
    if service == Service::Chargen {
        return match share.filter(|share| *share > limit::SATURATED) {
            Some(share) => Cause {
                limited_by: None,
                why: format!(
                    "this computer may be the limit: its CPU was busy {:.0}% of the time",
                    share * 100.0
                ),
            },
            None => Cause {
                limited_by: None,
                why: SENDER_IS_THERE.to_owned(),
            },
        };
    }
    let streams = u32::try_from(record.streams).unwrap_or(u32::MAX).max(1);
    limit::cause(record.sending, record.elapsed * streams, share)
}

fn cpu_share(record: &Record) -> Option<f64> {
    let elapsed = record.elapsed.as_secs_f64();
    (elapsed > 0.0).then_some(record.cpu?.as_secs_f64() / elapsed)
}

fn rate(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 / elapsed.as_secs_f64()
}

fn flow(record: &Record, limited_by: Option<LimitedBy>) -> Flow {
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

fn told(replies: &Replies, port: u16) -> String {
    let mean = human::count(replies.bytes / replies.count.max(1), "byte");
    let failed = match replies.failed {
        0 => String::new(),
        failed => format!(", {} failed", human::grouped(failed)),
    };
    format!(
        "the replies of port {port}, each on a connection of its own: {} of {mean} in {}{failed}",
        human::grouped(replies.count),
        human::time(replies.elapsed)
    )
}
