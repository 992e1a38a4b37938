//! Bad input: one error line, a hint, the right exit code, and no partial change.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::lab::{Lab, kill};
use crate::common::{Ended, Server, assert_one_error, closed_port, read_some, run_with_input};

fn refused(ended: &Ended, code: i32, parts: &[&str]) {
    assert_eq!(
        (ended.code, &ended.stdout[..]),
        (code, &b""[..]),
        "{}",
        ended.stderr
    );
    assert_one_error(&ended.stderr);
    for part in parts {
        assert!(ended.stderr.contains(part), "no {part}: {}", ended.stderr);
    }
}

#[test]
fn invalid_arguments_are_refused_before_any_connection() {
    let lab = Lab::new();
    let (_port, closed) = closed_port();
    let target = closed.to_string();
    for (options, parts) in [
        (&[][..], &["no setting given", "--show"][..]),
        (&["--workers", "33"], &["--workers", "1 to 32"]),
        (&["--frequency", "5"], &["--frequency"]),
        (
            &["--confirm-timeout", "5s", "--show"],
            &["--confirm-timeout", "10s to 1h"],
        ),
        (
            &["--confirm-timeout", "2h", "--show"],
            &["--confirm-timeout", "10s to 1h"],
        ),
        (
            &["--open", "--password-stdin"],
            &["--open", "--password-stdin"],
        ),
        (&["--show", "--ssid", "home"], &["--show", "--ssid"]),
        (
            &["--show", "--confirm-timeout", "20s"],
            &["--show", "--confirm-timeout"],
        ),
        (
            &["--password-stdin", "--key-file", "-"],
            &["both read standard input", "give a file"],
        ),
        (&["--workers", "2", "--address", "sim"], &["--address"]),
        (
            &["--password-stdin", "--ssid", "home"],
            &["standard input is empty"],
        ),
        (
            &["--key-file", "-", "--show"],
            &["--key-file -", "holds no key"],
        ),
    ] {
        refused(&lab.configure(&target, options, ""), 2, parts);
    }
    let short = lab.configure(&target, &["--ssid", "home", "--password-stdin"], "hunter2");
    refused(&short, 2, &["length is 7"]);
    assert!(!short.stderr.contains("hunter2"), "{}", short.stderr);
}

#[test]
fn byte_order_mark_of_a_passphrase_is_ignored() {
    let station = ["configure", "sim", "--mode", "sta", "--ssid", "home"];
    let ended = run_with_input(
        [&station[..], &["--password-stdin", "--dry-run"]].concat(),
        "\u{feff}correct horse\r\n".as_bytes(),
    );
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn unreachable_board_and_unknown_name_have_their_exit_codes() {
    let lab = Lab::new();
    let (_port, closed) = closed_port();
    let ended = lab.configure(&closed.to_string(), &["--show"], "");
    refused(&ended, 7, &["connection refused", "is the board on"]);
    // The error about a given port does not mention the server.
    let port = closed.port().to_string();
    let options = ["--show", "--management-port", &port];
    let ended = lab.configure(&closed.to_string(), &options, "");
    refused(&ended, 7, &["connection refused", "--management on"]);
    let ended = lab.configure("nowhere.invalid", &["--show"], "");
    refused(&ended, 6, &["nowhere.invalid"]);
}

#[test]
fn settings_that_do_not_fit_the_board_are_refused() {
    let lab = Lab::new();
    let board = lab.start();
    let target = board.address.to_string();
    for (options, part) in [
        (&["--channel", "6"][..], "channel"),
        (&["--tcp-port", "3001"], "tcp-port"),
        (&["--tcp-port", "7", "--services", "on"], "tcp-port"),
        // Tests have no terminal to ask at.
        (&["--ssid", "home"], "'home' needs one"),
        (&["--mode", "ap"], "needs one"),
    ] {
        refused(&lab.configure(&target, options, ""), 2, &[part]);
    }
    let shown = lab.show(&board);
    assert_eq!(shown["settings"]["ssid"], "lab");
    assert_eq!(shown["trial"], serde_json::Value::Null);
}

#[test]
fn unusable_key_file_is_refused() {
    let lab = Lab::new();
    let board = lab.start();
    let target = board.address.to_string();
    let file = lab.key_file();
    let good = std::fs::read_to_string(&file).unwrap();
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode));
    mode(0o640).unwrap();
    let ended = lab.configure(&target, &["--show"], "");
    refused(&ended, 2, &["others can read it (mode 0640)", "chmod 600"]);
    mode(0o600).unwrap();
    std::fs::write(&file, &good[..40]).unwrap();
    let ended = lab.configure(&target, &["--show"], "");
    refused(&ended, 2, &["holds no key", "64 hexadecimal digits"]);
    std::fs::write(&file, &good).unwrap();
    // The key file of the board with the previous MAC address is not read.
    let name = file.file_name().unwrap().to_str().unwrap();
    let mac = u64::from_str_radix(name, 16).unwrap();
    let neighbor = file.with_file_name(format!("{:012x}", mac - 1));
    std::fs::write(&neighbor, "not a key").unwrap();
    lab.show(&board);
    // A chip's access point has the MAC address of its station plus 1, which names the file.
    std::fs::rename(&file, &neighbor).unwrap();
    lab.show(&board);
    std::fs::remove_file(&neighbor).unwrap();
    let ended = lab.configure(&target, &["--show"], "");
    refused(&ended, 2, &["does not exist", "tcpctl flash"]);
    // The board still has its key, and a restart of the virtual board writes the file again.
    kill(board);
    let board = lab.start();
    lab.show(&board);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), good);
}

