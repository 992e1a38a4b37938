//! SIGINT and SIGTERM: the first signal ends the command in order, the second one at once.

use std::io::{Read, Write};
use std::sync::mpsc;

use rustix::process::Signal;

use crate::common::{Server, end_by, finish, read_all, read_some, signal, tcpctl};

#[test]
fn first_signal_keeps_the_partial_reply() {
    let server = Server::staying(b"partial");
    for (which, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let arguments = ["send", &server.target(), "hi", "--until-close"];
        let mut child = tcpctl(arguments).spawn().unwrap();
        let mut partial = [0; 7];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut partial).unwrap();
        signal(&child, which);
        let ended = finish(child);
        assert_eq!((ended.code, ended.stderr.as_str()), (code, ""));
        assert_eq!(&partial, b"partial");
    }
}

#[test]
fn first_signal_prints_the_partial_object() {
    let (sender, asked) = mpsc::channel();
    let server = Server::start(move |mut connection| {
        read_some(&mut connection);
        let _ = sender.send(());
        read_all(&mut connection);
    });
    let child = tcpctl(["send", &server.target(), "hi", "--json"])
        .spawn()
        .unwrap();
    asked.recv().unwrap();
    signal(&child, Signal::INT);
    let ended = finish(child);
    assert_eq!(ended.code, 130, "{ended:?}");
    let objects = ended.objects();
    assert_eq!(objects.len(), 1, "{ended:?}");
    assert_eq!(objects[0]["ended_by"], "interrupted");
    assert_eq!(objects[0]["sent_bytes"], 2);
}

#[test]
fn first_signal_prints_the_statistics() {
    let (sender, asked) = mpsc::channel();
    let server = Server::start(move |mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(b"pong");
        let _ = sender.send(());
    });
    let arguments = [
        "send",
        &server.target(),
        "x",
        "--count",
        "99",
        "--interval",
        "1ms",
        "--json",
    ];
    let child = tcpctl(arguments).spawn().unwrap();
    for _ in 0..3 {
        asked.recv().unwrap();
    }
    signal(&child, Signal::INT);
    let ended = finish(child);
    assert_eq!(ended.code, 130, "{ended:?}");
    let objects = ended.objects();
    let summary = objects.last().unwrap();
    assert_eq!(summary["schema"], "tcpctl.send.summary/1");
    assert!(summary["sent"].as_u64().unwrap() >= 2, "{summary}");
    assert_eq!(summary["lost"], 0);
}

#[test]
fn signal_ends_a_retry() {
    let (_bound, address) = crate::common::closed_port();
    let arguments = [
        "send",
        &address.to_string(),
        "x",
        "--retry",
        "9",
        "--retry-delay",
        "60s",
    ];
    let ended = end_by(Signal::INT, || {
        let mut child = tcpctl(arguments).spawn().unwrap();
        let stderr = child.stderr.as_mut().unwrap();
        stderr.read_exact(&mut [0]).unwrap();
        (child, ())
    });
    assert_eq!(ended.code, 130, "{ended:?}");
}

#[test]
fn first_signal_ends_a_blocked_write() {
    let server = Server::start(|mut connection| {
        read_some(&mut connection);
        while connection.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let ended = end_by(Signal::TERM, || {
        let mut child = tcpctl(["send", &server.target(), "hi"]).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 1]).unwrap();
        (child, stdout)
    });
    assert_eq!(ended.code, 143, "{ended:?}");
}

#[test]
fn second_signal_ends_a_blocked_write() {
    let server = Server::start(|mut connection| {
        read_some(&mut connection);
        while connection.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let mut child = tcpctl(["send", &server.target(), "hi"]).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 1]).unwrap();
    // Two equal signals could merge into one.
    signal(&child, Signal::INT);
    signal(&child, Signal::TERM);
    let ended = finish(child);
    assert!([130, 143].contains(&ended.code), "{ended:?}");
}
