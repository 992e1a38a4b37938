//! What is sent: the bytes that were given, and no others.

use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;

use crate::common::{Server, finish, noise, read_all, run, run_with_input, tcpctl};

#[test]
fn each_source_sends_its_bytes() {
    let (server, received) = Server::recorder();
    let target = server.target();
    let file = std::env::temp_dir().join(format!("tcpctl-send-{}", std::process::id()));
    std::fs::write(&file, b"\0from a\xfffile").unwrap();
    let path = file.to_str().unwrap();
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
    std::fs::remove_file(file).unwrap();
}

#[test]
fn the_target_comes_from_the_environment_then_from_the_config_file() {
    let server = Server::greeter(b"Hello World");
    let file = std::env::temp_dir().join(format!("tcpctl-config-{}.toml", std::process::id()));
    std::fs::write(&file, format!("target = \"{}\"\n", server.address)).unwrap();
    let mut from_file = tcpctl(["send", "-m", "hi"]);
    from_file.env("TCPCTL_CONFIG", &file);
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
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_hundred_megabytes_come_back_from_an_echo_as_they_were() {
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
fn a_reply_comes_while_input_is_still_open() {
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
    // Standard input stays open: the match alone ends it.
    stdin.write_all(b"third\n").unwrap();
    assert_eq!(finish(child).code, 0);
    drop(stdin);
}

#[test]
fn the_server_s_close_ends_it_while_input_is_still_open() {
    let server = Server::greeter(b"Hello World");
    let mut child = tcpctl(["send", &server.target()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hi\n").unwrap();
    let ended = finish(child);
    assert_eq!(
        (ended.code, &ended.stdout[..]),
        (0, &b"Hello World"[..]),
        "{ended:?}"
    );
    drop(stdin);
}

#[test]
fn a_greeting_does_not_keep_the_message_from_being_sent() {
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
fn an_empty_standard_input_says_so_when_nothing_comes() {
    let server = Server::staying(b"");
    let ended = run(["send", &server.target(), "--reply-timeout", "200ms"]);
    assert_eq!(ended.code, 28, "{ended:?}");
    assert!(ended.stderr.contains("input was empty"), "{ended:?}");
}

#[test]
fn a_closed_standard_input_is_an_empty_one() {
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
