//! Measurements and reports for tests. Reports are computed once: in a debug build their percentiles take
//! long.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use super::report::{
    Bound, Cause, CauseKind, CloseMode, Environment, Evidence, EvidenceKind, Flow, LimitedBy,
    Limits, Options, Overflow, Parts, RampEnd, Report, Scheduled, Step, Throughput, Trial,
};
use super::summarize;
use super::verdict::conclude;
use tcpctl_engine::load::{LearnedRule, RuleKind};
use tcpctl_engine::measurement::{
    ConnectionTotals, ErrorClass, LateStarts, Measurement, RuleUse, Second,
};
use tcpctl_engine::times::Times;

pub(crate) fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250)
}

pub(crate) fn environment(is_virtual: bool) -> Environment {
    Environment {
        is_virtual,
        os: "linux".to_owned(),
        kernel: Some("6.1.0".to_owned()),
        cpus: 2,
        hostname: Some("desk".to_owned()),
        clock: None,
        tcpctl: "0.1.0".to_owned(),
    }
}

pub(crate) fn options() -> Options {
    Options {
        parts: Parts {
            limits: true,
            latency: true,
            ramp: false,
            throughput: false,
        },
        connections: None,
        duration_us: Some(5e6),
        requests: None,
        rate_per_s: None,
        warmup_us: 0.0,
        keep_alive: false,
        close: CloseMode::Fin,
        message: "Hello TCP world!".to_owned(),
        message_bytes: 16,
        lines: None,
        idle_us: None,
        expect: None,
        connect_timeout_us: 5e6,
        reply_timeout_us: 1e7,
        max_connections: 256,
        budget_us: 3e7,
        sources: Vec::new(),
        threads: 1,
        start_at: None,
    }
}

/// A fixed long-tailed distribution around `median` nanoseconds.
pub(crate) fn spread(median: u64, samples: u64) -> Times {
    let time = |at| {
        let quantile = (at as f64 + 0.5) / samples as f64;
        let logit = (quantile / (1.0 - quantile)).ln();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an example"
        )]
        let value = (median as f64 * (0.18 * logit).exp()) as u64;
        value
    };
    (0..samples).map(time).collect()
}

/// 2,500 requests in 5 s over 4 connections, about 8 ms each, without failures.
pub(crate) fn measurement() -> Measurement {
    Measurement {
        started_at: start(),
        elapsed: Duration::from_secs(5),
        window: Duration::from_secs(5),
        completed_in_window: 2_500,
        connections: 4,
        target_rate: None,
        keep_alive: false,
        completed: 2_500,
        errors: BTreeMap::new(),
        connect: spread(3_000_000, 2_500),
        first_byte: spread(7_800_000, 2_500),
        complete: spread(8_000_000, 2_500),
        schedule_error: None,
        late_starts: LateStarts::default(),
        client_delay: None,
        run_delay: None,
        late_wake_ups: Duration::ZERO,
        reply_rule: RuleUse {
            kind: Some(RuleKind::Close),
            learned: Some(LearnedRule::Close),
            mismatches: 0,
        },
        seconds: seconds(500, 8_000_000),
        second_histograms: Vec::new(),
        totals: Some(ConnectionTotals {
            syn_retransmissions: 0,
            retransmissions: 2,
            smoothed_rtt: Some(spread(3_000_000, 2_500)),
            min_rtt: Some(spread(2_500_000, 2_500)),
            receiver_limited: Some(Duration::ZERO),
            send_buffer_limited: Some(Duration::ZERO),
        }),
        client_cpu: Some(Duration::from_millis(100)),
        threads: 1,
        interrupted: false,
        target_gone: false,
    }
}

/// Five seconds with about `completed` requests each, and a median of about `p50` nanoseconds.
pub(crate) fn seconds(completed: u64, p50: u64) -> Vec<Second> {
    [3_u64, 0, 5, 1, 4]
        .map(|wobble| Second {
            completed: completed + wobble - 2,
            failed: 0,
            p50: p50 + wobble * 10_000,
            p99: p50 * 2 + wobble * 50_000,
        })
        .to_vec()
}

