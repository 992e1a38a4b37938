//! What ends an exchange, and its exit code.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::Stdio;
use std::time::Duration;

#[cfg(target_os = "linux")]
use crate::common::full_backlog;
use crate::common::{Server, closed_port, read_all, read_some, reset, run, run_with_input, tcpctl};
use crate::processes::{Need, skipped};

/// Replies with `half`, then resets.
fn resetting(half: &'static [u8]) -> Server {
    Server::start(move |mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(half);
        // Some systems discard unread data when a reset arrives.
        if !half.is_empty() {
            connection
                .set_read_timeout(Some(Duration::from_millis(200)))
                .unwrap();
            let _ = connection.read(&mut [0]);
        }
        reset(connection);
    })
}

#[test]
fn every_rule_has_its_exit_code() {
    let closes = Server::greeter(b"Hello World");
    let closes_silently = Server::greeter(b"");
    let stays = Server::staying(b"one\ntwo\nthree\n");
    let stays_silently = Server::staying(b"");
    let resets = resetting(b"half of");
    let resets_at_once = resetting(b"");
    let short = ["--reply-timeout", "200ms"];
    let cases: [(&Server, &[&str], i32, &str, &str); 24] = [
        // The default rule.
        (&closes, &[], 0, "Hello World", "ended by close"),
        (&stays, &["--idle", "100ms"], 0, "one\ntwo\nthree\n", "idle"),
        (&closes_silently, &[], 1, "", "without a reply"),
        (&stays_silently, &short, 28, "", "no reply"),
        (&resets, &[], 56, "half of", "after 7 bytes"),
        (&resets_at_once, &[], 56, "", "before a reply"),
        // Until the close.
        (&closes, &["--until-close"], 0, "Hello World", "close"),
        (
            &stays,
            &["--until-close", short[0], short[1]],
            28,
            "one\ntwo\nthree\n",
            "then nothing for",
        ),
        (&resets, &["--until-close"], 56, "half of", "reset"),
        (
            &closes_silently,
            &["--until-close"],
            1,
            "",
            "without a reply",
        ),
        // Lines.
        (&stays, &["--lines", "2"], 0, "one\ntwo\n", "line"),
        (
            &stays,
            &["--lines", "4", short[0], short[1]],
            1,
            "one\ntwo\nthree\n",
            "fewer than 4 lines",
        ),
        (&closes, &["--lines", "1"], 0, "Hello World", "close"),
        (
            &closes,
            &["--lines", "2"],
            1,
            "Hello World",
            "fewer than 2 lines",
        ),
        (
            &resets,
            &["--lines", "1"],
            1,
            "half of",
            "fewer than 1 lines",
        ),
        (
            &stays_silently,
            &["--lines", "1", short[0], short[1]],
            1,
            "",
            "fewer than 1 lines",
        ),
        // A match.
        (
            &stays,
            &["--expect", "^t.o$"],
            0,
            "one\ntwo\nthree\n",
            "match",
        ),
        (&closes, &["--expect", "World$"], 0, "Hello World", "match"),
        (&closes, &["--expect", "Moon"], 1, "Hello World", "'Moon'"),
        (
            &stays,
            &["--expect", "four", short[0], short[1]],
            1,
            "one\ntwo\nthree\n",
            "'four'",
        ),
        (&resets, &["--expect", "whole"], 1, "half of", "'whole'"),
        (&closes_silently, &["--expect", ""], 1, "", "no match"),
        // No reply is expected.
        (&closes, &["--no-reply"], 0, "", "acknowledgment"),
        (&stays_silently, &["--no-reply"], 0, "", "acknowledgment"),
    ];
    for (server, arguments, code, stdout, told) in cases {
        let target = server.target();
        let all = ["send", &target, "hi", "-v"].into_iter();
        let ended = run(all.chain(arguments.iter().copied()));
        let case = format!("{arguments:?}: {ended:?}");
        assert_eq!(ended.code, code, "{case}");
        assert_eq!(String::from_utf8_lossy(&ended.stdout), stdout, "{case}");
        assert!(ended.stderr.contains(told), "{case}");
        assert!(!ended.stderr.contains("; after"), "{case}");
    }
}

