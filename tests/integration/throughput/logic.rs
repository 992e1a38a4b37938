//! Measurements, their classification, and services that are skipped.

use std::cell::Cell;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use tcpctl::bench::report::{EvidenceKind, Flow, LimitedBy, Throughput, Via};
use tcpctl::bench::throughput::{
    Observer, StreamError, ThroughputFinding, ThroughputPlan, ThroughputProgress, measure,
};
use tcpctl::failure::Kind;
use tcpctl_engine::readiness::{ConnectFailure, Release};

use super::scripted::{End, Handshake, Host, Port};

/// Rate of an ideal service, in bytes per second.
const RATE: u64 = 100_000;

fn plan() -> ThroughputPlan {
    let target = SocketAddr::from(([192, 168, 1, 1], 3000));
    ThroughputPlan {
        duration: Duration::from_secs(3),
        silence: Duration::from_secs(2),
        ..ThroughputPlan::new(target)
    }
}

fn run(host: &mut Host) -> (ThroughputFinding, Throughput) {
    run_with(host, &plan())
}

fn run_with(host: &mut Host, plan: &ThroughputPlan) -> (ThroughputFinding, Throughput) {
    let finding = measure(host, plan, &mut ());
    assert_eq!(host.open, 0, "every connection is closed");
    let report = finding.report();
    (finding, report)
}

/// A host with ideal services except on one port.
fn but(port: u16, behavior: &Port) -> Host {
    let mut ports = [
        (9, Port::discard(RATE)),
        (19, Port::chargen(2 * RATE)),
        (7, Port::echo(RATE / 2)),
    ];
    for (number, good) in &mut ports {
        if *number == port {
            good.clone_from(behavior);
        }
    }
    Host::new(ports)
}

fn evidence<'a>(report: &'a Throughput, name: &str) -> &'a str {
    report.evidence.get(name).map_or("", |it| &it.detail)
}

#[track_caller]
fn is_near(flow: &Flow, expected: u64) {
    let share = flow.bytes_per_s / expected as f64;
    assert!((0.98..1.02).contains(&share), "{expected}: {flow:?}");
}

#[test]
fn rates_match_the_services_alone_and_together() {
    let (_, report) = run(&mut but(0, &Port::silent()));
    for (flow, rate) in [
        (&report.upload, RATE),
        (&report.download, 2 * RATE),
        (&report.echo, RATE / 2),
    ] {
        let flow = flow.as_ref().expect("a service");
        let single = flow.single.as_deref().expect("alone, too");
        is_near(single, rate);
        is_near(flow, 4 * rate);
        assert_eq!((single.streams, flow.streams), (1, 4));
        assert_eq!(flow.seconds.len(), 3, "{flow:?}");
        for second in &flow.seconds {
            let share = *second as f64 / (4 * rate) as f64;
            assert!((0.95..1.05).contains(&share), "{flow:?}");
        }
        assert_eq!(flow.via, Via::Service);
    }
}

#[test]
fn upload_counts_acknowledged_bytes() {
    // The send buffer alone holds as much as the service reads in 16 s.
    let (_, report) = run(&mut but(9, &Port::discard(4_000)));
    is_near(
        &report.upload.expect("a service").single.expect("alone"),
        4_000,
    );
    assert!(evidence(&run(&mut but(0, &Port::silent())).1, "upload").contains("acknowledged"));
}

#[test]
fn warm_up_is_not_counted() {
    let port = Port {
        starts_after: Duration::from_millis(500),
        ..Port::chargen(RATE)
    };
    let plan = ThroughputPlan {
        warm_up: Some(Duration::from_millis(600)),
        ..plan()
    };
    let (_, report) = run_with(&mut but(19, &port), &plan);
    is_near(
        &report.download.expect("a service").single.expect("alone"),
        RATE,
    );
}

#[test]
fn single_stream_measures_one_direction() {
    let plan = ThroughputPlan {
        streams: NonZeroUsize::MIN,
        ..plan()
    };
    let mut host = but(0, &Port::silent());
    let (_, report) = run_with(&mut host, &plan);
    let upload = report.upload.expect("a service");
    assert_eq!((upload.streams, upload.single), (1, None));
    assert_eq!(host.max_open, 1);
}

#[test]
fn absent_service_differs_from_a_silent_one() {
    let refused = Port::failing(ConnectFailure::Refused);
    let dropped = Port {
        handshake: Handshake::Drop,
        ..Port::silent()
    };
    let unreachable = Port::failing(ConnectFailure::Unreachable);
    for (port, phrase) in [
        (refused, "not offered: port 9 refuses"),
        (dropped, "port 9 (discard) does not answer"),
        (unreachable, "unreachable"),
        (Port::silent(), "accepts connections, but no bytes move"),
    ] {
        let (finding, report) = run(&mut but(9, &port));
        assert_eq!(report.upload, None, "never 0 bytes/s");
        let why = evidence(&report, "upload");
        assert!(why.contains(phrase), "{why}");
        assert!(report.download.is_some() && report.echo.is_some());
        assert_eq!(finding.failure(), None, "the others were measured");
    }
}

