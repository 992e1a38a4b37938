//! `tcpctl bench --only limits` on real servers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

#[cfg(target_os = "linux")]
use super::sockets::BEHAVIORS;
use super::sockets::{V4, closes_while_filled, established, start};
use crate::common::{Ended, closed_port, run};
use crate::limited::{self, App, Beyond};

fn bench(address: SocketAddr) -> Vec<String> {
    ["bench", &address.to_string(), "--only", "limits", "--json"]
        .map(str::to_owned)
        .into()
}

/// The last JSON object: the failure, if there is one.
fn last(ended: &Ended) -> Value {
    ended.objects().pop().expect("an object")
}

/// Limits and load with the default options, against servers of every behavior.
#[test]
#[cfg(target_os = "linux")]
fn default_run_is_exact_on_every_behavior() {
    crate::common::in_parallel(BEHAVIORS, |(name, backlog, app, service, limits)| {
        let (served, queued, overflow) = limits;
        let address = start(V4, backlog, app, service);
        let never_replies = app == App::Workers(0);
        let load = if never_replies {
            &["--only", "limits"][..]
        } else {
            &["-n", "40"]
        };
        let target = address.to_string();
        let command = ["bench", &target, "--json"]
            .into_iter()
            .chain(load.iter().copied());
        let ended = run(command);
        assert_eq!(ended.code, 0, "{name}: {ended:?}");
        let report = ended.objects().remove(0);
        let limits = &report["limits"];
        let text = format!("{name}: {limits} {}", report["warnings"]);
        assert_eq!(limits["served_at_once"], served, "{text}");
        assert_eq!(limits["queued"], queued, "{text}");
        assert_eq!(limits["held"], served + queued, "{text}");
        assert_eq!(limits["overflow"], overflow.name(), "{text}");
        if never_replies {
            return;
        }
        let latency = &report["latency"];
        let spare = usize::from(queued == 0);
        let connections = (served - spare).max(1);
        assert_eq!(latency["connections"], connections, "{name}: {latency}");
        assert_eq!(latency["completed"], 40, "{name}: {latency}");
    });
}

/// Connections are counted by the kernel as soon as the command has ended.
#[test]
#[cfg(target_os = "linux")]
fn interrupted_search_leaves_no_connection() {
    use rustix::process::Signal;

    for stop in [Signal::INT, Signal::TERM] {
        // Both take more than a second: the wait for a retransmitted SYN, and a greeter that is
        // kept full.
        for (app, service) in [(App::Workers(0), 0), (App::GreetsFirst, 900)] {
            let address = start(V4, 5, app, service);
            let command = bench(address);
            let mut child = crate::common::tcpctl(command.iter().map(String::as_str))
                .spawn()
                .unwrap();
            crate::common::wait_while_running(&mut child, || established(address).len() >= 6);
            crate::common::signal(&child, stop);
            let ended = crate::common::finish(child);
            let left = established(address);
            assert!(left.is_empty(), "{stop:?}: {left:?}");
            let code = if stop == Signal::INT { 130 } else { 143 };
            assert_eq!(ended.code, code, "{ended:?}");
            let limits = &ended.objects()[0]["limits"];
            assert!(limits["held"]["at_least"].as_u64() <= Some(6), "{limits}");
            for field in ["held", "burst"] {
                assert!(limits[field].as_u64().is_none(), "{field}: {limits}");
            }
            let recovery = limits["evidence"]["recovery_us"].to_string();
            assert!(!recovery.contains("in time"), "{recovery}");
            let warnings = ended.objects()[0]["warnings"].to_string();
            assert!(warnings.contains("limits_incomplete"), "{warnings}");
        }
    }
}

