//! A virtual board in simulated time: the firmware's own services over the link model.

use std::num::NonZeroUsize;
use std::time::Duration;

use tcpctl::bench::report::{LimitedBy, Throughput};
use tcpctl::bench::throughput::{ThroughputPlan, measure};
use tcpctl::sim::session;
use tcpctl::sim::spec::{Profile, Spec};

/// The link must take time: on another one, simulated time does not advance.
fn run(changes: &[(&str, &str)], streams: usize) -> Throughput {
    let spec = Spec::with(Profile::Ideal, changes.iter().copied()).expect("a valid spec");
    let (_board, mut network) = session::simulated(&spec).expect("a board");
    let plan = ThroughputPlan {
        streams: NonZeroUsize::new(streams).expect("not zero"),
        duration: Duration::from_millis(400),
        ..ThroughputPlan::new(session::address(&spec))
    };
    measure(&mut network, &plan, &mut ()).report()
}

#[test]
fn window_and_round_trip_bound_the_throughput() {
    let report = run(&[("services", "on"), ("delay", "10ms")], 2);
    // A window of 5,760 bytes per round trip of 20 ms is 288 kB/s for each stream; less when
    // smoltcp delays an ACK by 10 ms.
    for (name, flow) in [("upload", report.upload), ("download", report.download)] {
        let flow = flow.expect("a service");
        let single = flow.single.as_deref().expect("alone").bytes_per_s;
        assert!((100e3..300e3).contains(&single), "{name}: {single}");
        let share = flow.bytes_per_s / single;
        assert!((1.7..2.3).contains(&share), "{name}: {share}");
        if name == "upload" {
            assert_eq!(flow.limited_by, Some(LimitedBy::ReceiverWindow));
        }
    }
    assert!(report.echo.is_some());
}

#[test]
fn slow_link_is_the_bottleneck() {
    let report = run(&[("services", "on"), ("rate", "400kbit")], 1);
    let upload = report.upload.expect("a service");
    assert!(
        upload.bytes_per_s < 55e3,
        "at most the rate of the link: {upload:?}"
    );
    assert_eq!(upload.limited_by, Some(LimitedBy::Network), "{upload:?}");
    assert_eq!(upload.retransmissions, Some(0));
}

#[test]
fn streams_are_limited_by_the_slots() {
    let report = run(&[("services", "on"), ("delay", "1ms")], 6);
    for flow in [&report.upload, &report.download, &report.echo] {
        assert_eq!(flow.as_ref().expect("a service").streams, 4);
    }
    let how = &report.evidence["upload"].detail;
    assert!(how.contains("4 of 6 streams, 2 refused"), "{how}");
}

#[test]
fn missing_services_are_reported() {
    let report = run(&[("services", "off"), ("delay", "1ms")], 4);
    assert!(report.evidence["echo"].detail.contains("port 7 refuses"));
    assert!(report.evidence["upload"].detail.contains("port 3000"));
}
