//! `tcpctl monitor` with keyboard input, and a board that the port's lines can reset.

use std::os::fd::AsFd;

use rustix::process::Signal;

use crate::common::loader::line::Line;
use crate::common::loader::{Board, Kind, Lines, Start, Wiring};
use crate::common::terminal::Terminal;
use crate::common::{signal, tcpctl};
use crate::processes::{Need, skipped};

/// What the fake board's ROM says of an erased flash, once it starts.
const STARTED: &str = "invalid header: 0xffffffff";

#[test]
fn opening_the_port_resets_no_board_and_ctrl_r_does() {
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
        let (mut terminal, child) = Terminal::start(command);
        terminal.wait_for("Ctrl-R resets the board, Ctrl-C ends");
        terminal.wait_for(STARTED);
        // The system raises both when a port is opened; we change neither.
        let both = Lines {
            dtr: true,
            rts: true,
        };
        assert_eq!(board.state().lines, [both], "{wiring:?}");
        assert!(board.state().starts.is_empty(), "{wiring:?}");
        terminal.type_hidden("\x12");
        terminal.wait_for(": reset");
        while board.state().starts.is_empty() {
            std::thread::yield_now();
        }
        signal(&child, Signal::INT);
        let (code, seen) = terminal.finish(child);
        assert_eq!(code, 0, "{seen}");
        let starts = board.state().starts.clone();
        assert!(
            starts.iter().all(|start| *start == Start::Program),
            "{wiring:?}: {starts:?}"
        );
        assert!(board.state().commands.is_empty());
    }
}

#[test]
fn a_board_that_can_t_be_reset_is_said_to_be_one() {
    let line = Line::open();
    let (mut terminal, child) = Terminal::start(tcpctl(["monitor", "--port", path(&line)]));
    terminal.type_hidden("\x12");
    terminal.wait_for("can't be reset from here (its port has no reset lines)");
    assert!(terminal.wait_for("press RESET").contains("press RESET"));
    signal(&child, Signal::INT);
    assert_eq!(terminal.finish(child).0, 0);
}

#[test]
fn the_keyboard_is_given_back() {
    let line = Line::open();
    let (mut terminal, child) = Terminal::start(tcpctl(["monitor", "--port", path(&line)]));
    terminal.wait_for("Ctrl-C ends");
    signal(&child, Signal::INT);
    let pty = terminal.as_fd().try_clone_to_owned().unwrap();
    assert_eq!(terminal.finish(child).0, 0);
    let modes = rustix::termios::tcgetattr(&pty).unwrap().local_modes;
    assert!(
        modes.contains(rustix::termios::LocalModes::ECHO | rustix::termios::LocalModes::ICANON)
    );
}

#[test]
fn raw_is_still_harmless_on_a_terminal() {
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

fn path(line: &Line) -> &str {
    line.path.to_str().unwrap()
}
