//! `send sim`: virtual boards as targets.

use crate::common::{run, run_with_input};

#[test]
fn virtual_boards_greet() {
    for target in ["sim", "sim:ideal", "sim:tutorial", "sim:lossy,seed=7"] {
        let ended = run(["send", target, "hi"]);
        assert_eq!(ended.code, 0, "{target} {ended:?}");
        assert_eq!(ended.stdout, b"Hello World", "{target} {ended:?}");
    }
}

#[test]
fn all_tries_reach_one_board() {
    let ended = run([
        "send",
        "sim:ideal",
        "hi",
        "--count",
        "20",
        "--interval",
        "0",
        "--json",
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let summary = ended.objects().pop().unwrap();
    assert_eq!(summary["received"], 20, "{summary}");
}

#[test]
fn virtual_board_acknowledges() {
    let ended = run(["send", "sim:ideal", "hi", "--no-reply"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let object = &run(["send", "sim:ideal", "hi", "--no-reply", "--json"]).objects()[0];
    assert_eq!(object["ended_by"], "acknowledged", "{object}");
}

#[test]
fn several_virtual_boards_are_targets() {
    let ended = run_with_input(["send", "--targets", "-"], b"sim:ideal\nsim:tutorial\n");
    assert_eq!(ended.code, 0, "{ended:?}");
    let mut lines: Vec<_> = std::str::from_utf8(&ended.stdout)
        .unwrap()
        .lines()
        .collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["sim:ideal: Hello World", "sim:tutorial: Hello World"]
    );
}

#[test]
fn status_is_one_line_of_json() {
    for request in ["status", "status\r\n"] {
        let ended = run(["send", "sim:ideal", request]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let text = std::str::from_utf8(&ended.stdout).unwrap();
        let line = text.strip_suffix('\n').expect("a line has its end");
        assert!(!line.contains('\n'), "{line}");
        let status: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(status["schema"], "tcpctl.status/1");
        crate::common::schema::check(&status);
        assert_eq!(status["firmware"], env!("CARGO_PKG_VERSION"));
        assert_eq!(status["chip"], "virtual");
        assert_eq!(status["mode"], "ap");
        assert_eq!(
            (&status["accepted"], &status["in_use"]),
            (&1.into(), &1.into())
        );
        assert!(status["uptime_ms"].is_u64(), "{status}");
        for missing in [
            "boot_reason",
            "heap_free",
            "heap_lowest",
            "stack_lowest",
            "rssi_dbm",
            "stations",
            "temperature_c",
        ] {
            assert_eq!(
                status.get(missing),
                Some(&serde_json::Value::Null),
                "{missing}"
            );
        }
        assert_eq!(status["services"], 0);
        assert_eq!(status["reduced"], serde_json::json!([]));
        for counted in ["served", "timed_out", "reset", "refused", "waiting"] {
            assert_eq!(status[counted], 0, "{counted} in {status}");
        }
    }
}

#[test]
fn status_is_an_ordinary_request_if_turned_off() {
    let ended = run(["send", "sim:ideal,status=off", "status"]);
    assert_eq!(ended.stdout, b"Hello World", "{ended:?}");
    let ended = run(["send", "sim:ideal", "statusquo"]);
    assert_eq!(ended.stdout, b"Hello World", "{ended:?}");
}
