//! Three server behaviors with which other clients hang or lose the reply.

use std::net::SocketAddr;
use std::process::Command;

use super::wire::Namespace;
use crate::processes::{Board, Ended, Need, Process, Stream, skipped};

/// Replies at the end of its input with the number of bytes.
const CLOSES_ON_FIN: &str = "wc -c";
/// Replies to a line after a second, then waits for another one.
const STAYS_OPEN: &str = "read line; sleep 1; echo Hello; cat > /dev/null";

/// A server that runs `script` for one connection and ends with it.
struct Server {
    _process: Process,
    address: SocketAddr,
}

impl Server {
    /// Passes a FIN on and waits half a minute for the reply.
    fn waits_after_fin(script: &str) -> Self {
        Self::socat("-t30", script)
    }

    /// Treats a FIN as the end of the client after 100 ms.
    fn drops_on_fin(script: &str) -> Self {
        Self::socat("-t0.1", script)
    }

    fn socat(timeout: &str, script: &str) -> Self {
        let mut socat = Command::new("socat");
        socat.args(["-d", "-d", timeout, "TCP-LISTEN:0,bind=127.0.0.1"]);
        socat.arg(format!("SYSTEM:{script}"));
        let process = Process::start(socat);
        let address = process.line(Stream::Stderr, |line| {
            line.split_once("listening on AF=2 ")?.1.trim().parse().ok()
        });
        Self {
            _process: process,
            address,
        }
    }

    /// Sends a line to the server; `options` select the end of the reply.
    fn exchange(&self, options: &str) -> Ended {
        let mut send = Board::tcpctl();
        send.arg("send").arg(self.address.to_string());
        send.args(["-m", "hi", "--lf"]).args(words(options));
        Process::start(send).finish()
    }
}

fn words(options: &str) -> impl Iterator<Item = &str> {
    options.split(' ').filter(|word| !word.is_empty())
}

/// The rule that ended a `send --json`.
fn ended_by(ended: &Ended) -> String {
    let line = ended.stdout.lines().next().unwrap_or_default();
    let report: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    report["ended_by"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn server_that_answers_on_fin_needs_half_close() {
    if skipped(&[Need::Program("socat")]) {
        return;
    }
    let ended = Server::waits_after_fin(CLOSES_ON_FIN).exchange("--half-close");
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "3\n"), "{ended:?}");

    let ended = Server::waits_after_fin(CLOSES_ON_FIN).exchange("--reply-timeout 300ms");
    assert_eq!((ended.code, &*ended.stdout), (Some(28), ""), "{ended:?}");
    assert!(ended.stderr.contains("--half-close"), "{ended:?}");
}

#[test]
fn late_answer_on_a_kept_connection_ends_send() {
    if skipped(&[Need::Program("socat")]) {
        return;
    }
    for (options, rule) in [
        ("", "idle"),
        ("--idle 100ms", "idle"),
        ("--lines 1", "lines"),
        ("--expect ^Hello$", "matched"),
        ("--half-close --lines 1", "lines"),
    ] {
        let ended = Server::waits_after_fin(STAYS_OPEN).exchange(&format!("--json {options}"));
        assert_eq!(ended.code, Some(0), "{options}: {ended:?}");
        assert_eq!(ended_by(&ended), rule, "{options}: {ended:?}");
        assert!(ended.stdout.contains(r#""reply":"Hello\n""#), "{ended:?}");
    }
}

#[test]
fn reply_is_complete_from_a_server_that_drops_clients_on_fin() {
    if skipped(&[Need::Program("socat")]) {
        return;
    }
    let script = "read line; sleep 1; echo Hello";
    let ended = Server::drops_on_fin(script).exchange("--json");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended_by(&ended), "closed");
    assert!(ended.stdout.contains(r#""reply":"Hello\n""#), "{ended:?}");

    let ended = Server::drops_on_fin(script).exchange("--half-close");
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("without --half-close"), "{ended:?}");
}

#[test]
fn server_that_ends_before_its_reply_is_a_failure() {
    if skipped(&[Need::Program("socat")]) {
        return;
    }
    let ended = Server::waits_after_fin("read line").exchange("");
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
}

/// As a server, ncat treats a FIN as the end of both directions.
#[test]
fn reply_of_ncat_is_complete() {
    if skipped(&[Need::Root, Need::Program("ncat")]) {
        return;
    }
    // A fixed port in a namespace of its own, since ncat does not print a port that it picked.
    let namespace = Namespace::new();
    for (options, code, reply) in [("", 0, "Hello\n"), ("--half-close", 1, "")] {
        let mut ncat = namespace.command("ncat");
        ncat.args(["-v", "-l", "127.0.0.1", "3000", "--sh-exec"]);
        ncat.arg("read line; sleep 1; echo Hello");
        let ncat = Process::start(ncat);
        ncat.line_with(Stream::Stderr, "Listening on 127.0.0.1:3000");
        let mut send = namespace.tcpctl("send 127.0.0.1 -m hi --lf");
        send.args(words(options));
        let ended = Process::start(send).finish();
        assert_eq!(
            (ended.code, &*ended.stdout),
            (Some(code), reply),
            "{ended:?}"
        );
        // The port is free again.
        ncat.finish();
    }
}
