//! Refused command lines: one message with a hint and the right exit code.

use std::net::TcpListener;

use crate::processes::{Board, Ended, Process};
#[cfg(target_os = "linux")]
use crate::processes::{Need, skipped};

fn sim(arguments: &[&str]) -> Ended {
    let mut sim = Board::tcpctl();
    sim.arg("sim").args(arguments);
    Process::start(sim).finish()
}

/// Checks that the command was refused with `code` and a message that has all `parts`.
fn refused(ended: &Ended, code: i32, parts: &[&str]) {
    assert_eq!((ended.code, &*ended.stdout), (Some(code), ""), "{ended:?}");
    crate::common::assert_one_error(&ended.stderr);
    for part in parts {
        assert!(ended.stderr.contains(part), "no {part}: {ended:?}");
    }
}

#[test]
fn invalid_option_is_named() {
    for (arguments, parts) in [
        (&["--workers", "0"][..], &["--workers", "1 to 32"][..]),
        (&["--workers", "33"], &["--workers", "1 to 32"]),
        (&["--backlog", "33"], &["--backlog", "0 to 32"]),
        (&["--loss", "200%"], &["--loss", "200%"]),
        (&["--delay", "5"], &["--delay", "5s or 5ms"]),
        (&["--delay", "2m"], &["--delay", "longer than one minute"]),
        (&["--rate", "fast"], &["--rate", "fast"]),
        (&["--seed", "x"], &["--seed", "whole number"]),
        (&["--greeting", ""], &["--greeting"]),
        (&["--services", "maybe"], &["--services", "on, off"]),
        (&["--mode", "mesh"], &["--mode", "ap, sta"]),
        (
            &["--listen", "nonsense"],
            &["--listen", "nonsense", "e.g. 127.0.0.1:3000"],
        ),
        (&["--listen", "127.0.0.1:70000"], &["--listen", "70000"]),
        (&["esp23"], &["esp23", "esp32"]),
        (&["--profile", "esp32"], &["--profile"]),
        (&["--tap", ""], &["TAP interface", "1 to 15 characters"]),
        (
            &["--tap", "x", "--listen", "127.0.0.1:0"],
            &["--tap", "--listen"],
        ),
    ] {
        let ended = sim(arguments);
        refused(&ended, 2, parts);
    }
}

#[test]
fn port_in_use_is_reported() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let ended = sim(&["--listen", &address]);
    refused(&ended, 70, &[&address, "in use", "port"]);
}

#[test]
fn foreign_listen_address_is_reported() {
    // An address that no host has (TEST-NET-1, RFC 5737).
    let ended = sim(&["--listen", "192.0.2.1:3000"]);
    refused(&ended, 70, &["192.0.2.1:3000", "local address"]);
}

#[test]
fn json_failure_is_an_error_object() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    for (arguments, kind, code) in [
        (["--listen", &address], "device", 70),
        (["--workers", "0"], "usage", 2),
        (["--listen", "nonsense"], "usage", 2),
    ] {
        let mut sim = Board::tcpctl();
        sim.args(["sim", "--json"]).args(arguments);
        let ended = Process::start(sim).finish();
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert_eq!(ended.stdout.lines().count(), 1, "{ended:?}");
        let error: serde_json::Value = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{error}: {ended:?}"));
        crate::common::schema::check(&error);
        assert_eq!(error["schema"], "tcpctl.error/1");
        assert_eq!(error["command"], "sim");
        assert_eq!(error["kind"], kind, "{error}");
        assert_eq!(error["exit_code"], code, "{error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn tap_without_privilege_is_refused() {
    let root = rustix::process::geteuid().is_root();
    if skipped(&[Need::Tap]) || (root && skipped(&[Need::Program("setpriv")])) {
        return;
    }
    let binary = env!("CARGO_BIN_EXE_tcpctl");
    let mut sim = if root {
        // Root without capabilities, because another user may not be able to reach the binary.
        let mut setpriv = std::process::Command::new("setpriv");
        setpriv.args(["--bounding-set=-all", "--inh-caps=-all", binary]);
        setpriv
    } else {
        Board::tcpctl()
    };
    sim.args(["sim", "--tap", "tcpctl-none"]);
    let ended = Process::start(sim).finish();
    refused(
        &ended,
        70,
        &[
            "tcpctl-none",
            "permission denied",
            "run as root",
            "ip tuntap add",
        ],
    );
}

#[cfg(not(target_os = "linux"))]
#[test]
fn tap_outside_linux_is_refused() {
    let ended = sim(&["--tap", "tap0"]);
    refused(&ended, 2, &["--tap", "Linux", "--listen"]);
}
