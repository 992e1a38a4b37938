//! `--targets`: several boards, one after another or in parallel.

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::Child;

use rustix::process::Signal;
use serde_json::Value;

use super::end_to_end::STEPS;
use super::{Workshop, status};
use crate::common::{Ended, closed_port, finish};
use crate::processes::Board;

/// The output of a run, object by object.
struct Objects {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    text: String,
}

impl Objects {
    fn of(mut child: Child) -> Self {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines,
            text: String::new(),
        }
    }

    /// Reads up to the first object about a board with this value in a field.
    fn wait_for(&mut self, board: &Board, field: &str, value: &str) {
        let target = board.address.to_string();
        loop {
            let line = self.lines.next();
            let line = line.unwrap_or_else(|| panic!("{target}: no {value} in\n{}", self.text));
            let line = line.unwrap();
            writeln!(self.text, "{line}").unwrap();
            let object: Value = serde_json::from_str(&line).unwrap();
            if object["target"] == target && object[field] == value {
                return;
            }
        }
    }

    fn finish(mut self) -> Ended {
        for line in self.lines.by_ref() {
            writeln!(self.text, "{}", line.unwrap()).unwrap();
        }
        Ended {
            stdout: self.text.into_bytes(),
            ..finish(self.child)
        }
    }
}

/// The events about a board, without progress, and its failure.
fn events(ended: &Ended, board: &Board) -> Vec<String> {
    let target = board.address.to_string();
    let objects = ended.objects().into_iter();
    let names = objects.filter(|it| it["target"] == target).map(|it| {
        let name = it["event"].as_str().or_else(|| it["kind"].as_str());
        name.unwrap().to_owned()
    });
    names.filter(|name| name != "progress").collect()
}

#[test]
fn fleet_stops_at_the_first_board_that_fails() {
    let workshop = Workshop::new();
    let image = workshop.image("0.2.0", 4096);
    let boards = ["1", "2"].map(|seed| workshop.start_chip(seed, &[]));
    let (_hold, dead) = closed_port();
    let targets = [boards[0].address, dead, boards[1].address].map(|it| it.to_string());
    let ended = finish(workshop.spawn_fleet(&targets, &["--firmware", &image]));
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    assert_eq!(status(&boards[0], "firmware"), "0.2.0");
    assert_eq!(status(&boards[1], "firmware"), env!("CARGO_PKG_VERSION"));
    assert_eq!(events(&ended, &boards[1]), ["skipped"]);
    let objects = ended.objects();
    let last = objects.last().unwrap();
    assert_eq!(last["exit_code"], 7);
    let message = last["message"].as_str().unwrap();
    assert_eq!(message, "1 of 3 boards updated, 1 failed, 1 not tried");
}

/// The first board is stopped while the second one is updated and the third one fails.
#[test]
fn parallel_updates_overlap_and_a_failure_stops_new_ones() {
    let workshop = Workshop::new();
    let image = workshop.image("0.2.0", 200_000);
    let slow = workshop.start_chip("1", &["--rate", "400kbit"]);
    let fast = workshop.start_chip("2", &[]);
    let unsuitable = workshop.start_other(&["--seed", "3"]);
    let last = workshop.start_chip("4", &[]);
    let boards = [&slow, &fast, &unsuitable, &last];
    let targets = boards.map(|board| board.address.to_string());
    let options = ["--firmware", &image, "--parallel", "2"];
    let mut objects = Objects::of(workshop.spawn_fleet(&targets, &options));
    objects.wait_for(&slow, "event", "plan");
    // The board's transfer takes 4 s.
    slow.process.signal(Signal::STOP);
    objects.wait_for(&fast, "event", "confirmed");
    objects.wait_for(&unsuitable, "kind", "device");
    slow.process.signal(Signal::CONT);
    let ended = objects.finish();
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    // An update that has begun is finished.
    assert_eq!(events(&ended, &slow), STEPS);
    assert_eq!(events(&ended, &fast), STEPS);
    assert_eq!(events(&ended, &unsuitable), ["device"]);
    assert_eq!(events(&ended, &last), ["skipped"]);
    let all = ended.objects();
    let place = |board: &Board, event: &str| {
        let target = board.address.to_string();
        let found = |it: &Value| it["target"] == target && it["event"] == event;
        all.iter().position(found).unwrap()
    };
    assert!(place(&fast, "confirmed") < place(&slow, "written"));
    let error = all.last().unwrap();
    assert_eq!(
        (&error["schema"], &error["exit_code"]),
        (&"tcpctl.error/1".into(), &70.into())
    );
    let message = error["message"].as_str().unwrap();
    assert_eq!(message, "2 of 4 boards updated, 1 failed, 1 not tried");
    assert_eq!(status(&slow, "firmware"), "0.2.0");
    assert_eq!(status(&fast, "firmware"), "0.2.0");
    assert_eq!(status(&last, "firmware"), env!("CARGO_PKG_VERSION"));
}

#[test]
fn parallel_updates_name_the_board_in_each_line() {
    let workshop = Workshop::new();
    let image = workshop.image("0.2.0", 4096);
    let boards = ["1", "2"].map(|seed| workshop.start_chip(seed, &[]));
    let (_hold, dead) = closed_port();
    let targets = [boards[0].address, boards[1].address, dead].map(|it| it.to_string());
    let list = workshop.write("boards", &targets.join("\n"));
    let options = ["--targets", &list, "--firmware", &image, "--parallel", "2"];
    let ended = finish(workshop.spawn(&[&options[..], &["--dry-run"]].concat()));
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    let text = String::from_utf8(ended.stdout).unwrap();
    for board in &boards {
        let label = format!("{}: ", board.address);
        let lines = text.lines().filter(|line| line.starts_with(&label));
        assert_eq!(lines.count(), 4, "{text}");
        assert_eq!(status(board, "firmware"), env!("CARGO_PKG_VERSION"));
    }
    let summary = "2 of 3 boards checked, 1 failed, 0 not tried";
    assert!(ended.stderr.contains(summary), "{}", ended.stderr);
}

#[test]
fn closed_pipe_stops_a_fleet_quietly() {
    let workshop = Workshop::new();
    let image = workshop.image("0.2.0", 4096);
    let boards = ["1", "2"].map(|seed| workshop.start_chip(seed, &[]));
    let targets = boards.each_ref().map(|board| board.address.to_string());
    let mut child = workshop.spawn_fleet(&targets, &["--firmware", &image]);
    // Close the output before the first plan.
    drop(child.stdout.take());
    let ended = finish(child);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.stderr, "");
    for board in &boards {
        assert_eq!(status(board, "firmware"), env!("CARGO_PKG_VERSION"));
    }
}
