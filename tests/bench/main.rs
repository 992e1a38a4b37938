//! `tcpctl bench` and `tcpctl merge` as scripts and people run them.

#[path = "../common/mod.rs"]
mod common;
#[cfg(unix)]
mod terminal;

use std::path::PathBuf;
use std::sync::mpsc;

use rustix::process::Signal;
use serde_json::Value;

use common::{Ended, Server, closed_port, finish, read_some, reset, run, signal, tcpctl};

/// A folder of one test, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tcpctl-bench-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a plain path").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn report(ended: &Ended) -> Value {
    let objects = ended.objects();
    assert!(!objects.is_empty(), "{ended:?}");
    objects[0].clone()
}

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

#[test]
fn two_runs_merge_to_both_and_the_next_is_compared_with_one() {
    let folder = Folder::new("merge");
    let (one, two, page) = (
        folder.file("one.json"),
        folder.file("two.json"),
        folder.file("page.html"),
    );
    for (file, count) in [(&one, "30"), (&two, "50")] {
        let ended = run([
            "bench",
            "sim:ideal",
            "--only",
            "latency",
            "-n",
            count,
            "-q",
            "--save",
            file,
            "--json",
        ]);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    let merged = run(["merge", &one, &two, "--json", "--html", &page]);
    assert_eq!(merged.code, 0, "{merged:?}");
    assert_eq!(report(&merged)["latency"]["complete_us"]["samples"], 80);
    let page = std::fs::read_to_string(page).expect("the page was written");
    assert!(page.starts_with("<!"), "{page:.100}");
    assert!(page.contains("tcpctl.bench/1"), "the whole report is in it");
    let board = ["bench", "sim:ideal", "--only", "latency", "-n", "30", "-q"];
    let compared = run(board.into_iter().chain(["--json", "--compare", &one]));
    // A difference alone is no failure, and from less than five seconds none is told.
    assert_eq!(compared.code, 0, "{compared:?}");
    let comparison = &report(&compared)["comparison"];
    assert_eq!(
        comparison["baseline"]["target"], "sim:ideal",
        "{compared:?}"
    );
    assert_eq!(
        comparison["rate_per_s"]["finding"], "too_few",
        "{compared:?}"
    );
    assert_eq!(comparison["changes"], serde_json::json!([]), "{compared:?}");
    let text = run(board.into_iter().chain(["--compare", &one])).stdout;
    let text = String::from_utf8(text).expect("text");
    assert!(text.contains("Compared with sim:ideal"), "{text}");
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

/// As another program reads it: the library's own reader of logs, not ours.
#[test]
fn the_log_has_an_interval_for_each_second_and_tag() {
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    let folder = Folder::new("log");
    let log = folder.file("run.hlog");
    let bench = [
        "bench",
        "sim:ideal",
        "--only",
        "latency",
        "-r",
        "50/s",
        "-d",
        "2s",
        "--json",
    ];
    let ended = run(bench.into_iter().chain(["--hdr-log", &log]));
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = report(&ended);
    let log = std::fs::read(log).expect("it was written");
    let mut lines = std::collections::BTreeMap::<String, Vec<(u64, u64)>>::new();
    for entry in IntervalLogIterator::new(&log) {
        let LogEntry::Interval(line) = entry.expect("a log") else {
            continue;
        };
        let packed =
            base64::Engine::decode(&base64::prelude::BASE64_STANDARD, line.encoded_histogram());
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut packed.expect("base64").as_slice())
            .expect("a V2 histogram");
        let tag = line.tag().expect("every line has one").as_str().to_owned();
        let from = line.start_timestamp().as_secs();
        assert!(line.duration().as_secs_f64() <= 1.0);
        lines.entry(tag).or_default().push((from, histogram.len()));
    }
    let tags: Vec<_> = lines.keys().map(String::as_str).collect();
    assert_eq!(
        tags,
        ["complete", "connect", "first_byte", "schedule_error"]
    );
    for (tag, seconds) in &lines {
        let starts: Vec<u64> = seconds.iter().map(|(from, _)| *from).collect();
        assert_eq!(starts[..2], [0, 1], "{tag}");
        let samples: u64 = seconds.iter().map(|(_, samples)| *samples).sum();
        let counted = &report["latency"][format!("{tag}_us")]["samples"];
        assert_eq!(counted.as_u64(), Some(samples), "{tag}: {report}");
        assert!(seconds[0].1 >= 40, "{tag}: {seconds:?}");
    }
}

#[test]
fn an_existing_file_is_kept_where_nothing_comes_of_the_run() {
    let folder = Folder::new("kept");
    let file = folder.file("saved.json");
    std::fs::write(&file, "precious").expect("a temporary file");
    let (_keep, nobody) = closed_port();
    let ended = run(["bench", &nobody.to_string(), "--save", &file]);
    assert_eq!(ended.code, 7, "{ended:?}");
    assert_eq!(
        std::fs::read_to_string(&file).expect("still there"),
        "precious"
    );
}

#[test]
fn nobody_at_home_is_a_failure_and_no_limit() {
    let (_keep, nobody) = closed_port();
    let target = nobody.to_string();
    for arguments in [
        vec!["bench", &*target, "--json"],
        vec!["bench", &target, "--json", "--only", "limits"],
        vec!["bench", &target, "--json", "--only", "latency", "-n", "3"],
        // It is given up long before.
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
        assert!(!text.contains("gone away"), "it was never there: {text}");
    }
    let ended = run(["bench", "nonexistent.invalid"]);
    assert_eq!(ended.code, 6, "{ended:?}");
}

#[test]
fn a_server_that_only_resets_is_a_broken_one() {
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

#[test]
fn ctrl_c_leaves_the_report_of_what_was_done() {
    let (sender, asked) = mpsc::channel();
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
    let child = tcpctl(arguments).spawn().expect("it starts");
    for _ in 0..10 {
        asked.recv().expect("it asks");
    }
    // As `timeout -s INT` does it: the process, and then its group.
    for _ in 0..2 {
        signal(&child, Signal::INT);
    }
    let ended = finish(child);
    assert_eq!(ended.code, 130, "{ended:?}");
    let report = report(&ended);
    assert_eq!(report["latency"]["interrupted"], true);
    assert!(
        report["latency"]["completed"].as_u64() >= Some(9),
        "{report}"
    );
}

#[test]
fn a_server_that_goes_away_in_the_middle_leaves_what_was_measured_and_is_broken() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming().take(20) {
            let mut connection = connection.expect("a descriptor");
            read_some(&mut connection);
            let _ = std::io::Write::write_all(&mut connection, b"Hello World");
        }
        // With it goes the server.
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
    let verdict = report["verdict"].as_str().expect("a verdict");
    assert!(verdict.contains("the server has gone away"), "{verdict}");
    assert_eq!(objects[1]["kind"], "broken", "{ended:?}");
}

/// A file that the disk has no room for costs that file: the report is told, and the others are
/// written.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_costs_neither_the_report_nor_the_other_files() {
    let folder = Folder::new("full");
    let server = Server::greeter(b"Hello World");
    let target = server.target();
    for full in ["--save", "--html", "--hdr-log"] {
        let (save, page, log) = (
            folder.file("run.json"),
            folder.file("run.html"),
            folder.file("run.hlog"),
        );
        let place = |option: &'static str, file| if option == full { "/dev/full" } else { file };
        let bench = [
            "bench",
            &target,
            "--only",
            "latency",
            "-n",
            "5",
            "--save",
            place("--save", &save),
            "--html",
            place("--html", &page),
            "--hdr-log",
            place("--hdr-log", &log),
        ];
        let ended = run(bench);
        assert_eq!(ended.code, 70, "{full}: {ended:?}");
        assert!(
            ended.stderr.contains("/dev/full can't be written"),
            "{ended:?}"
        );
        let text = String::from_utf8_lossy(&ended.stdout);
        assert!(text.contains("none of 5 failed"), "{full}: {text}");
        for (option, file) in [("--save", save), ("--html", page), ("--hdr-log", log)] {
            let written = std::fs::remove_file(&file).is_ok();
            assert_eq!(written, option != full, "{option}");
        }
    }
}

