//! Complete updates: the steps of the README, and interruptions.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use super::{Workshop, status};
use crate::common::terminal::Terminal;
use crate::common::{self, finish};
use crate::configure::lab::{events, kill};
use crate::processes::GREETING;

pub(super) const STEPS: [&str; 6] = [
    "plan",
    "written",
    "verified",
    "restarting",
    "back",
    "confirmed",
];

/// The events without progress.
fn steps(ended: &common::Ended) -> Vec<String> {
    let mut events = events(ended);
    events.retain(|event| event != "progress");
    events
}

#[test]
fn update_is_permanent_and_a_power_cut_in_the_next_one_changes_nothing() {
    let workshop = Workshop::new();
    let board = workshop.start(&["--greeting", "Hello update"]);
    let target = board.address.to_string();
    let second = workshop.image("0.2.0", 200_000);
    let ended = workshop.update(&[&target, "--firmware", &second]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(steps(&ended), STEPS);
    let objects = ended.objects();
    assert_eq!(objects[0]["running"], env!("CARGO_PKG_VERSION"));
    assert_eq!(objects[0]["slot"], 1);
    assert_eq!(objects.last().unwrap()["version"], "0.2.0");
    let progress = objects.iter().rev().find(|it| it["event"] == "progress");
    assert_eq!(progress.unwrap()["done"], 200_000);
    board.wait_for("firmware=0.2.0");

    // A slow link leaves time to cut the power.
    kill(board);
    let board = workshop.start(&["--rate", "400kbit"]);
    let target = board.address.to_string();
    let third = workshop.image("0.3.0", 200_000);
    let mut update = workshop.spawn(&[&target, "--firmware", &third, "--json"]);
    let mut lines = BufReader::new(update.stdout.take().unwrap()).lines();
    let progress = lines.find(|line| line.as_ref().unwrap().contains(r#""event":"progress""#));
    let progress = progress.expect("progress").unwrap();
    let progress: serde_json::Value = serde_json::from_str(&progress).unwrap();
    assert!(progress["done"].as_u64().unwrap() < 200_000, "{progress}");
    kill(board);
    common::signal(&update, Signal::TERM);
    assert_eq!(finish(update).code, 143);

    let board = workshop.start(&[]);
    assert_eq!(status(&board, "firmware"), "0.2.0");
    assert_eq!(status(&board, "update"), serde_json::Value::Null);
    let target = board.address.to_string();
    let sent = common::run(["send", &target, "hi"]);
    assert_eq!(sent.stdout, b"Hello update");
    let ended = workshop.update(&[&target, "--firmware", &third]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.objects()[0]["slot"], 0);
}

#[test]
fn terminal_shows_rate_and_time_left_but_not_with_q() {
    let workshop = Workshop::new();
    let board = workshop.start(&["--rate", "400kbit"]);
    let target = board.address.to_string();
    let image = workshop.image("0.2.0", 100_000);
    let update = workshop.command(&[&target, "--firmware", &image]);
    let (terminal, child) = Terminal::start(update);
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    let bar = |line: &&str| {
        let parts = ["sending ", "%", "B/s, ", " left"];
        parts.iter().all(|part| line.contains(part))
    };
    assert!(seen.split(['\r', '\n']).any(|line| bar(&line)), "{seen}");

    let image = workshop.image("0.3.0", 100_000);
    let update = workshop.command(&[&target, "--firmware", &image, "-q"]);
    let (terminal, child) = Terminal::start(update);
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains(['\x1b', '%']), "{seen:?}");
}

#[test]
fn interrupted_transfer_goes_on() {
    let workshop = Workshop::new();
    let board = workshop.start(&["--rate", "400kbit"]);
    let target = board.address.to_string();
    let image = workshop.image("0.2.0", 100_000);
    let mut update = workshop.spawn(&[&target, "--firmware", &image, "--json"]);
    let mut lines = BufReader::new(update.stdout.take().unwrap()).lines();
    let progress = lines.find(|line| line.as_ref().unwrap().contains(r#""event":"progress""#));
    assert!(progress.is_some());
    common::signal(&update, Signal::INT);
    let interrupted = finish(update);
    assert_eq!(interrupted.code, 130);
    assert!(
        interrupted.stderr.contains("to resume"),
        "{}",
        interrupted.stderr
    );

    let ended = workshop.update(&[&target, "--firmware", &image]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let objects = ended.objects();
    let written = objects.iter().find(|it| it["event"] == "written").unwrap();
    assert!(written["resumed_bytes"].as_u64().unwrap() > 0, "{written}");
    assert_eq!(status(&board, "firmware"), "0.2.0");
}

#[test]
fn power_cut_before_the_confirmation_returns_the_board() {
    let workshop = Workshop::new();
    let board = workshop.start(&[]);
    let target = board.address.to_string();
    let image = workshop.image("0.2.0", 10_000);
    let ended = workshop.update(&[&target, "--firmware", &image, "--no-wait"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(steps(&ended), STEPS[..4]);
    board.wait_for("firmware=0.2.0");
    assert_eq!(status(&board, "update"), "trial");
    // The previous firmware is not overwritten.
    let again = workshop.update(&[&target, "--firmware", &image]);
    assert_eq!(again.code, 70, "{}", again.stderr);
    assert!(again.stderr.contains("on trial"), "{}", again.stderr);
    kill(board);
    let board = workshop.start(&[]);
    assert_eq!(status(&board, "firmware"), env!("CARGO_PKG_VERSION"));
    assert_eq!(status(&board, "update"), "power cut");
    // Without --chip, the flash determines the chip.
    kill(board);
    let state = workshop.0.path("board");
    let board = workshop.start_other(&["--state", &state]);
    assert_eq!(status(&board, "update"), "power cut");
}

#[test]
fn clients_are_served_during_an_update() {
    let workshop = Workshop::new();
    let board = workshop.start(&["--rate", "2Mbit"]);
    let target = board.address.to_string();
    let image = workshop.image("0.2.0", 200_000);
    let update = workshop.spawn(&[&target, "--firmware", &image, "--no-wait"]);
    let is_done = AtomicBool::new(false);
    let requests = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut requests = 0;
            // Until the image is sent, because the restart ends connections.
            while !is_done.load(Ordering::Relaxed) {
                let mut connection = TcpStream::connect(board.address).unwrap();
                std::io::Write::write_all(&mut connection, b"hi").unwrap();
                let reply = common::read_all(&mut connection);
                if is_done.load(Ordering::Relaxed) {
                    break;
                }
                assert_eq!(reply, GREETING.as_bytes());
                requests += 1;
            }
            requests
        });
        let mut update = update;
        let mut lines = BufReader::new(update.stdout.take().unwrap()).lines();
        while lines
            .next()
            .is_some_and(|line| !line.unwrap().starts_with("written"))
        {}
        // The board checks the image and restarts.
        is_done.store(true, Ordering::Relaxed);
        drop(lines);
        assert_eq!(finish(update).code, 0);
        client.join().unwrap()
    });
    assert!(requests > 0);
    board.wait_for("firmware=0.2.0");
}
