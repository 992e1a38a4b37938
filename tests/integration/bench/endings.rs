//! Runs that fail or are interrupted.

use super::{report, warnings};
use crate::common::{Server, closed_port, read_some, reset, run};

#[test]
fn closed_port_is_a_connect_failure() {
    let (_guard, closed) = closed_port();
    let target = closed.to_string();
    for arguments in [
        vec!["bench", &*target, "--json"],
        vec!["bench", &target, "--json", "--only", "limits"],
        vec!["bench", &target, "--json", "--only", "latency", "-n", "3"],
        // The run stops long before its 50 s.
        vec!["bench", &target, "--json", "--only", "latency", "-d", "50s"],
    ] {
        let ended = run(arguments.iter().copied());
        assert_eq!(ended.code, 7, "{ended:?}");
        let objects = ended.objects();
        let error = objects.last().expect("an error object");
        assert_eq!(error["schema"], "tcpctl.error/1", "{ended:?}");
        assert_eq!(
            (&error["kind"], &error["exit_code"]),
            (&"connect".into(), &7.into())
        );
        let text = String::from_utf8_lossy(&ended.stdout);
        assert!(!text.contains("target_gone"), "it never answered: {text}");
    }
    let ended = run(["bench", "nonexistent.invalid"]);
    assert_eq!(ended.code, 6, "{ended:?}");
}

#[test]
fn server_that_only_resets_is_broken() {
    let server = Server::start(|mut connection| {
        read_some(&mut connection);
        reset(connection);
    });
    let ended = run([
        "bench",
        &server.target(),
        "--only",
        "latency",
        "-n",
        "5",
        "--json",
        "-q",
    ]);
    assert_eq!(ended.code, 56, "{ended:?}");
    assert_eq!(
        report(&ended)["latency"]["errors"]["reset_before_reply"],
        5,
        "{ended:?}"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_reports_the_results_so_far() {
    let (sender, asked) = std::sync::mpsc::channel();
    let server = Server::start(move |mut connection| {
        read_some(&mut connection);
        let _ = sender.send(());
        let _ = std::io::Write::write_all(&mut connection, b"Hello World");
    });
    let arguments = [
        "bench",
        &server.target(),
        "--only",
        "latency",
        "-d",
        "50s",
        "--json",
        "-q",
    ];
    let child = crate::common::tcpctl(arguments).spawn().expect("it starts");
    for _ in 0..10 {
        asked.recv().expect("it asks");
    }
    // Like `timeout -s INT`: the process, then its group.
    for _ in 0..2 {
        crate::common::signal(&child, rustix::process::Signal::INT);
    }
    let ended = crate::common::finish(child);
    assert_eq!(ended.code, 130, "{ended:?}");
    let report = report(&ended);
    assert_eq!(report["latency"]["interrupted"], true);
    assert!(
        report["latency"]["completed"].as_u64() >= Some(9),
        "{report}"
    );
}

#[test]
fn server_that_stops_is_broken_and_results_are_kept() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming().take(20) {
            let mut connection = connection.expect("a descriptor");
            read_some(&mut connection);
            let _ = std::io::Write::write_all(&mut connection, b"Hello World");
        }
        // The server stops.
        drop(listener);
    });
    let bench = ["bench", &target, "--only", "latency", "-d", "50s", "--json"];
    let ended = run(bench);
    assert_eq!(ended.code, 56, "{ended:?}");
    assert!(
        ended.stderr.contains("stopped answering during the load"),
        "{ended:?}"
    );
    let objects = ended.objects();
    let report = &objects[0];
    assert_eq!(report["latency"]["completed"], 20, "{report}");
    assert_eq!(report["latency"]["interrupted"], true, "{report}");
    assert!(
        report["latency"]["errors"]["refused"].as_u64() > Some(0),
        "{report}"
    );
    assert!(warnings(report).contains(&"target_gone"), "{report}");
    assert_eq!(objects[1]["kind"], "broken", "{ended:?}");
}

/// The soft limit is raised. Failures at the hard limit count as this computer's.
#[test]
#[cfg(unix)]
fn limit_of_open_files_is_raised_and_reported() {
    let server = Server::start(|mut connection| {
        read_some(&mut connection);
        std::thread::sleep(std::time::Duration::from_millis(50));
        let _ = std::io::Write::write_all(&mut connection, b"Hello World");
    });
    let bench = |limit: &str, more: &str| {
        let script = format!(
            "ulimit {limit} && exec \"$0\" bench {} --only latency -c 60 -n 60 --json {more}",
            server.target()
        );
        let program = env!("CARGO_BIN_EXE_tcpctl");
        let output = std::process::Command::new("sh")
            .args(["-c", &script, program])
            .output()
            .expect("a shell");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let first = text.lines().next().unwrap_or_default();
        let report: serde_json::Value = serde_json::from_str(first).expect("a report");
        (report, stderr)
    };
    let (report, stderr) = bench("-S -n 40", "-v");
    assert!(
        stderr.contains("limit of open files raised from 40 to "),
        "{stderr}"
    );
    assert_eq!(report["latency"]["completed"], 60, "{report}");
    let (report, _) = bench("-n 40", "-q");
    let errors = &report["latency"]["errors"];
    let files = errors["local_files"].as_u64();
    assert!(files > Some(0), "{report}");
    assert_eq!(errors["refused"], 0, "{report}");
    assert_eq!(
        report["latency"]["completed"]
            .as_u64()
            .zip(files)
            .map(|(completed, files)| completed + files),
        Some(60),
        "{report}"
    );
    let warnings = warnings(&report);
    assert!(warnings.contains(&"local_limit"), "{report}");
    assert!(warnings.contains(&"open_files"), "{report}");
}
