//! `tcpctl flash` on a pseudo-terminal: prompts, Ctrl-C, progress.

use std::os::fd::AsFd;

use rustix::process::Signal;
use tcpctl_settings::Security;

use super::scene::Scene;
use crate::common::firmware::Program;
use crate::common::loader::{Board, Boot, Kind};
use crate::common::signal;
use crate::common::terminal::Terminal;

const STATION: [&str; 5] = ["--settings-only", "--mode", "sta", "--ssid", "home"];

#[test]
fn typed_passphrase_is_not_shown() {
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait"]).code, 0);
    scene.board.press_boot_and_reset();
    let (mut terminal, child) = Terminal::start_in(80, scene.command(&STATION));
    terminal.wait_for("passphrase of home: ");
    // Backspace removes a typing error.
    terminal.type_hidden("secret wort\x7fd\n");
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains("secret wor"), "{seen}");
    let (_, plan) = seen.split_once("board      ").unwrap();
    let is_narrow = |line: &str| line.chars().count() <= 80;
    assert!(plan.lines().take(3).all(is_narrow), "{seen}");
    let stored = super::flow::settings(&scene.board);
    let Security::Wpa2(passphrase) = stored.network.security() else {
        panic!("open");
    };
    assert_eq!(passphrase.reveal(), "secret word");
}

#[test]
fn password_stdin_on_a_terminal_prompts_and_shows_nothing() {
    let scene = Scene::new(Board::new());
    let options = [&STATION[..], &["--password-stdin"]].concat();
    let (mut terminal, child) = Terminal::start(scene.command(&options));
    terminal.wait_for("passphrase: ");
    terminal.type_hidden("hunter2\n");
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 2, "{seen}");
    assert!(seen.contains("length is 7"), "{seen}");
    assert!(!seen.contains("hunter2"), "{seen}");
}

#[test]
fn ctrl_c_instead_of_a_passphrase_touches_nothing() {
    let scene = Scene::new(Board::new());
    let (mut terminal, child) = Terminal::start(scene.command(&STATION));
    terminal.wait_for("passphrase of home: ");
    terminal.type_hidden("sec\x03");
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 130, "{seen}");
    assert!(!seen.contains("sec\r"), "{seen}");
    assert!(scene.board.state().commands.is_empty());
}

#[test]
fn signal_at_the_prompt_restores_the_terminal() {
    use rustix::termios::{LocalModes, tcgetattr};

    // Signals arrive before a port is opened, and in the middle of a write, where the first signal
    // is a request and the second one ends the process.
    let scene = Scene::new(Board::new());
    let station = ["--mode", "sta", "--ssid", "home", "--password-stdin"];
    let ended = scene.run(&[&["--firmware", &scene.elf, "--no-wait"][..], &station].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    scene.board.press_boot_and_reset();
    for (arguments, signals) in [
        (&STATION[..], &[Signal::TERM][..]),
        (
            &["--settings-only", "--ssid", "office"],
            &[Signal::TERM, Signal::INT],
        ),
    ] {
        let (mut terminal, child) = Terminal::start(scene.command(arguments));
        terminal.wait_for("passphrase of ");
        let pty = terminal.as_fd().try_clone_to_owned().unwrap();
        terminal.wait_until_hidden();
        for one in signals {
            signal(&child, *one);
        }
        let (_, seen) = terminal.finish(child);
        let modes = tcgetattr(&pty).unwrap().local_modes;
        assert!(
            modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG),
            "{seen}"
        );
    }
}

#[test]
fn erasing_is_asked_for_and_can_be_refused() {
    let scene = Scene::new(Board::new());
    let elf = scene.elf.clone();
    let erase = ["--firmware", &elf, "--mode", "ap", "--open", "--erase"];
    let (mut terminal, child) = Terminal::start(scene.command(&erase));
    terminal.wait_for("[y/N] ");
    terminal.type_text("n\n");
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 2, "{seen}");
    assert!(seen.contains("nothing was erased"), "{seen}");
    assert!(scene.board.is_untouched());
}

