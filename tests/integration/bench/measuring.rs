//! What a run measures, and its exit code.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{report, verdict};
use crate::common::{Server, run, run_with_input};

#[test]
fn message_can_be_standard_input() {
    for option in ["-m", "--file"] {
        let bench = [
            "bench",
            "sim:ideal",
            "--only",
            "latency",
            "-n",
            "1",
            "--json",
        ];
        let ended = run_with_input([&bench[..], &[option, "-"]].concat(), b"typed\n");
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(ended.objects()[0]["options"]["message"], "typed\n");
    }
}

#[test]
fn virtual_board_has_exact_limits_and_latency() {
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
    let first = verdict(&report)[0];
    let start = "serves 2 clients at once, queues 3 more, refuses the 6th";
    assert!(first.starts_with(start), "{first}");
    assert_eq!(report["options"]["requests"], 50, "{report}");
    let command = report["command"].as_str().expect("a command");
    assert!(command.ends_with("bench sim:ideal,workers=2,backlog=3 -n 50 --json -q"));
}

#[test]
fn start_at_waits_for_the_time() {
    let at = SystemTime::now() + Duration::from_secs(1);
    let text = humantime::format_rfc3339_millis(at).to_string();
    let bench = ["bench", "sim", "--only", "latency", "-n", "5", "--json"];
    let ended = run(bench.into_iter().chain(["--start-at", &text]));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stderr.contains(&format!(" for {text}; ")),
        "{ended:?}"
    );
    let report = report(&ended);
    assert_eq!(report["options"]["start_at"], text);
    let time = |value: &Value| humantime::parse_rfc3339(value.as_str().unwrap()).unwrap();
    let to_the_millisecond = Duration::from_millis(1);
    assert!(
        time(&report["started_at"]) + to_the_millisecond >= at,
        "{report}"
    );
    assert!(time(&report["latency"]["started_at"]) + to_the_millisecond >= at);
}

#[test]
fn brief_prints_only_the_summary() {
    let bench = ["bench", "sim:ideal,workers=1,backlog=0", "--only", "limits"];
    let ended = run(bench.into_iter().chain(["--brief"]));
    assert_eq!(ended.code, 0, "{ended:?}");
    let text = String::from_utf8(ended.stdout).expect("text");
    let start = "serves 1 client at once, queues none, refuses the 2nd";
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains("\nwarning: virtual board"), "{text}");
    assert!(!text.contains("\nLimits\n"), "{text}");
}

#[test]
fn latency_alone_uses_one_connection() {
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

/// As in `send`, `^` and `$` match at line ends, LF or CR LF.
#[test]
fn expect_matches_lines_that_end_with_cr_lf() {
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
fn open_loop_keeps_its_rate() {
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
fn condition_decides_the_exit_code() {
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
    let passed = bench("errors > 0");
    assert_eq!(passed.code, 0, "{passed:?}");
    let text = String::from_utf8_lossy(&passed.stdout);
    assert!(
        text.contains(" --fail-if 'errors > 0' (value: 0)"),
        "{text}"
    );
    let failed = bench("p50 > 1us");
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stderr.contains("p50 > 1us"), "{failed:?}");
    assert_eq!(failed.stderr.lines().count(), 1, "{failed:?}");
    // 20 samples are too few for a p99.
    assert_eq!(bench("p99 > 1us").code, 1);
    // This run does not measure limits.
    assert_eq!(bench("served < 1").code, 2);
}

#[test]
#[cfg(target_os = "linux")]
fn sources_warm_up_and_close_take_effect() {
    use std::io::{ErrorKind, Read, Write};
    use std::net::IpAddr;
    use std::time::{Duration, SystemTime};

    for (close, expected) in [("rst", Err(ErrorKind::ConnectionReset)), ("fin", Ok(0))] {
        let (sender, ends) = std::sync::mpsc::channel();
        let server = Server::start(move |mut connection| {
            let from = connection.peer_addr().map(|address| address.ip());
            crate::common::read_some(&mut connection);
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
        // Both times are reported in milliseconds.
        assert!(warm >= Duration::from_millis(198), "{warm:?}");
        // The warm-up has at least one connection more.
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
