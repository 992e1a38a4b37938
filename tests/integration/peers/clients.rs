use super::scratch::ours;
use super::wire::{BOARD, HOST, PORT, Wire};
use crate::processes::{GREETING, Need, Process, REQUEST, SHOWN, Stream, skipped};

/// Sends the tutorial's request with a client that copies its standard input to the board, and
/// checks both sides of the exchange.
fn greets(command_line: &str) {
    let wire = Wire::new("esp32");
    let mut client = wire.namespace.start(command_line);
    client.write(REQUEST);
    let ended = client.finish();
    assert_eq!(ended.stdout, GREETING, "{ended:?}");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let shown = wire.board.wait_for("request ");
    assert!(
        shown.starts_with(&format!("request peer={HOST}:")) && shown.contains(SHOWN),
        "{shown}"
    );
    let ended = wire.board.interrupt();
    assert!(
        ended.stdout.contains(
            "summary accepted=1 served=1 refused=0 timed_out=0 reset=0 bytes_in=18 bytes_out=11"
        ),
        "{ended:?}"
    );
}

#[test]
fn node_gets_the_greeting() {
    if skipped(&[Need::Root, Need::Tap, Need::Program("node")]) {
        return;
    }
    let wire = Wire::new("esp32");
    let mut node = wire.namespace.command("node");
    node.arg(ours("node_client.js")).args([BOARD, PORT]);
    let ended = Process::start(node).finish();
    assert_eq!(ended.stdout, format!("{GREETING}\n"), "{ended:?}");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let from = ended.stderr.trim().replace("from ", "request peer=");
    let shown = wire.board.wait_for("request ");
    assert!(shown.starts_with(&format!("{from}{SHOWN}")), "{shown}");
}

#[test]
fn ncat_gets_the_greeting() {
    if skipped(&[Need::Root, Need::Tap, Need::Program("ncat")]) {
        return;
    }
    greets(&format!("ncat {BOARD} {PORT}"));
}

#[test]
fn nc_gets_the_greeting() {
    if skipped(&[Need::Root, Need::Tap, Need::OpenBsdNc]) {
        return;
    }
    greets(&format!("nc {BOARD} {PORT}"));
}

#[test]
fn half_closing_nc_gets_the_greeting() {
    if skipped(&[Need::Root, Need::Tap, Need::OpenBsdNc]) {
        return;
    }
    greets(&format!("nc -N {BOARD} {PORT}"));
}

#[test]
fn full_board_sends_rst_and_serves_again() {
    if skipped(&[
        Need::Root,
        Need::Tap,
        Need::Program("ncat"),
        Need::OpenBsdNc,
    ]) {
        return;
    }
    let wire = Wire::new("ideal --workers 1 --backlog 0 --request-timeout 10m");
    let silent = wire.namespace.start(&format!("ncat -v {BOARD} {PORT}"));
    silent.line_with(Stream::Stderr, "Connected to");

    let send = wire.namespace.tcpctl(&format!("send {BOARD}:{PORT} hi"));
    let refused = Process::start(send).finish();
    assert_eq!(refused.code, Some(7), "{refused:?}");
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.contains("refused"), "{refused:?}");
    for client in ["ncat", "nc -v"] {
        let command_line = format!("{client} {BOARD} {PORT}");
        let refused = wire.namespace.start(&command_line).finish();
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("refused"), "{refused:?}");
    }

    // The held connection was closed without a byte: it was greeted, and its slot is free.
    assert_eq!(silent.finish().stdout, GREETING);
    let send = wire
        .namespace
        .tcpctl(&format!("send --retry 20 --retry-delay 50ms {BOARD} hi"));
    let greeted = Process::start(send).finish();
    assert_eq!((greeted.code, &*greeted.stdout), (Some(0), GREETING));
    wire.board.wait_for(r#" len=2 "hi" "#);
    let summary = wire.board.interrupt().stdout;
    let refused = summary
        .split_once("summary accepted=2 served=2 refused=")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse::<u32>().ok());
    // Three refusals, plus the retries of the last client before the slot was free.
    assert!(refused.is_some_and(|refused| refused >= 3), "{summary}");
}

#[test]
fn http_request_is_printed_escaped() {
    if skipped(&[Need::Root, Need::Tap, Need::Program("curl")]) {
        return;
    }
    let wire = Wire::new("esp32");
    let url = format!("http://{BOARD}:{PORT}/caf%C3%A9?q=1");
    let curl = format!("curl --silent --show-error --http0.9 --max-time 30 {url}");
    let ended = wire.namespace.start(&curl).finish();
    assert_eq!(ended.stdout, GREETING, "{ended:?}");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let shown = wire.board.wait_for("request ");
    let start = format!(r#""GET /caf%C3%A9?q=1 HTTP/1.1\r\nHost: {BOARD}:{PORT}\r\n"#);
    assert!(shown.contains(&start), "{shown}");
    assert!(shown.contains(r#"\r\n\r\n" reply=11 "#), "{shown}");
}

/// A request with cookies is longer than the board's buffer.
#[test]
fn long_http_request_is_read_to_its_end() {
    if skipped(&[Need::Root, Need::Tap, Need::Program("curl")]) {
        return;
    }
    let wire = Wire::new("esp32");
    let mut curl = wire.namespace.command("curl");
    curl.args("--silent --show-error --http0.9 --max-time 30 --header".split(' '));
    curl.arg(format!("Cookie: {}", "session=0123456789; ".repeat(300)));
    curl.arg(format!("http://{BOARD}:{PORT}/"));
    let ended = Process::start(curl).finish();
    assert_eq!(ended.stdout, GREETING, "{ended:?}");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    wire.board.wait_for(r#""GET / HTTP/1.1\r\n"#);
    let summary = wire.board.interrupt().stdout;
    assert!(summary.contains("served=1 refused=0 timed_out=0 reset=0"));
}

/// Clients of this project on the same link as the others.
#[test]
fn send_gets_the_greeting() {
    if skipped(&[Need::Root, Need::Tap]) {
        return;
    }
    let wire = Wire::new("lossy --seed 3");
    let mut send = wire.namespace.tcpctl("send");
    send.args([BOARD, REQUEST]);
    let ended = Process::start(send).finish();
    assert_eq!((ended.code, &*ended.stdout), (Some(0), GREETING));
    assert!(wire.board.wait_for("request ").contains(SHOWN));
}

/// Two boards in two namespaces have the same address without a conflict.
#[test]
fn tap_interface_in_use_is_reported() {
    if skipped(&[Need::Root, Need::Tap]) {
        return;
    }
    let wire = Wire::new("ideal");
    let other = Wire::new("ideal");
    let again = wire.namespace.tcpctl("sim --tap tap0");
    let ended = Process::start(again).finish();
    assert_eq!(ended.code, Some(70), "{ended:?}");
    crate::common::assert_one_error(&ended.stderr);
    assert!(
        ended.stderr.contains("'tap0': in use by another program"),
        "{ended:?}"
    );
    assert_eq!(other.board.interrupt().code, Some(0));
}

/// Without the interface the board cannot be reached again.
#[test]
fn deleted_tap_interface_ends_the_board() {
    if skipped(&[Need::Root, Need::Tap]) {
        return;
    }
    let wire = Wire::new("ideal");
    wire.namespace.ip("link del tap0");
    let ended = wire.board.finish();
    assert_eq!(ended.code, Some(70), "{ended:?}");
    assert!(ended.stderr.contains("'tap0' was deleted"), "{ended:?}");
    assert!(ended.stdout.contains("\nsummary "), "{ended:?}");
}
