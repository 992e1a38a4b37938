//! `tcpctl discover` on a pseudo-terminal.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use rustix::process::Signal;
use rustix::termios::{Winsize, tcsetwinsize};

use crate::common::terminal::Terminal;
use crate::common::{Server, signal, tcpctl};
use crate::processes::{Need, skipped};

/// `tcpctl discover` that can find only what it probes.
fn discover(options: &[&str]) -> Command {
    let offline = ["discover", "--no-mdns", "--no-serial", "--interface", "lo"];
    let mut command = tcpctl(
        ["--color", "never"]
            .iter()
            .chain(&offline)
            .chain(options)
            .copied(),
    );
    command.env("XDG_CACHE_HOME", "/proc/nowhere");
    command
}

/// A server that greets, on the default port of an address that only this test uses.
fn greeter(address: Ipv4Addr) -> Option<Server> {
    if skipped(&[Need::Address(address.into())]) {
        return None;
    }
    let listener = TcpListener::bind((address, tcpctl::target::DEFAULT_PORT)).unwrap();
    Some(Server::on(listener, |mut connection| {
        use std::io::Write;
        crate::common::read_some(&mut connection);
        let _ = connection.write_all(b"Hello\n");
    }))
}

#[test]
fn a_watch_redraws_its_table_when_the_terminal_is_resized() {
    let (mut terminal, child) = Terminal::start_in(80, discover(&["--watch"]));
    terminal.wait_for("STATUS\r\n0 boards; Ctrl-C ends\r\n");
    let narrow = Winsize {
        ws_row: 24,
        ws_col: 40,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, narrow).unwrap();
    terminal.wait_for("\x1b[H\x1b[JNAME  ADDRESS  CHIP  MODE  WHERE  STATUS\r\n0 boards");
    signal(&child, Signal::INT);
    assert_eq!(terminal.finish(child).0, 0);
}

#[test]
fn a_search_prints_headings_once_and_shows_its_time() {
    let Some(_server) = greeter(Ipv4Addr::new(127, 0, 0, 82)) else {
        return;
    };
    let command = discover(&["--probe", "127.0.0.82", "--timeout", "1s"]);
    let (terminal, child) = Terminal::start_in(80, command);
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert_eq!(seen.matches("NAME ").count(), 1, "{seen}");
    assert!(seen.contains("127.0.0.82:3000"), "{seen}");
    let (_, end) = seen
        .rsplit_once("searching for boards  ")
        .expect("the search is shown");
    let (time, after) = end.split_once("/1.0 s").expect("its length is shown");
    assert!(time.parse::<f64>().is_ok_and(|time| time > 0.0), "{seen:?}");
    assert!(after.contains("\x1b[2K"), "the line is removed: {after:?}");
}

#[test]
fn a_search_moves_no_cursor_on_a_dumb_terminal_or_with_q() {
    let Some(_server) = greeter(Ipv4Addr::new(127, 0, 0, 84)) else {
        return;
    };
    let search = ["--probe", "127.0.0.84", "--timeout", "100ms"];
    let quiet = discover(&["-q", search[0], search[1], search[2], search[3]]);
    for (terminal, child) in [
        Terminal::start_dumb(discover(&search)),
        Terminal::start_in(80, quiet),
    ] {
        let (code, seen) = terminal.finish(child);
        assert_eq!(code, 0, "{seen}");
        assert!(seen.contains("127.0.0.84:3000"), "{seen}");
        assert!(seen.lines().all(|line| line.len() <= 80), "{seen}");
        assert!(
            !seen.contains('\x1b') && !seen.contains("searching"),
            "{seen:?}"
        );
    }
}

#[test]
fn a_watch_on_a_dumb_terminal_moves_no_cursor() {
    let Some(_server) = greeter(Ipv4Addr::new(127, 0, 0, 83)) else {
        return;
    };
    let command = discover(&["--watch", "--probe", "127.0.0.83"]);
    let (mut terminal, child) = Terminal::start_dumb(command);
    let seen = terminal.wait_for("online");
    assert!(seen.starts_with("found "), "{seen}");
    signal(&child, Signal::INT);
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains('\x1b'), "{seen:?}");
}