#[test]
fn a_baseline_of_another_schema_is_refused_before_anything_is_sent() {
    let folder = Folder::new("schema");
    let file = folder.file("other.json");
    std::fs::write(&file, r#"{"schema":"tcpctl.bench/2"}"#).expect("a temporary file");
    let (sender, asked) = mpsc::channel();
    let server = Server::start(move |_| {
        let _ = sender.send(());
    });
    let ended = run(["bench", &server.target(), "--compare", &file]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("is of schema tcpctl.bench/2, not tcpctl.bench/1"),
        "{ended:?}"
    );
    assert_eq!(asked.try_recv().ok(), None, "nothing was sent");
}

#[test]
fn a_ramp_finds_the_knee_and_tells_the_race_from_the_limit() {
    let folder = Folder::new("ramp");
    let (page, saved) = (folder.file("page.html"), folder.file("run.json"));
    let board = "sim:ideal,workers=2,backlog=2,service-time=20ms";
    let climb = || {
        run([
            "bench", board, "--only", "limits", "--ramp", "--json", "--html", &page, "--save",
            &saved,
        ])
    };
    // Two of 20 ms each, by the clock: on a busy machine a step can be slow by chance, and a later
    // one then beats it.
    let knee = |ended: &Ended| {
        let report = report(ended);
        let steps = report["ramp"].as_array().cloned().unwrap_or_default();
        let knee = steps.into_iter().find(|step| step["knee"] == true);
        knee.and_then(|step| step["connections"].as_u64())
    };
    let mut ended = climb();
    for _ in 0..2 {
        if knee(&ended) > Some(2) {
            ended = climb();
        }
    }
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("a ramp of up to 8 connections in 7 steps"),
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
    // Four have places, and come back too soon; the fifth has none.
    assert_eq!(step(4)["cause"]["kind"], "reconnect_race", "{report}");
    assert_eq!(step(5)["cause"]["kind"], "too_many_at_once", "{report}");
    assert_eq!(report["ramp_ended"], "past_the_knee");
    let verdict = report["verdict"].as_str().expect("a verdict");
    let lines: Vec<_> = verdict.lines().collect();
    assert!(
        lines[0].starts_with("serves 2 at once, queues 2"),
        "{verdict}"
    );
    assert!(lines[1].starts_with("knee at "), "{verdict}");
    assert!(
        lines[2].starts_with("at 4 it is the reconnect race"),
        "{verdict}"
    );
    let page = std::fs::read_to_string(page).expect("the page was written");
    for part in [
        "Replies a second, by connections",
        "knee: ",
        "too many at once",
    ] {
        assert!(page.contains(part), "{part} is not in the page");
    }
    // A saved ramp is compared, merged with a run that has none, and left out of two.
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
    let merged = run(["merge", &saved, &latency, "--json"]);
    assert_eq!(self::report(&merged)["ramp"], report["ramp"], "{merged:?}");
    let merged = run(["merge", &saved, &saved, "--json"]);
    assert_eq!(
        self::report(&merged)["ramp"],
        serde_json::json!([]),
        "{merged:?}"
    );
    assert_eq!(self::report(&merged)["ramp_ended"], Value::Null);
}

#[test]
fn a_ramp_on_real_sockets_stays_in_its_budget_and_its_bound() {
    let server = Server::greeter(b"Hello World");
    let target = server.target();
    let ramp = |more: [&str; 2]| {
        let ramp = [
            "bench", &target, "--only", "latency", "-n", "5", "--ramp", "--json",
        ];
        run(ramp.into_iter().chain(more))
    };
    let ended = ramp(["-c", "2"]);
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
    let ended = ramp(["--budget", "1500ms"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let found = report(&ended);
    assert_eq!(found["ramp_ended"], "budget", "{found}");
    assert_eq!(found["ramp"].as_array().map(Vec::len), Some(1), "{found}");
    // A condition can look at any step.
    let ended = ramp(["--fail-if", "ramp.0.served_per_s < 1000000"]);
    assert_eq!(ended.code, 1, "{ended:?}");
}

#[test]
fn ctrl_c_leaves_the_steps_that_were_done() {
    let (sender, asked) = mpsc::channel();
    let server = Server::start(move |mut connection| {
        read_some(&mut connection);
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
    let child = tcpctl(bench).spawn().expect("it starts");
    // One of the latency part and at most 25 of a second of one client: the last are of the second
    // step.
    for _ in 0..32 {
        asked.recv().expect("it asks");
    }
    signal(&child, Signal::INT);
    let ended = finish(child);
    assert_eq!(ended.code, 130, "{ended:?}");
    let report = report(&ended);
    assert_eq!(report["ramp_ended"], "interrupted");
    assert_eq!(report["ramp"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(report["ramp"][0]["connections"], 1);
}

/// The soft limit is raised first, and that is said; the hard one is met as this computer's.
#[test]
#[cfg(unix)]
fn the_limit_of_open_files_is_raised_and_never_the_server_s() {
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
        let report: Value = serde_json::from_str(first).expect("a report");
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
    let verdict = report["verdict"].as_str().expect("a verdict");
    assert!(
        verdict.contains("says nothing about the server"),
        "{verdict}"
    );
    assert!(
        verdict.contains("at most 40 files may be open here"),
        "{verdict}"
    );
}

#[test]
fn an_option_that_nothing_would_take_notice_of_is_refused() {
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
        assert_eq!(ended.stderr.lines().count(), 1, "{option}: {ended:?}");
        assert!(
            ended
                .stderr
                .contains(&format!("{option} does nothing with this --only")),
            "{option}: {ended:?}"
        );
    }
    let ended = run(["bench", "sim", "--only", "limits", "--keep-alive"]);
    assert_eq!(ended.code, 2, "{ended:?}");
}

#[test]
fn what_can_not_be_is_refused_before_anything_is_sent() {
    let (sender, asked) = mpsc::channel();
    let server = Server::start(move |_| {
        let _ = sender.send(());
    });
    let target = server.target();
    for (arguments, named) in [
        (vec!["-c", "0"], "--connections"),
        (vec!["-d", "0"], "--duration"),
        (vec!["-d", "0ms"], "more than 0"),
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
        (
            vec!["--save", "/nonexistent/run.json"],
            "/nonexistent/run.json",
        ),
        (vec!["--html", "/"], "folder"),
        (
            vec!["--save", "one-file", "--html", "one-file"],
            "the same file",
        ),
        (vec!["--hdr-log", "/nonexistent/log"], "--hdr-log"),
        (vec!["--compare", "/nonexistent/run.json"], "--compare"),
        (vec!["--budget", "0"], "--budget"),
        (vec!["--max-connections", "0"], "--max-connections"),
    ] {
        let all = ["bench", &*target, "--only", "latency"]
            .into_iter()
            .chain(arguments.clone());
        let ended = run(all);
        assert_eq!(ended.code, 2, "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(named), "{arguments:?}: {ended:?}");
    }
    for (arguments, named) in [
        (["sim", "--threads", "2"], "--threads"),
        (["sim", "--source", "127.0.0.1"], "--source"),
    ] {
        let ended = run(["bench"].into_iter().chain(arguments));
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains(named), "{ended:?}");
    }
    assert_eq!(asked.try_recv().ok(), None, "nothing was sent");
}

#[test]
fn the_schema_is_printed() {
    let ended = run(["schema", "bench"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let schema: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!(schema["title"], "tcpctl.bench/1");
    assert_eq!(run(["schema", "nothing"]).code, 2);
}

#[test]
fn throughput_is_measured_where_it_is_asked_for_and_only_there() {
    let folder = Folder::new("throughput");
    let (save, page) = (folder.file("run.json"), folder.file("run.html"));
    let bench = [
        "bench",
        "sim:ideal,services=on",
        "--only",
        "throughput",
        "-d",
        "200ms",
        "-q",
        "--json",
    ];
    let more = ["-c", "2", "--save", &save, "--html", &page];
    let ended = run(bench.into_iter().chain(more));
    assert_eq!(ended.code, 0, "{ended:?}");
    let told = report(&ended);
    assert!(told["limits"].is_null() && told["latency"].is_null());
    for name in ["upload", "download", "echo"] {
        let flow = &told["throughput"][name];
        assert!(flow["bytes_per_s"].as_f64() > Some(0.0), "{told}");
        assert_eq!(flow["streams"], 2, "{told}");
        assert_eq!(flow["single"]["streams"], 1, "{told}");
        assert_eq!(flow["via"], "service");
    }
    let schema = run(["schema", "bench"]).stdout;
    let schema = serde_json::from_slice(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(&told), "{told}");
    let page = std::fs::read_to_string(page).expect("the page was written");
    assert!(page.contains("Throughput"), "{page:.300}");
    // With itself it is compared without a finding, and it can be merged with another.
    let conditions = [
        "--compare",
        &save,
        "--fail-if",
        "throughput.echo.bytes_per_s < 100M",
    ];
    let ended = run(bench.into_iter().chain(["-c", "2"]).chain(conditions));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.stderr.contains("throughput.echo.bytes_per_s"),
        "{ended:?}"
    );
    let upload = &report(&ended)["comparison"]["upload_bytes"];
    assert_eq!(upload["finding"], "too_few", "{ended:?}");
    assert_eq!(run(["merge", &save, &save]).code, 0);
}

#[test]
fn without_services_the_report_says_what_was_measured_instead() {
    let server = Server::greeter(b"Hello World");
    let target = server.target();
    let bench = ["bench", &target, "--only", "throughput", "-d", "300ms"];
    let ended = run(bench);
    let text = String::from_utf8_lossy(&ended.stdout);
    // Where this machine itself has the services, they are measured.
    let has_none = text.contains("chargen is not offered");
    if has_none {
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(text.contains(" in replies"), "{text}");
    }
    let (_keep, nobody) = closed_port();
    let target = nobody.to_string();
    let ended = run(["bench", &target, "--only", "throughput", "-d", "300ms"]);
    if has_none {
        assert_eq!(ended.code, 7, "{ended:?}");
        assert!(ended.stderr.contains("9 (discard)"), "{ended:?}");
    }
}

#[test]
fn an_option_without_effect_on_the_throughput_is_refused() {
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
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(named), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn ctrl_c_ends_the_throughput_with_what_there_is() {
    let bench = [
        "bench",
        "sim:ideal,services=on",
        "--only",
        "throughput",
        "-d",
        "50s",
        "--json",
    ];
    let mut child = tcpctl(bench).spawn().expect("it starts");
    // The line that says what goes on comes when the handlers are in place.
    let mut note = [0; 16];
    let errors = child.stderr.as_mut().expect("piped");
    std::io::Read::read_exact(errors, &mut note).expect("it says what it does");
    signal(&child, Signal::INT);
    let ended = finish(child);
    assert_eq!(ended.code, 130, "{ended:?}");
    let report = report(&ended);
    // However little that was: the first flow alone lasts 51 s.
    let throughput = &report["throughput"];
    let stopped = "the run was stopped before";
    assert_eq!(throughput["echo"], Value::Null, "{report}");
    assert_eq!(throughput["evidence"]["echo"], stopped, "{report}");
    assert_eq!(throughput["evidence"]["download"], stopped, "{report}");
}