#[test]
fn headline_names_the_limits() {
    for (app, first) in [
        (
            App::Cap(3, Beyond::Fin),
            "serves 3 clients at once, queues none, accepts and closes the 4th",
        ),
        (
            App::Cap(10, Beyond::Evict(7)),
            "serves 10 clients at once, queues none, closes older connections for the 11th",
        ),
    ] {
        let address = start(V4, 128, app, 0);
        let ended = run(["bench", &address.to_string(), "--only", "limits"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let text = String::from_utf8(ended.stdout).expect("text");
        assert!(text.starts_with(first), "{text}");
        let left = established(address);
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
#[cfg(unix)]
fn too_few_file_descriptors_are_an_error() {
    use std::os::unix::process::CommandExt;

    let address = start(V4, 128, App::Workers(1), 0);
    let mut shell = std::process::Command::new("/bin/sh");
    let tcpctl = crate::common::tcpctl([]);
    shell
        .arg0("sh")
        .args(["-c", "ulimit -n 24 && exec \"$0\" \"$@\""]);
    shell.arg(tcpctl.get_program()).args(bench(address));
    shell.stdin(std::process::Stdio::null());
    shell.stdout(std::process::Stdio::piped());
    shell.stderr(std::process::Stdio::piped());
    let ended = crate::common::finish(shell.spawn().unwrap());
    assert_eq!(ended.code, 70, "{ended:?}");
    let report = &ended.objects()[0]["limits"];
    assert_eq!(report["held"].as_u64(), None, "{report}");
    assert_eq!(report["overflow"], Value::Null, "{report}");
    let failure = last(&ended);
    assert_eq!(failure["kind"], "internal", "{failure}");
    let message = failure["message"].as_str().unwrap_or_default();
    assert!(message.contains("no free file descriptor"), "{message}");
    let hint = failure["hint"].as_str().unwrap_or_default();
    assert!(hint.contains("ulimit -n"), "{hint}");
}

#[test]
fn refused_target_is_an_error() {
    let (_bound, address) = closed_port();
    let command = bench(address);
    let ended = run(command.iter().map(String::as_str));
    assert_eq!(ended.code, 7, "{ended:?}");
    let failure = last(&ended);
    assert_eq!(failure["kind"], "connect", "{failure}");
    assert_eq!(ended.objects().len(), 1, "no limits: {ended:?}");
}

#[test]
fn server_that_stops_during_the_search_is_an_error() {
    let (address, server) = closes_while_filled();
    let command = bench(address);
    let ended = run(command.iter().map(String::as_str));
    server.join().unwrap();
    assert_eq!(ended.code, 56, "{ended:?}");
    let failure = last(&ended);
    assert_eq!(failure["kind"], "broken", "{failure}");
    let message = failure["message"].as_str().unwrap_or_default();
    assert!(message.contains("stopped answering"), "{message}");
    for object in ended.objects() {
        let limits = &object["limits"];
        for field in ["served_at_once", "queued", "held"] {
            assert_eq!(limits[field].as_u64(), None, "{field}: {limits}");
        }
        assert_eq!(limits["overflow"], Value::Null, "{limits}");
    }
    let left = established(address);
    assert!(left.is_empty(), "{left:?}");
}

/// On Linux all of 127.0.0.0/8 is local.
#[test]
#[cfg(target_os = "linux")]
fn several_sources_show_a_limit_per_client() {
    let bench = |app, sources: &[&str]| {
        let mut command = bench(start(V4, 128, app, 0));
        for source in sources {
            command.extend(["--source".to_owned(), (*source).to_owned()]);
        }
        let ended = run(command.iter().map(String::as_str));
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.objects().remove(0)
    };
    let sources = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
    let report = bench(App::PerClient { each: 3, all: 8 }, &sources);
    let limits = &report["limits"];
    assert_eq!(limits["per_client"], true, "{limits}");
    assert_eq!(limits["held"], 3, "{limits}");
    assert_eq!(limits["held_from_all_sources"], 8, "{limits}");
    let verdict = report["verdict"][0]["text"].as_str().unwrap_or_default();
    let first = "serves 3 clients at once from each address, accepts 8 in total";
    assert!(verdict.starts_with(first), "{verdict}");

    let report = bench(App::Cap(3, Beyond::Fin), &sources[..2]);
    let limits = &report["limits"];
    assert_eq!(limits["per_client"], false, "{limits}");
    assert_eq!(limits["held"], 3, "{limits}");

    let report = bench(App::Cap(3, Beyond::Fin), &sources[..1]);
    assert_eq!(report["limits"]["per_client"], Value::Null, "{report}");
}

#[test]
#[cfg(target_os = "linux")]
fn ipv6_target_has_limits() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        // `sockets::ipv6_is_exact` reports the skip.
        return;
    }
    let address = start("[::1]:0", 1, App::Workers(2), 0);
    let command = bench(address);
    let ended = run(command.iter().map(String::as_str));
    let limits = &ended.objects()[0]["limits"];
    assert_eq!(limits["served_at_once"], 2, "{ended:?}");
    assert_eq!(limits["queued"], 2, "{ended:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn slow_greeter_is_idle_before_the_latency_is_measured() {
    let address = start(V4, 2, App::GreetsFirst, 100);
    let target = address.to_string();
    let parts = ["--only", "limits", "--only", "latency", "-n", "2", "--json"];
    let ended = run(["bench", &target].into_iter().chain(parts));
    let report = &ended.objects()[0];
    let limits = &report["limits"];
    assert_eq!(limits["served_at_once"], Value::Null, "{limits}");
    assert_eq!(limits["burst"], 4, "{limits}");
    // The server does not read the request, so its kernel resets the connection after the greeting.
    let latency = &report["latency"];
    assert_eq!(latency["requests"], 2, "{latency}");
    assert_eq!(latency["syn_retransmissions"], 0, "{latency}");
    let slowest = latency["first_byte_us"]["max"].as_f64().unwrap_or_default();
    assert!((90_000.0..200_000.0).contains(&slowest), "{latency}");
}

#[test]
fn budget_is_announced_and_kept() {
    let listener = limited::listen(V4.parse().unwrap(), 5).unwrap();
    let address = listener.local_addr().unwrap();
    let begin = Instant::now();
    let target = address.to_string();
    let options = ["--only", "limits", "--budget", "700ms"];
    let ended = run(["bench", &target].into_iter().chain(options));
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_eq!(ended.code, 0, "{ended:?}");
    let note = format!("{target}: finding limits, about 0.7 s");
    assert!(ended.stderr.starts_with(&note), "{ended:?}");
    let text = String::from_utf8(ended.stdout).expect("text");
    assert!(text.contains("budget was used up"), "{text}");
}
