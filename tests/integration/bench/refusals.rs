//! Invalid arguments, refused before anything is sent.

use std::sync::mpsc;

use serde_json::Value;

use crate::common::{Server, run, run_with_input};

#[test]
fn option_without_effect_is_refused() {
    for (only, option, value) in [
        ("limits", "--rate", "100/s"),
        ("limits", "--duration", "1s"),
        ("limits", "--requests", "5"),
        ("limits", "--warmup", "1s"),
        ("limits", "--hdr-log", "/tmp/log"),
        ("limits", "--connections", "5"),
        ("limits", "--expect", "x"),
        ("limits", "--close", "rst"),
        ("limits", "--threads", "1"),
        ("limits", "--reply-timeout", "1s"),
        ("latency", "--max-connections", "5"),
        ("latency", "--budget", "5s"),
    ] {
        let ended = run(["bench", "sim", "--only", only, option, value]);
        assert_eq!(ended.code, 2, "{option}: {ended:?}");
        assert!(ended.stderr.lines().count() <= 2, "{option}: {ended:?}");
        assert!(
            ended.stderr.contains(&format!("{option} has no effect")),
            "{option}: {ended:?}"
        );
    }
    let ended = run(["bench", "sim", "--only", "limits", "--keep-alive"]);
    assert_eq!(ended.code, 2, "{ended:?}");
}

#[test]
fn invalid_arguments_are_refused_before_anything_is_sent() {
    let (sender, asked) = mpsc::channel();
    let server = Server::start(move |_| {
        let _ = sender.send(());
    });
    let target = server.target();
    for (arguments, named) in [
        (vec!["-c", "0"], "--connections"),
        (vec!["-d", "0"], "--duration"),
        (vec!["--start-at", "2026-01-01T00:00:00Z"], "has passed"),
        (vec!["--start-at", "10:00"], "2026-12-01T10:00:00Z"),
        (vec!["-d", "0ms"], "greater than 0"),
        (vec!["--connect-timeout", "0"], "--connect-timeout"),
        (vec!["--reply-timeout", "0"], "--reply-timeout"),
        (vec!["-d", "5"], "5s or 5ms"),
        (vec!["-n", "0"], "--requests"),
        (vec!["-n", "5", "-d", "1s"], "--duration"),
        (vec!["-r", "0/s"], "--rate"),
        (vec!["-r", "fast"], "fast"),
        (vec!["--expect", "("], "--expect"),
        (vec!["-m", "hi", "--payload", "5"], "--payload"),
        (vec!["--payload", "1GiB"], "--payload"),
        (vec!["--threads", "0"], "--threads"),
        (vec!["--only", "nothing"], "nothing"),
        (vec!["--close", "never"], "never"),
        (vec!["--source", "::1"], "::1"),
        (vec!["--source", "here"], "here"),
        (vec!["--fail-if", "p98 > 1s"], "p98"),
        (vec!["--fail-if", "p99"], "p99"),
        (vec!["--fail-if", "served < 1"], "limits is not measured"),
        (vec!["--fail-if", "ramp.0.failed > 0"], "--ramp"),
        (
            vec!["--save", "/nonexistent/run.json"],
            "/nonexistent/run.json",
        ),
        (vec!["--html", "/"], "directory"),
        (
            vec!["--save", "one-file", "--html", "one-file"],
            "the same file",
        ),
        (vec!["--hdr-log", "/nonexistent/log"], "--hdr-log"),
        (vec!["--save", "-"], "standard output"),
        (vec!["--html", "-"], "standard output"),
        (vec!["--io", "uring"], "no io_uring"),
        (vec!["--compare", "/nonexistent/run.json"], "--compare"),
        (vec!["--budget", "0"], "--budget"),
        (vec!["--max-connections", "0"], "--max-connections"),
    ] {
        let all = ["bench", &*target, "--only", "latency"]
            .into_iter()
            .chain(arguments.clone());
        let ended = run(all);
        assert_eq!(ended.code, 2, "{arguments:?}: {ended:?}");
        assert!(
            ended.stderr.lines().count() <= 2,
            "{arguments:?}: {ended:?}"
        );
        assert!(ended.stderr.contains(named), "{arguments:?}: {ended:?}");
    }
    for (arguments, named) in [
        (["sim", "--threads", "2"], "--threads"),
        (["sim", "--source", "127.0.0.1"], "--source"),
        (["sim", "--io", "epoll"], "--io"),
    ] {
        let ended = run(["bench"].into_iter().chain(arguments));
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains(named), "{ended:?}");
    }
    assert_eq!(asked.try_recv().ok(), None, "nothing was sent");
}

#[test]
fn merge_says_that_there_is_no_run() {
    let ended = run_with_input(["merge", "-"], b"");
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("merge: no run"), "{ended:?}");
}

#[test]
fn schema_is_printed() {
    let ended = run(["schema", "bench"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let schema: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!(schema["title"], "tcpctl.bench/1");
    assert_eq!(run(["schema", "nothing"]).code, 2);
}

#[test]
fn option_without_effect_on_throughput_is_refused() {
    for (arguments, named) in [
        (vec!["-c", "65"], "64 streams"),
        (vec!["-n", "5"], "--requests"),
        (vec!["-r", "5/s"], "--rate"),
        (vec!["--keep-alive"], "--keep-alive"),
        (vec!["--expect", "x"], "--expect"),
        (vec!["--close", "rst"], "--close"),
        (vec!["--hdr-log", "log"], "--hdr-log"),
    ] {
        let all = ["bench", "sim", "--only", "throughput"];
        let ended = run(all.into_iter().chain(arguments.clone()));
        assert_eq!(ended.code, 2, "{arguments:?}: {ended:?}");
        assert!(
            ended.stderr.lines().count() <= 2,
            "{arguments:?}: {ended:?}"
        );
        assert!(ended.stderr.contains(named), "{arguments:?}: {ended:?}");
    }
}