#[test]
fn refused_connection_is_7_and_names_the_target() {
    let (_bound, address) = closed_port();
    let target = address.to_string();
    let ended = run(["send", &target, "hi"]);
    assert_eq!(ended.code, 7, "{ended:?}");
    assert!(ended.stderr.contains(&target), "{ended:?}");
    assert!(ended.stderr.contains("refused"), "{ended:?}");
    assert!(ended.has_one_error(), "{ended:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn connect_timeout_is_7() {
    let (_listener, address, _waiting) = full_backlog();
    let target = address.to_string();
    let ended = run(["send", &target, "hi", "--connect-timeout", "200ms"]);
    assert_eq!(ended.code, 7, "{ended:?}");
    assert!(ended.stderr.contains("200ms"), "{ended:?}");
}

#[test]
fn unresolved_idn_name_hints_at_its_ascii_form() {
    let ended = run(["send", "b\u{fc}ro.invalid", "hi"]);
    assert_eq!(ended.code, 6, "{}", ended.stderr);
    assert!(ended.stderr.contains("xn--"), "{}", ended.stderr);
}

#[test]
fn unresolved_name_is_6() {
    let ended = run(["send", "nonexistent.invalid", "hi"]);
    assert_eq!(ended.code, 6, "{ended:?}");
    assert!(ended.stderr.contains("'nonexistent.invalid'"), "{ended:?}");
    assert!(ended.has_one_error(), "{ended:?}");
}

#[test]
fn name_connects_to_the_address_that_answers() {
    let server = Server::greeter(b"found");
    let target = format!("localhost:{}", server.address.port());
    let ended = run(["send", &target, "hi"]);
    assert_eq!(
        (ended.code, &ended.stdout[..]),
        (0, &b"found"[..]),
        "{ended:?}"
    );
}

#[test]
fn ipv6_works() {
    if skipped(&[Need::Address(std::net::Ipv6Addr::LOCALHOST.into())]) {
        return;
    }
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let server = Server::on(listener, |mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(b"six");
    });
    let ended = run(["send", "-6", &server.target(), "hi"]);
    assert_eq!(
        (ended.code, &ended.stdout[..]),
        (0, &b"six"[..]),
        "{ended:?}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn source_address_is_used() {
    let server = Server::start(|mut connection| {
        read_some(&mut connection);
        let peer = connection.peer_addr().unwrap().ip().to_string();
        let _ = connection.write_all(peer.as_bytes());
    });
    let ended = run(["send", &server.target(), "hi", "--source", "127.0.0.9"]);
    assert_eq!(
        String::from_utf8_lossy(&ended.stdout),
        "127.0.0.9",
        "{ended:?}"
    );
}

#[test]
fn server_that_replies_after_fin() {
    let server = Server::start(|mut connection| {
        read_all(&mut connection);
        let _ = connection.write_all(b"Hello World");
    });
    let target = server.target();
    let ended = run_with_input(["send", &target, "--half-close"], b"hi\n");
    assert_eq!((ended.code, &ended.stdout[..]), (0, &b"Hello World"[..]));
    let open = ["send", &target, "--reply-timeout", "200ms"];
    let ended = run_with_input(open, b"hi\n");
    assert_eq!(ended.code, 28, "{ended:?}");
    assert!(ended.stderr.contains("--half-close"), "{ended:?}");
}

#[test]
fn server_that_replies_late_and_stays_open() {
    let server = Server::start(|mut connection| {
        read_some(&mut connection);
        std::thread::sleep(Duration::from_millis(300));
        let _ = connection.write_all(b"Hello World");
        read_all(&mut connection);
    });
    let target = server.target();
    let ended = run_with_input(["send", &target, "--idle", "100ms"], b"hi\n");
    assert_eq!((ended.code, &ended.stdout[..]), (0, &b"Hello World"[..]));
}

#[test]
fn server_that_closes_at_the_fin() {
    let server = Server::start(|mut connection| {
        read_some(&mut connection);
        connection
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let gone = matches!(connection.read(&mut [0]), Ok(0));
        if !gone {
            let _ = connection.write_all(b"Hello World");
        }
    });
    let target = server.target();
    let ended = run_with_input(["send", &target], b"hi\n");
    assert_eq!((ended.code, &ended.stdout[..]), (0, &b"Hello World"[..]));
    let ended = run_with_input(["send", &target, "--half-close"], b"hi\n");
    assert_eq!((ended.code, &ended.stdout[..]), (1, &b""[..]));
    assert!(ended.stderr.contains("without --half-close"), "{ended:?}");
}

#[test]
fn server_that_closes_and_stops_reading_is_a_failure() {
    let stops = Server::start(|mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(b"too large");
        let _ = connection.shutdown(Shutdown::Write);
        // The server reads no more and keeps the connection open.
        std::thread::sleep(Duration::from_mins(1));
    });
    let closes = Server::start(|mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(b"too large");
    });
    for (server, code) in [(stops, 28), (closes, 56)] {
        let target = server.target();
        let arguments = ["send", &target, "--reply-timeout", "300ms"];
        let ended = run_with_input(arguments, &vec![b'x'; 64 << 20]);
        assert_eq!(ended.code, code, "{ended:?}");
        assert_eq!(ended.stdout, b"too large", "{ended:?}");
    }
}