#[test]
fn terminal_shows_rate_and_time_left() {
    let program = Program {
        size: 900_000,
        ..Program::default()
    };
    let scene = Scene::with(Board::new(), &program);
    let elf = scene.elf.clone();
    let write = ["--firmware", &elf, "--mode", "ap", "--open", "--no-wait"];
    let (terminal, child) = Terminal::start(scene.command(&write));
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    let bar = seen
        .split(['\r', '\n'])
        .find(|line| line.contains("app ") && line.contains(" left") && line.contains("B/s,"));
    assert!(bar.is_some_and(|bar| bar.contains('%')), "{seen}");
    // The plan comes first.
    assert!(seen.find("0x00010000") < seen.find(" left"), "{seen}");
}

#[test]
fn long_settings_are_folded_between_words() {
    let scene = Scene::new(Board::new());
    let elf = scene.elf.clone();
    let access_point = ["--mode", "ap", "--open", "--ssid", "board in the kitchen"];
    let plan = [&["--firmware", &elf, "--dry-run"][..], &access_point].concat();
    let (terminal, child) = Terminal::start_in(60, scene.command(&plan));
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    let at = seen.find("settings   mode=").expect("the settings");
    let mut lines = seen[at..].lines();
    let first = lines.next().unwrap_or_default();
    let more: Vec<_> = lines
        .take_while(|line| line.starts_with("           "))
        .collect();
    assert!(!more.is_empty(), "{seen}");
    for line in [&[first][..], &more].concat() {
        assert!(line.chars().count() <= 60, "{line}");
    }
    let words = seen[at..].split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("board in the kitchen"), "{seen}");
}

#[test]
fn ctrl_c_at_a_question_on_the_way_is_an_interruption() {
    let scene = Scene::new(Board::new());
    let station = ["--mode", "sta", "--ssid", "home", "--password-stdin"];
    let ended = scene.run(&[&["--firmware", &scene.elf, "--no-wait"][..], &station].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    scene.board.press_boot_and_reset();
    // Another network of the stored kind needs another passphrase.
    let (mut terminal, child) =
        Terminal::start(scene.command(&["--settings-only", "--ssid", "office"]));
    terminal.wait_for("passphrase of office: ");
    terminal.type_hidden("sec\x03");
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 130, "{seen}");
    assert!(seen.contains("nothing was written"), "{seen}");
    assert!(scene.board.is_untouched());
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let scene = Scene::new(Board::new());
    let elf = scene.elf.clone();
    let write = ["--firmware", &elf, "--mode", "ap", "--open"];
    let (terminal, child) = Terminal::start_dumb(scene.command(&write));
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("writing    app, "), "{seen}");
    assert!(seen.contains(": Hello World in "), "{seen}");
    assert!(!seen.contains('\x1b'), "{seen:?}");
    // The terminal ends lines with CR LF.
    assert!(!seen.replace("\r\n", "").contains('\r'), "{seen:?}");
}

fn board_that(boot: Boot) -> Scene {
    Scene::new(Board::of(Kind {
        boot,
        ..Kind::default()
    }))
}

#[test]
fn console_is_shown_during_the_wait() {
    let scene = board_that(Boot::Hangs);
    let elf = scene.elf.clone();
    let write = ["--firmware", &elf, "--mode", "ap", "--open"];
    let (mut terminal, child) = Terminal::start(scene.command(&write));
    terminal.wait_for("rst:0x10 (RTCWDT_RTC_RST)");
    signal(&child, Signal::INT);
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 130, "{seen}");
    assert!(
        seen.contains("everything is written and verified"),
        "{seen}"
    );
}

#[test]
fn events_replace_the_console_line() {
    let scene = board_that(Boot::NoNetwork);
    let elf = scene.elf.clone();
    let write = ["--firmware", &elf, "--mode", "ap", "--open"];
    let (mut terminal, child) = Terminal::start(scene.command(&write));
    let seen = terminal.wait_for("booted ").to_owned();
    signal(&child, Signal::INT);
    let (code, _) = terminal.finish(child);
    assert_eq!(code, 130, "{seen}");
    assert!(seen.contains("rst:0x10"), "{seen:?}");
    assert!(seen.contains("\r\x1b[2Kbooted "), "{seen:?}");
}
