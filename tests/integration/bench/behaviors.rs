//! Servers with different behaviors, as data. The default run works on all of them.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{report, warnings};
use crate::common::{self, Server, in_parallel, read_some};

#[derive(Debug, Clone, Copy)]
enum Step {
    Send(&'static [u8]),
    /// Replies with the request.
    Echo,
    /// Replies with `count=` and the number of the request.
    Count,
    /// Waits for this many milliseconds.
    Pause(u64),
    /// Sends a dot every so many milliseconds, until the client closes.
    Heartbeat(u64),
    Close,
}

use Step::{Close, Count, Echo, Heartbeat, Pause, Send};

struct Behavior {
    name: &'static str,
    on_connect: &'static [Step],
    on_request: &'static [Step],
    /// The expected reply rule, and whether replies may differ from it.
    rule: &'static str,
    may_mismatch: bool,
}

const fn behavior(
    name: &'static str,
    on_connect: &'static [Step],
    on_request: &'static [Step],
    rule: &'static str,
) -> Behavior {
    Behavior {
        name,
        on_connect,
        on_request,
        rule,
        may_mismatch: false,
    }
}

const BEHAVIORS: &[Behavior] = &[
    behavior("greeting", &[], &[Send(b"Hello World"), Close], "close"),
    behavior("slow close", &[], &[Send(b"Hi"), Pause(30), Close], "close"),
    behavior("line echo", &[], &[Echo], "bytes"),
    behavior(
        "length-prefixed",
        &[],
        &[Send(b"\0\0\0\x03\n\0\xff")],
        "bytes",
    ),
    behavior(
        "greeting first",
        &[Send(b"220 ready\r\n")],
        &[Send(b"250 ok\r\n")],
        "bytes",
    ),
    behavior(
        "two segments",
        &[],
        &[Send(b"part one, "), Pause(20), Send(b"part two\n")],
        "bytes",
    ),
    Behavior {
        may_mismatch: true,
        ..behavior("changing length", &[], &[Count], "lines")
    },
    behavior(
        "heartbeat",
        &[],
        &[Send(b"reply\n"), Heartbeat(100)],
        "bytes",
    ),
    behavior(
        "large reply",
        &[],
        &[Send(&[b'x'; 100_000]), Send(b"\n")],
        "bytes",
    ),
];

fn serve(behavior: &'static Behavior) -> Server {
    let requests = Arc::new(AtomicUsize::new(0));
    Server::start(move |mut connection| {
        let _ = connection.set_nodelay(true);
        if run(behavior.on_connect, &mut connection, b"", &requests).is_none() {
            return;
        }
        loop {
            let request = read_some(&mut connection);
            if request.is_empty()
                || run(behavior.on_request, &mut connection, &request, &requests).is_none()
            {
                return;
            }
        }
    })
}

/// Runs steps; `None` closes the connection.
fn run(
    steps: &[Step],
    connection: &mut TcpStream,
    request: &[u8],
    requests: &AtomicUsize,
) -> Option<()> {
    for step in steps {
        match step {
            Send(bytes) => connection.write_all(bytes).ok()?,
            Echo => connection.write_all(request).ok()?,
            Count => {
                let number = requests.fetch_add(1, Ordering::Relaxed);
                connection
                    .write_all(format!("count={number}\n").as_bytes())
                    .ok()?;
            }
            Pause(time) => thread::sleep(Duration::from_millis(*time)),
            Heartbeat(time) => {
                let mut connection = connection.try_clone().ok()?;
                let time = Duration::from_millis(*time);
                thread::spawn(move || {
                    while connection.write_all(b".").is_ok() {
                        thread::sleep(time);
                    }
                });
            }
            Close => return None,
        }
    }
    Some(())
}

fn bench(behavior: &'static Behavior, options: &[&str]) -> Value {
    let server = serve(behavior);
    let target = server.address.to_string();
    let arguments = ["bench", &target, "--json", "-q", "-d", "500ms"];
    let ended = common::run([&arguments, options].concat());
    assert_eq!(ended.code, 0, "{}: {ended:?}", behavior.name);
    report(&ended)
}

fn assert_no_failure(behavior: &Behavior, report: &Value) {
    let (name, latency) = (behavior.name, &report["latency"]);
    let failed = latency["errors"].as_object().expect("classes");
    let failed: u64 = failed.values().filter_map(Value::as_u64).sum();
    assert_eq!(failed, 0, "{name}: {}", latency["errors"]);
    assert!(latency["completed"].as_u64() > Some(0), "{name}");
}

#[test]
fn default_run_works_on_every_server() {
    for behavior in BEHAVIORS {
        let report = bench(behavior, &["--max-connections", "6"]);
        assert_no_failure(behavior, &report);
        let (name, latency) = (behavior.name, &report["latency"]);
        let is_guessed = behavior.rule != "close";
        let mismatches = latency["reply_rule_mismatches"].as_u64();
        assert!(
            behavior.may_mismatch || mismatches == Some(0),
            "{name}: {latency}"
        );
        let has_warning = warnings(&report).contains(&"reply_rule_guessed");
        assert_eq!(has_warning, is_guessed, "{name}");
        // The length of a reply does not change up to the ninth request.
        let is_short = behavior.rule == "lines" && latency["completed"].as_u64() < Some(12);
        if !is_short {
            assert_eq!(latency["reply_rule"], behavior.rule, "{name}: {latency}");
        }
    }
}

#[test]
fn kept_connections_work_on_every_server() {
    in_parallel(BEHAVIORS, |behavior| {
        let report = bench(behavior, &["--only", "latency", "-c", "2", "-k"]);
        assert_no_failure(behavior, &report);
        let connects = report["latency"]["connect_us"]["samples"].as_u64();
        let completed = report["latency"]["completed"].as_u64();
        let is_kept = behavior.rule != "close";
        assert_eq!(connects < completed, is_kept, "{}", behavior.name);
    });
}

#[test]
fn given_rules_are_reported() {
    let line_echo = &BEHAVIORS[2];
    for (options, rule) in [
        (["--lines", "1"], "lines"),
        (["--idle", "20ms"], "idle"),
        (["--expect", "world"], "expect"),
    ] {
        let options = [&["--only", "latency"], &options[..]].concat();
        let report = bench(line_echo, &options);
        assert_no_failure(line_echo, &report);
        assert_eq!(report["latency"]["reply_rule"], rule);
        assert!(!warnings(&report).contains(&"reply_rule_guessed"));
    }
}

#[test]
fn message_may_be_hex_or_a_file_with_a_line_end() {
    let line_echo = &BEHAVIORS[2];
    let folder = super::Folder::new();
    let file = folder.file("message");
    std::fs::write(&file, "from a file").unwrap();
    for (options, message) in [
        (vec!["--hex", "48 69", "--lf"], "Hi\n"),
        (vec!["--file", &file, "--crlf"], "from a file\r\n"),
        (vec!["-m", "text"], "text"),
        (vec!["--lf"], "Hello TCP world!\n"),
    ] {
        let report = bench(line_echo, &[&["--only", "latency"], &options[..]].concat());
        assert_eq!(report["options"]["message"], message);
        assert_no_failure(line_echo, &report);
    }
}
