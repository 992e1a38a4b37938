//! A complete change of settings: the steps of the README, and failures on the way.

use serde_json::json;

use super::lab::{Lab, NETWORKS, events, kill};
use crate::processes::Stream;

const MOVE: [&str; 4] = ["--ssid", "home", "--password-stdin", "--json"];

#[test]
fn board_moves_to_another_network_for_good() {
    let lab = Lab::new();
    let board = lab.start();
    let target = board.address.to_string();
    let ended = lab.configure(&target, &MOVE, "battery staple\n");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let expected = ["plan", "sent", "restarting", "back", "confirmed"];
    assert_eq!(events(&ended), expected);
    let objects = ended.objects();
    let changes = json!([
        {"setting": "ssid", "old": "lab", "new": "home"},
        {"setting": "passphrase", "old": "set", "new": "set (new)"},
    ]);
    assert_eq!(objects[0]["changes"], changes);
    assert_eq!(objects[0]["restart"], true);
    assert_eq!(objects[4]["greeting"], "Hello World");
    assert_eq!(objects[4]["address"], target);
    assert!(
        ended.stderr.contains("within 90 s: join home"),
        "{}",
        ended.stderr
    );

    // Cut the power. The board starts again.
    kill(board);
    let board = lab.start();
    let shown = lab.show(&board);
    assert_eq!(shown["settings"]["ssid"], "home");
    assert_eq!(shown["trial"]["state"], "confirmed");
}

#[test]
fn failure_to_join_is_rolled_back_by_the_board() {
    let lab = Lab::new();
    let board = lab.start();
    let target = board.address.to_string();
    for (ssid, passphrase, reason) in [
        ("home", "wrong horse", "wrong passphrase"),
        ("office", "battery staple", "no such network"),
    ] {
        let options = ["--ssid", ssid, "--password-stdin", "--json"];
        let ended = lab.configure(&target, &options, passphrase);
        assert_eq!(ended.code, 70, "{}", ended.stderr);
        let expected = ["plan", "sent", "restarting", "rolled_back", "error"];
        assert_eq!(events(&ended), expected);
        let objects = ended.objects();
        assert_eq!(objects[3]["reason"], reason);
        let message = objects[4]["message"].as_str().unwrap();
        assert!(
            message.ends_with(&format!("old settings: {reason}")),
            "{message}"
        );
        let reported = format!(" reason=\"{reason}\"");
        board.process.text(Stream::Stdout, |text| {
            let mut lines = text.lines();
            lines
                .any(|line| line.contains("trial rolled-back ") && line.contains(&reported))
                .then_some(())
        });
        let shown = lab.show(&board);
        assert_eq!(shown["settings"]["ssid"], "lab");
        assert_eq!(shown["trial"]["reason"], reason);
    }
}

#[test]
fn power_cut_during_the_trial_returns_the_board() {
    let lab = Lab::new();
    let board = lab.start();
    let target = board.address.to_string();
    let options = [&MOVE[..], &["--no-confirm"]].concat();
    let ended = lab.configure(&target, &options, "battery staple");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(events(&ended), ["plan", "sent", "restarting"]);
    assert!(ended.stderr.contains("--confirm"), "{}", ended.stderr);
    board.wait_for("trial started");
    kill(board);
    let board = lab.start();
    let shown = lab.show(&board);
    assert_eq!(shown["settings"]["ssid"], "lab");
    assert_eq!(
        shown["trial"]["reason"],
        "restarted before it was confirmed"
    );
    let ended = lab.configure(&board.address.to_string(), &["--confirm"], "");
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("last trial was rolled back: restarted"),
        "{}",
        ended.stderr
    );
}

#[test]
fn another_computer_confirms() {
    let lab = Lab::new();
    let board = lab.start();
    let target = board.address.to_string();
    let nothing = lab.configure(&target, &["--confirm"], "");
    assert_eq!(nothing.code, 70, "{}", nothing.stderr);
    assert!(
        nothing.stderr.contains("no new settings"),
        "{}",
        nothing.stderr
    );

    let options = ["--workers", "2", "--no-wait"];
    let ended = lab.configure(&target, &options, "");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    board.wait_for("trial started");
    // A third computer does not interfere.
    let other = lab.configure(&target, &["--workers", "3"], "");
    assert_eq!(other.code, 70, "{}", other.stderr);
    assert!(
        other.stderr.contains("a settings trial is in progress"),
        "{}",
        other.stderr
    );
    // A copy of the key file works as well.
    let key = lab.path("copy");
    std::fs::copy(lab.key_file(), &key).unwrap();
    std::fs::remove_dir_all(lab.path("data")).unwrap();
    let options = ["--confirm", "--key-file", &key, "--json"];
    let ended = lab.configure(&target, &options, "");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(events(&ended), ["confirmed"]);
    let key = std::fs::read_to_string(&key).unwrap();
    let options = ["--show", "--json", "--key-file", "-"];
    let shown = lab.configure(&target, &options, &key).objects().remove(0);
    assert_eq!(shown["settings"]["workers"], "2");
    assert_eq!(shown["trial"]["state"], "confirmed");
    let again = lab.configure(&target, &["--confirm", "--key-file", "-"], &key);
    assert_eq!(again.code, 70, "{}", again.stderr);
    assert!(
        again.stderr.contains("last trial was confirmed"),
        "{}",
        again.stderr
    );
}