#[test]
fn state_file_that_others_can_read_is_refused() {
    let lab = Lab::new();
    kill(lab.start());
    let state = lab.path("board");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = lab.start_unreachable().finish();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for part in ["others can read it (mode 0644)", "chmod 600 "] {
        assert!(ended.stderr.contains(part), "{ended:?}");
    }
}

#[test]
fn wrong_key_is_refused_without_a_reason() {
    let lab = Lab::new();
    let board = lab.start();
    let wrong = "5a".repeat(32);
    let options = ["--greeting", "mine", "--key-file", "-"];
    let ended = lab.configure(&board.address.to_string(), &options, &wrong);
    refused(&ended, 70, &["authentication failed", "key file"]);
    let shown = lab.show(&board);
    assert_eq!(shown["settings"]["greeting"], "Hello World");
}

#[test]
fn board_without_management_is_a_failure_with_a_reason() {
    let lab = Lab::new();
    let sim = lab.sim(&["ideal", "--management", "off"]);
    let board = crate::processes::Board::ready(sim);
    let ended = lab.configure(&board.address.to_string(), &["--show"], "");
    refused(&ended, 70, &["management is off", "--management on"]);
    let ended = lab.configure("sim:ideal,management=off", &["--show"], "");
    refused(&ended, 70, &["management is off", "without management=off"]);
}

#[test]
fn older_firmware_and_other_servers_are_named() {
    let lab = Lab::new();
    let old = Server::start(|mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(b"{\"schema\":\"tcpctl.status/1\"}\n");
    });
    let ended = lab.configure(&old.target(), &["--show"], "");
    refused(&ended, 70, &["no management channel", "tcpctl flash"]);
    // Another program listens on the port.
    let port = |greeting: &'static [u8]| {
        let other = Server::start(move |mut connection| {
            let _ = connection.write_all(greeting);
            crate::common::read_all(&mut connection);
        });
        other.address.port().to_string()
    };
    for (greeting, part) in [
        (&b"220 mail.example.com\r\n"[..], "not a management server"),
        (b"\x00\x0bTCPM\x09\x02\x00\x00\x00\x00\x01", "version 9"),
    ] {
        let port = port(greeting);
        let options = ["--show", "--management-port", &port];
        let ended = lab.configure("127.0.0.1", &options, "");
        refused(&ended, 70, &[part]);
    }
}
