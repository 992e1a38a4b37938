//! The bytes that are sent.

use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;

use crate::common::{Server, finish, noise, read_all, run, run_with_input, tcpctl};

#[test]
fn every_source_sends_its_bytes() {
    let (server, received) = Server::recorder();
    let target = server.target();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, b"\0from a\xfffile").unwrap();
    let path = file.path().to_str().unwrap();
    let cases: [(&[&str], &[u8]); 12] = [
        (&["hi"], b"hi"),
        (&["-m", "hi"], b"hi"),
        (&["-m", "-5"], b"-5"),
        (&["--crlf", "hi"], b"hi\r\n"),
        (&["--lf", "hi"], b"hi\n"),
        (&["--hex", "00 ff 0d:0a"], b"\x00\xff\r\n"),
        (&["--hex", "6869", "--lf"], b"hi\n"),
        (&["--file", path], b"\0from a\xfffile"),
        (&["--file", path, "--crlf"], b"\0from a\xfffile\r\n"),
        (&[], b"piped\n"),
        (&["-"], b"piped\n"),
        (&["--file", "-", "--lf"], b"piped\n\n"),
    ];
    for (arguments, bytes) in cases {
        let all = ["send", &target, "--half-close"].into_iter();
        let ended = run_with_input(all.chain(arguments.iter().copied()), b"piped\n");
        assert_eq!(ended.code, 0, "{arguments:?} {ended:?}");
        assert_eq!(received.recv().unwrap(), bytes, "{arguments:?}");
    }
}

#[test]
fn environment_overrides_the_configured_target() {
    let server = Server::greeter(b"Hello World");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, format!("target = \"{}\"\n", server.address)).unwrap();
    let mut from_file = tcpctl(["send", "-m", "hi"]);
    from_file.env("TCPCTL_CONFIG", file.path());
    let mut from_environment = tcpctl(["send", "-m", "hi"]);
    from_environment
        .env("TCPCTL_TARGET", server.target())
        .env("TCPCTL_CONFIG", "/nonexistent");
    for mut command in [from_file, from_environment] {
        let ended = finish(command.spawn().unwrap());
        assert_eq!(
            (ended.code, &ended.stdout[..]),
            (0, &b"Hello World"[..]),
            "{ended:?}"
        );
    }
}

#[test]
fn echo_returns_100_megabytes_unchanged() {
    const PIECES: u64 = 100;
    let server = Server::echo();
    let arguments = ["send", &server.target(), "--half-close", "--until-close"];
    let mut child = tcpctl(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    thread::spawn(move || {
        for seed in 1..=PIECES {
            stdin.write_all(&noise(seed, 1 << 20)).unwrap();
        }
    });
    let mut back = vec![0; 1 << 20];
    for seed in 1..=PIECES {
        stdout.read_exact(&mut back).unwrap();
        assert!(back == noise(seed, 1 << 20), "piece {seed} differs");
    }
    assert_eq!(stdout.read(&mut back).unwrap(), 0);
    assert_eq!(finish(child).code, 0);
}

#[test]
fn reply_is_printed_while_input_is_open() {
    let server = Server::echo();
    let mut child = tcpctl(["send", &server.target(), "--expect", "third"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut back = [0; 6];
    for word in [b"first\n", b"other\n"] {
        stdin.write_all(word).unwrap();
        stdout.read_exact(&mut back).unwrap();
        assert_eq!(&back, word);
    }
    // Standard input stays open, so only the match ends the exchange.
    stdin.write_all(b"third\n").unwrap();
    assert_eq!(finish(child).code, 0);
    drop(stdin);
}

#[test]
fn close_ends_it_when_the_input_has_ended() {
    let server = Server::greeter(b"Hello World");
    let mut child = tcpctl(["send", &server.target()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hi\n").unwrap();
    let mut reply = [0; 11];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut reply)
        .unwrap();
    assert_eq!(&reply, b"Hello World");
    assert!(child.try_wait().unwrap().is_none());
    drop(stdin);
    assert_eq!(finish(child).code, 0);
}

/// A FIFO in a folder that is removed when it is dropped.
#[cfg(unix)]
fn fifo() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo").to_str().unwrap().to_owned();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    (folder, path)
}

#[cfg(unix)]
#[test]
fn fifo_is_opened_once() {
    let (server, received) = Server::recorder();
    let target = server.target();
    let (_folder, path) = fifo();
    let arguments = ["send", &target, "--file", &path, "--half-close"];
    let child = tcpctl(arguments).spawn().unwrap();
    std::fs::write(&path, b"from the FIFO").unwrap();
    assert_eq!(finish(child).code, 0);
    assert_eq!(received.recv().unwrap(), b"from the FIFO");

    let repeat = ["--count", "2", "--interval", "0"];
    let child = tcpctl(arguments.into_iter().chain(repeat)).spawn().unwrap();
    std::fs::write(&path, b"twice").unwrap();
    assert_eq!(finish(child).code, 0);
    assert_eq!(received.recv().unwrap(), b"twice");
    assert_eq!(received.recv().unwrap(), b"twice");
}

#[cfg(target_os = "linux")]
#[test]
fn signal_ends_every_wait_for_input() {
    let server = Server::staying(b"");
    let target = server.target();
    let (_folder, path) = fifo();
    let cases: [&[&str]; 4] = [
        &["send", &target, "--file", &path],
        &["send", &target, "--file", &path, "--count", "2"],
        &["send", &target, "--count", "2"],
        &["send", "--targets", &path, "-m", "hi"],
    ];
    for arguments in cases {
        crate::common::check_signals_end_reading(arguments);
    }
}

#[test]
fn port_as_the_message_gets_a_note() {
    let server = Server::greeter(b"ok");
    let target = server.target();
    let ended = run(["send", "localhost", "1", "--connect-timeout", "1s"]);
    assert!(ended.stderr.contains("localhost:1"), "{ended:?}");
    for message in ["3000x", "70000"] {
        let ended = run(["send", "sim", message]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    }
    let ended = run(["send", &target, "3000"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
}

#[test]
fn unresolved_target_may_be_the_message() {
    let child = tcpctl(["send", "hi.invalid"])
        .env("TCPCTL_TARGET", "sim")
        .spawn()
        .unwrap();
    let ended = finish(child);
    assert_eq!(ended.code, 6, "{ended:?}");
    assert!(ended.stderr.contains("send -m 'hi.invalid'"), "{ended:?}");
}

#[test]
fn message_is_sent_despite_a_greeting() {
    let (sender, received) = std::sync::mpsc::channel();
    let server = Server::start(move |mut connection| {
        connection.write_all(b"welcome\n").unwrap();
        let _ = sender.send(read_all(&mut connection));
    });
    let ended = run(["send", &server.target(), "hi", "--lines", "1"]);
    assert_eq!((ended.code, &ended.stdout[..]), (0, &b"welcome\n"[..]));
    assert_eq!(received.recv().unwrap(), b"hi");
}

#[test]
fn empty_input_is_named_without_a_reply() {
    let server = Server::staying(b"");
    let ended = run(["send", &server.target(), "--reply-timeout", "200ms"]);
    assert_eq!(ended.code, 28, "{ended:?}");
    assert!(ended.stderr.contains("input was empty"), "{ended:?}");
}

#[test]
fn closed_stdin_is_empty_input() {
    let server = Server::start(|mut connection| {
        let _ = connection.write_all(b"welcome");
    });
    let script = format!(
        "exec {} send {} <&-",
        env!("CARGO_BIN_EXE_tcpctl"),
        server.target()
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"welcome");
}
