//! The ramp.

use serde_json::Value;

use super::{Folder, report, verdict};
use crate::common::{Ended, Server, run};

#[test]
fn ramp_finds_the_knee_and_why_requests_fail() {
    let folder = Folder::new();
    let (page, saved) = (folder.file("page.html"), folder.file("run.json"));
    let board = "sim:ideal,workers=2,backlog=2,service-time=20ms";
    let run_ramp = || {
        run([
            "bench", board, "--only", "limits", "--ramp", "--json", "--html", &page, "--save",
            &saved,
        ])
    };
    // On a busy computer a step can be slow by chance, and a later one is then faster.
    let knee = |ended: &Ended| {
        let report = report(ended);
        let steps = report["ramp"].as_array().cloned().unwrap_or_default();
        let knee = steps.into_iter().find(|step| step["knee"] == true);
        knee.and_then(|step| step["connections"].as_u64())
    };
    let mut ended = run_ramp();
    for _ in 0..2 {
        if knee(&ended) > Some(2) {
            ended = run_ramp();
        }
    }
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stderr.contains("ramp to 8 connections in 7 steps"),
        "{ended:?}"
    );
    let report = report(&ended);
    assert_eq!(report["latency"], Value::Null);
    let steps = report["ramp"].as_array().expect("steps");
    let step = |connections: u64| {
        let step = steps.iter().find(|step| step["connections"] == connections);
        step.unwrap_or_else(|| panic!("no step of {connections}: {report}"))
    };
    assert_eq!(step(1)["failed"], 0);
    assert!(
        step(1)["max_us"].as_f64() >= step(1)["p50_us"].as_f64(),
        "{report}"
    );
    let knees: Vec<_> = steps.iter().filter(|step| step["knee"] == true).collect();
    assert_eq!(knees.len(), 1, "{report}");
    assert!(knees[0]["connections"].as_u64() <= Some(2), "{report}");
    // The server holds four connections, which reconnect too soon. It refuses the fifth.
    let race = step(4)["cause"]["kind"].as_str().expect("a cause");
    let is_busy = race == "client_busy";
    assert!(is_busy || race == "reconnect_race", "{report}");
    assert_eq!(step(5)["cause"]["kind"], "too_many_at_once", "{report}");
    assert_eq!(report["ramp_ended"], "past_the_knee");
    let lines = verdict(&report);
    assert!(
        lines[0].starts_with("serves 2 clients at once"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("knee at "), "{lines:?}");
    let race = "4 connections: reconnect race";
    assert!(is_busy || lines[2].starts_with(race), "{lines:?}");
    let page = std::fs::read_to_string(page).expect("the page was written");
    for part in ["Rate by connections", "knee: ", "too many at once"] {
        assert!(page.contains(part), "{part} is not in the page");
    }
    // A ramp is kept in a merge if only one run has it.
    let latency = folder.file("latency.json");
    let short = [
        "bench",
        "sim:ideal",
        "--only",
        "latency",
        "-n",
        "5",
        "-q",
        "--save",
        &latency,
    ];
    assert_eq!(run(short).code, 0);
    let merged = run(["merge", &saved, &latency, "--force", "--json"]);
    assert_eq!(self::report(&merged)["ramp"], report["ramp"], "{merged:?}");
}

#[test]
fn ramp_stays_within_budget_and_connections() {
    let server = Server::greeter(b"Hello World");
    let target = server.target();
    let ramp = |more: &[&str]| {
        let ramp = [
            "bench", &target, "--only", "latency", "-n", "5", "--ramp", "--json",
        ];
        run([&ramp, more].concat())
    };
    let ended = ramp(&["-c", "2"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let found = report(&ended);
    assert_eq!(found["ramp_ended"], "last_step", "{found}");
    let steps = found["ramp"].as_array().expect("steps");
    assert_eq!(steps.len(), 2, "{found}");
    for step in steps {
        assert!(step["served_per_s"].as_f64() > Some(10.0), "{found}");
        if cfg!(target_os = "linux") {
            assert!(step["syn_retransmissions"].is_u64(), "{found}");
        }
    }
    let ended = ramp(&["--budget", "1500ms"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let found = report(&ended);
    assert_eq!(found["ramp_ended"], "budget", "{found}");
    assert_eq!(found["ramp"].as_array().map(Vec::len), Some(1), "{found}");
    // A condition can name any step.
    let ended = ramp(&["-c", "1", "--fail-if", "ramp.0.served_per_s < 1000000"]);
    assert_eq!(ended.code, 1, "{ended:?}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_reports_the_completed_steps() {
    let (sender, asked) = std::sync::mpsc::channel();
    let server = Server::start(move |mut connection| {
        crate::common::read_some(&mut connection);
        std::thread::sleep(std::time::Duration::from_millis(40));
        let _ = sender.send(());
        let _ = std::io::Write::write_all(&mut connection, b"Hello World");
    });
    let target = server.target();
    let bench = [
        "bench",
        &target,
        "--only",
        "latency",
        "-n",
        "1",
        "--ramp",
        "--max-connections",
        "2",
        "--json",
        "-q",
    ];
    let child = crate::common::tcpctl(bench).spawn().expect("it starts");
    // The latency part and the first step have at most 26 requests.
    for _ in 0..32 {
        asked.recv().expect("it asks");
    }
    crate::common::signal(&child, rustix::process::Signal::INT);
    let ended = crate::common::finish(child);
    assert_eq!(ended.code, 130, "{ended:?}");
    let report = report(&ended);
    assert_eq!(report["ramp_ended"], "interrupted");
    assert_eq!(report["ramp"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(report["ramp"][0]["connections"], 1);
}
