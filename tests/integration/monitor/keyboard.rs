//! `tcpctl monitor` with keyboard input, and a board that the port's lines can reset.

use std::os::fd::AsFd;

use rustix::process::Signal;

use crate::common::loader::line::Line;
use crate::common::loader::{Board, Kind, Lines, Start, Wiring};
use crate::common::terminal::Terminal;
use crate::common::{signal, tcpctl, wait_while_running};
use crate::processes::{Need, skipped};

/// Output of the fake board's ROM for an erased flash.
const STARTED: &str = "invalid header: 0xffffffff";

#[test]
fn only_ctrl_t_ctrl_r_resets_the_board() {
    if skipped(&[Need::Program("cc")]) {
        return;
    }
    for wiring in [Wiring::Bridge, Wiring::UsbJtag] {
        let board = Board::of(Kind {
            wiring,
            ..Kind::default()
        });
        let mut command = tcpctl(["monitor", "--port", board.port()]);
        board.wire(&mut command);
        let (mut terminal, mut child) = Terminal::start(command);
        terminal.wait_for("Ctrl-T Ctrl-R resets the board");
        terminal.wait_for(STARTED);
        // The system asserts both lines when a port is opened; monitor changes neither.
        let both = Lines {
            dtr: true,
            rts: true,
        };
        assert_eq!(board.state().lines, [both], "{wiring:?}");
        assert!(board.state().starts.is_empty(), "{wiring:?}");
        terminal.type_hidden("\x14\x12");
        terminal.wait_for(": reset");
        wait_while_running(&mut child, || !board.state().starts.is_empty());
        signal(&child, Signal::INT);
        let (code, seen) = terminal.finish(child);
        assert_eq!(code, 130, "{seen}");
        let starts = board.state().starts.clone();
        assert!(
            starts.iter().all(|start| *start == Start::Program),
            "{wiring:?}: {starts:?}"
        );
        assert!(board.state().commands.is_empty());
    }
}

#[test]
fn missing_control_lines_are_named() {
    let line = Line::open();
    let (mut terminal, child) = Terminal::start(tcpctl(["monitor", "--port", path(&line)]));
    terminal.type_hidden("\x14\x12");
    terminal.wait_for("cannot reset the board (the port has no control lines)");
    terminal.wait_for("press its reset button");
    signal(&child, Signal::INT);
    assert_eq!(terminal.finish(child).0, 130);
}

#[test]
fn keyboard_is_restored() {
    let line = Line::open();
    let (mut terminal, child) = Terminal::start(tcpctl(["monitor", "--port", path(&line)]));
    terminal.wait_for("Ctrl-] ends");
    terminal.type_hidden("\x1d");
    let pty = terminal.as_fd().try_clone_to_owned().unwrap();
    assert_eq!(terminal.finish(child).0, 0);
    let modes = rustix::termios::tcgetattr(&pty).unwrap().local_modes;
    assert!(
        modes.contains(rustix::termios::LocalModes::ECHO | rustix::termios::LocalModes::ICANON)
    );
}

#[test]
fn raw_output_is_safe_for_a_terminal() {
    let mut line = Line::open();
    line.write(b"\x1b[2Jevil\x07\xff\xc2\x9b31m\r\nready\r\n");
    let wait = ["--raw", "--until", "ready", "--timeout", "20s"];
    let arguments = [&["monitor", "--port", path(&line)][..], &wait].concat();
    let (terminal, child) = Terminal::start(tcpctl(arguments));
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains(r"\x1b[2Jevil\x07"), "{seen}");
    let harmless = |c: char| !c.is_control() || matches!(c, '\r' | '\n');
    assert!(seen.chars().all(harmless), "{seen:?}");
}

#[test]
fn keys_go_to_the_board() {
    let mut line = Line::open();
    let (mut terminal, child) = Terminal::start(tcpctl(["monitor", "--port", path(&line)]));
    terminal.wait_for("Ctrl-] ends");
    line.write(b">>> ");
    terminal.wait_for(">>> ");
    terminal.type_hidden("1+1\r\x03");
    let mut received = Vec::new();
    while received.len() < 5 {
        received.extend(line.read());
    }
    assert_eq!(received, b"1+1\r\x03");
    line.write(b"1+1\r\n2\r\n");
    terminal.wait_for(">>> 1+1\r\n");
    terminal.type_hidden("\x1d");
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
}

#[test]
fn no_input_does_not_read_the_keyboard() {
    let mut line = Line::open();
    let arguments = [
        "monitor",
        "--no-input",
        "--until",
        "ready",
        "--port",
        path(&line),
    ];
    let (mut terminal, child) = Terminal::start(tcpctl(arguments));
    terminal.type_text("x\n");
    line.write(b"ready\r\n");
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains("Ctrl-]"), "{seen}");
}

#[test]
fn board_colors_are_shown_on_a_terminal() {
    let mut line = Line::open();
    line.write(b"\x1b[0;32mI (31) boot: ok\x1b[0m\r\n\x1b[2Jready\r\n");
    let wait = ["--until", "ready", "--timeout", "20s"];
    let arguments = [&["monitor", "--port", path(&line)][..], &wait].concat();
    let (terminal, child) = Terminal::start(tcpctl(arguments));
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert!(
        seen.contains("\x1b[0;32mI (31) boot: ok\x1b[0m"),
        "{seen:?}"
    );
    assert!(seen.contains(r"\x1b[2Jready"), "{seen:?}");
}

#[test]
fn matched_prompt_ends_its_line_and_color_on_a_terminal() {
    let mut line = Line::open();
    line.write(b"\x1b[32m>>> ");
    let wait = ["--until", "^>>> $", "--timeout", "20s"];
    let arguments = [&["monitor", "--port", path(&line)][..], &wait].concat();
    let (terminal, child) = Terminal::start(tcpctl(arguments));
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert!(seen.ends_with("\x1b[32m>>> \x1b[0m\r\n"), "{seen:?}");
}

#[test]
fn times_are_local_on_a_terminal() {
    let mut line = Line::open();
    line.write(b"ready\r\n");
    let wait = ["--until", "ready", "--timeout", "20s"];
    let arguments = [&["monitor", "--port", path(&line)][..], &wait].concat();
    let mut command = tcpctl(arguments);
    // The offset is 5 h 30 min east of Greenwich, and 17 s, which no real zone has.
    command.env("TZ", "XXX-5:30:17");
    let before = seconds_of_day();
    let (terminal, child) = Terminal::start(command);
    let (code, seen) = terminal.finish(child);
    let after = seconds_of_day();
    assert_eq!(code, 0, "{seen}");
    let shown = seen.lines().find_map(|it| it.strip_suffix(" ready"));
    let shown = shown.unwrap_or_else(|| panic!("{seen:?}"));
    let parts: Vec<u64> = shown[..8]
        .split(':')
        .map(|it| it.parse().unwrap())
        .collect();
    let local = parts[0] * 3600 + parts[1] * 60 + parts[2];
    let since = (local + DAY - (5 * 3600 + 30 * 60 + 17) + DAY - before) % DAY;
    let took = (after + DAY - before) % DAY;
    assert!(since <= took, "{seen:?}: {before} to {after}");
}

const DAY: u64 = 24 * 60 * 60;

/// Seconds since midnight, UTC.
fn seconds_of_day() -> u64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() % DAY
}

fn path(line: &Line) -> &str {
    line.path.to_str().unwrap()
}
