//! What a run measures, and how it answers.

use std::sync::mpsc;

use serde_json::Value;

use super::report;
use crate::common::{Server, read_some, run};

#[test]
fn a_virtual_board_is_measured_whole_and_its_limits_are_exact() {
    let ended = run([
        "bench",
        "sim:ideal,workers=2,backlog=3",
        "-n",
        "50",
        "--json",
        "-q",
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = report(&ended);
    assert_eq!(report["schema"], "tcpctl.bench/1");
    assert_eq!(report["environment"]["virtual"], true);
    let limits = &report["limits"];
    assert_eq!(limits["served_at_once"], 2, "{limits}");
    assert_eq!(limits["queued"], 3, "{limits}");
    assert_eq!(limits["held"], 5, "{limits}");
    assert_eq!(limits["overflow"], "refused", "{limits}");
    assert!(limits["recovery_us"].as_f64() > Some(0.0), "{limits}");
    let latency = &report["latency"];
    assert_eq!(latency["requests"], 50, "{latency}");
    assert_eq!(
        latency["connections"], 2,
        "as many as it serves at once: {latency}"
    );
    assert_eq!(latency["complete_us"]["samples"], 50, "{latency}");
    let verdict = report["verdict"].as_str().expect("a verdict");
    assert!(
        verdict.starts_with("serves 2 at once, queues 3, refuses the 6th"),
        "{verdict}"
    );
}

#[test]
fn the_first_line_is_the_answer() {
    let ended = run(["bench", "sim:ideal,workers=1,backlog=0", "--only", "limits"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let text = String::from_utf8(ended.stdout).expect("text");
    assert!(
        text.starts_with("serves 1 at once, queues none, refuses the 2nd"),
        "{text}"
    );
    assert!(!text.contains("\nLatency\n"), "{text}");
}

#[test]
fn latency_alone_needs_one_connection_at_a_time() {
    let server = Server::greeter(b"Hello World");
    let ended = run([
        "bench",
        &server.target(),
        "--only",
        "latency",
        "-n",
        "20",
        "--json",
        "-q",
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = report(&ended);
    assert_eq!(report["environment"]["virtual"], false);
    assert_eq!(report["limits"], Value::Null);
    assert_eq!(report["latency"]["requests"], 20);
    assert_eq!(report["latency"]["connections"], 1);
}

/// As in `send`: `^` and `$` are the ends of lines, whichever line ends the server writes.
#[test]
fn the_end_of_a_line_may_be_cr_lf() {
    let server = Server::greeter(b"ready\r\n");
    let target = server.target();
    let bench = [
        "bench", &target, "--only", "latency", "-n", "5", "-q", "--json",
    ];
    let ended = run(bench.into_iter().chain(["--expect", "^ready$"]));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(report(&ended)["latency"]["completed"], 5, "{ended:?}");
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let ended = run([
        "bench",
        "sim:ideal",
        "--only",
        "latency",
        "-r",
        "100/s",
        "-n",
        "30",
        "--json",
    ]);
    let report = report(&ended);
    assert_eq!(report["latency"]["target_rate_per_s"], 100.0, "{ended:?}");
    assert_eq!(report["latency"]["schedule_error_us"]["samples"], 30);
}

#[test]
fn a_condition_decides_the_exit_code() {
    let bench = |condition: &str| {
        run([
            "bench",
            "sim:ideal",
            "--only",
            "latency",
            "-n",
            "20",
            "-q",
            "--fail-if",
            condition,
        ])
    };
    assert_eq!(bench("errors > 0").code, 0);
    let failed = bench("p99 > 1us");
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stderr.contains("p99 > 1us"), "{failed:?}");
    assert_eq!(failed.stderr.lines().count(), 1, "{failed:?}");
    // What was not measured is not known to be right.
    assert_eq!(bench("served < 1").code, 1);
}

/// Seen from the server: who connects, how connections end, and what is not counted.
#[test]
#[cfg(target_os = "linux")]
fn sources_the_warm_up_and_the_way_to_close_are_taken_notice_of() {
    use std::io::{ErrorKind, Read, Write};
    use std::net::IpAddr;
    use std::time::{Duration, SystemTime};

    for (close, expected) in [("rst", Err(ErrorKind::ConnectionReset)), ("fin", Ok(0))] {
        let (sender, ends) = mpsc::channel();
        let server = Server::start(move |mut connection| {
            let from = connection.peer_addr().map(|address| address.ip());
            read_some(&mut connection);
            let _ = connection.write_all(b"Hello World");
            let _ = connection.shutdown(std::net::Shutdown::Write);
            let end = connection.read(&mut [0; 8]).map_err(|error| error.kind());
            let _ = sender.send((from.ok(), end));
        });
        let target = server.target();
        let sources = ["--source", "127.0.0.1", "--source", "127.0.0.2"];
        let bench = ["bench", &target, "--only", "latency", "-n", "6", "--json"];
        let more = ["--warmup", "200ms", "--close", close];
        let ended = run(bench.into_iter().chain(sources).chain(more));
        assert_eq!(ended.code, 0, "{ended:?}");
        let report = report(&ended);
        assert_eq!(report["latency"]["requests"], 6, "{report}");
        let moment = |value: &Value| -> SystemTime {
            humantime::parse_rfc3339(value.as_str().expect("a time")).expect("RFC 3339")
        };
        let warm = moment(&report["latency"]["started_at"])
            .duration_since(moment(&report["started_at"]))
            .expect("the load comes later");
        // Both are told to the millisecond.
        assert!(warm >= Duration::from_millis(198), "{warm:?}");
        // At least one more was made in the warm-up.
        let next = |_| {
            ends.recv_timeout(Duration::from_secs(20))
                .expect("a client")
        };
        let mut seen: Vec<_> = (0..7).map(next).collect();
        seen.extend(ends.try_iter());
        for source in ["127.0.0.1", "127.0.0.2"] {
            let source: IpAddr = source.parse().expect("an address");
            assert!(seen.iter().any(|(from, _)| *from == Some(source)));
        }
        assert!(seen.iter().all(|(_, end)| *end == expected), "{seen:?}");
    }
}
