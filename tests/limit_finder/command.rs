//! `tcpctl bench --only limits` on real servers: what it leaves behind, and what is no limit.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{Ended, closed_port, finish, run, signal, tcpctl};
use crate::limited::{self, App, Beyond};
use crate::sockets::{V4, established, start};

fn bench(address: SocketAddr) -> Vec<String> {
    ["bench", &address.to_string(), "--only", "limits", "--json"]
        .map(str::to_owned)
        .into()
}

/// The last object: where the command fails, the failure.
fn last(ended: &Ended) -> Value {
    ended.objects().pop().expect("it says something")
}

/// Nobody of ours is left as the kernel has it, as soon as the command has ended.
#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_leaves_no_connection() {
    use rustix::process::Signal;

    for stop in [Signal::INT, Signal::TERM] {
        // Held long enough to be met in the middle: the proof that more are dropped takes a second.
        let address = start(V4, 5, App::Workers(0), 0);
        let command = bench(address);
        let child = tcpctl(command.iter().map(String::as_str)).spawn().unwrap();
        let begin = Instant::now();
        while established(address).len() < 6 {
            assert!(begin.elapsed() < Duration::from_secs(30), "it holds nobody");
            thread::yield_now();
        }
        signal(&child, stop);
        let ended = finish(child);
        let left = established(address);
        assert!(left.is_empty(), "{stop:?}: {left:?}");
        let code = if stop == Signal::INT { 130 } else { 143 };
        assert_eq!(ended.code, code, "{ended:?}");
        let limits = &ended.objects()[0]["limits"];
        assert!(limits["held"]["at_least"].as_u64() <= Some(6), "{limits}");
        assert!(limits["held"].as_u64().is_none(), "{limits}");
        let verdict = ended.objects()[0]["verdict"].to_string();
        assert!(verdict.contains("cut short"), "{verdict}");
    }
}

#[test]
fn the_first_line_is_right_and_the_end_leaves_no_connection() {
    for (app, first) in [
        (
            App::Cap(3, Beyond::Fin),
            "serves 3 at once, queues none, accepts the 4th and closes it",
        ),
        (
            App::Cap(3, Beyond::Evict),
            "serves 3 at once, queues none, ends an older connection for the 4th",
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
fn too_few_file_descriptors_here_are_no_limit_of_the_server() {
    use std::os::unix::process::CommandExt;

    let address = start(V4, 128, App::Workers(1), 0);
    let mut shell = std::process::Command::new("/bin/sh");
    let tcpctl = tcpctl([]);
    shell
        .arg0("sh")
        .args(["-c", "ulimit -n 24 && exec \"$0\" \"$@\""]);
    shell.arg(tcpctl.get_program()).args(bench(address));
    shell.stdin(std::process::Stdio::null());
    shell.stdout(std::process::Stdio::piped());
    shell.stderr(std::process::Stdio::piped());
    let ended = finish(shell.spawn().unwrap());
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
fn nothing_listens() {
    let (_bound, address) = closed_port();
    let command = bench(address);
    let ended = run(command.iter().map(String::as_str));
    assert_eq!(ended.code, 7, "{ended:?}");
    let failure = last(&ended);
    assert_eq!(failure["kind"], "connect", "{failure}");
    assert_eq!(ended.objects().len(), 1, "no limits: {ended:?}");
}

/// The estimate is said before anything is sent, and is never more than the budget.
#[test]
fn the_estimate_comes_first_and_the_budget_is_kept() {
    let listener = limited::listen(V4.parse().unwrap(), 5).unwrap();
    let address = listener.local_addr().unwrap();
    let begin = Instant::now();
    let target = address.to_string();
    let options = ["--only", "limits", "--budget", "700ms"];
    let ended = run(["bench", &target].into_iter().chain(options));
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_eq!(ended.code, 0, "{ended:?}");
    let note = format!("{target}: finding the limits, about 0.7 s");
    assert!(ended.stderr.starts_with(&note), "{ended:?}");
    let text = String::from_utf8(ended.stdout).expect("text");
    assert!(text.contains("budget was used up"), "{text}");
}