#[test]
fn full_service_is_used_up_to_its_limit() {
    let port = Port {
        places: 2,
        ..Port::discard(RATE)
    };
    let mut host = but(9, &port);
    let (_, report) = run(&mut host);
    let upload = report.upload.as_ref().expect("a service");
    is_near(upload, 2 * RATE);
    assert_eq!(upload.streams, 2);
    let how = evidence(&report, "upload");
    assert!(how.contains("2 of 4 streams, 2 refused"), "{how}");
    // One stream alone, four together, and two more tries for each of the two refused ones.
    assert_eq!(host.syns[&9], 1 + 4 + 2 * 2, "refused connections back off");
}

#[test]
fn waiting_stream_is_not_counted() {
    let port = Port {
        served: 1,
        ..Port::discard(RATE)
    };
    let (_, report) = run(&mut but(9, &port));
    let upload = report.upload.as_ref().expect("a service");
    assert_eq!(upload.streams, 1);
    let how = evidence(&report, "upload");
    assert!(how.contains("1 of 4 streams"), "{how}");
}

#[test]
fn service_that_ends_early_is_measured_until_then() {
    for (how, phrase) in [
        (End::Fin, "closed by the server"),
        (End::Reset, "reset by the server"),
    ] {
        let port = Port {
            ends: Some((Duration::from_millis(1_800), how)),
            ..Port::discard(RATE)
        };
        let (_, report) = run(&mut but(9, &port));
        let upload = report.upload.as_ref().expect("half a flow");
        is_near(upload, 4 * RATE);
        assert!(upload.duration_us < 1.6e6, "{upload:?}");
        let text = evidence(&report, "upload");
        assert!(text.contains(&format!("one {phrase} after 1.5")), "{text}");
    }
}

#[test]
fn service_that_closes_at_once_is_absent() {
    let port = Port {
        ends: Some((Duration::from_millis(20), End::Fin)),
        ..Port::chargen(RATE)
    };
    let (_, report) = run(&mut but(19, &port));
    assert_eq!(report.download, None);
    let why = evidence(&report, "download");
    assert_eq!(
        why,
        "port 19 closes connections, unlike the chargen service"
    );
}

#[test]
fn wrong_echo_is_an_error_with_its_offset() {
    let port = Port {
        spoils: Some(70_001),
        ..Port::echo(RATE)
    };
    let (_, report) = run(&mut but(7, &port));
    assert_eq!(report.echo, None, "a rate of wrong bytes is none");
    let why = evidence(&report, "echo");
    assert!(
        why.contains("byte 70001 of the echo is wrong"),
        "{why} {:?}",
        report.echo
    );
}

#[test]
fn unexpected_service_on_the_port_is_reported() {
    let (_, report) = run(&mut but(9, &Port::echo(RATE)));
    assert_eq!(
        evidence(&report, "upload"),
        "port 9 sends data, unlike the discard service"
    );
    let noise = Port {
        text: b"Hello World".to_vec(),
        ..Port::chargen(RATE)
    };
    let (_, report) = run(&mut but(19, &noise));
    assert!(
        report.download.is_some(),
        "the download can still be measured"
    );
    let how = evidence(&report, "download");
    assert!(how.contains("not chargen's pattern"), "{how}");
    let (_, report) = run(&mut but(0, &Port::silent()));
    assert!(!evidence(&report, "download").contains("not chargen's"));
    // This service sends data before a request.
    let (_, report) = run(&mut but(7, &Port::chargen(RATE)));
    assert!(evidence(&report, "echo").contains("echo is wrong"));
}

#[test]
fn stall_reason_names_the_bottleneck() {
    for (share, limit) in [(0.9, LimitedBy::ReceiverWindow), (0.1, LimitedBy::Network)] {
        let mut host = but(0, &Port::silent());
        host.window_shut = Some(share);
        let (_, report) = run(&mut host);
        let upload = report.upload.as_ref().expect("a service");
        assert_eq!(upload.limited_by, Some(limit));
        assert!(evidence(&report, "upload.limited_by").contains("receiver's window"));
        assert_eq!(report.download.expect("a service").limited_by, None);
        // One retransmission per second and stream; those before the measured part are not counted.
        assert_eq!(upload.retransmissions, Some(4 * 3));
    }
    let (_, report) = run(&mut but(0, &Port::silent()));
    assert_eq!(report.upload.as_ref().expect("a service").limited_by, None);
    let limit = &report.evidence["upload.limited_by"];
    assert_eq!(limit.kind, EvidenceKind::Unknowable);
}

#[test]
fn target_port_is_measured_without_services() {
    let mut host = Host::new([(3000, Port::greeter())]);
    let (finding, report) = run(&mut host);
    assert_eq!(report.upload, None);
    let why = evidence(&report, "upload");
    assert!(why.contains("discard is not offered"), "{why}");
    assert!(why.contains("until it was answered by the server"), "{why}");
    assert!(why.contains("too short for a rate"), "{why}");
    let download = report.download.as_ref().expect("replies");
    assert_eq!(download.via, Via::OwnPort);
    assert!(download.bytes_per_s > 0.0);
    let how = evidence(&report, "download");
    assert!(how.contains("of 11 bytes"), "{how}");
    assert_eq!(report.echo, None);
    assert_eq!(finding.failure(), None);
    assert_eq!(host.max_open, 1);
}