/// An open loop with failures that does not reach its rate.
pub(crate) fn open_loop_with_errors() -> Measurement {
    let mut measurement = measurement();
    measurement.target_rate = Some(1_000.0);
    measurement.schedule_error = Some(spread(30_000, 2_600));
    measurement.errors = [(ErrorClass::Refused, 80), (ErrorClass::ReplyTimeout, 20)].into();
    for (at, second) in measurement.seconds.iter_mut().enumerate() {
        second.failed = at as u64 * 10;
    }
    measurement
}

pub(crate) fn report() -> Report {
    static REPORT: LazyLock<Report> = LazyLock::new(|| {
        let environment = environment(false);
        let measurement = measurement();
        conclude(summarize::report(
            "192.168.1.1:3000",
            start(),
            environment,
            Some(&measurement),
        ))
    });
    REPORT.clone()
}

pub(crate) fn limits() -> Limits {
    Limits {
        served_at_once: Bound::Exact(4),
        queued: Bound::Exact(4),
        held: Bound::Exact(8),
        overflow: Some(Overflow::Refused),
        overflow_us: Some(200.0),
        recovery_us: Some(3_000.0),
        burst: Bound::Unknown,
        served_first_byte_us: None,
        queued_first_byte_us: None,
        closes_after_reply: Some(true),
        per_client: None,
        held_from_all_sources: Bound::Unknown,
        drift: None,
        evidence: [
            (
                "held",
                EvidenceKind::Observed,
                "the 9th connection was refused in 3 of 3 tries",
            ),
            (
                "burst",
                EvidenceKind::NotApplicable,
                "connections can be held",
            ),
        ]
        .map(|(field, kind, detail)| (field.to_owned(), Evidence::new(kind, detail)))
        .into(),
    }
}

/// A cause where only immediate reconnects are refused.
pub(crate) fn reconnect_race() -> Cause {
    let trial = |requests, troubled| Trial {
        requests,
        troubled,
        late: 0,
    };
    Cause {
        kind: CauseKind::ReconnectRace,
        closed: trial(500, 12),
        bursts: trial(40, 0),
        schedule: Some(Scheduled {
            rate_per_s: 425.0,
            trial: trial(425, 0),
        }),
    }
}

/// A report with every part.
pub(crate) fn full() -> Report {
    static FULL: LazyLock<Report> = LazyLock::new(compute_full);
    FULL.clone()
}

fn compute_full() -> Report {
    let mut report = summarize::report(
        "sim:esp32,workers=4",
        start(),
        environment(true),
        Some(&open_loop_with_errors()),
    );
    report.label = Some("before".to_owned());
    report.command = Some("tcpctl bench sim:esp32,workers=4".to_owned());
    report.options = Some(options());
    report.limits = Some(limits());
    report.ramp = [1_u64, 2, 4, 8]
        .map(|connections| Step {
            connections,
            served_per_s: 125.0 * connections.min(4) as f64,
            p50_us: Some(8_000.0 * (connections as f64 / 4.0).max(1.0)),
            p99_us: Some(16_000.0 * (connections as f64 / 4.0).max(1.0)),
            max_us: Some(20_000.0),
            requests: 500,
            refused: if connections > 4 { 12 } else { 0 },
            failed: if connections > 4 { 12 } else { 0 },
            syn_retransmissions: Some(0),
            retransmissions: Some(0),
            client_wait_share: Some(0.0),
            knee: connections == 4,
            cause: (connections > 4).then(reconnect_race),
        })
        .to_vec();
    report.ramp_ended = Some(RampEnd::PastTheKnee);
    let flow = |bytes_per_s, streams| Flow {
        bytes_per_s,
        streams,
        retransmissions: Some(3),
        limited_by: Some(LimitedBy::ReceiverWindow),
        single: None,
        seconds: vec![1_000_000, 1_100_000, 1_050_000],
        duration_us: 3e6,
        client_cpu_share: Some(0.02),
        ..Flow::default()
    };
    report.throughput = Some(Throughput {
        upload: Some(Flow {
            single: Some(Box::new(flow(450_000.0, 1))),
            ..flow(1_050_000.0, 4)
        }),
        download: Some(flow(2_000_000.0, 4)),
        echo: None,
        evidence: [(
            "echo".to_owned(),
            Evidence::new(EvidenceKind::NotMeasured, "nothing listens on port 7"),
        )]
        .into(),
    });
    conclude(report)
}