#[test]
fn confirmation_waits_for_the_restart() {
    let lab = Lab::new();
    let board = lab.start();
    let target = board.address.to_string();
    let ended = lab.configure(&target, &["--workers", "2", "--no-confirm"], "");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let ended = lab.configure(&target, &["--confirm", "--json"], "");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(events(&ended), ["confirmed"]);
    assert_eq!(lab.show(&board)["trial"]["state"], "confirmed");
}

#[test]
fn open_network_that_stays_open_needs_no_restart() {
    let lab = Lab::new();
    lab.write("nets.toml", "[[network]]\nssid = \"lab\"\nopen = true\n");
    let board = lab.start();
    let target = board.address.to_string();
    let ended = lab.configure(&target, &["--open", "--json"], "");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(events(&ended), ["plan"]);
    let plan = ended.objects().remove(0);
    assert_eq!(
        (&plan["changes"], &plan["restart"]),
        (&json!([]), &json!(false))
    );
    assert_eq!(lab.show(&board)["trial"], json!(null));
}

#[test]
fn vanished_network_brings_the_board_back_when_it_returns() {
    let lab = Lab::new();
    let board = lab.start();
    let only_home = NETWORKS.split_once("\n\n").unwrap().1;
    lab.write("nets.toml", only_home);
    board.wait_for("link down reason=\"no such network\"");
    lab.write("nets.toml", NETWORKS);
    let ready = board.process.text(Stream::Stdout, |text| {
        let mut ready = text.lines().filter(|line| line.starts_with("ready "));
        ready.nth(1).map(str::to_owned)
    });
    assert!(ready.contains(" mode=sta "), "{ready}");
    assert_eq!(lab.show(&board)["settings"]["ssid"], "lab");
}

#[test]
fn greeting_changes_at_once() {
    let lab = Lab::new();
    let board = lab.start();
    let target = board.address.to_string();
    let options = ["--greeting", "moin", "--request-timeout", "1s", "--json"];
    let unused = ["--address", "127.0.0.1", "--confirm-timeout", "20s"];
    let ended = lab.configure(&target, &[&options[..], &unused].concat(), "");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for option in ["--address", "--confirm-timeout"] {
        let note = format!("{option} has no effect");
        assert!(ended.stderr.contains(&note), "{}", ended.stderr);
    }
    assert_eq!(events(&ended), ["plan", "sent", "confirmed"]);
    let objects = ended.objects();
    assert_eq!(objects[0]["restart"], false);
    assert_eq!(objects[2]["greeting"], "moin");
    // A second run has nothing to do.
    let ended = lab.configure(&target, &options, "");
    assert_eq!(events(&ended), ["plan"]);
    assert_eq!(ended.objects()[0]["changes"], json!([]));
    kill(board);
    let shown = lab.show(&lab.start());
    assert_eq!(shown["settings"]["greeting"], "moin");
    assert_eq!(shown["settings"]["request-timeout"], "1s");
}

#[test]
fn dry_run_sends_nothing() {
    let lab = Lab::new();
    let board = lab.start();
    let target = board.address.to_string();
    let options = [&MOVE[..], &["--dry-run"]].concat();
    let ended = lab.configure(&target, &options, "battery staple");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(events(&ended), ["plan"]);
    let shown = lab.show(&board);
    assert_eq!(shown["settings"]["ssid"], "lab");
    assert_eq!(shown["trial"], json!(null));
}

#[test]
fn management_is_switched_off_as_part_of_a_trial() {
    let lab = Lab::new();
    let board = lab.start();
    let target = board.address.to_string();
    let ended = lab.configure(&target, &["--management", "off", "--json"], "");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(events(&ended).last().unwrap(), "confirmed");
    let ended = lab.configure(&target, &["--show"], "");
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("management is off"),
        "{}",
        ended.stderr
    );
}

#[test]
fn virtual_board_as_target_has_its_own_key() {
    let lab = Lab::new();
    let ended = lab.configure("sim:ideal", &["--workers", "2", "--json"], "");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let expected = ["plan", "sent", "restarting", "back", "confirmed"];
    assert_eq!(events(&ended), expected);
    assert!(!std::path::Path::new(&lab.path("data")).exists());
}
