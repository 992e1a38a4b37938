//! Other clients, connected through the relay.

use std::path::Path;
use std::process::Command;

use super::board::listening;
use crate::processes::{Board, Ended, GREETING, Need, Process, REQUEST, SHOWN, Stream, skipped};

/// Runs a client with the relay's address and the tutorial's request as its input, and checks what
/// the board prints.
fn answer(client: impl FnOnce(&str, &str) -> Command) -> Ended {
    let board = listening("esp32");
    let (host, port) = (board.address.ip(), board.address.port());
    let mut client = Process::start(client(&host.to_string(), &port.to_string()));
    client.write(REQUEST);
    let ended = client.finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let shown = board.wait_for("request ");
    assert!(
        shown.starts_with("request peer=127.0.0.1:") && shown.contains(SHOWN),
        "{shown}"
    );
    let summary = board.interrupt().stdout;
    assert!(
        summary.contains(" served=1 refused=0 timed_out=0 reset=0 "),
        "{summary}"
    );
    ended
}

fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments);
    command
}

#[test]
fn ncat_gets_the_greeting() {
    if skipped(&[Need::Program("ncat")]) {
        return;
    }
    let ended = answer(|host, port| program("ncat", &[host, port]));
    assert_eq!(ended.stdout, GREETING);
}

#[test]
fn nc_gets_the_greeting() {
    if skipped(&[Need::OpenBsdNc]) {
        return;
    }
    let ended = answer(|host, port| program("nc", &[host, port]));
    assert_eq!(ended.stdout, GREETING);
}

#[test]
fn half_closing_nc_gets_the_greeting() {
    if skipped(&[Need::OpenBsdNc]) {
        return;
    }
    let ended = answer(|host, port| program("nc", &["-N", host, port]));
    assert_eq!(ended.stdout, GREETING);
}

#[test]
fn socat_gets_the_greeting() {
    if skipped(&[Need::Program("socat")]) {
        return;
    }
    // ncat's default timeout after a FIN is half a second, too short for a busy machine.
    let ended = answer(|host, port| {
        let target = format!("TCP:{host}:{port}");
        program("socat", &["-t30", "-", &target])
    });
    assert_eq!(ended.stdout, GREETING);
}

#[test]
fn send_gets_the_greeting() {
    let ended = answer(|host, port| {
        let mut send = Board::tcpctl();
        send.args(["send", &format!("{host}:{port}")]);
        send
    });
    assert_eq!(ended.stdout, GREETING);
}

#[test]
fn node_gets_the_greeting() {
    if skipped(&[Need::Program("node")]) {
        return;
    }
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/peers/node_client.js");
    let board = listening("esp32");
    let mut node = Command::new("node");
    node.arg(script);
    node.args([
        board.address.ip().to_string(),
        board.address.port().to_string(),
    ]);
    let ended = Process::start(node).finish();
    assert_eq!(ended.stdout, format!("{GREETING}\n"), "{ended:?}");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let from = ended.stderr.trim().replace("from ", "request peer=");
    let shown = board.process.line_with(Stream::Stdout, "request ");
    assert!(shown.starts_with(&format!("{from}{SHOWN}")), "{shown}");
}
