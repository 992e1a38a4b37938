//! `tcpctl send` on a pseudo-terminal.

use std::io::Write;
use std::process::Child;

use crate::common::terminal::Terminal;
use crate::common::{Server, read_some, run, tcpctl};

/// Runs `tcpctl` on a terminal.
fn at_a_terminal(arguments: &[&str]) -> (Terminal, Child) {
    Terminal::start(tcpctl(arguments.iter().copied()))
}

/// The exit code and the output, with LF instead of the terminal's CR LF.
fn the_end(terminal: Terminal, child: Child) -> (i32, String) {
    let (code, seen) = terminal.finish(child);
    (code, seen.replace("\r\n", "\n"))
}

#[test]
fn messages_are_folded_between_words_on_a_terminal() {
    let words = |text: &str| {
        let words = text.split_whitespace().map(str::to_owned);
        words.collect::<Vec<_>>()
    };
    // Errors with hints, and log lines.
    for line in [
        "send",
        "send sim:esp32,worker=2",
        "bench sim --only latncy",
        "-v send 127.0.0.1:3000 --retry 0 --connect-timeout 0",
    ] {
        let mut command = tcpctl(line.split(' '));
        command.env("NO_COLOR", "1");
        let (terminal, child) = Terminal::start_in(40, command);
        let (code, seen) = the_end(terminal, child);
        let ended = run(line.split(' '));
        assert_eq!(code, ended.code, "{seen}");
        assert_eq!(words(&seen), words(&ended.stderr), "{line}");
        assert!(seen.lines().all(|line| line.len() <= 40), "{seen}");
        // A pipe has one line for the error and one for the hint.
        assert!(
            seen.lines().count() > ended.stderr.lines().count(),
            "{seen}"
        );
        assert!(ended.stderr.lines().count() <= 2, "{ended:?}");
    }
    let (terminal, child) = Terminal::start_in(40, tcpctl(["send", "-v", "sim", "hi"]));
    let (code, seen) = the_end(terminal, child);
    assert_eq!(code, 0, "{seen}");
    assert!(seen.lines().all(|line| line.len() <= 40), "{seen}");
    assert!(seen.lines().count() > 3, "{seen}");
}

#[test]
fn reply_is_escaped_and_its_line_ended() {
    let server = Server::greeter(b"\x1b[31mred\x1b[0m\x07 \xff\0 \xc2\x9b2J\r\nend");
    let (terminal, child) = at_a_terminal(&["send", &server.target(), "hi"]);
    let (code, seen) = the_end(terminal, child);
    assert_eq!(code, 0);
    assert_eq!(
        seen,
        "\\x1b[31mred\\x1b[0m\\x07 \\xff\\x00 \\u{9b}2J\nend\n"
    );
}

#[test]
fn characters_split_between_packets_are_joined() {
    let (sender, go_on) = std::sync::mpsc::channel::<()>();
    let go_on = std::sync::Arc::new(std::sync::Mutex::new(go_on));
    let server = Server::start(move |mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(b"caf\xc3");
        go_on.lock().unwrap().recv().unwrap();
        let _ = connection.write_all(b"\xa9");
    });
    let (mut terminal, child) = at_a_terminal(&["send", &server.target(), "hi"]);
    terminal.wait_for("caf");
    sender.send(()).unwrap();
    assert_eq!(the_end(terminal, child), (0, "café\n".to_owned()));
}

#[test]
fn raw_output_is_not_escaped() {
    let server = Server::greeter(b"\x1b[31mred");
    let (terminal, child) = at_a_terminal(&["send", &server.target(), "hi", "--output", "raw"]);
    assert_eq!(the_end(terminal, child), (0, "\x1b[31mred".to_owned()));
}

#[test]
fn json_is_safe_for_the_terminal() {
    let server = Server::greeter(b"\x1b[2J\xc2\x9b2J\xe2\x80\xae");
    let (terminal, child) = at_a_terminal(&["send", &server.target(), "hi", "--json"]);
    let (_, seen) = the_end(terminal, child);
    let object: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(object["reply"], "\u{1b}[2J\u{9b}2J\u{202e}");
    assert!(
        seen.trim_end().chars().all(|c| (' '..='~').contains(&c)),
        "{seen:?}"
    );
}

#[test]
fn default_message_is_the_tutorial_s() {
    let server = Server::start(|mut connection| {
        let message = read_some(&mut connection);
        let _ = connection.write_all(&message);
    });
    let (terminal, child) = at_a_terminal(&["send", &server.target()]);
    assert_eq!(
        the_end(terminal, child),
        (0, "Hello TCP world!\n".to_owned())
    );
}

#[test]
fn conversation_goes_line_by_line() {
    let server = Server::start(|mut connection| {
        for answer in [&b"+OK one\n"[..], b"+OK two\n"] {
            let line = read_some(&mut connection);
            assert!(line.ends_with(b"\r\n"), "{line:?}");
            let _ = connection.write_all(answer);
        }
        // Stays open until the client closes.
        read_some(&mut connection);
    });
    let arguments = ["send", &server.target(), "-", "--crlf", "--idle", "50ms"];
    let (mut terminal, child) = at_a_terminal(&arguments);
    terminal.type_text("first\n");
    terminal.wait_for("+OK one");
    terminal.type_text("second\n");
    terminal.wait_for("+OK two");
    terminal.type_text("\x04"); // Ctrl-D
    assert_eq!(the_end(terminal, child).0, 0);
}

#[test]
fn count_prints_a_line_per_try() {
    let server = Server::greeter(b"pong\n");
    let target = server.target();
    let arguments = ["send", &target, "x", "--count", "2", "--interval", "0"];
    let (terminal, child) = at_a_terminal(&arguments);
    let (code, seen) = the_end(terminal, child);
    assert_eq!(code, 0, "{seen}");
    let lines: Vec<_> = seen.lines().collect();
    assert!(lines[1].starts_with(&format!("1: 5 bytes from {target}, first byte ")));
    assert!(lines[3].starts_with(&format!("2: 5 bytes from {target}, first byte ")));
    assert!(seen.contains("2 sent, 2 received"), "{seen}");
}