#[test]
fn target_port_may_take_an_endless_request() {
    let mut host = Host::new([(3000, Port::discard(RATE))]);
    let (_, report) = run(&mut host);
    let upload = report.upload.as_ref().expect("a request");
    is_near(upload, RATE);
    assert_eq!(upload.via, Via::OwnPort);
    assert_eq!(report.download, None);
    let why = evidence(&report, "download");
    assert!(
        why.contains("no reply from port 3000: no bytes moved"),
        "{why}"
    );
}

#[test]
fn nothing_measurable_is_a_failure_with_a_reason() {
    let (finding, report) = run(&mut Host::new([]));
    assert!(report.upload.is_none() && report.download.is_none() && report.echo.is_none());
    let (kind, why) = finding.failure().expect("nothing was measured");
    assert_eq!(kind, Kind::Connect);
    assert!(
        why.contains("9 (discard), 19 (chargen), 7 (echo) and 3000: refused"),
        "{why}"
    );
}

#[test]
fn local_shortage_is_not_the_servers_fault() {
    let here = Port {
        handshake: Handshake::FailHere(ConnectFailure::LocalFiles),
        ..Port::silent()
    };
    let ports = [9, 19, 7, 3000].map(|port| (port, here.clone()));
    let mut host = Host::new(ports);
    let (finding, report) = run(&mut host);
    let (kind, why) = finding.failure().expect("nothing was measured");
    assert_eq!(kind, Kind::Internal, "{why}");
    assert!(evidence(&report, "upload").contains("on this computer"));
    assert_eq!(
        host.syns.get(&3000),
        None,
        "another port has no more descriptors"
    );
}

/// Stops after this many queries.
struct Stop(Cell<usize>);

impl Observer for Stop {
    fn should_stop(&self) -> bool {
        let left = self.0.get().saturating_sub(1);
        self.0.set(left);
        left == 0
    }
}

#[test]
fn stop_keeps_the_measurement() {
    let mut host = but(0, &Port::silent());
    let finding = measure(&mut host, &plan(), &mut Stop(Cell::new(500)));
    assert_eq!(host.open, 0);
    let report = finding.report();
    let upload = report.upload.as_ref().expect("it had begun");
    assert!(
        upload.interrupted && upload.duration_us < 2.9e6,
        "{upload:?}"
    );
    assert_eq!(report.download, None);
    assert_eq!(evidence(&report, "download"), "the run was stopped before");
    assert_eq!(host.syns.get(&19), None, "no other service is tried");
    let finding = measure(&mut host, &plan(), &mut Stop(Cell::new(3)));
    let single = &finding.services[0].1.single;
    assert!(matches!(single, Err(StreamError::Stopped)), "{single:?}");
}

/// Stops this many queries after the first one during the replies.
struct StopInReplies {
    left: Cell<Option<usize>>,
}

impl Observer for StopInReplies {
    fn progress(&mut self, progress: &ThroughputProgress<'_>) {
        if progress.what == "replies" && self.left.get().is_none() {
            self.left.set(Some(20));
        }
    }

    fn should_stop(&self) -> bool {
        let left = self.left.get().map(|left| left.saturating_sub(1));
        self.left.set(left);
        left == Some(0)
    }
}

#[test]
fn stop_works_during_an_endless_reply() {
    let flooding = Port {
        floods: true,
        gives: RATE,
        ..Port::silent()
    };
    let dripping = Port {
        gives: RATE,
        ..Port::silent()
    };
    for port in [flooding, dripping] {
        let mut host = Host::new([(3000, port)]);
        let left = Cell::new(None);
        let finding = measure(&mut host, &plan(), &mut StopInReplies { left });
        let own = finding.own_port.expect("no service");
        let replies = own.replies.expect("begun").expect("some bytes");
        assert!(replies.interrupted && replies.bytes > 0, "{replies:?}");
        assert!(replies.elapsed < plan().duration / 2, "{replies:?}");
        assert_eq!(host.open, 0);
    }
}

#[test]
fn each_reason_for_a_missing_stream_is_reported_once() {
    let mut host = but(0, &Port::silent());
    let (mut finding, _) = run(&mut host);
    let Some(Ok(several)) = &mut finding.services[0].1.several else {
        panic!("four streams: {finding:?}");
    };
    several.streams = 1;
    several.unconnected = vec![
        StreamError::Refused,
        StreamError::NoAnswer,
        StreamError::Refused,
    ];
    let report = finding.report();
    let how = evidence(&report, "upload");
    assert!(
        how.contains("1 of 4 streams, 2 refused, 1 no answer"),
        "{how}"
    );
    assert_eq!(how.matches("refused").count(), 1, "{how}");
}

#[test]
fn streams_end_with_a_reset() {
    let mut host = but(0, &Port::silent());
    run(&mut host);
    assert!(host.released.iter().all(|how| *how == Release::Reset));
    assert_eq!(host.released.len(), 3 * (1 + 4));
}