#[test]
fn fin_before_the_end_of_input_closes_one_direction() {
    let (sender, received) = std::sync::mpsc::channel();
    let server = Server::start(move |mut connection| {
        connection.write_all(b"welcome\n").unwrap();
        connection.shutdown(Shutdown::Write).unwrap();
        let _ = sender.send(read_all(&mut connection).len());
    });
    let input = vec![b'x'; 10 << 20];
    let target = server.target();
    for options in [&[][..], &["--half-close"], &["--until-close"]] {
        let all = ["send", &target].into_iter().chain(options.iter().copied());
        let ended = run_with_input(all, &input);
        assert_eq!((ended.code, &ended.stdout[..]), (0, &b"welcome\n"[..]));
        assert_eq!(received.recv().unwrap(), input.len(), "{options:?}");
    }
}

#[test]
fn server_that_reads_nothing_times_out() {
    let server = Server::start(|connection| {
        std::thread::sleep(Duration::from_mins(1));
        drop(connection);
    });
    let target = server.target();
    let arguments = ["send", &target, "--reply-timeout", "300ms"];
    for rule in [&[][..], &["--no-reply"]] {
        let all = arguments.into_iter().chain(rule.iter().copied());
        let ended = run_with_input(all, &vec![b'x'; 64 << 20]);
        assert_eq!(ended.code, 28, "{ended:?}");
        assert!(ended.has_one_error(), "{ended:?}");
    }
}

#[test]
fn reset_with_no_reply_is_56() {
    let server = Server::start(|mut connection| {
        read_some(&mut connection);
        reset(connection);
    });
    let target = server.target();
    let ended = run_with_input(["send", &target, "--no-reply"], &vec![b'x'; 64 << 20]);
    assert_eq!(ended.code, 56, "{ended:?}");
}

#[test]
fn no_reply_sends_everything_after_a_fin() {
    let (sender, received) = std::sync::mpsc::channel();
    let server = Server::start(move |mut connection| {
        connection.shutdown(Shutdown::Write).unwrap();
        let _ = sender.send(read_all(&mut connection).len());
    });
    let input = vec![b'x'; 8 << 20];
    let ended = run_with_input(["send", &server.target(), "--no-reply"], &input);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(received.recv().unwrap(), input.len());
}

#[test]
fn reset_after_fin_with_no_reply_is_56() {
    let server = Server::start(|mut connection| {
        connection.shutdown(Shutdown::Write).unwrap();
        read_some(&mut connection);
        reset(connection);
    });
    let target = server.target();
    let ended = run_with_input(["send", &target, "--no-reply"], &vec![b'x'; 64 << 20]);
    assert_eq!(ended.code, 56, "{ended:?}");
}

#[test]
fn closed_stdout_ends_quietly() {
    let server = Server::staying(b"Hello World");
    let mut child = tcpctl(["send", &server.target(), "hi"]).spawn().unwrap();
    drop(child.stdout.take());
    let ended = crate::common::finish(child);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn full_disk_is_one_error() {
    if skipped(&[Need::Path("/dev/full")]) {
        return;
    }
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let server = Server::greeter(b"Hello World");
    for json in [&[][..], &["--json"]] {
        let target = server.target();
        let all = ["send", &target, "hi"].into_iter();
        let child = tcpctl(all.chain(json.iter().copied()))
            .stdout(Stdio::from(full.try_clone().unwrap()))
            .spawn()
            .unwrap();
        let ended = crate::common::finish(child);
        assert_eq!(ended.code, 70, "{ended:?}");
        assert!(ended.stderr.contains("standard output"), "{ended:?}");
        assert!(ended.has_one_error(), "{ended:?}");
    }
}
